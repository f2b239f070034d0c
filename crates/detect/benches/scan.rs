//! Throughput of the detectors on ordinary text, in MB/s of processor time where the system tells it: the median of
//! several rounds, and the best, which a busy machine disturbs least.
//!
//! `cargo bench -p sallyport-detect`; a word after it names the measurements that are wanted.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sallyport_detect::{
    IndexKey, Kinds, Placeholders, RuleSet, ScanOptions, Scanner, SecretEntry, SecretIndex, SecretSet,
    StreamSanitiser,
};
use sallyport_policy::FindingKind;

const ROUNDS: usize = 21;
const LEAST: Duration = Duration::from_millis(300);
const TEXT_BYTES: usize = 1 << 18;

fn main() {
    if std::env::args().any(|word| word == "patterns") {
        return patterns();
    }
    let text = agent_text();
    let started = clock();
    let rules = Arc::new(RuleSet::builtin().expect("the shipped rules compile"));
    println!("{:<46} {:>9.1} ms", format!("load {} rules", rules.len()), millis(started));
    let started = clock();
    rules.warm();
    println!("{:<46} {:>9.1} ms", "warm them", millis(started));

    let plain = plain_text();
    for count in [1_000, 100_000] {
        let name = format!("exact secrets, {count} of 20 to 63, few escapes");
        if wanted(&name) {
            let index = index(count, 20..64);
            rate(&name, plain.len(), || {
                black_box(index.find(black_box(plain.as_bytes())));
            });
        }
    }
    let strings = serde_json::Value::from(plain.as_str()).to_string();
    let nested = serde_json::Value::from(strings.as_str()).to_string();
    for (text, dress) in [(&strings, "JSON string"), (&nested, "JSON string in one")] {
        for count in [1_000, 100_000] {
            let name = format!("exact secrets, {count} of 20 to 63, {dress}");
            if wanted(&name) {
                let index = index(count, 20..64);
                rate(&name, text.len(), || {
                    black_box(index.find(black_box(text.as_bytes())));
                });
            }
        }
    }
    for (text, dress) in [(&strings, "JSON string"), (&nested, "JSON string in one")] {
        let name = format!("exact secrets, 1000 and a PEM key, {dress}");
        if wanted(&name) {
            let mut values = values(1_000, 20..64);
            values.push(pem_key());
            let index = indexed(&values);
            rate(&name, text.len(), || {
                black_box(index.find(black_box(text.as_bytes())));
            });
        }
    }
    for (lengths, name) in [(20..64, "20 to 63"), (15..64, "15 to 63"), (8..9, "8"), (8..72, "8 to 71")] {
        for count in [1_000, 100_000] {
            let name = format!("exact secrets, {count} of {name} characters");
            if wanted(&name) {
                let index = index(count, lengths.clone());
                rate(&name, text.len(), || {
                    black_box(index.find(black_box(text.as_bytes())));
                });
            }
        }
    }
    let options = ScanOptions::default();
    let only_rules = Scanner::new(rules.clone(), Arc::new(SecretIndex::empty()));
    openings(&only_rules, &text);
    rate("rules, agent traffic", text.len(), || {
        black_box(only_rules.scan(black_box(&text), &options));
    });
    let personal = ScanOptions { kinds: Kinds::NONE.with(FindingKind::Pii), ..ScanOptions::default() };
    rate("rules of personal data alone", text.len(), || {
        black_box(only_rules.scan(black_box(&text), &personal));
    });
    let keywords = keyword_text();
    rate("rules, text full of keywords", keywords.len(), || {
        black_box(only_rules.scan(black_box(&keywords), &options));
    });
    if !wanted("rules and 1,000 exact secrets") && !wanted("corpus: ") {
        return;
    }
    let both = Arc::new(Scanner::new(rules, Arc::new(index(1_000, 8..72))));
    if let Ok(folder) = std::env::var("SALLYPORT_BENCH_CORPUS") {
        let texts = corpus(&folder);
        let bytes = texts.iter().map(String::len).sum();
        for (name, scanner) in [("rules", &only_rules), ("rules and 1,000 exact secrets", &*both)] {
            rate(&format!("corpus: {name}"), bytes, || {
                for text in &texts {
                    black_box(scanner.scan(black_box(text), &options));
                }
            });
        }
        return;
    }
    rate("rules and 1,000 exact secrets", text.len(), || {
        black_box(both.scan(black_box(&text), &options));
    });
    stream(&both, &text);
}

/// Pieces as a model sends them; the time for one is what an event waits.
fn stream(scanner: &Arc<Scanner>, text: &str) {
    let mut times = Vec::new();
    let mut sanitiser = StreamSanitiser::new(scanner.clone(), ScanOptions::default());
    let mut placeholders = Placeholders::new([1; 32]);
    let mut rest = text.get(..200_000).unwrap_or(text);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(4.min(rest.len())));
        let started = clock();
        black_box(sanitiser.push(piece, &mut placeholders));
        times.push(since(started).as_nanos());
        rest = after;
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |ns| *ns as f64 / 1e3);
    println!("{:<46} {:>9.1} µs p50 {:>7.1} µs p99", "stream, pieces of 4 characters", at(0.5), at(0.99));
}

