//! What a tool call does: the tools of coding agents, mapped to actions by a table.
//!
//! A call to a known tool whose arguments can't be read becomes an action that no policy allows. Decides nothing.

use std::collections::HashMap;
use std::sync::LazyLock;

use sallyport_policy::permissions::{Action, FilePath};
use sallyport_policy::shell::{Doubt, Redirection, ShellLine};
use serde::Deserialize;
use serde_json::Value;

use crate::shell;

/// The table as it is shipped.
pub const TOOLS_YAML: &str = include_str!("../../../assets/agents/tools.yaml");

/// More of one kind in a call are not looked at one by one.
const MAX_ACTIONS: usize = 256;

/// What one call does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    pub actions: Vec<Action>,
    /// Where it runs, if it says so.
    pub workdir: Option<String>,
}

impl Call {
    /// Whether it puts content of its own into files.
    pub fn writes_files(&self) -> bool {
        self.actions.iter().any(|action| match action {
            Action::Write(_) => true,
            Action::Shell(line) => line.commands.iter().any(|command| {
                let writes = command.redirections.iter().any(|one| matches!(one, Redirection::Write(_)));
                writes || WRITERS.contains(&command.name())
            }),
            _ => false,
        })
    }
}

/// Programs that write what they are given.
const WRITERS: [&str; 7] = ["tee", "sed", "perl", "awk", "patch", "dd", "ed"];

/// The tools that are known.
#[derive(Debug)]
pub struct ToolTable {
    rows: Vec<Row>,
    by_name: HashMap<String, Vec<usize>>,
}

/// A table that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the table of tools can't be read: {0}")]
pub struct BadTable(String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tools: Vec<Row>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Row {
    names: Vec<String>,
    agents: Vec<String>,
    /// The name as a server of the Model Context Protocol gives it; clients put the server's name before it.
    mcp: bool,
    read: Vec<String>,
    write: Vec<String>,
    shell: Vec<String>,
    patch: Vec<String>,
    url: Vec<String>,
    urls_in: Vec<String>,
    glob: Vec<String>,
    workdir: Vec<String>,
    or: Option<String>,
    or_nothing: bool,
    nothing: bool,
    when: Option<When>,
    example: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    at: String,
    is: Vec<String>,
}

impl ToolTable {
    /// The table that is shipped.
    pub fn builtin() -> &'static ToolTable {
        static TABLE: LazyLock<ToolTable> = LazyLock::new(|| {
            // A test reads it; an unreadable one would know no tool.
            ToolTable::read(TOOLS_YAML)
                .unwrap_or_else(|_| ToolTable { rows: Vec::new(), by_name: HashMap::new() })
        });
        &TABLE
    }

    pub fn read(text: &str) -> Result<ToolTable, BadTable> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| BadTable(error.to_string()))?;
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, row) in file.tools.iter().enumerate() {
            for name in &row.names {
                by_name.entry(name.clone()).or_default().push(number);
            }
        }
        Ok(ToolTable { rows: file.tools, by_name })
    }

    /// What a call does. `arguments`: JSON, or the raw text of a tool that takes such.
    pub fn call(&self, name: &str, arguments: &str) -> Call {
        let rows = self.rows(name);
        if rows.is_empty() {
            return Call { actions: vec![Action::Other { tool: name.to_owned() }], workdir: None };
        }
        let arguments = match serde_json::from_str(arguments) {
            Ok(arguments @ Value::Object(_)) => arguments,
            // A tool without arguments may come without any; free text stands at the root.
            _ if arguments.trim().is_empty() => Value::Object(serde_json::Map::new()),
            _ => Value::String(arguments.to_owned()),
        };
        let mut call = Call::default();
        let mut held = false;
        for row in rows.into_iter().filter(|row| row.holds(&arguments)) {
            held = true;
            row.actions(&arguments, &mut call);
        }
        if !held || call.actions.len() > MAX_ACTIONS {
            call.actions = vec![unreadable()];
        }
        call
    }

    fn rows(&self, name: &str) -> Vec<&Row> {
        let get = |name: &str| {
            self.by_name.get(name).into_iter().flatten().filter_map(|number| self.rows.get(*number))
        };
        let own: Vec<&Row> = get(name).collect();
        if !own.is_empty() {
            return own;
        }
        // `mcp__server__tool`, `server__tool`, `mcp_server_tool`, `server-tool`, `server.tool`, `server_tool`.
        let tails = name.char_indices().filter(|(_, c)| matches!(c, '_' | '-' | '.' | '/' | ':'));
        tails
            .filter_map(|(at, c)| name.get(at + c.len_utf8()..))
            .map(|tail| get(tail).filter(|row| row.mcp).collect::<Vec<_>>())
            .find(|rows| !rows.is_empty())
            .unwrap_or_default()
    }
}

