//! `elevate`: permissions for a while: asked for, granted, refused, ended; and an approver's signature, made offline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport_ipc::types::{ElevationAnswer, ElevationDraft, ElevationToken, ElevationView};
use sallyport_platform::authenticate;
use sallyport_policy::elevation::{ApproverKey, Question, Resource, Scope, State};
use zeroize::Zeroizing;

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::named_file;
use crate::output::{Out, Table};
use crate::text::printable;
use crate::when;

/// More is no request and no token.
const LONGEST: u64 = 256 << 10;

/// Ask for permissions for a while, and answer those who ask
///
/// What an agent's tier does not allow can be granted for up to 4 hours: writing files, commands, hosts,
/// secrets. Approving asks the operating system who is at the desk, where it can.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport elevate request --scope shell:execute --resource \"git push *\" \\\n    --for 30m --justification \"release 1.2\"\n  sallyport elevate list\n  sallyport elevate approve 7\n  sallyport elevate revoke 7\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Ask for a permission
    ///
    /// shell:execute and secrets:read always wait for a human; the others are granted at once where
    /// policy says so. Exits with 1 while the request waits.
    #[command(after_help = format!("Examples:\n  sallyport elevate request --scope secrets:read --resource billing/api-key \\\n    --for 30m --justification \"refunds\"\n  sallyport elevate request --scope network:external --resource \"*.example.com\"\n\n{EXIT_CODES}"))]
    Request {
        /// filesystem:write, shell:execute, network:external or secrets:read
        #[arg(long, value_name = "SCOPE", value_parser = scope)]
        scope: Scope,
        /// A path glob, a command, a domain or the name of a secret; may be given several times
        #[arg(long = "resource", value_name = "PATTERN", required = true)]
        resources: Vec<String>,
        /// How long, up to 4h [default: 30m]
        #[arg(long = "for", value_name = "TIME", value_parser = when::parse_duration)]
        duration: Option<Duration>,
        /// Why; whoever approves reads it
        #[arg(long, value_name = "TEXT", default_value = "")]
        justification: String,
        /// The service account that may use it [default: the configured class of agents]
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Print the request as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// List requests and grants, newest first
    #[command(after_help = format!("Examples:\n  sallyport elevate list\n  sallyport elevate list --json | jq '.[] | select(.state == \"pending\")'\n\n{EXIT_CODES}"))]
    List {
        /// Print all as one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Grant a request
    ///
    /// The operating system asks who is at the desk. With --token a named approver's signature counts
    /// instead, and nobody is asked.
    #[command(after_help = format!("Examples:\n  sallyport elevate approve 7 --for 10m\n  sallyport elevate approve --token approval.json\n\n{EXIT_CODES}"))]
    Approve {
        /// The number of the request
        #[arg(required_unless_present = "token", conflicts_with = "token")]
        id: Option<u64>,
        /// Grant it for less than it asks for
        #[arg(long = "for", value_name = "TIME", value_parser = when::parse_duration, conflicts_with = "token")]
        duration: Option<Duration>,
        /// What `elevate sign` wrote; - reads stdin
        #[arg(long, value_name = "FILE")]
        token: Option<PathBuf>,
        /// Print the request as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Refuse a request
    #[command(after_help = format!("Example:\n  sallyport elevate deny 7\n\n{EXIT_CODES}"))]
    Deny {
        /// The number of the request
        id: u64,
        /// Print the request as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// End a grant before its time
    #[command(after_help = format!("Example:\n  sallyport elevate revoke 7\n\n{EXIT_CODES}"))]
    Revoke {
        /// The number of the request
        id: u64,
        /// Print the request as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sign a request as a named approver; needs no engine
    ///
    /// The signature is good for this one request of this one engine, with these resources, for this
    /// account, until its time is over.
    #[command(after_help = format!("Example:\n  sallyport elevate list --json | jq '.[0]' > request.json      (at the desk)\n  sallyport elevate sign request.json --key ann.key --name ann --for 30m > approval.json\n  sallyport elevate approve --token approval.json              (at the desk)\n\n{EXIT_CODES}"))]
    Sign {
        /// The request, as `elevate list --json` shows it; - reads stdin
        request: PathBuf,
        /// The file that `elevate key` wrote
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Your name in the policy's `elevation.approvers`
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Until when the grant lasts, from now [default: as long as asked]
        #[arg(long = "for", value_name = "TIME", value_parser = when::parse_duration)]
        duration: Option<Duration>,
    },
    /// Make an approver's key, and print its public half for the policy
    #[command(after_help = format!("Example:\n  sallyport elevate key ann.key\n\n{EXIT_CODES}"))]
    Key {
        /// Where to write it, mode 0600; an existing file is left alone
        file: PathBuf,
    },
    /// Print the polkit actions that the operating system asks with
    #[command(after_help = format!("Example:\n  sallyport elevate actions | sudo tee /usr/share/polkit-1/actions/org.sallyport.policy\n\n{EXIT_CODES}"))]
    Actions,
}

fn scope(word: &str) -> Result<Scope, String> {
    word.parse().map_err(|error: sallyport_policy::elevation::UnknownScope| error.to_string())
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.command {
        Command::Request { scope, resources, duration, justification, account, json } => {
            let for_seconds = duration.map(|duration| duration.as_secs());
            let draft = ElevationDraft { scope: Some(scope), resources, account, justification, for_seconds };
            let paths = engine::paths()?;
            let asked = engine::call(&paths, async |client| client.elevation_request(&draft).await)?;
            tell(&asked, json, out)?;
            Ok(if asked.state.is_granted() { Exit::Ok } else { Exit::Negative })
        }
        Command::List { json } => {
            let paths = engine::paths()?;
            let all = engine::call(&paths, async |client| client.elevations().await)?;
            list(&all, json, out)
        }
        Command::Approve { id, duration, token, json } => approve(id, duration, token.as_deref(), json, out),
        Command::Deny { id, json } => {
            let answer = ElevationAnswer { id, for_seconds: None };
            let paths = engine::paths()?;
            let denied = engine::call(&paths, async |client| client.elevation_deny(&answer).await)?;
            tell(&denied, json, out).map(|()| Exit::Ok)
        }
        Command::Revoke { id, json } => {
            let answer = ElevationAnswer { id, for_seconds: None };
            let paths = engine::paths()?;
            let revoked = engine::call(&paths, async |client| client.elevation_revoke(&answer).await)?;
            tell(&revoked, json, out).map(|()| Exit::Ok)
        }
        Command::Sign { request, key, name, duration } => sign(&request, &key, &name, duration, out),
        Command::Key { file } => make_key(&file, out),
        Command::Actions => {
            out.line(authenticate::ACTIONS.trim_end())?;
            Ok(Exit::Ok)
        }
    }
}

fn approve(
    id: Option<u64>,
    duration: Option<Duration>,
    token: Option<&Path>,
    json: bool,
    out: &mut Out,
) -> Outcome {
    let paths = engine::paths()?;
    let granted = match (token, id) {
        (Some(file), _) => {
            let token = ElevationToken { token: read(file)? };
            engine::call(&paths, async |client| client.elevation_redeem(&token).await)?
        }
        (None, Some(id)) => {
            // So that whoever is asked for a password knows what for.
            let all = engine::call(&paths, async |client| client.elevations().await)?;
            if let Some(asked) = all.iter().find(|view| view.question.request.id == id) {
                crate::output::note(sentence(asked));
            }
            let answer = ElevationAnswer { id, for_seconds: duration.map(|duration| duration.as_secs()) };
            engine::call_guarded(&paths, async |client| client.elevation_approve(&answer).await)?
        }
        (None, None) => return Err(Failure::usage("name a request, or a token")),
    };
    tell(&granted, json, out).map(|()| Exit::Ok)
}

fn sign(request: &Path, key: &Path, name: &str, duration: Option<Duration>, out: &mut Out) -> Outcome {
    let question: Question = serde_json::from_str(&read(request)?)
        .map_err(|e| Failure::caused("that is no request", &e))
        .map_err(|e| e.hint("give one object of `sallyport elevate list --json`"))?;
    let seconds = duration.map_or(question.request.seconds, |duration| duration.as_secs());
    let until = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).ok())
        .ok_or_else(|| Failure::usage("that is too long"))?;
    let token = read_key(key)?.sign(&question, name, until);
    out.json(&token)?;
    Ok(Exit::Ok)
}

fn make_key(file: &Path, out: &mut Out) -> Outcome {
    if file.exists() {
        return Err(Failure::new(format!("{} is there already", file.display())).hint("choose another name"));
    }
    let mut seed = Zeroizing::new([0; 32]);
    sallyport_platform::host::random(&mut seed[..]).map_err(|e| Failure::caused("no randomness", &e))?;
    let text = Zeroizing::new(data_encoding::BASE64.encode(&seed[..]) + "\n");
    sallyport_platform::fs::write_private_atomic(file, text.as_bytes(), 0o600)
        .map_err(|e| Failure::caused(format!("could not write {}", file.display()), &e))?;
    out.line(ApproverKey::from_seed(&seed).public().to_string())?;
    Ok(Exit::Ok)
}

fn read_key(file: &Path) -> Result<ApproverKey, Failure> {
    let wrong = || Failure::new(format!("{} holds no approver's key", file.display()));
    let bytes = sallyport_platform::fs::read_bounded(file, LONGEST)
        .map_err(|e| Failure::caused(format!("could not read {}", file.display()), &e))?
        .ok_or_else(wrong)?;
    let seed = data_encoding::BASE64.decode(bytes.trim_ascii()).map(Zeroizing::new).map_err(|_| wrong())?;
    let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| wrong())?;
    Ok(ApproverKey::from_seed(seed))
}

fn read(file: &Path) -> Result<String, Failure> {
    named_file::text(file).map_err(|e| Failure::caused(format!("could not read {}", file.display()), &e))
}

fn list(all: &[ElevationView], json: bool, out: &mut Out) -> Outcome {
    if json {
        out.json(&all)?;
        return Ok(Exit::Ok);
    }
    if all.is_empty() {
        out.line("Nobody has asked for a permission.")?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["ID", "STATE", "SCOPE", "RESOURCES", "ACCOUNT", "UNTIL", "WHY"]).right(0);
    for view in all {
        let request = &view.question.request;
        let until = match (&view.grant, view.state) {
            (Some(grant), _) => when::local(grant.expires_at),
            (None, State::Pending) => when::local(request.answer_by),
            (None, _) => String::new(),
        };
        table.row([
            request.id.to_string(),
            view.state.as_str().to_owned(),
            request.scope.to_string(),
            printable(&resources(view)),
            printable(&request.account),
            until,
            printable(&request.justification),
        ]);
    }
    out.table(table)?;
    Ok(Exit::Ok)
}

fn tell(view: &ElevationView, json: bool, out: &mut Out) -> Result<(), Failure> {
    if json {
        return out.json(view);
    }
    out.line(sentence(view)).map_err(Failure::from)
}

fn resources(view: &ElevationView) -> String {
    view.question.request.resources.iter().map(Resource::as_str).collect::<Vec<_>>().join(", ")
}

pub(crate) fn sentence(view: &ElevationView) -> String {
    let request = &view.question.request;
    let what = format!(
        "Request {}: {} {} for {}",
        request.id,
        request.scope,
        printable(&resources(view)),
        printable(&request.account)
    );
    let why = match request.justification.as_str() {
        "" => String::new(),
        why => format!(" ({})", printable(why)),
    };
    match (view.state, &view.grant) {
        (State::Pending, _) => format!(
            "{what}{why} waits for a human until {}. `sallyport elevate approve {}` grants it.",
            when::local(request.answer_by),
            request.id
        ),
        (state, Some(grant)) if state.is_granted() => {
            format!("{what}{why} is granted until {} by {}.", when::local(grant.expires_at), grant.granted_by)
        }
        (state, _) => format!("{what}{why} is {}.", state.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_and_is_never_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ann.key");
        make_key(&file, &mut Out::to(std::io::sink())).unwrap();
        let public = read_key(&file).unwrap().public();
        assert!(make_key(&file, &mut Out::to(std::io::sink())).is_err());
        assert_eq!(read_key(&file).unwrap().public(), public);
        std::fs::write(&file, "no key").unwrap();
        assert!(read_key(&file).unwrap_err().to_string().contains("no approver's key"));
    }
}
