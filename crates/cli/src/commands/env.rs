//! `env`: the variables that lead this shell's tools through Sallyport, as the shell's own commands.

use std::path::{Path, PathBuf};

use sallyport_ipc::types::AgentSessionRequest;
use sallyport_policy::providers::Registry;

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::named_file;
use crate::output::{Out, note};
use crate::shell::Shell;
use crate::text::printable;
use crate::variables::{self, Environment, Inputs, Join, Theirs, Undo};

/// Print the variables that lead this shell's tools through Sallyport
///
/// Sets the proxy and certificate variables that AI tools, Node, Python, curl, git and the AWS tools
/// read. What you had set before is kept and comes back with --unset. Certificate files that you had
/// set stay trusted: they are joined with Sallyport's root.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  eval \"$(sallyport env)\"\n  sallyport env --shell fish | source\n  eval \"$(sallyport env --unset)\"\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Whose syntax to write [default: what $SHELL names]
    #[arg(long, value_enum)]
    shell: Option<Shell>,
    /// Take the variables away again and bring your own back
    #[arg(long)]
    unset: bool,
    /// Print the variables as one JSON object
    #[arg(long, conflicts_with_all = ["shell", "unset"])]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let shell = args.shell.unwrap_or_else(|| Shell::from_path(present("SHELL").as_deref()));
    if args.unset {
        // Needs no engine: a shell must get rid of a proxy that is gone.
        for step in variables::undo(&present) {
            match step {
                Undo::Restore(name, value) => out.line(shell.set(&name, &value))?,
                Undo::Unset(name) => out.line(shell.unset(&name))?,
            }
        }
        return Ok(Exit::Ok);
    }
    let environment = prepare(None)?;
    if args.json {
        out.json(&environment.set.iter().cloned().collect::<std::collections::BTreeMap<_, _>>())?;
        return Ok(Exit::Ok);
    }
    for (name, value) in &environment.set {
        out.line(shell.set(name, value))?;
    }
    out.line(format!("# to use it: {}", shell.usage()))?;
    Ok(Exit::Ok)
}

/// The variables, with every file they name in place; for an agent's session, if one is wanted. Refuses when the
/// listener is not this user's.
pub(crate) fn prepare(agent: Option<&str>) -> Result<Environment, Failure> {
    let paths = engine::paths()?;
    let status = engine::call(&paths, async |client| client.status().await)?;
    let listen = engine::own_listener(&status)?;
    let (root, bundle) = (paths.own_roots_file(), paths.bundle_file());
    for file in [&root, &bundle] {
        if !file.is_file() {
            return Err(Failure::new(format!("the certificate file {} is missing", file.display())).hint(
                "the engine writes it as soon as it has its keys; `sallyport doctor` says what it waits for",
            ));
        }
    }
    // Begun last of all that can fail: the session is this process's, and goes with it.
    let credential = match agent {
        Some(class) => {
            let request = AgentSessionRequest { class: class.to_owned() };
            let issued = engine::call(&paths, async |client| client.agent_session(&request).await)?;
            if let Some(remark) = &issued.remark {
                note(format!("warning: {}", printable(remark)));
            }
            Some(format!("{}:{}", issued.session.account, issued.token))
        }
        None => None,
    };
    let environment = variables::environment(&Inputs {
        listen,
        credential: credential.as_deref(),
        root: &root,
        bundle: &bundle,
        joined: &paths.ca_dir(),
        inspected: &Registry::builtin().intercepted_hosts(),
        present: &present,
        theirs: &|path| theirs(path, &bundle),
    });
    for join in &environment.joins {
        write_join(join, &root)?;
    }
    environment.notes.iter().for_each(|text| note(format!("note: {text}")));
    Ok(environment)
}

/// Empty and unset differ; a value that is no Unicode can't be one of those we set or keep.
pub(crate) fn present(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn theirs(path: &Path, bundle: &Path) -> Theirs {
    match (named_file::text(path), named_file::text(bundle)) {
        (Err(_), _) => Theirs::Unreadable,
        (Ok(theirs), Ok(bundle)) if bundle.contains(theirs.trim()) => Theirs::InBundle,
        _ => Theirs::Other,
    }
}

fn write_join(join: &Join, root: &Path) -> Result<(), Failure> {
    let read = |path: &PathBuf| {
        named_file::bytes(path).map_err(|e| Failure::caused(format!("could not read {}", path.display()), &e))
    };
    let mut pem = read(&join.theirs)?;
    if !pem.ends_with(b"\n") {
        pem.push(b'\n');
    }
    pem.extend(read(&root.to_owned())?);
    sallyport_platform::fs::write_private_atomic(&join.to, &pem, 0o600)
        .map_err(|e| Failure::caused(format!("could not write {}", join.to.display()), &e))
}

/// Whether this shell's tools are led to this listener; for `doctor`.
pub(crate) fn leads_through(listen: &str) -> bool {
    let proxy = present("HTTPS_PROXY").or_else(|| present("https_proxy"));
    proxy.is_some_and(|proxy| {
        let place = proxy.strip_prefix("http://").unwrap_or_default();
        place.rsplit_once('@').map_or(place, |(_, place)| place) == listen
    })
}