/// No policy allows this.
fn unreadable() -> Action {
    Action::Write(FilePath::default())
}

impl Row {
    fn holds(&self, arguments: &Value) -> bool {
        self.when.as_ref().is_none_or(|when| {
            let value = arguments.pointer(&when.at).and_then(Value::as_str);
            value.is_some_and(|value| when.is.iter().any(|one| one == value))
        })
    }

    fn actions(&self, arguments: &Value, call: &mut Call) {
        let before = call.actions.len();
        let texts = |places: &[String]| -> Vec<String> {
            let found = places.iter().flat_map(|place| at(arguments, place));
            found.flat_map(texts_of).take(MAX_ACTIONS + 1).collect()
        };
        call.actions.extend(texts(&self.read).into_iter().map(|path| Action::Read(FilePath::new(path))));
        call.actions.extend(texts(&self.write).into_iter().map(|path| Action::Write(FilePath::new(path))));
        for place in &self.shell {
            call.actions.extend(at(arguments, place).into_iter().filter_map(command));
        }
        for text in texts(&self.patch) {
            call.actions.extend(patched(&text));
        }
        call.actions.extend(texts(&self.url).iter().map(|address| reached(address)));
        for text in texts(&self.urls_in) {
            call.actions.extend(addresses(&text).map(reached));
        }
        let base = call.actions.len() > before;
        call.actions.extend(texts(&self.glob).iter().map(|pattern| globbed(pattern)));
        if !base && let Some(path) = &self.or {
            call.actions.push(Action::Read(FilePath::new(path.as_str())));
        }
        if let Some(folder) = texts(&self.workdir).into_iter().find(|folder| !folder.is_empty()) {
            // Where it runs is looked into, like by `cd`.
            call.actions.push(Action::Read(FilePath::new(folder.as_str())));
            call.workdir = Some(folder);
        }
        if call.actions.len() == before {
            call.actions.push(match self.nothing || self.or_nothing {
                true => Action::Nothing,
                false => unreadable(),
            });
        }
    }
}

/// What stands at a pointer; `*` for every entry of a list.
fn at<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for part in pointer.split('/').skip(1) {
        found = found
            .into_iter()
            .flat_map(|value| match (value, part) {
                (Value::Array(items), "*") => items.iter().collect(),
                (Value::Object(members), name) => members.get(name).into_iter().collect(),
                _ => Vec::new(),
            })
            .collect();
    }
    found
}

/// A text, or a list of such.
fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A command line, or the words of one.
fn command(value: &Value) -> Option<Action> {
    match value {
        Value::String(line) if line.trim().is_empty() => None,
        Value::String(line) => Some(Action::Shell(shell::parse(line))),
        Value::Array(words) => {
            let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
            Some(Action::Shell(match words {
                Some(words) => shell::parse_words(&words),
                None => ShellLine { doubts: vec![Doubt::Grammar], ..ShellLine::default() },
            }))
        }
        Value::Null => None,
        _ => Some(unreadable()),
    }
}

