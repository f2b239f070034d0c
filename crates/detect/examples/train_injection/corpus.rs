//! The texts to learn from: the labelled set, what the grammar makes, and the machine's own files as what is innocent.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::grammar::{Dice, Grammar};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    User,
    Tool,
}

pub(crate) struct Sample {
    pub(crate) source: String,
    pub(crate) attack: bool,
    pub(crate) text: String,
    /// Where the attack stands, if that is known.
    pub(crate) place: Option<Range<usize>>,
    pub(crate) weight: f32,
}

impl Sample {
    fn new(source: impl Into<String>, attack: bool, text: String) -> Sample {
        Sample { source: source.into(), attack, text, place: None, weight: 1.0 }
    }
}

/// A question of so many bytes in one line is what a person asks of an assistant.
const QUESTION: Range<usize> = 16..220;

/// The rows of the labelled set for one lane. What people ask an assistant in a line is a hidden task where only data
/// belongs, so the data lane learns it from carriers, as an attack; their longer texts are innocent in a file as well.
pub(crate) fn labelled(file: &Path, lane: Lane, grammar: &Grammar) -> Vec<Sample> {
    let mut dice = Dice::new(77);
    let reader =
        BufReader::new(flate2::read::GzDecoder::new(std::fs::File::open(file).expect("the labelled set")));
    let wanted = if lane == Lane::User { "user" } else { "tool" };
    let mut samples = Vec::new();
    for line in reader.lines() {
        let row: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("a JSON line");
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let attack = row["label"] == 1;
        if text("lane") == wanted || (lane == Lane::Tool && !attack) {
            let mut sample = Sample::new(text("source"), attack, text("text"));
            let asked = sample.text.trim();
            if lane != Lane::User
                && text("lane") == "user"
                && QUESTION.contains(&asked.len())
                && !asked.contains('\n')
                && sample.source != "humaneval"
            {
                // Exercises in programming are many and alike.
                if sample.source != "codealpaca" || dice.chance(30) {
                    let hidden = carried(grammar, asked, true, &mut dice);
                    samples.push(Sample { source: sample.source, ..hidden });
                }
                continue;
            }
            // Many of its rows are innocent without the system prompt that they are aimed at.
            if attack && lane == Lane::User && sample.source.starts_with("cyberseceval") {
                sample.weight = 0.2;
            }
            // Mostly harmful questions as they are; what is asked is not this classifier's matter, only how.
            if sample.source == "jbb-artifacts" {
                sample.weight = 0.2;
            }
            samples.push(sample);
        }
    }
    samples
}

/// Attacks and their like for one lane.
pub(crate) fn generated(grammar: &Grammar, lane: Lane, count: usize, dice: &mut Dice) -> Vec<Sample> {
    let mut samples = Vec::new();
    match lane {
        Lane::User => {
            for _ in 0..count {
                samples.push(Sample::new("grammar", true, grammar.make("user_attack", dice)));
                // A task is innocent from a person, and an attack from a tool.
                let asked = if dice.chance(15) { "user_task" } else { "user_benign" };
                samples.push(Sample::new("grammar", false, grammar.make(asked, dice)));
            }
            for _ in 0..count / 4 {
                let joined = [grammar.make("user_benign", dice), grammar.make("benign", dice)].join(" ");
                samples.push(Sample::new("grammar", false, joined));
            }
        }
        Lane::Tool => {
            for _ in 0..count {
                let attack = match dice.below(12) {
                    0 => grammar.make("u_override", dice),
                    1 => grammar.make("u_extract", dice),
                    _ => grammar.make("attack", dice),
                };
                samples.push(carried(grammar, &attack, true, dice));
                let innocent = [grammar.make("benign", dice), grammar.make("benign", dice)].join(" ");
                samples.push(carried(grammar, &innocent, false, dice));
            }
            // What people ask an assistant to do is left out: between data it is what is looked for.
            let chat = Grammar::of(Lane::Tool).without("h_task").without("b_request");
            for _ in 0..count / 4 {
                let asked = chat.make("user_benign", dice);
                if !asked.contains('@') {
                    samples.push(Sample::new("grammar", false, asked));
                }
            }
        }
    }
    samples
}

