//! Holds `docs/policy.md` to what the readers accept, and to every field that there is.

use std::collections::BTreeSet;

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

#[test]
fn every_field_has_an_example() {
    let mut shown = BTreeSet::new();
    for (info, _, text) in blocks() {
        let text = if info == "yaml spec" { whole(&text) } else { text };
        if matches!(info, "yaml spec" | "yaml config" | "yaml") {
            keys(&single(&text).unwrap(), &mut shown);
        }
    }
    for name in schema::NAMES.into_iter().filter(|name| !matches!(*name, "assessment" | "test")) {
        let schema = schema::of(name).unwrap();
        let spec = schema["properties"].get("spec").unwrap_or(&schema);
        for field in spec["properties"].as_object().unwrap().keys() {
            assert!(shown.contains(field), "{name}: docs/policy.md has no example of `{field}`");
        }
    }
}

fn keys(node: &Node, found: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
            found.insert(key.text.clone());
            keys(value, found);
        }),
        Kind::Seq(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}