/// The files that a patch touches.
fn patched(text: &str) -> Vec<Action> {
    const OPENINGS: [&str; 4] = ["*** Add File:", "*** Update File:", "*** Delete File:", "*** Move to:"];
    let mut files = Vec::new();
    let whole = text.contains("*** Begin Patch");
    for line in text.lines() {
        if let Some(path) = OPENINGS.iter().find_map(|opening| line.trim_start().strip_prefix(opening)) {
            files.push(path.trim().to_owned());
        } else if !whole && let Some(path) = line.strip_prefix("+++ ").or_else(|| line.strip_prefix("--- ")) {
            let path = path.split('\t').next().unwrap_or_default().trim();
            if path != "/dev/null" {
                let bare = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/"));
                files.push(bare.unwrap_or(path).to_owned());
            }
        }
    }
    files.dedup();
    if files.is_empty() {
        return vec![unreadable()];
    }
    files.into_iter().take(MAX_ACTIONS + 1).map(|path| Action::Write(FilePath::new(path))).collect()
}

/// Where an address leads. One that can't be read leads nowhere that a policy allows.
fn reached(address: &str) -> Action {
    let address = address.trim();
    // Clients complete what has no scheme.
    let whole = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    // Of a backslash or a control some clients make a slash or nothing, others a part of the name: two hosts in one.
    let authority = whole.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    if authority.unwrap_or_default().contains(|c: char| c == '\\' || c.is_control()) {
        return Action::Fetch { host: String::new() };
    }
    match url::Url::parse(&whole) {
        Ok(url) if url.scheme() == "file" => Action::Read(FilePath::new(url.path())),
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            Action::Fetch { host: url.host_str().unwrap_or_default().to_owned() }
        }
        _ => Action::Fetch { host: String::new() },
    }
}

fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '(' | ')' | ','))
        .filter(|word| word.contains("://"))
}

