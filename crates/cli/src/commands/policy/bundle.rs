//! `policy bundle`: documents signed into one file, for machines that an administrator looks after.

use std::path::{Path, PathBuf};

use sallyport_engine::{acceptable, fetch_bundle};
use sallyport_platform::Paths;
use sallyport_policy::bundle::{self, Bundle, BundledFile, NotAccepted, PrivateKey};
use sallyport_policy::config::BundleUrl;
use sallyport_policy::{PublicKey, config};
use serde::Serialize;

use super::test::on_this_machine;
use super::{files, unreadable};
use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::named_file;
use crate::output::Out;

/// Sign policy documents into one file, check such a file, or install it
///
/// What a bundle says counts as managed policy. Keys that may sign one stand in the managed config.yaml, under
/// `bundles.trusted_keys`. A bundle with a lower version than the last accepted one is refused.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport policy bundle keygen --output signing.key\n  sallyport policy bundle sign --key signing.key --version 7 --output policy.bundle policies/\n  sallyport policy bundle verify policy.bundle\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key that signs bundles; its public half is printed for `bundles.trusted_keys`
    #[command(after_help = format!("Example:\n  sallyport policy bundle keygen --output signing.key\n\nKeep the file where only whoever releases policy can read it.\n\n{EXIT_CODES}"))]
    Keygen {
        /// File for the private key; must not exist
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Sign documents into one file
    #[command(after_help = format!("Example:\n  sallyport policy bundle sign --key signing.key --version 7 --not-before 2026-12-01T06:00:00Z \\\n    --output policy.bundle policies/\n\n{EXIT_CODES}"))]
    Sign {
        /// Documents, or folders of them
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
        /// File with the private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Higher than that of every bundle before
        #[arg(long, value_name = "N")]
        version: u64,
        /// The bundle comes into force then
        #[arg(long, value_name = "TIME")]
        not_before: Option<jiff::Timestamp>,
        /// For people
        #[arg(long, default_value = "policy")]
        name: String,
        /// The bundle
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check a bundle's signature and documents
    #[command(after_help = format!("Examples:\n  sallyport policy bundle verify policy.bundle\n  sallyport policy bundle verify policy.bundle --key ed25519:… --json\n\n{EXIT_CODES}"))]
    Verify {
        /// The bundle
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A public key to check with, instead of those of the managed config.yaml
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// Print what it holds as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Install a bundle for this user; a running engine takes it within seconds
    ///
    /// An address begins with https:// and is fetched once, through the proxy of the house where there is one. A bundle that
    /// is older than the last accepted one is refused.
    #[command(after_help = format!("Examples:\n  sallyport policy bundle install policy.bundle\n  sallyport policy bundle install https://policy.corp.example/policy.bundle\n\nOn many machines, put the file beside the managed config.yaml instead, as policy.bundle, or name its\naddress there (`bundles: {{url: …}}`): the engine then fetches it again and again.\n\n{EXIT_CODES}"))]
    Install {
        /// The bundle: a file, or an address that begins with https://
        #[arg(value_name = "FILE|URL")]
        from: String,
    },
}

#[derive(Debug, Serialize)]
struct Verified {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    documents: Vec<String>,
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.command {
        Command::Keygen { output } => keygen(&output, out),
        Command::Sign { paths, key, version, not_before, name, output } => {
            let key = private_key(&key)?;
            let not_before = not_before.map(|at| u64::try_from(at.as_second()).unwrap_or_default());
            let bundle = Bundle { name, version, not_before, documents: gathered(&paths)? };
            bundle.read().map_err(|error| Failure::new(error.to_string()))?;
            write(&output, bundle.signed(&key).as_bytes(), 0o644)?;
            out.line(format!("Signed {} as version {version} with {}.", output.display(), key.public()))?;
            Ok(Exit::Ok)
        }
        Command::Verify { file, key, json } => verify(&file, key.as_deref(), json, out),
        Command::Install { from } => {
            let paths = engine::paths()?;
            let keys = trusted()?;
            let text = brought(&from, &paths)?;
            let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{from}: {error}"));
            let bundle = bundle::open(&text, &keys).map_err(|error| failed(&error))?;
            match acceptable(&paths, &bundle) {
                Ok(()) | Err(NotAccepted::NotYet { .. }) => {}
                Err(error) => {
                    return Err(failed(&error).hint("sign what is to count with a higher version"));
                }
            }
            // It may come before the engine's first start.
            paths
                .create_private_dirs()
                .map_err(|error| Failure::caused("could not make the state folder", &error))?;
            write(&paths.bundle_of_policies(), text.as_bytes(), 0o600)?;
            out.line(format!("Installed {} version {}.", bundle.name, bundle.version))?;
            out.line("`sallyport policy show` says what is in force.")?;
            Ok(Exit::Ok)
        }
    }
}

fn keygen(output: &Path, out: &mut Out) -> Outcome {
    if output.exists() {
        return Err(Failure::usage(format!("{} exists already", output.display()))
            .hint("name a file that does not exist: a key is never written over"));
    }
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|e| Failure::caused("could not get random bytes", &e))?;
    let key = PrivateKey::from_seed(&seed);
    write(output, zeroize::Zeroizing::new(key.written()).as_bytes(), 0o600)?;
    out.line(key.public().to_string())?;
    Ok(Exit::Ok)
}

fn private_key(file: &Path) -> Result<PrivateKey, Failure> {
    let text = named_file::text(file).map_err(|error| unreadable(file, &error))?;
    PrivateKey::parse(&zeroize::Zeroizing::new(text)).ok_or_else(|| {
        Failure::usage(format!("{} holds no key that signs bundles", file.display()))
            .hint("make one with `sallyport policy bundle keygen`")
    })
}

/// The documents with their names below the folder that was named.
fn gathered(paths: &[PathBuf]) -> Result<Vec<BundledFile>, Failure> {
    let mut found = Vec::new();
    for file in files(paths)? {
        let text = named_file::text(&file).map_err(|error| unreadable(&file, &error))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push(BundledFile { file: name, text });
    }
    Ok(found)
}

fn verify(file: &Path, key: Option<&str>, json: bool, out: &mut Out) -> Outcome {
    let keys = match key {
        Some(text) => vec![PublicKey::parse(text).ok_or_else(|| {
            Failure::usage("this is no public key")
                .hint("`policy bundle keygen` prints one, beginning with ed25519:")
        })?],
        None => trusted()?,
    };
    let text = named_file::text(file).map_err(|error| unreadable(file, &error))?;
    let (verified, exit) = match bundle::open(&text, &keys) {
        Ok(bundle) => {
            let documents = bundle.read().unwrap_or_default();
            let documents =
                documents.iter().map(|d| format!("{} {} ({})", d.kind().as_str(), d.name, d.file)).collect();
            let at = bundle.not_before.and_then(|at| jiff::Timestamp::from_second(at.cast_signed()).ok());
            let verified = Verified {
                valid: true,
                error: None,
                name: Some(bundle.name),
                version: Some(bundle.version),
                not_before: at.map(|at| at.to_string()),
                documents,
            };
            (verified, Exit::Ok)
        }
        Err(error) => {
            let error = Some(error.to_string());
            let verified = Verified {
                valid: false,
                error,
                name: None,
                version: None,
                not_before: None,
                documents: vec![],
            };
            (verified, Exit::Negative)
        }
    };
    if json {
        out.json(&verified)?;
        return Ok(exit);
    }
    match (&verified.error, &verified.name, verified.version) {
        (Some(error), ..) => out.line(format!("{}: {error}.", file.display()))?,
        (None, name, version) => {
            let name = name.as_deref().unwrap_or_default();
            out.line(format!("{name} version {} is genuine.", version.unwrap_or_default()))?;
            if let Some(at) = &verified.not_before {
                out.line(format!("In force from {at} on."))?;
            }
            for document in &verified.documents {
                out.line(format!("  {document}"))?;
            }
        }
    }
    Ok(exit)
}

/// The text of a file, or of what lies at an address.
fn brought(from: &str, paths: &Paths) -> Result<String, Failure> {
    if !from.contains("://") {
        let file = Path::new(from);
        return named_file::text(file).map_err(|error| unreadable(file, &error));
    }
    let url = BundleUrl::parse(from).ok_or_else(|| {
        Failure::usage(format!("{from} is no address to fetch a bundle from"))
            .hint("begin it with https://, without user and password")
    })?;
    let policy = on_this_machine()?;
    engine::block_on(fetch_bundle(paths, &policy, &url))?
        .map_err(|error| Failure::new(error.to_string()).hint(error.hint()))
}

/// The keys that the managed configuration names.
fn trusted() -> Result<Vec<PublicKey>, Failure> {
    let file = engine::paths()?.managed_config_file();
    let hint = format!("put `bundles: {{trusted_keys: [ed25519:…]}}` into {}", file.display());
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unreadable(&file, &error)),
    };
    let config = config::parse(&text, &file.display().to_string())
        .map_err(|errors| Failure::usage(errors.to_string()))?;
    if config.bundles.trusted_keys.is_empty() {
        return Err(Failure::new("no key is trusted to sign policy bundles on this machine").hint(hint));
    }
    Ok(config.bundles.trusted_keys)
}

fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    sallyport_platform::fs::write_private_atomic(file, bytes, mode)
        .map_err(|error| Failure::caused(format!("could not write {}", file.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    fn said(command: Command) -> (Outcome, String) {
        let captured = Captured::default();
        let outcome = run(Args { command }, &mut captured.out());
        (outcome, captured.text())
    }

    #[test]
    fn a_bundle_is_signed_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(
            at("house.yaml"),
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {opaque: block}\n",
        )
        .unwrap();
        let (outcome, key) = said(Command::Keygen { output: at("key") });
        assert_eq!(outcome.unwrap(), Exit::Ok);
        let key = key.trim().to_owned();
        assert_eq!(said(Command::Keygen { output: at("key") }).0.unwrap_err().exit(), Exit::Usage);
        let sign = Command::Sign {
            paths: vec![at("house.yaml")],
            key: at("key"),
            version: 7,
            not_before: Some("2026-12-01T06:00:00Z".parse().unwrap()),
            name: "house".into(),
            output: at("policy.bundle"),
        };
        assert_eq!(said(sign).0.unwrap(), Exit::Ok);
        let verify = |json| Command::Verify { file: at("policy.bundle"), key: Some(key.clone()), json };
        let (outcome, text) = said(verify(false));
        assert_eq!(outcome.unwrap(), Exit::Ok);
        assert_eq!(
            text,
            "house version 7 is genuine.\nIn force from 2026-12-01T06:00:00Z on.\n  SallyportPolicy x (house.yaml)\n"
        );
        let changed = std::fs::read_to_string(at("policy.bundle"))
            .unwrap()
            .replace("\"payload\": \"e", "\"payload\": \"f");
        std::fs::write(at("policy.bundle"), changed).unwrap();
        let (outcome, text) = said(verify(true));
        assert_eq!(outcome.unwrap(), Exit::Negative);
        assert!(text.contains("\"valid\": false"), "{text}");
    }
}
