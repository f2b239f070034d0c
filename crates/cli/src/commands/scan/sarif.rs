//! Findings as SARIF 2.1.0, which code hosts and editors show beside the lines.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sallyport_policy::Severity;
use serde::Serialize;

use super::Row;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What relative addresses are relative to: the folder that the command ran in.
const ROOT: &str = "%SRCROOT%";

#[derive(Default)]
pub(super) struct Log {
    root: PathBuf,
    rules: Vec<RuleRow>,
    results: Vec<ResultRow>,
    /// How often the same line of a file had the same finding.
    seen: HashMap<String, usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    original_uri_base_ids: BTreeMap<&'static str, Artifact>,
    invocations: [Invocation; 1],
    column_kind: &'static str,
    results: Vec<ResultRow>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    /// False where something could not be read, so that nobody takes the list for complete.
    execution_successful: bool,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<RuleRow>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleRow {
    id: String,
    short_description: Message,
    help: Message,
    properties: Properties,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Properties {
    tags: [&'static str; 2],
    /// By which code hosts sort: a figure up to 10, as text.
    security_severity: &'static str,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultRow {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: [Location; 1],
    partial_fingerprints: Fingerprints,
}

/// Tells the same finding in the next scan, when lines have moved.
#[derive(Serialize)]
struct Fingerprints {
    #[serde(rename = "primaryLocationLineHash")]
    line: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Physical,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
    byte_offset: usize,
    byte_length: usize,
}

impl Log {
    pub(super) fn new() -> Log {
        Log { root: std::env::current_dir().unwrap_or_default(), ..Log::default() }
    }

    /// `describe`: what a rule finds, where it has words for it.
    pub(super) fn add<'d>(&mut self, path: &str, row: &Row, describe: impl Fn(&str) -> Option<&'d str>) {
        let seen = &row.seen;
        let artifact = self.artifact(path);
        // Of the line as it is shown, in which values are masked: a hash of a value could be guessed at.
        let line = blake3::hash(format!("{}\0{}", seen.rule, row.shown.trim()).as_bytes()).to_hex();
        let line = line.get(..16).unwrap_or_default().to_owned();
        let count = self.seen.entry(format!("{}\0{line}", artifact.uri)).or_default();
        *count += 1;
        let partial_fingerprints = Fingerprints { line: format!("{line}:{count}") };
        let rule_index = self.rules.iter().position(|rule| rule.id == *seen.rule).unwrap_or_else(|| {
            let text = describe(&seen.rule).map_or_else(|| plain_words(&seen.rule), str::to_owned);
            self.rules.push(RuleRow {
                id: seen.rule.clone().into_owned(),
                short_description: Message { text },
                help: Message { text: what_to_do(seen.kind).to_owned() },
                properties: Properties {
                    tags: ["security", seen.kind],
                    security_severity: severity(seen.severity),
                },
            });
            self.rules.len() - 1
        });
        let said = self.rules.get(rule_index).map_or("", |rule| &rule.short_description.text);
        let message = Message { text: format!("{}.", said.trim_end_matches('.')) };
        self.results.push(ResultRow {
            rule_id: seen.rule.clone().into_owned(),
            rule_index,
            level: level(seen.severity),
            message,
            locations: [Location {
                physical_location: Physical {
                    artifact_location: artifact,
                    region: Region {
                        start_line: row.line,
                        start_column: row.column,
                        end_line: row.end.0,
                        end_column: row.end.1,
                        byte_offset: row.bytes.start,
                        byte_length: row.bytes.len(),
                    },
                },
            }],
            partial_fingerprints,
        });
    }

    /// Relative below the folder that the command ran in, since code hosts know no other places.
    fn artifact(&self, path: &str) -> Artifact {
        let relative = Path::new(path).strip_prefix(&self.root).ok().and_then(Path::to_str).unwrap_or(path);
        if path != "-" && !Path::new(relative).is_absolute() {
            return Artifact { uri: uri(relative), uri_base_id: Some(ROOT) };
        }
        Artifact { uri: if path == "-" { "stdin".to_owned() } else { file_uri(relative) }, uri_base_id: None }
    }

    pub(super) fn finish(self, complete: bool) -> Document {
        let driver = Driver { name: "Sallyport", version: env!("CARGO_PKG_VERSION"), rules: self.rules };
        let root = format!("{}/", file_uri(&self.root.display().to_string()).trim_end_matches('/'));
        let run = Run {
            tool: Tool { driver },
            original_uri_base_ids: BTreeMap::from([(ROOT, Artifact { uri: root, uri_base_id: None })]),
            invocations: [Invocation { execution_successful: complete }],
            column_kind: "utf16CodeUnits",
            results: self.results,
        };
        Document { schema: SCHEMA, version: "2.1.0", runs: [run] }
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

fn plain_words(rule: &str) -> String {
    let mut words = rule.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

fn what_to_do(kind: &str) -> &'static str {
    match kind {
        "pii" | "internal" => "Take it out, or put a made-up value there.",
        "injection" => {
            "Read the place as an attacker's words: nothing that it asks for should be done by an assistant."
        }
        "output" => "Don't run it as it stands; write the harmless form.",
        _ => {
            "Replace the credential at its service, then take it out of the file and of the repository's history. \
             If it is made up: `sallyport allow add`."
        }
    }
}

/// An absolute path as an address; that of Windows begins with a drive.
fn file_uri(path: &str) -> String {
    let path = uri(path);
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("file://{slash}{path}")
}

/// A path as a reference: slashes, and what addresses reserve escaped.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).replace('\\', "/");
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(char::from(byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("./a b/ü.rs"), "a%20b/%C3%BC.rs");
        assert_eq!(uri(r"src\x.rs"), "src/x.rs");
        assert_eq!(file_uri("/a b"), "file:///a%20b");
        let log = Log { root: "/home/me/work".into(), ..Log::default() };
        let place = |path: &str| {
            let artifact = log.artifact(path);
            (artifact.uri, artifact.uri_base_id)
        };
        assert_eq!(place("/home/me/work/src/a.rs"), ("src/a.rs".to_owned(), Some(ROOT)));
        assert_eq!(place("./src/a.rs"), ("src/a.rs".to_owned(), Some(ROOT)));
        assert_eq!(place("/etc/a.conf"), ("file:///etc/a.conf".to_owned(), None));
        assert_eq!(place("-"), ("stdin".to_owned(), None));
    }
}
