//! Real files of this machine: how many of them raise a false alarm, in two halves.
//!
//! A file goes to a half by its hash. One half is for tuning, the other is only counted.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use sallyport_detect::Scanner;

use crate::secrets;
use crate::share::Share;

const LARGEST: u64 = 1 << 20;
const NAMES: &[&str] = &[
    "c",
    "cc",
    "cfg",
    "cjs",
    "conf",
    "cpp",
    "css",
    "cs",
    "ex",
    "go",
    "h",
    "hpp",
    "html",
    "ini",
    "java",
    "js",
    "json",
    "jsx",
    "kt",
    "lua",
    "md",
    "mjs",
    "php",
    "pl",
    "pm",
    "properties",
    "py",
    "rb",
    "rs",
    "rst",
    "scala",
    "sh",
    "sql",
    "swift",
    "tf",
    "toml",
    "ts",
    "tsx",
    "txt",
    "xml",
    "yaml",
    "yml",
];

pub(crate) struct Real {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) tuned_on: bool,
}

pub(crate) fn each(roots: &[PathBuf], mut each: impl FnMut(Real)) {
    let mut seen = HashSet::new();
    let mut waiting: Vec<PathBuf> = roots.to_vec();
    while let Some(path) = waiting.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            let Ok(entries) = std::fs::read_dir(&path) else { continue };
            let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            entries.sort_unstable();
            waiting.extend(entries);
            continue;
        }
        if !meta.is_file() || meta.len() > LARGEST || meta.len() < 40 || !is_text_name(&path) {
            continue;
        }
        let Some(text) = std::fs::read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
            continue;
        };
        let hash = blake3::hash(text.as_bytes());
        if seen.insert(hash) {
            each(Real { path, text, tuned_on: hash.as_bytes()[0] & 1 == 0 });
        }
    }
}

fn is_text_name(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| NAMES.contains(&e))
}

pub(crate) fn report(scanner: &Scanner, roots: &[PathBuf], shown: &mut Vec<String>) {
    let (mut tuned, mut held_out, mut keys_apart) = (Share::default(), Share::default(), Share::default());
    let mut by_rule: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut bytes, mut spent) = (0usize, std::time::Duration::ZERO);
    each(roots, |file| {
        let started = std::time::Instant::now();
        let findings = secrets(scanner, &file.text);
        spent += started.elapsed();
        bytes += file.text.len();
        let half = if file.tuned_on { &mut tuned } else { &mut held_out };
        half.add(!findings.is_empty());
        keys_apart.add(findings.iter().any(|f| !["private_key", "jwt"].contains(&f.rule.as_str())));
        let rules: HashSet<&str> = findings.iter().map(|f| f.rule.as_str()).collect();
        for rule in rules {
            let entry = by_rule.entry(rule.to_owned()).or_default();
            if file.tuned_on { entry.0 += 1 } else { entry.1 += 1 }
        }
        for finding in &findings {
            let around = file.text.floor_char_boundary(finding.span.start.saturating_sub(60))
                ..file.text.ceil_char_boundary((finding.span.end + 20).min(file.text.len()));
            let value = &file.text[finding.span.clone()];
            let value: String = value.chars().take(120).collect();
            let half = if file.tuned_on { "tune" } else { "held" };
            let context: String = file.text[around].chars().take(260).collect();
            shown.push(format!(
                "file\t{half}\t{}\t{value:?}\t{context:?}\t{}",
                finding.rule,
                file.path.display()
            ));
        }
    });
    println!("\nreal files with a finding (deduplicated)");
    println!("  half that was tuned on     {}", tuned.percent());
    println!("  other half                 {}", held_out.percent());
    println!(
        "  both                       {}",
        Share::of(tuned.hits + held_out.hits, tuned.all + held_out.all).percent()
    );
    println!(
        "  both, without private keys and JWTs, which are what they look like  {}",
        keys_apart.percent()
    );
    println!("  {:.0} MB at {:.0} MB/s", bytes as f64 / 1e6, bytes as f64 / 1e6 / spent.as_secs_f64());
    println!("\nfiles by rule               tuned on, other half");
    let mut rules: Vec<_> = by_rule.into_iter().collect();
    rules.sort_by_key(|(_, (a, b))| std::cmp::Reverse(a + b));
    for (rule, (a, b)) in rules {
        println!("  {rule:<28} {a:>6} {b:>6}");
    }
}
