//! Dangerous commands among harmless ones: lines that a seed makes, and the shell lines of this machine's own scripts.
//!
//! One seed and one half of the lines are for tuning, the others are only counted.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use sallyport_detect::output::{OutputOptions, find};
use sallyport_policy::Severity;

use crate::generated::Dice;
use crate::share::Share;

const FORMS: &str = include_str!("output.txt");
const EACH: usize = 40;
const LARGEST: u64 = 1 << 20;

/// Forms of lines, by heading; `%name` stands for one of the list of that name.
struct Forms(BTreeMap<&'static str, Vec<&'static str>>);

impl Forms {
    fn read() -> Forms {
        let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut name = "";
        for line in FORMS.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("== ") {
                Some(heading) => name = heading,
                None => lists.entry(name).or_default().push(line),
            }
        }
        Forms(lists)
    }

    fn fill(&self, form: &str, dice: &mut Dice) -> String {
        let mut out = String::new();
        let mut rest = form;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let tail = &rest[at + 1..];
            let end = tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len());
            match self.0.get(&tail[..end]) {
                Some(list) => out.push_str(&self.fill(dice.of(list), dice)),
                None => {
                    out.push('%');
                    out.push_str(&tail[..end]);
                }
            }
            rest = &tail[end..];
        }
        out.push_str(rest);
        out
    }

    /// A line as answers bring it: alone, behind a prompt, among others, inside another shell.
    fn wrapped(&self, line: &str, dice: &mut Dice) -> String {
        let wrap: &str = dice.of(&self.0["wraps"]);
        // A quotation inside a quotation would be another line.
        let quotes =
            wrap.contains('\'') && line.contains('\'') || wrap.contains('"') && line.contains(['"', '$']);
        if quotes { line.to_owned() } else { wrap.replacen("@@", line, 1).replace("\\n", "\n") }
    }
}

fn flagged(text: &str) -> bool {
    find(text, &OutputOptions::default()).iter().any(|found| found.severity > Severity::Low)
}

pub(crate) fn report(roots: &[PathBuf], shown: &mut Vec<String>) {
    println!("\nDangerous commands, made by a seed");
    let forms = Forms::read();
    for (seed, part) in [(11, "tuned on"), (12, "only counted")] {
        let mut dice = Dice::new(seed);
        for (list, dangerous) in [("dangerous", true), ("harmless", false)] {
            let mut share = Share::default();
            for form in &forms.0[list] {
                for _ in 0..EACH {
                    let line = forms.fill(form, &mut dice);
                    let text = forms.wrapped(&line, &mut dice);
                    let hit = flagged(&text);
                    share.add(hit);
                    if hit != dangerous && part == "tuned on" {
                        shown.push(format!("{list}\t{text}"));
                    }
                }
            }
            println!("{list:<10} seed {part:<12} flagged {}", share.percent());
        }
    }
    packages(roots, shown);
    if roots.is_empty() {
        return;
    }
    let (mut tuned, mut counted, mut seen) = (Share::default(), Share::default(), HashSet::new());
    let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
    for root in roots {
        scripts(root, 0, &mut |text| {
            for line in text.lines().map(str::trim).filter(|line| is_command(line)) {
                let mut hasher = DefaultHasher::new();
                line.hash(&mut hasher);
                let hash = hasher.finish();
                if !seen.insert(hash) {
                    continue;
                }
                let found = find(line, &OutputOptions::default());
                let hit = found.iter().find(|found| found.severity > Severity::Low);
                if hash.is_multiple_of(2) {
                    tuned.add(hit.is_some())
                } else {
                    counted.add(hit.is_some())
                }
                if let Some(hit) = hit {
                    *by_rule.entry(hit.rule).or_default() += 1;
                    if hash.is_multiple_of(2) {
                        shown.push(format!("shell line\t{}\t{line}", hit.rule));
                    }
                }
            }
        });
    }
    println!("\nShell lines of this machine, without comments and repetitions");
    println!("tuned on      flagged {}", tuned.percent());
    println!("only counted  flagged {}", counted.percent());
    println!("by rule: {by_rule:?}");
}

