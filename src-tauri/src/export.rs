//! Writes rows of the trail to a file of the person's: page by page, so that a million rows need no memory.

use std::io::Write;
use std::path::{Path, PathBuf};

use sallyport_ipc::Client;
use sallyport_ipc::types::AuditFilter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

const PAGE: u32 = 5000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Events of the audit schema, one a line.
    Jsonl,
    /// What a spreadsheet can show.
    Csv,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Exported {
    path: PathBuf,
    rows: u64,
}

/// Oldest first, whatever order the list had.
pub(crate) async fn export(
    client: &Client,
    folder: &Path,
    mut filter: AuditFilter,
    format: Format,
) -> Result<Exported, Failure> {
    let failed = |e: &std::io::Error| Failure::new("export", format!("The file could not be written: {e}."));
    filter.newest_first = false;
    filter.before_seq = None;
    filter.limit = Some(PAGE);
    let (path, file) = new_file(folder, format).map_err(|e| failed(&e))?;
    let mut out = std::io::BufWriter::new(file);
    let mut rows = 0;
    if format == Format::Csv {
        writeln!(out, "{}", COLUMNS.map(|(name, _)| name).join(",")).map_err(|e| failed(&e))?;
    }
    loop {
        let page = client.audit_query(&filter).await?;
        for row in &page.rows {
            let line = match format {
                Format::Jsonl => row.to_string(),
                Format::Csv => csv(row),
            };
            writeln!(out, "{line}").map_err(|e| failed(&e))?;
            rows += 1;
        }
        filter.after_seq = page.rows.last().and_then(|row| row.get("seq")).and_then(Value::as_u64);
        if !page.more || filter.after_seq.is_none() {
            break;
        }
    }
    out.flush().map_err(|e| failed(&e))?;
    Ok(Exported { path, rows })
}

/// A file that was not there before, readable by its owner alone where the system knows that.
fn new_file(folder: &Path, format: Format) -> std::io::Result<(PathBuf, std::fs::File)> {
    std::fs::create_dir_all(folder)?;
    let ending = match format {
        Format::Jsonl => "jsonl",
        Format::Csv => "csv",
    };
    let day = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
    for n in 1.. {
        let suffix = if n == 1 { String::new() } else { format!("-{n}") };
        let path = folder.join(format!("sallyport-audit-{day}{suffix}.{ending}"));
        match std::fs::File::create_new(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && n < 1000 => {}
            opened => return opened.map(|file| (path, file)),
        }
    }
    unreachable!("the loop returns")
}

/// Columns of a spreadsheet and where their values are.
const COLUMNS: [(&str, &str); 16] = [
    ("seq", "/seq"),
    ("timestamp", "/timestamp"),
    ("event_type", "/event_type"),
    ("user", "/actor/user_id"),
    ("agent", "/actor/agent_id"),
    ("service_account", "/actor/service_account"),
    ("provider", "/ai_provider/name"),
    ("model", "/ai_provider/model"),
    ("classification", "/request/classification"),
    ("redactions", "/request/redactions_applied"),
    ("violation", "/violation_type"),
    ("action", "/actions/0/action_type"),
    ("outcome", "/actions/0/outcome"),
    ("tokens", "/response/tokens_used"),
    ("latency_ms", "/response/latency_ms"),
    ("exchange_id", "/exchange_id"),
];

fn csv(row: &Value) -> String {
    COLUMNS.map(|(_, pointer)| cell(row.pointer(pointer))).join(",")
}

fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    };
    // A spreadsheet runs what begins like a formula; a name that a tool chose must not.
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        let row = json!({
            "seq": 7,
            "actor": {"agent_id": "=HYPERLINK(\"http://x\")", "user_id": "ann, the first"},
            "request": {"redactions_applied": ["jwt", "secret:DB"]},
        });
        let line = csv(&row);
        assert!(line.starts_with("7,,,\"ann, the first\",\"'=HYPERLINK(\"\"http://x\"\")\","), "{line}");
        assert!(line.contains(",jwt secret:DB,"), "{line}");
        assert_eq!(csv(&json!({})).matches(',').count(), COLUMNS.len() - 1);
    }

    #[test]
    fn an_earlier_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = new_file(folder.path(), Format::Csv).unwrap();
        let (second, _) = new_file(folder.path(), Format::Csv).unwrap();
        assert_ne!(first, second);
    }
}
