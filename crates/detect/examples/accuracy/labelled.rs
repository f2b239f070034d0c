//! The public development set: rows of rule, label and text, some with the secret's place.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use sallyport_detect::Scanner;
use serde::Deserialize;

use crate::secrets;
use crate::share::Share;

#[derive(Deserialize)]
pub(crate) struct Row {
    pub(crate) source: String,
    pub(crate) rule: String,
    pub(crate) label: u8,
    pub(crate) text: String,
    secret_span: Option<(usize, usize)>,
}

impl Row {
    /// The secret's bytes; the file counts characters.
    pub(crate) fn span(&self) -> Option<std::ops::Range<usize>> {
        let (start, end) = self.secret_span?;
        let byte = |at: usize| self.text.char_indices().nth(at).map_or(self.text.len(), |(byte, _)| byte);
        Some(byte(start)..byte(end))
    }
}

pub(crate) fn read(path: &Path) -> Vec<Row> {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the development set");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("a gzip file of text");
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

#[derive(Default)]
struct Tally {
    seen: Share,
    whole: Share,
    negatives: Share,
}

pub(crate) fn report(scanner: &Scanner, path: &Path, shown: &mut Vec<String>) {
    let mut by_source: BTreeMap<String, Tally> = BTreeMap::new();
    let mut by_family: BTreeMap<&str, Share> = BTreeMap::new();
    let mut by_rule: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for row in read(path) {
        let findings = secrets(scanner, &row.text);
        let span = row.span();
        let whole = match &span {
            Some(span) => findings.iter().any(|f| f.span.start <= span.start && span.end <= f.span.end),
            None => !findings.is_empty(),
        };
        for (rule, count) in findings.iter().map(|f| f.rule.as_str()).zip(std::iter::repeat(1)) {
            let entry = by_rule.entry(rule.to_owned()).or_default();
            if row.label == 1 { entry.0 += count } else { entry.1 += count }
        }
        for source in [row.source.as_str(), "all"] {
            let tally = by_source.entry(source.to_owned()).or_default();
            if row.label == 1 {
                tally.seen.add(!findings.is_empty());
                if span.is_some() {
                    tally.whole.add(whole);
                }
            } else {
                tally.negatives.add(!findings.is_empty());
            }
        }
        if row.label == 1 {
            by_family.entry(family(&row.rule)).or_default().add(whole);
        }
        if whole != (row.label == 1) {
            let kind = if row.label == 0 {
                "fired"
            } else if findings.is_empty() {
                "missed"
            } else {
                "partial"
            };
            let rules: Vec<String> =
                findings.iter().map(|f| format!("{}={:?}", f.rule, &row.text[f.span.clone()])).collect();
            let wanted = span.map(|span| row.text[span].to_owned());
            shown.push(format!(
                "dev\t{kind}\t{}\t{}\t{:?}\t{wanted:?}\t{rules:?}",
                row.source, row.rule, row.text
            ));
        }
    }
    println!(
        "\npublic development set      {:<32} {:<32} fired on another rule's negative",
        "found", "whole, where a span is given"
    );
    for (source, tally) in &by_source {
        println!("  {source:<24} {} {} {}", tally.seen, tally.whole, tally.negatives);
    }
    println!("\nwhole, by what the row's rule looks for");
    for (family, share) in &by_family {
        println!("  {family:<24} {share}");
    }
    println!("\nfindings by rule            on secrets, on others");
    let mut rules: Vec<_> = by_rule.into_iter().collect();
    rules.sort_by_key(|(_, (hits, misses))| std::cmp::Reverse(hits + misses));
    for (rule, (hits, misses)) in rules.into_iter().take(25) {
        println!("  {rule:<28} {hits:>6} {misses:>6}");
    }
}

/// Rules that look for any secret, against those for one service's tokens.
fn family(rule: &str) -> &'static str {
    const LOOSE: [&str; 14] = [
        "generic",
        "password",
        "passwd",
        "curl",
        "uri",
        "url",
        "http",
        "netrc",
        "basic",
        "connection",
        "odbc",
        "jdbc",
        "credentials",
        "secret-key",
    ];
    const KEYS: [&str; 5] = ["private", "pem", "jwt", "age", "privkey"];
    let lower = rule.to_ascii_lowercase();
    if LOOSE.iter().any(|word| lower.contains(word)) {
        "any service, by context"
    } else if KEYS.iter().any(|word| lower.contains(word)) {
        "keys and JWT"
    } else {
        "one service's tokens"
    }
}
