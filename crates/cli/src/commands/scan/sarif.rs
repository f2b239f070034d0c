//! Findings as SARIF 2.1.0, which code hosts and editors show beside the lines.

use sallyport_policy::Severity;
use serde::Serialize;

use super::Row;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

#[derive(Default)]
pub(super) struct Log {
    rules: Vec<RuleRow>,
    results: Vec<ResultRow>,
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
    column_kind: &'static str,
    results: Vec<ResultRow>,
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
    properties: Properties,
}

#[derive(Serialize)]
struct Properties {
    tags: [&'static str; 2],
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
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    byte_offset: usize,
    byte_length: usize,
}

impl Log {
    pub(super) fn add(&mut self, path: &str, row: &Row) {
        let seen = &row.seen;
        let rule_index = self.rules.iter().position(|rule| rule.id == *seen.rule).unwrap_or_else(|| {
            let text = format!("{} ({})", seen.rule.replace('_', " "), seen.kind.replace('_', " "));
            self.rules.push(RuleRow {
                id: seen.rule.clone().into_owned(),
                short_description: Message { text },
                properties: Properties { tags: ["security", seen.kind] },
            });
            self.rules.len() - 1
        });
        self.results.push(ResultRow {
            rule_id: seen.rule.clone().into_owned(),
            rule_index,
            level: level(seen.severity),
            message: Message { text: format!("Sallyport found {} here.", seen.rule.replace('_', " ")) },
            locations: [Location {
                physical_location: Physical {
                    artifact_location: Artifact { uri: uri(path) },
                    region: Region {
                        start_line: row.line,
                        start_column: row.column,
                        byte_offset: seen.span.start,
                        byte_length: seen.span.len(),
                    },
                },
            }],
        });
    }

    pub(super) fn finish(self) -> Document {
        let driver = Driver { name: "Sallyport", version: env!("CARGO_PKG_VERSION"), rules: self.rules };
        let run = Run { tool: Tool { driver }, column_kind: "utf16CodeUnits", results: self.results };
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
    }
}
