//! Ten turns of one conversation: the same secret gets the same placeholder every time, so that the part of the body
//! that a provider has cached is the same bytes again, also when the engine was restarted meanwhile.

use anyhow::{Context, Result, ensure};
use sallyport_tests::secrets;

use crate::common::{Family, Providers};

/// Values that no source knows and a rule finds; two of each kind, which must stay apart.
const FOUND_BY_RULES: [&str; 4] =
    ["AKIAQ3EGRVX7T5OMKL2P", "AKIAZ7WN4JHD2CYB6FUS", "anna.berg@corp.example (Anna Berg)", "078-05-1120"];

#[test]
fn the_prefix_stays_the_same_bytes_over_ten_turns() -> Result<()> {
    let providers = Providers::emulated()?;
    let known = secrets::some("turn", 10, 21, false);
    // What a line of such a file can hold as it is.
    let usable: Vec<_> = known.iter().filter(|s| !s.value.contains(['\n', '\'', '"', '\\'])).collect();
    let line = |s: &&secrets::Secret| format!("{}={}\n", s.path.replace('-', "_").to_uppercase(), s.value);
    let file: String = usable.iter().map(line).collect();
    let mut stage = providers.stage()?.with_secret_file(&file)?;
    stage.start()?;
    stage.wait_for_secrets(usable.len())?;
    let tags = regex::Regex::new(r"\[REDACTED_AWS_KEY[^\]]*\]")?;
    for family in Family::BOTH {
        let head = match family {
            Family::OpenAi => r#"{"model":"gpt-4o","temperature":0.2,"messages":["#,
            Family::Anthropic => r#"{"model":"claude-sonnet-4-5","max_tokens":99,"messages":["#,
        };
        let mut messages = Vec::new();
        let mut previous: Option<Vec<u8>> = None;
        for turn in 0..10 {
            if turn == 5 {
                stage.stop()?;
                stage.start()?;
                stage.wait_for_secrets(usable.len())?;
            }
            let client = stage.client()?;
            let secret = &usable[turn % usable.len()].value;
            let (a, b) = (FOUND_BY_RULES[turn % 4], FOUND_BY_RULES[(turn + 1) % 4]);
            let text = sallyport_tests::encodings::inside_json_string(&format!(
                "Turn {turn}: the key {secret} goes with {a} and {b}, as before."
            ));
            messages.push(format!(r#"{{"role":"user","content":"{text}"}}"#));
            let sent = format!("{head}{}]}}", messages.join(","));
            messages.push(format!(r#"{{"role":"assistant","content":"Noted, turn {turn}."}}"#));
            client.curl_post(&family.url(), &family.headers(), sent.as_bytes())?.ok()?;
            let [seen] = &providers.front.take()[..] else { anyhow::bail!("turn {turn}: not one request") };
            let body = String::from_utf8(seen.body.to_vec())?;
            for value in usable
                .iter()
                .map(|s| s.value.as_str())
                .chain(["AKIAQ3EGRVX7T5OMKL2P", "AKIAZ7WN4JHD2CYB6FUS"])
            {
                ensure!(!body.contains(value), "{family:?} turn {turn}: {value} was sent");
            }
            if let Some(previous) = previous {
                // All but the closing brackets.
                let prefix = &previous[..previous.len() - 2];
                ensure!(
                    seen.body.starts_with(prefix),
                    "{family:?} turn {turn}: the prefix changed\n--- before\n{}\n--- now\n{body}",
                    String::from_utf8_lossy(prefix)
                );
            }
            previous = Some(seen.body.to_vec());
        }
        let last = String::from_utf8(previous.context("no turn")?)?;
        ensure!(last.contains("[SECRET:TURN_00]") && last.contains("[REDACTED_AWS_KEY"), "{last}");
        let mut kinds: Vec<_> = tags.find_iter(&last).map(|m| m.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        ensure!(kinds.len() == 2, "two keys must stay two things: {kinds:?}");
    }
    stage.verified()
}
