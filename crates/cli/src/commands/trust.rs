//! `trust`: the certificate files that tools are pointed at, and whether this shell's tools are.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sallyport_platform::Paths;
use serde::Serialize;

use crate::cli::EXIT_CODES;
use crate::commands::env::present;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, Table};
use crate::variables;

/// Show the certificate bundle, and which of this shell's tools trust Sallyport
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport trust bundle\n  curl --cacert \"$(sallyport trust bundle)\" https://api.openai.com/v1/models\n  sallyport trust status\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the path of a PEM file with the system's roots and ours
    #[command(after_help = format!("Example:\n  curl --cacert \"$(sallyport trust bundle)\" https://api.openai.com/v1/models\n\n{EXIT_CODES}"))]
    Bundle {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show which certificate variables of this shell lead to our root
    ///
    /// Exits with 1 when the bundle lacks our root, or a variable names a file without it.
    #[command(after_help = format!("Example:\n  sallyport trust status\n\n{EXIT_CODES}"))]
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Trust {
    Trusted,
    Unset,
    /// The file can't be read.
    Unreadable,
    /// The file lacks our root.
    WithoutOurRoot,
}

#[derive(Debug, Serialize)]
struct Variable {
    name: &'static str,
    value: Option<String>,
    trust: Trust,
}

#[derive(Debug, Serialize)]
struct Store {
    kind: &'static str,
    name: String,
    location: std::path::PathBuf,
    holds_root: bool,
}

#[derive(Debug, Serialize)]
struct Status {
    root: std::path::PathBuf,
    bundle: std::path::PathBuf,
    stores: Vec<Store>,
    variables: Vec<Variable>,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    match args.command {
        Command::Bundle { json } => {
            let bundle = paths.bundle_file();
            if !bundle.is_file() {
                return Err(missing(&bundle));
            }
            if json {
                out.json(&serde_json::json!({ "bundle": bundle }))?;
            } else {
                out.line(bundle.display().to_string())?;
            }
            Ok(Exit::Ok)
        }
        Command::Status { json } => {
            let status = status(&paths, &present)?;
            if json {
                out.json(&status)?
            } else {
                show(&status, out)?
            }
            let bundle = status.stores.iter().any(|s| s.location == status.bundle && s.holds_root);
            let astray = |v: &Variable| matches!(v.trust, Trust::Unreadable | Trust::WithoutOurRoot);
            let whole = bundle && !status.variables.iter().any(astray);
            Ok(if whole { Exit::Ok } else { Exit::Negative })
        }
    }
}

fn missing(file: &Path) -> Failure {
    Failure::new(format!("there is no {} yet", file.display()))
        .hint("it is made when the engine starts for the first time: `sallyport daemon`")
}

fn status(paths: &Paths, present: &dyn Fn(&str) -> Option<String>) -> Result<Status, Failure> {
    let root = root(paths)?;
    let stores = sallyport_platform::trust::status(paths, &root)
        .into_iter()
        .map(|store| Store {
            kind: store.kind.as_str(),
            name: store.name,
            location: store.location,
            holds_root: store.holds_root,
        })
        .collect();
    let variables = variables::certificate_variables()
        .map(|name| {
            let value = present(name).filter(|v| !v.is_empty());
            let trust = match value.as_deref().map(|file| holds(Path::new(file), &root)) {
                None => Trust::Unset,
                Some(None) => Trust::Unreadable,
                Some(Some(true)) => Trust::Trusted,
                Some(Some(false)) => Trust::WithoutOurRoot,
            };
            Variable { name, value, trust }
        })
        .collect();
    Ok(Status { root: paths.root_file(), bundle: paths.bundle_file(), stores, variables })
}

/// Whether a PEM file holds our root; `None` when it can't be read.
pub(crate) fn holds(file: &Path, root: &CertificateDer<'_>) -> Option<bool> {
    let bytes = crate::named_file::bytes(file).ok()?;
    Some(CertificateDer::pem_slice_iter(&bytes).flatten().any(|certificate| certificate == *root))
}

/// Our root, as the engine wrote it down.
pub(crate) fn root(paths: &Paths) -> Result<CertificateDer<'static>, Failure> {
    let file = paths.root_file();
    if !file.exists() {
        return Err(missing(&file));
    }
    CertificateDer::from_pem_file(&file)
        .map_err(|e| Failure::caused(format!("could not read the certificate in {}", file.display()), &e))
}

fn show(status: &Status, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&["store", "our root", "where"]);
    for store in &status.stores {
        let holds = if store.holds_root { "is in it" } else { "is not in it" };
        table.row([store.name.clone(), holds.to_owned(), store.location.display().to_string()]);
    }
    out.table(table)?;
    out.blank()?;
    let mut table = Table::new(&["variable", "in this shell", "file"]);
    for variable in &status.variables {
        let state = match variable.trust {
            Trust::Trusted => "trusts our root",
            Trust::Unset => "not set",
            Trust::Unreadable => "names a file that can't be read",
            Trust::WithoutOurRoot => "names a file without our root",
        };
        table.row([variable.name, state, variable.value.as_deref().unwrap_or_default()]);
    }
    out.table(table)?;
    if status.variables.iter().any(|v| v.trust != Trust::Trusted) {
        out.blank()?;
        out.line("Set them with: eval \"$(sallyport env)\"")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "-----BEGIN CERTIFICATE-----\nb3VycyBhbG9uZQ==\n-----END CERTIFICATE-----\n";

    #[test]
    fn each_variable_says_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(dir.path());
        assert!(status(&paths, &|_| None).is_err());
        std::fs::create_dir_all(paths.ca_dir()).unwrap();
        std::fs::write(paths.root_file(), ROOT).unwrap();
        let system = ROOT.replace("b3VycyBhbG9uZQ==", "c29tZW9uZSBlbHNl");
        std::fs::write(paths.bundle_file(), format!("{system}{}", ROOT.replace('\n', "\r\n"))).unwrap();
        let other = dir.path().join("other.pem");
        std::fs::write(&other, system).unwrap();
        let status = status(&paths, &|name| match name {
            "SSL_CERT_FILE" => Some(paths.bundle_file().display().to_string()),
            "CURL_CA_BUNDLE" => Some(other.display().to_string()),
            "AWS_CA_BUNDLE" => Some("/nowhere.pem".into()),
            _ => None,
        })
        .unwrap();
        assert!(status.stores.iter().any(|s| s.location == paths.bundle_file() && s.holds_root));
        let of = |name: &str| status.variables.iter().find(|v| v.name == name).unwrap().trust;
        assert_eq!(of("SSL_CERT_FILE"), Trust::Trusted);
        assert_eq!(of("CURL_CA_BUNDLE"), Trust::WithoutOurRoot);
        assert_eq!(of("AWS_CA_BUNDLE"), Trust::Unreadable);
        assert_eq!(of("NODE_EXTRA_CA_CERTS"), Trust::Unset);
    }
}
