//! Holds `docs/policy.md` to what the readers accept, and to every field that there is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Document, parse};
use crate::settings::{Layers, resolve};
use crate::yaml::{Kind, Node, single};
use crate::{assessment, config, scenario, schema};

const REFERENCE: &str = include_str!("../../../../docs/policy.md");

/// A fenced block: the words after the fence, its first line's number, its text.
fn blocks() -> Vec<(&'static str, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for (number, line) in REFERENCE.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info, number + 2, String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

fn read<T>(outcome: Result<T, impl std::fmt::Display>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// A fragment of a `spec` as a document.
fn whole(fragment: &str) -> String {
    let indented: String = fragment.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec:\n{indented}")
}

#[test]
fn every_example_is_read() {
    let mut house: Vec<Document> = Vec::new();
    for (info, line, text) in blocks() {
        let at = format!("docs/policy.md:{line}");
        match info {
            "yaml spec" => house.extend(read(parse(&whole(&text), &at))),
            "yaml" => {
                house.extend(read(parse(&text, &at)));
            }
            "yaml config" => drop(read(config::parse(&text, &at))),
            "yaml test" => drop(read(scenario::parse(&text, &at))),
            "yaml assessment" => drop(read(assessment::parse(&text, &at))),
            other => panic!("{at}: a block of {other:?} is not checked"),
        }
    }
    // Together, too: examples that contradict each other teach nothing.
    resolve(&Layers { user_documents: house, ..Layers::default() }).unwrap();
}

/// Every field of every kind, however deep: shown in an example of that very place.
#[test]
fn every_field_has_an_example() {
    let mut shown: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (info, _, text) in blocks() {
        let name = match info {
            "yaml spec" => "SallyportPolicy",
            "yaml config" => "config",
            "yaml assessment" => "assessment",
            "yaml test" => "test",
            _ => {
                let document = read(parse(&text, "reference")).remove(0);
                document.kind().as_str()
            }
        };
        let text = if info == "yaml spec" { whole(&text) } else { text };
        paths(&single(&text).unwrap(), "", shown.entry(name).or_default());
    }
    let mut missing = Vec::new();
    for name in schema::NAMES {
        let schema = schema::of(name).unwrap();
        let mut fields = BTreeSet::new();
        fields_of_schema(&schema, &schema, "", &mut fields);
        let shown = shown.remove(name).unwrap_or_default();
        // The header is the same everywhere.
        fields.remove(".metadata.description");
        missing.extend(fields.difference(&shown).map(|field| format!("{name}: {field}")));
    }
    assert!(missing.is_empty(), "docs/policy.md has no example of:\n{}", missing.join("\n"));
}

/// `spec.tiers.*.name`: the keys of a document, entries of lists and of maps by name as `*`.
fn paths(node: &Node, at: &str, found: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
            for name in [key.text.as_str(), "*"] {
                let path = format!("{at}.{name}");
                paths(value, &path, found);
                found.insert(path);
            }
        }),
        Kind::Seq(items) => items.iter().for_each(|item| paths(item, &format!("{at}.*"), found)),
        _ => {}
    }
}

/// The same of a schema.
fn fields_of_schema(schema: &Value, root: &Value, at: &str, found: &mut BTreeSet<String>) {
    if at.matches('.').count() > 12 {
        return;
    }
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return fields_of_schema(target, root, at, found);
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}.{name}");
        fields_of_schema(field, root, &path, found);
        found.insert(path);
    }
    for entry in ["items", "additionalProperties"] {
        if schema[entry].is_object() {
            fields_of_schema(&schema[entry], root, &format!("{at}.*"), found);
        }
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for one in schema[choice].as_array().into_iter().flatten() {
            fields_of_schema(one, root, at, found);
        }
    }
}