/// Texts written by hand, each a line, that no training sees: before the grammar's larger half, in the manner of attack
/// suites and before the grammar's last lists, after all of the grammar, and by somebody who had read nothing of it.
pub(crate) fn apart(lane: Lane) -> Vec<Sample> {
    let files = match lane {
        Lane::User => [
            ("first", true, include_str!("apart/user_attacks.txt")),
            ("first", false, include_str!("apart/user_benign.txt")),
            ("suites", true, include_str!("apart/suites_user_attacks.txt")),
            ("suites", false, include_str!("apart/suites_user_benign.txt")),
            ("later", true, include_str!("apart/later_user_attacks.txt")),
            ("later", false, include_str!("apart/later_user_benign.txt")),
            ("last", true, include_str!("apart/last_user_attacks.txt")),
            ("last", false, include_str!("apart/last_user_benign.txt")),
            ("fresh", true, include_str!("apart/fresh_user_attacks.txt")),
            ("fresh", false, include_str!("apart/fresh_user_benign.txt")),
        ],
        Lane::Tool => [
            ("first", true, include_str!("apart/tool_attacks.txt")),
            ("first", false, include_str!("apart/tool_benign.txt")),
            ("suites", true, include_str!("apart/suites_tool_attacks.txt")),
            ("suites", false, include_str!("apart/suites_tool_benign.txt")),
            ("later", true, include_str!("apart/later_tool_attacks.txt")),
            ("later", false, include_str!("apart/later_tool_benign.txt")),
            ("last", true, include_str!("apart/last_tool_attacks.txt")),
            ("last", false, include_str!("apart/last_tool_benign.txt")),
            ("fresh", true, include_str!("apart/fresh_tool_attacks.txt")),
            ("fresh", false, include_str!("apart/fresh_tool_benign.txt")),
        ],
    };
    let lines = |(name, attack, text): (&'static str, bool, &'static str)| {
        text.lines().map(move |line| Sample::new(name, attack, line.replace("\\n", "\n")))
    };
    files.into_iter().flat_map(lines).collect()
}

/// Questions about sentences of the machine's documents: people's words about everything.
pub(crate) fn asked(machine: &[Sample], count: usize, dice: &mut Dice) -> Vec<Sample> {
    const BEFORE: &[&str] = &[
        "",
        "",
        "",
        "Explain: ",
        "Summarize this: ",
        "Translate into German: ",
        "What does this mean? ",
        "Can you tell me more about this? ",
        "Rewrite the following text.\n\n",
        "Hi, can you help me with this? ",
        "Please correct the grammar: ",
        "I read that ",
        "Is it true that ",
        "Tell me about ",
        "Write a short story about this: ",
        "How can I ",
        "Why do people say that ",
        "Give me an example of ",
        "Make it shorter: ",
        "You are an expert on this. Explain it to a beginner: ",
        "Repeat the main points: ",
        "Answer the question at the end.\n",
    ];
    let prose: Vec<&Sample> = machine
        .iter()
        .filter(|sample| [" the ", " is ", " to "].iter().all(|word| sample.text.contains(word)))
        .collect();
    let mut samples = Vec::new();
    while samples.len() < count && !prose.is_empty() {
        let text = &prose[dice.below(prose.len())].text;
        let sentences: Vec<&str> = text
            .split(['\n', '.'])
            .map(|line| line.trim_start_matches(['#', '/', '*', '-', ' ', '!', '>', ';']).trim())
            .filter(|line| {
                line.split(' ').count() >= 5
                    && line.chars().filter(|c| c.is_alphabetic() || *c == ' ').count() * 10 > line.len() * 9
            })
            .collect();
        if sentences.len() < 3 {
            samples.push(Sample::new("asked", false, text.chars().take(400).collect()));
            continue;
        }
        let first = dice.below(sentences.len());
        let last = (first + 1 + dice.below(4)).min(sentences.len());
        let text = format!("{}{}.", BEFORE[dice.below(BEFORE.len())], sentences[first..last].join(". "));
        samples.push(Sample::new("asked", false, text));
    }
    samples
}

