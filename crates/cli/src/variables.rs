//! The environment that leads a tool through Sallyport: which variables, and what they hold.
//!
//! Pure: the engine's address, its certificate files and the shell's present variables go in, a list
//! comes out. What the person had set before is kept beside it and comes back with `env --unset`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Set while our variables stand; tells our own values from the person's.
const MARKER: &str = "SALLYPORT_ENV";
/// Before the name of a variable: what it held before.
const SAVED: &str = "SALLYPORT_SAVED_";
/// Never through the proxy: loopback services, local models among them.
const NO_PROXY: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// The proxy's address.
    Proxy,
    /// Hosts that are reached directly, the person's own among them.
    Direct,
    /// A file whose roots are trusted besides the tool's own.
    Root,
    /// A file that replaces the tool's roots.
    Bundle,
    Fixed(&'static str),
}

/// Every variable we set. One table; `env --unset` and the tests run over it.
const TABLE: [(&str, Holds); 15] = [
    ("HTTPS_PROXY", Holds::Proxy),
    ("https_proxy", Holds::Proxy),
    ("HTTP_PROXY", Holds::Proxy),
    ("http_proxy", Holds::Proxy),
    ("NO_PROXY", Holds::Direct),
    ("no_proxy", Holds::Direct),
    ("NODE_EXTRA_CA_CERTS", Holds::Root),
    ("SSL_CERT_FILE", Holds::Bundle),
    ("REQUESTS_CA_BUNDLE", Holds::Bundle),
    ("CURL_CA_BUNDLE", Holds::Bundle),
    ("AWS_CA_BUNDLE", Holds::Bundle),
    ("GIT_SSL_CAINFO", Holds::Bundle),
    ("CODEX_CA_CERTIFICATE", Holds::Bundle),
    // Node's own fetch, and so the Node SDKs, ignore the proxy variables without it.
    ("NODE_USE_ENV_PROXY", Holds::Fixed("1")),
    // Claude Code's first system block carries a checksum of the body, which a redaction would break.
    ("CLAUDE_CODE_ATTRIBUTION_HEADER", Holds::Fixed("0")),
];

/// The variables that name a certificate file.
pub(crate) fn certificate_variables() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|(_, holds)| matches!(holds, Holds::Root | Holds::Bundle)).map(|(name, _)| *name)
}

/// What the list is made from.
pub(crate) struct Inputs<'a> {
    pub(crate) listen: SocketAddr,
    /// `account:token` of a session, as the proxy's address carries it.
    pub(crate) credential: Option<&'a str>,
    /// PEM of our root alone.
    pub(crate) root: &'a Path,
    /// PEM of the system's roots and ours.
    pub(crate) bundle: &'a Path,
    /// Where joined files go; see [`Join`].
    pub(crate) joined: &'a Path,
    /// Hosts whose traffic is inspected, exact or `*.suffix`.
    pub(crate) inspected: &'a [String],
    /// The shell's present variables.
    pub(crate) present: &'a dyn Fn(&str) -> Option<String>,
    /// What the certificate file that the person had set means for us.
    pub(crate) theirs: &'a dyn Fn(&Path) -> Theirs,
}

/// A certificate file that the person had set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theirs {
    Unreadable,
    /// Our bundle holds all of it, such as the system's own list.
    InBundle,
    Other,
}

/// A file to be written before the variables are used: what the person trusted, and our root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) theirs: PathBuf,
    pub(crate) to: PathBuf,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) set: Vec<(String, String)>,
    pub(crate) joins: Vec<Join>,
    /// Things the person should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

pub(crate) fn environment(inputs: &Inputs<'_>) -> Environment {
    let mut environment = Environment::default();
    let ours = (inputs.present)(MARKER).is_some();
    for (name, holds) in TABLE {
        let saved = format!("{SAVED}{name}");
        let theirs = if ours { (inputs.present)(&saved) } else { (inputs.present)(name) };
        let value = match holds {
            Holds::Proxy => match inputs.credential {
                Some(credential) => format!("http://{credential}@{}", inputs.listen),
                None => format!("http://{}", inputs.listen),
            },
            Holds::Direct => direct(name, theirs.as_deref(), inputs.inspected, &mut environment.notes),
            Holds::Root => certificates(name, theirs.as_deref(), inputs.root, inputs, &mut environment),
            Holds::Bundle => certificates(name, theirs.as_deref(), inputs.bundle, inputs, &mut environment),
            Holds::Fixed(value) => value.to_owned(),
        };
        if let Some(theirs) = theirs.filter(|_| !ours) {
            environment.set.push((saved, theirs));
        }
        environment.set.push((name.to_owned(), value));
    }
    environment.set.push((MARKER.to_owned(), "1".to_owned()));
    environment
}