fn is_command(line: &str) -> bool {
    line.len() > 3 && !line.starts_with('#') && line.len() < 4_000
}

/// Every shell script, Makefile and step of a workflow under `root`.
fn scripts(root: &Path, depth: usize, see: &mut impl FnMut(&str)) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() && depth < 14 {
            scripts(&path, depth + 1, see);
        } else if meta.is_file() && meta.len() <= LARGEST {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let ending =
                path.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
            let named = ["sh", "bash", "postinst", "prerm", "preinst", "postrm", "mk"].contains(&&*ending)
                || ["Makefile", "Dockerfile"].contains(&&*name)
                || (ending == "yml" && path.to_string_lossy().contains("workflows"));
            if !named && !ending.is_empty() {
                continue;
            }
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let shell = bytes.starts_with(b"#!")
                && bytes.split(|byte| *byte == b'\n').next().is_some_and(|first| first.ends_with(b"sh"));
            if (named || shell)
                && let Ok(text) = String::from_utf8(bytes)
            {
                see(&text);
            }
        }
    }
}

const REGISTRIES: [(&str, &str); 3] = [
    ("pip install", include_str!("../../../../assets/packages/pypi.txt")),
    ("npm install", include_str!("../../../../assets/packages/npm.txt")),
    ("cargo add", include_str!("../../../../assets/packages/crates.txt")),
];

/// Slips of popular names, and real packages of this machine, which may well be rare.
fn packages(roots: &[PathBuf], shown: &mut Vec<String>) {
    println!("\nLook-alike packages: slips of the 500 most used names, names of packages on this machine");
    for (command, list) in REGISTRIES {
        let known: HashSet<&str> = list.lines().collect();
        let mut dice = Dice::new(21);
        let mut share = Share::default();
        for name in list.lines().filter(|name| name.len() >= 5).take(500) {
            let slip = slip(name, &mut dice);
            if !known.contains(slip.as_str()) {
                share.add(flagged(&format!("{command} {slip}")));
            }
        }
        println!("{command:<12} slips found {}", share.percent());
    }
    let mut real: BTreeMap<&str, HashSet<String>> = BTreeMap::new();
    for root in roots {
        installed(root, 0, &mut real);
    }
    for (command, names) in real {
        let mut share = Share::default();
        for name in names {
            let hit = flagged(&format!("{command} {name}"));
            share.add(hit);
            if hit {
                shown.push(format!("package\t{command} {name}"));
            }
        }
        println!("{command:<12} real names flagged {}", share.percent());
    }
}

/// A letter left out, doubled, changed, or exchanged with the next.
fn slip(name: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    let places: Vec<usize> = (1..letters.len() - 1).collect();
    let at = dice.of(&places);
    match dice.of(&[0, 1, 2, 3]) {
        0 => {
            letters.remove(at);
        }
        1 => letters.insert(at, letters[at]),
        2 => letters[at] = if letters[at] == 'x' { 'e' } else { 'x' },
        _ => letters.swap(at, at + 1),
    }
    let slip: String = letters.into_iter().collect();
    if slip == name { format!("{name}s") } else { slip }
}

/// Packages that stand unpacked below `folder`, by the command that would install them.
fn installed(folder: &Path, depth: usize, real: &mut BTreeMap<&'static str, HashSet<String>>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let crates = folder.parent().is_some_and(|parent| parent.ends_with("registry/src"));
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if let Some((package, _)) = name.strip_suffix(".dist-info").and_then(|rest| rest.rsplit_once('-')) {
            real.entry("pip install").or_default().insert(package.replace('_', "-"));
        } else if crates {
            let version = name.match_indices('-').find(|(at, _)| {
                name[at + 1..].starts_with(|c: char| c.is_ascii_digit()) && name[at + 1..].contains('.')
            });
            if let Some((at, _)) = version {
                real.entry("cargo add").or_default().insert(name[..at].to_owned());
            }
        } else if folder.ends_with("node_modules") && !name.starts_with(['.', '@']) {
            real.entry("npm install").or_default().insert(name);
        }
        if depth < 8 && !crates {
            installed(&entry.path(), depth + 1, real);
        }
    }
}