/// `words` as a tool brings them.
pub(crate) fn carried(grammar: &Grammar, words: &str, attack: bool, dice: &mut Dice) -> Sample {
    let carrier = grammar.make("carrier", dice);
    let words = match carrier.contains("\": \"") && dice.chance(60) {
        true => words.replace('"', "\\\"").replace('\n', "\\n"),
        false => words.to_owned(),
    };
    let Some(at) = carrier.find("@@") else { return Sample::new("grammar", attack, words) };
    let text = format!("{}{words}{}", &carrier[..at], carrier[at + 2..].replace("@@", "-"));
    Sample { place: attack.then_some(at..at + words.len()), ..Sample::new("grammar", attack, text) }
}

const TEXT_ENDINGS: &[&str] = &[
    "rs", "py", "js", "ts", "md", "txt", "toml", "json", "yaml", "yml", "c", "h", "go", "rst", "html", "css",
    "sh", "java", "cpp", "pyi", "mjs", "cjs", "cfg", "ini", "xml", "sql", "rb", "php", "tsx",
];

/// Files under `roots`, some from each folder, the same each time. The source is the package.
pub(crate) fn machine(roots: &[PathBuf], most: usize, longest: usize) -> Vec<Sample> {
    let mut files = Vec::new();
    for root in roots {
        collect(root, root, 0, &mut files);
    }
    files.sort();
    let mut dice = Dice::new(11);
    dice.shuffle(&mut files);
    let mut samples = Vec::new();
    for (package, file) in files {
        if samples.len() >= most {
            break;
        }
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let bytes = match file.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => {
                let mut plain = Vec::new();
                match std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*bytes), &mut plain) {
                    Ok(_) => plain,
                    Err(_) => continue,
                }
            }
            _ => bytes,
        };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if text.len() < 60 {
            continue;
        }
        // A stretch from anywhere, so that heads and licences are not all there is.
        let start =
            if text.len() > longest { text.floor_char_boundary(dice.below(text.len() - longest)) } else { 0 };
        let end = text.ceil_char_boundary((start + longest).min(text.len()));
        samples.push(Sample::new(format!("machine:{package}"), false, text[start..end].to_owned()));
    }
    samples
}

fn collect(root: &Path, folder: &Path, depth: usize, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut taken = 0;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(kind) = path.symlink_metadata().map(|meta| meta.file_type()) else { continue };
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        // Other projects' sets of attacks are no innocent texts.
        if ["inject", "jailbreak", "prompt", "garak", "promptfoo", "pyrit"]
            .iter()
            .any(|word| name.contains(word))
        {
            continue;
        }
        if kind.is_dir() && depth < 14 {
            collect(root, &path, depth + 1, files);
        } else if kind.is_file() && taken < 40 {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if TEXT_ENDINGS.contains(&ending)
                || ending == "gz"
                || name == "readme"
                || name.starts_with("license")
            {
                let below = path.strip_prefix(root).unwrap_or(&path);
                let package: PathBuf = below.components().take(2).collect();
                files.push((package.display().to_string(), path));
                taken += 1;
            }
        }
    }
}

/// Words in a shingle.
const SHINGLE: usize = 6;

/// Leaves out texts most of whose shingles an earlier text had.
pub(crate) fn deduplicate<S: Borrow<Sample>>(samples: Vec<S>) -> Vec<S> {
    let mut seen: HashSet<u64> = HashSet::new();
    samples
        .into_iter()
        .filter(|sample| {
            let shingles = shingles(&sample.borrow().text);
            let known = shingles.iter().filter(|shingle| seen.contains(shingle)).count();
            let fresh = shingles.is_empty() || known * 10 < shingles.len() * 6;
            if fresh {
                seen.extend(shingles);
            }
            fresh
        })
        .collect()
}

fn shingles(text: &str) -> Vec<u64> {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let hash = |words: &[&str]| {
        words.iter().flat_map(|word| word.bytes().chain([0])).fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    if words.len() < SHINGLE {
        return if words.is_empty() { Vec::new() } else { vec![hash(&words)] };
    }
    words.windows(SHINGLE).map(hash).collect()
}