/// One step of the way back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    Restore(String, String),
    Unset(String),
}

/// Takes our variables away and brings the person's own back.
pub(crate) fn undo(present: &dyn Fn(&str) -> Option<String>) -> Vec<Undo> {
    if present(MARKER).is_none() {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for (name, _) in TABLE {
        let saved = format!("{SAVED}{name}");
        match present(&saved) {
            Some(theirs) => {
                steps.push(Undo::Restore(name.to_owned(), theirs));
                steps.push(Undo::Unset(saved));
            }
            None => steps.push(Undo::Unset(name.to_owned())),
        }
    }
    steps.push(Undo::Unset(MARKER.to_owned()));
    steps
}

/// The person's exceptions and ours, each once. A lone `*` would switch every proxy off: left out.
fn direct(name: &str, theirs: Option<&str>, inspected: &[String], notes: &mut Vec<String>) -> String {
    let mut hosts: Vec<&str> = NO_PROXY.to_vec();
    for host in theirs.unwrap_or_default().split(',').map(str::trim).filter(|h| !h.is_empty()) {
        if host == "*" {
            notes.push(format!("{name} held \"*\", which sends everything past every proxy: left out"));
        } else if !hosts.contains(&host) {
            hosts.push(host);
            if let Some(missed) = inspected.iter().find(|inspected| exempts(host, inspected)) {
                notes.push(format!("{name} holds {host}, which sends {missed} past Sallyport, unread"));
            }
        }
    }
    hosts.join(",")
}

/// Whether an exception covers a host, as most tools read it: the name itself and all below it.
fn exempts(exception: &str, inspected: &str) -> bool {
    let exception = exception.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let inspected = inspected.trim_start_matches("*.").to_ascii_lowercase();
    let below = |name: &str, parent: &str| name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    inspected == exception || below(&inspected, &exception)
}

/// Our file, or a joined one where the person had set a file of their own: without it, hosts behind a
/// company's root would stop working.
fn certificates(
    name: &str,
    theirs: Option<&str>,
    ours: &Path,
    inputs: &Inputs<'_>,
    environment: &mut Environment,
) -> String {
    let Some(theirs) = theirs.filter(|t| !t.is_empty()).map(Path::new) else {
        return ours.display().to_string();
    };
    if theirs == inputs.root || theirs == inputs.bundle {
        return ours.display().to_string();
    }
    let kind = (inputs.theirs)(theirs);
    if kind == Theirs::InBundle {
        return inputs.bundle.display().to_string();
    }
    if kind == Theirs::Unreadable {
        environment.notes.push(format!(
            "{name} named {}, which is not a readable file: replaced by {}",
            theirs.display(),
            ours.display()
        ));
        return ours.display().to_string();
    }
    let to = inputs.joined.join(format!("joined-{:016x}.pem", fingerprint(theirs)));
    let join = Join { theirs: theirs.to_owned(), to: to.clone() };
    if !environment.joins.contains(&join) {
        environment.joins.push(join);
    }
    to.display().to_string()
}

/// FNV-1a: a stable name for a path, nothing more.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Map = BTreeMap<String, String>;

    fn run(present: &Map) -> Environment {
        environment(&Inputs {
            listen: "127.0.0.1:8877".parse().unwrap(),
            credential: None,
            root: Path::new("/s/root.pem"),
            bundle: Path::new("/s/bundle.pem"),
            joined: Path::new("/s/joined"),
            inspected: &["api.openai.com".to_owned(), "*.openai.azure.com".to_owned()],
            present: &|name| present.get(name).cloned(),
            theirs: &|path| match path.to_str() {
                Some("/readable/corp.pem") => Theirs::Other,
                Some("/etc/system.pem") => Theirs::InBundle,
                _ => Theirs::Unreadable,
            },
        })
    }

    fn map(pairs: &[(&str, &str)]) -> Map {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn apply(present: &mut Map, environment: &Environment) {
        present.extend(environment.set.iter().cloned());
    }

    #[test]
    fn an_empty_shell_gets_the_whole_table() {
        let proxy = "http://127.0.0.1:8877";
        let direct = "localhost,127.0.0.1,::1";
        let expected = [
            ("HTTPS_PROXY", proxy),
            ("https_proxy", proxy),
            ("HTTP_PROXY", proxy),
            ("http_proxy", proxy),
            ("NO_PROXY", direct),
            ("no_proxy", direct),
            ("NODE_EXTRA_CA_CERTS", "/s/root.pem"),
            ("SSL_CERT_FILE", "/s/bundle.pem"),
            ("REQUESTS_CA_BUNDLE", "/s/bundle.pem"),
            ("CURL_CA_BUNDLE", "/s/bundle.pem"),
            ("AWS_CA_BUNDLE", "/s/bundle.pem"),
            ("GIT_SSL_CAINFO", "/s/bundle.pem"),
            ("CODEX_CA_CERTIFICATE", "/s/bundle.pem"),
            ("NODE_USE_ENV_PROXY", "1"),
            ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0"),
            ("SALLYPORT_ENV", "1"),
        ];
        let made = run(&Map::new());
        let set: Vec<_> = made.set.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(set, expected);
        assert!(made.joins.is_empty() && made.notes.is_empty());
    }

    #[test]
    fn own_exceptions_stay_and_the_star_goes() {
        let made = run(&map(&[("NO_PROXY", "corp.example, 127.0.0.1,,.lan"), ("no_proxy", "*")]));
        let set: Map = made.set.into_iter().collect();
        assert_eq!(set["NO_PROXY"], "localhost,127.0.0.1,::1,corp.example,.lan");
        assert_eq!(set["no_proxy"], "localhost,127.0.0.1,::1");
        assert_eq!(made.notes.len(), 1);
    }

    #[test]
    fn exceptions_for_ai_hosts_are_kept_and_said() {
        for (exception, said) in [
            ("api.openai.com", true),
            (".openai.com", true),
            ("*.OpenAI.com", true),
            ("openai.azure.com", true),
            ("com", true),
            ("penai.com", false),
            ("api.openai.com.evil.example", false),
            ("corp.example", false),
        ] {
            let made = run(&map(&[("NO_PROXY", exception)]));
            assert_eq!(!made.notes.is_empty(), said, "{exception}: {:?}", made.notes);
            assert!(made.set.iter().any(|(name, value)| name == "NO_PROXY" && value.ends_with(exception)));
        }
    }

    #[test]
    fn own_roots_are_joined_with_ours() {
        let made = run(&map(&[
            ("NODE_EXTRA_CA_CERTS", "/readable/corp.pem"),
            ("SSL_CERT_FILE", "/readable/corp.pem"),
            ("CURL_CA_BUNDLE", "/gone.pem"),
            ("AWS_CA_BUNDLE", ""),
            ("GIT_SSL_CAINFO", "/etc/system.pem"),
        ]));
        assert_eq!(made.joins.len(), 1);
        let joined = made.joins[0].to.display().to_string();
        let set: Map = made.set.into_iter().collect();
        assert_eq!(set["NODE_EXTRA_CA_CERTS"], joined);
        assert_eq!(set["SSL_CERT_FILE"], joined);
        assert_eq!(set["CURL_CA_BUNDLE"], "/s/bundle.pem");
        assert_eq!(set["AWS_CA_BUNDLE"], "/s/bundle.pem");
        assert_eq!(set["GIT_SSL_CAINFO"], "/s/bundle.pem");
        assert_eq!(made.notes.len(), 1);
    }

    #[test]
    fn a_second_run_changes_nothing_and_undo_brings_everything_back() {
        let before = map(&[
            ("HTTPS_PROXY", "http://proxy.corp.example:3128"),
            ("NO_PROXY", "corp.example"),
            ("SSL_CERT_FILE", "/readable/corp.pem"),
            ("UNRELATED", "x"),
        ]);
        let mut shell = before.clone();
        let first = run(&shell);
        apply(&mut shell, &first);
        assert_eq!(shell["HTTPS_PROXY"], "http://127.0.0.1:8877");
        let once = shell.clone();
        let second = run(&shell);
        assert_eq!(second.joins, first.joins);
        apply(&mut shell, &second);
        assert_eq!(shell, once);

        for step in undo(&|name| once.get(name).cloned()) {
            match step {
                Undo::Restore(name, value) => shell.insert(name, value),
                Undo::Unset(name) => shell.remove(&name),
            };
        }
        assert_eq!(shell, before);
        assert!(undo(&|name| shell.get(name).cloned()).is_empty());
    }

    #[test]
    fn an_empty_value_is_not_an_unset_one() {
        let before = map(&[("HTTP_PROXY", "")]);
        let mut shell = before.clone();
        apply(&mut shell, &run(&before));
        for step in undo(&|name| shell.clone().get(name).cloned()) {
            match step {
                Undo::Restore(name, value) => shell.insert(name, value),
                Undo::Unset(name) => shell.remove(&name),
            };
        }
        assert_eq!(shell, before);
    }
}