/// What it costs at the end of each event to tell whether a rule's match may still grow.
fn openings(scanner: &Scanner, text: &str) {
    let name = "streaming automaton, lines of this text";
    if !wanted(name) {
        return;
    }
    let options = ScanOptions::default();
    let scanner = Arc::new(Scanner::new(scanner.rules().clone(), Arc::new(SecretIndex::empty())));
    rate(name, text.len(), || {
        let mut sanitiser = StreamSanitiser::new(scanner.clone(), options.clone());
        let mut placeholders = Placeholders::new([1; 32]);
        for line in text.split_inclusive('\n') {
            black_box(sanitiser.push(black_box(line), &mut placeholders));
        }
    });
}

fn wanted(name: &str) -> bool {
    std::env::args().skip(1).all(|word| word.starts_with('-') || name.contains(&word))
}

fn rate(name: &str, bytes: usize, mut work: impl FnMut()) {
    if !wanted(name) {
        return;
    }
    let mut seconds = Vec::new();
    // The first one builds what is built when it is first needed.
    work();
    let begun = clock();
    while seconds.len() < ROUNDS || since(begun) < LEAST {
        let started = clock();
        work();
        seconds.push(since(started).as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let speed = |at: usize| bytes as f64 / 1e6 / seconds[at];
    println!("{name:<46} {:>9.0} MB/s {:>7.0} MB/s best", speed(seconds.len() / 2), speed(0));
}

fn millis(started: Duration) -> f64 {
    since(started).as_secs_f64() * 1e3
}

fn since(started: Duration) -> Duration {
    clock().saturating_sub(started)
}

/// What this thread has had of the processor: others on a busy machine do not count.
#[cfg(target_os = "linux")]
fn clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
fn clock() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// Every rule's regex, one JSON string a line, for `bench/scanners.py`.
fn patterns() {
    let rules = RuleSet::builtin().expect("the shipped rules compile");
    for rule in rules.rules() {
        println!("{}", serde_json::Value::from(rule.pattern().into_owned()));
    }
}

/// The files that the peers read in the same run (`bench/scanners.py`).
fn corpus(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("the corpus is a folder");
    files.map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("a text")).collect()
}

/// Values of so many random characters, the same in each run.
fn index(count: usize, lengths: Range<usize>) -> SecretIndex {
    indexed(&values(count, lengths))
}

fn values(count: usize, lengths: Range<usize>) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/";
    (0..count)
        .map(|_| {
            let len = lengths.start + next() as usize % lengths.len();
            (0..len).map(|_| alphabet[next() as usize % alphabet.len()]).collect()
        })
        .collect()
}

/// A value of many lines, as nearly every vault holds one.
fn pem_key() -> Vec<u8> {
    let lines = values(25, 64..65).into_iter().flat_map(|line| [b"\n".to_vec(), line]);
    let ends = |word: &str| format!("-----{word} PRIVATE KEY-----").into_bytes();
    [ends("BEGIN")].into_iter().chain(lines).chain([b"\n".to_vec(), ends("END")]).flatten().collect()
}

fn indexed(values: &[Vec<u8>]) -> SecretIndex {
    let key = IndexKey::new([9; 32]);
    let entries = values.iter().map(|value| SecretEntry { name: "bench", value, weak: false });
    let set = SecretSet::build(&key, "bench", entries);
    SecretIndex::merge(&key, &[Arc::new(set)]).expect("one key")
}

/// What an agent sends: this crate's own sources, prose and configuration, repeated.
fn agent_text() -> String {
    let parts = [
        include_str!("../src/lib.rs"),
        include_str!("../src/stream.rs"),
        include_str!("../src/secrets/views.rs"),
        include_str!("../Cargo.toml"),
        "Please look at the failing test, find out why the token is refused, and say what you would change.\n\
         The key point is that nobody should have to know the password: ask for it once, keep it nowhere.\n",
    ];
    parts.iter().cycle().flat_map(|part| part.chars()).take(TEXT_BYTES).collect()
}

/// Prose and code as agents mostly send it: an escape now and then.
fn plain_text() -> String {
    let parts = [
        include_str!("../src/rules/mod.rs"),
        include_str!("../src/resolve.rs"),
        include_str!("../../../docs/architecture.md"),
        include_str!("../../../docs/threat-model.md"),
    ];
    parts.iter().cycle().flat_map(|part| part.chars()).take(TEXT_BYTES).collect()
}

/// Code and settings that speak of credentials in every line and hold none.
fn keyword_text() -> String {
    let parts = [
        "let token = request.headers().get(\"authorization\").map(|value| value.to_str());\n",
        "    if password.is_empty() || api_key.len() < 8 { return Err(AuthError::MissingSecret); }\n",
        "export const getToken = (auth: AuthClient, secretName: string) => auth.token(secretName);\n",
        "DATABASE_PASSWORD=${DB_PASSWORD}\nAPI_KEY=your-api-key-here\nSECRET_TOKEN=\n",
        "See https://docs.example.com/auth/tokens#api-keys for how access tokens and secrets are rotated.\n",
        "{\"type\": \"object\", \"properties\": {\"access_token\": {\"type\": \"string\"}, \"private_key\": null}}\n",
        "self.credentials = credentials or Credentials(token=None, secret=None, account_key=self.key)\n",
        "The passphrase protects the private key; the public key may be shared with GitHub, npm or Slack.\n",
    ];
    parts.iter().cycle().flat_map(|part| part.chars()).take(TEXT_BYTES).collect()
}