/// The folder from which a pattern counts, or the one file that it names.
fn globbed(pattern: &str) -> Action {
    let wild = pattern.find(['*', '?', '[', '{']);
    let path = match wild {
        None => pattern,
        Some(at) => {
            let name = pattern.rsplit('/').next().unwrap_or(pattern);
            // `.env*` names what it looks for; `*.rs` and `**` look through a folder.
            if name.starts_with('.') && !name.starts_with("..") {
                pattern
            } else {
                let folder =
                    pattern.get(..at).and_then(|head| head.rfind('/').and_then(|end| head.get(..=end)));
                folder.unwrap_or(".")
            }
        }
    };
    Action::Read(FilePath::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(call: &Call) -> Vec<&'static str> {
        let mut kinds: Vec<_> = call
            .actions
            .iter()
            .map(|action| match action {
                Action::Read(_) => "read",
                Action::Write(_) => "write",
                Action::Fetch { .. } => "fetch",
                Action::Shell(_) => "shell",
                Action::Nothing => "nothing",
                Action::Other { .. } => "other",
            })
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    #[test]
    fn every_row_does_what_it_says_with_its_example() {
        let table = ToolTable::read(TOOLS_YAML).unwrap();
        assert!(table.rows.len() > 50);
        for row in &table.rows {
            assert!(!row.agents.is_empty(), "{:?}", row.names);
            let mut expected = Vec::new();
            for (places, kind) in [
                (&row.read, "read"),
                (&row.glob, "read"),
                (&row.workdir, "read"),
                (&row.write, "write"),
                (&row.patch, "write"),
                (&row.shell, "shell"),
                (&row.url, "fetch"),
                (&row.urls_in, "fetch"),
            ] {
                let there = places.iter().any(|place| !at(&row.example, place).is_empty());
                expected.extend((there && !(place_is_root(places))).then_some(kind));
            }
            if row.or.is_some() {
                expected.push("read");
            }
            if row.nothing {
                expected.push("nothing");
            }
            expected.sort_unstable();
            expected.dedup();
            assert!(!expected.is_empty(), "{:?} has an example that does nothing", row.names);
            for name in &row.names {
                let call = table.call(name, &row.example.to_string());
                assert_eq!(kinds(&call), expected, "{name} {}", row.example);
                let lost = |action: &Action| {
                    *action == unreadable()
                        || matches!(action, Action::Fetch { host } if host.is_empty())
                        || matches!(action, Action::Shell(line) if line.commands.is_empty())
                };
                assert!(!call.actions.iter().any(lost), "{name}: {:?}", call.actions);
                if row.mcp {
                    for name in
                        [format!("mcp__files__{name}"), format!("files-{name}"), format!("mcp_files_{name}")]
                    {
                        assert_eq!(table.call(&name, &row.example.to_string()), call, "{name}");
                    }
                }
            }
        }
    }

    fn place_is_root(places: &[String]) -> bool {
        places.iter().all(String::is_empty)
    }

    /// A known tool whose arguments say nothing readable does something that no policy allows.
    #[test]
    fn unreadable_arguments_are_never_harmless() {
        let table = ToolTable::builtin();
        for row in &table.rows {
            if row.nothing || row.or.is_some() || row.or_nothing {
                continue;
            }
            for name in &row.names {
                for arguments in
                    ["", "{}", "[1]", "{\"x\":1}", "not json", "{\"file_path\":7,\"command\":{}}"]
                {
                    let call = table.call(name, arguments);
                    assert!(call.actions.contains(&unreadable()), "{name} {arguments}: {:?}", call.actions);
                }
            }
        }
    }

    #[test]
    fn words_and_lines_are_both_commands() {
        let table = ToolTable::builtin();
        let line = table.call("shell", r#"{"command":["bash","-lc","npm test && ls"],"workdir":"/w"}"#);
        assert_eq!(line.workdir.as_deref(), Some("/w"));
        let Action::Shell(line) = &line.actions[0] else { panic!() };
        assert_eq!(line.commands.len(), 3);
        let Action::Shell(line) = &table.call("Bash", r#"{"command":"a | b"}"#).actions[0] else { panic!() };
        assert_eq!(line.commands.len(), 2);
    }

    #[test]
    fn patches_name_their_files() {
        let patch = "*** Begin Patch\n*** Add File: a\n+x\n*** Update File: b\n*** Move to: c\n@@\n-y\n*** Delete File: d\n*** End Patch";
        let writes = |call: Call| -> Vec<String> {
            call.actions
                .into_iter()
                .map(|action| match action {
                    Action::Write(path) => path.written,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        let table = ToolTable::builtin();
        assert_eq!(
            writes(table.call("apply_patch", &serde_json::json!({"input": patch}).to_string())),
            ["a", "b", "c", "d"]
        );
        assert_eq!(writes(table.call("apply_patch", patch)), ["a", "b", "c", "d"]);
        assert_eq!(
            writes(table.call("patch", &serde_json::json!({"patchText": "--- a/x\n+++ b/x\n"}).to_string())),
            ["x"]
        );
    }

    #[test]
    fn addresses_are_read_as_clients_do() {
        for (address, expected) in [
            ("https://User:pw@Docs.Python.com:8443/x?y", Action::Fetch { host: "docs.python.com".into() }),
            ("docs.python.com/x", Action::Fetch { host: "docs.python.com".into() }),
            ("https://docs.python.com@evil.com/", Action::Fetch { host: "evil.com".into() }),
            ("https://evil.com\\@docs.python.com/", Action::Fetch { host: String::new() }),
            ("https://docs.python.com\\@evil.com/", Action::Fetch { host: String::new() }),
            ("https://docs.python.com\t.evil.com/", Action::Fetch { host: String::new() }),
            ("https://docs.python.com/a\\b?c\\d", Action::Fetch { host: "docs.python.com".into() }),
            ("file:///etc/passwd", Action::Read(FilePath::new("/etc/passwd"))),
            ("gopher://x/", Action::Fetch { host: String::new() }),
            ("https://", Action::Fetch { host: String::new() }),
        ] {
            assert_eq!(reached(address), expected, "{address}");
        }
    }

    #[test]
    fn writing_is_seen_through_the_shell() {
        let table = ToolTable::builtin();
        let writes =
            |line: &str| table.call("Bash", &serde_json::json!({"command": line}).to_string()).writes_files();
        assert!(writes("echo x > .env") && writes("cat <<E | tee f\nx\nE") && writes("sed -i s/a/b/ f"));
        assert!(!writes("curl -H x y"));
    }
}
