//! Which policy counts while the engine runs: a changed one soon, a broken one never, the administrator's over the
//! user's, and a signed bundle that never goes back.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use sallyport_tests::managed::Managed;
use sallyport_tests::{Stage, wait};
use serde_json::Value;

use crate::common::{Family, Providers, prompt};

/// What the README promises of a changed file.
const SOON: Duration = Duration::from_secs(2);

const CLASSES: &str = include_str!("../../assets/policies/examples/data-classification-policy.yaml");

const AGENTS: &str = include_str!("../../assets/policies/examples/agent-rbac-policy.yaml");

fn house(spec: &str) -> String {
    format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: house}}\nspec: {spec}\n")
}

/// A policy under which this word may go to nobody.
fn forbids(word: &str) -> String {
    house(&format!("{{onViolation: block, classification: {{labels: {{{word}: restricted}}}}}}"))
}

fn stage(providers: &Providers) -> Result<Stage> {
    let stage = providers.stage()?;
    fs::create_dir_all(stage.path("config/policies"))?;
    fs::write(stage.path("config/policies/classes.yaml"), CLASSES)?;
    Ok(stage)
}

/// Whether a request with this word reaches the provider.
fn passes(stage: &Stage, word: &str) -> Result<bool> {
    let body = prompt(Family::OpenAi, &format!("about {word}"), false);
    let client = stage.client()?;
    let outcome =
        client.curl_post(&Family::OpenAi.url(), &Family::OpenAi.headers(), body.as_bytes())?.ok()?;
    let answer: Value = serde_json::from_str(&outcome.stdout).with_context(|| format!("{outcome:?}"))?;
    ensure!(answer["choices"].is_array() || answer["error"]["code"] == "provider_not_allowed", "{answer}");
    Ok(answer["choices"].is_array())
}

fn version(stage: &Stage) -> Result<String> {
    Ok(stage.status()?["policy"]["version"].as_str().context("no version")?.to_owned())
}

/// Waits for another version than this one; gives how long after the file's time its row was written.
fn reloaded(stage: &Stage, before: &str, file: &Path) -> Result<Duration> {
    let now = wait::until("another policy", || version(stage).ok().filter(|version| version != before))?;
    // It is in force first and in the trail a moment later.
    let row = wait::until("its row", || {
        stage.audit_events().ok()?.into_iter().rev().find(|row| {
            let action = &row["actions"][0];
            action["action_type"] == "policy_reloaded" && action["outcome"] == format!("version {now}")
        })
    })?;
    let at: Timestamp = row["timestamp"].as_str().context("no time")?.parse()?;
    let written = fs::metadata(file)?.modified()?;
    Ok(SystemTime::from(at).duration_since(written).unwrap_or_default())
}

fn setting(stage: &Stage, key: &str) -> Result<Value> {
    let view = stage.json(&["policy", "show", "--json"])?;
    let rows = view["settings"].as_array().context("no settings")?;
    rows.iter().find(|row| row["key"] == key).cloned().with_context(|| format!("no {key}"))
}

#[test]
fn a_changed_policy_counts_soon_and_a_broken_one_never() -> Result<()> {
    let providers = Providers::emulated()?;
    let mut stage = stage(&providers)?;
    stage.start()?;
    let file = stage.path("config/policies/house.yaml");
    ensure!(passes(&stage, "FALCON")?);

    let before = version(&stage)?;
    fs::write(&file, forbids("FALCON"))?;
    let taken = reloaded(&stage, &before, &file)?;
    ensure!(taken <= SOON, "it took {taken:?}");
    ensure!(!passes(&stage, "FALCON")? && passes(&stage, "HERON")?);

    // Broken: named with its place, and the last good one stays; also for an engine that starts with it.
    let good = version(&stage)?;
    fs::write(&file, forbids("HERON").replace("onViolation: block", "onViolation: blok"))?;
    let item = stage.health_item("policy-malformed")?;
    let sentence = item["sentence"].as_str().unwrap_or_default();
    ensure!(sentence.contains("house.yaml:4:21") && sentence.contains("last good"), "{item}");
    let still = |stage: &Stage| -> Result<()> {
        ensure!(version(stage)? == good && !passes(stage, "FALCON")? && passes(stage, "HERON")?);
        let problems = stage.json(&["policy", "show", "--json"])?["problems"].clone();
        ensure!(problems[0].as_str().is_some_and(|said| said.contains("house.yaml:4:21")), "{problems}");
        Ok(())
    };
    still(&stage)?;
    stage.stop()?;
    stage.start()?;
    still(&stage)?;

    fs::write(&file, forbids("HERON"))?;
    reloaded(&stage, &good, &file)?;
    ensure!(passes(&stage, "FALCON")? && !passes(&stage, "HERON")?);
    ensure!(stage.health()?.iter().all(|item| item["code"] != "policy-malformed"), "it is mended");

    // Gone: nothing is forbidden any more.
    let before = version(&stage)?;
    fs::remove_file(&file)?;
    wait::until("the policy to go", || (version(&stage).ok()? != before).then_some(()))?;
    ensure!(passes(&stage, "HERON")?);
    stage.verified()
}

#[test]
fn a_name_that_policy_does_not_describe_is_told_and_every_mistake_of_a_file() -> Result<()> {
    let providers = Providers::emulated()?;
    let mut stage = stage(&providers)?
        .set("/identity/tier", "king".into())
        .set("/agents", serde_json::json!({"default_tier": "everything"}));
    fs::write(stage.path("config/policies/agents.yaml"), AGENTS)?;
    stage.start()?;
    let told = |stage: &Stage| -> Result<Vec<String>> {
        let named = stage.health()?.into_iter().filter(|item| item["code"] == "policy-name");
        Ok(named.map(|item| item["sentence"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let both = told(&stage)?;
    ensure!(both.len() == 2 && both[0].contains("called `king`"), "{both:?}");
    ensure!(both[1].contains("has no tier `everything`") && both[1].contains("config.yaml:"), "{both:?}");

    // Describing it mends it, without a restart.
    let tier = "requestsPerMinute: 9, requestsPerHour: 9, tokensPerDay: 90000, maxPromptLength: 9000, maxConcurrentRequests: 9";
    let file = stage.path("config/policies/house.yaml");
    fs::write(&file, house(&format!("{{quotas: {{tiers: {{king: {{{tier}}}}}}}}}")))?;
    wait::until("one name less", || told(&stage).ok().filter(|left| left.len() == 1))?;

    // One file with several mistakes: all of them, in one item and by `policy check`.
    fs::write(&file, house("{opaqe: block, malformed: maybe, quotas: {onExceed: stop}}"))?;
    let item = stage.health_item("policy-malformed")?;
    let sentence = item["sentence"].as_str().unwrap_or_default();
    ensure!(
        ["4:8", "4:33", "4:59"].iter().all(|place| sentence.contains(&format!("house.yaml:{place}:"))),
        "{item}"
    );
    let (config, file) = (stage.path("config/config.yaml"), file.display().to_string());
    let checked = stage.cli(&["policy", "check", "--json", &file, &config.display().to_string()])?;
    let report: Value = serde_json::from_str(&checked.stdout)?;
    ensure!(checked.code == 1 && report["problems"].as_array().is_some_and(|all| all.len() == 3), "{report}");
    fs::remove_file(&file)?;
    let agents = stage.path("config/policies").display().to_string();
    let checked = stage.cli(&["policy", "check", "--json", &agents, &config.display().to_string()])?;
    let report: Value = serde_json::from_str(&checked.stdout)?;
    let warnings = report["problems"].as_array().context("no problems")?;
    ensure!(checked.code == 0 && warnings.len() == 2 && warnings[0]["severity"] == "warning", "{report}");
    Ok(())
}

#[test]
fn what_an_administrator_says_counts_over_the_users_word() -> Result<()> {
    let providers = Providers::emulated()?;
    let managed = Managed::new()?;
    managed.write("config.yaml", "profile: strict\n")?;
    managed.write("policies/house.yaml", &house("{opaque: warn, protection: {off: forbid}}"))?;
    let mut stage = stage(&providers)?.set("/profile", "balanced".into());
    fs::write(
        stage.path("config/policies/mine.yaml"),
        house("{opaque: allow, telemetry: scan, protection: {off: allow, reason: required}}"),
    )?;
    stage.start_with(managed.wrapper()?)?;
    for (key, value, origin, locked) in [
        ("profile", "strict", "managed", true),
        ("opaque", "warn", "managed", true),
        ("protection.off", "forbid", "managed", true),
        ("protection.reason", "required", "user", false),
        ("fail_mode", "closed", "default", false),
    ] {
        let row = setting(&stage, key)?;
        ensure!(row["value"] == value && row["origin"] == origin && row["locked"] == locked, "{key}: {row}");
    }
    let shown = stage.cli(&["policy", "show"])?.ok()?.stdout;
    let line = shown.lines().find(|line| line.contains("protection.off")).context("no line")?;
    ensure!(line.contains("forbid") && line.contains("locked"), "{line}");
    let off = stage.cli(&["off"])?;
    ensure!(off.code == 1 && off.stderr.contains("of whoever manages this machine"), "{off:?}");

    // A recommendation is no lock; it takes effect without a restart, too.
    let before = version(&stage)?;
    let file = managed.path("policies/house.yaml");
    fs::write(&file, house("{lock: false, opaque: warn, protection: {off: forbid}}"))?;
    ensure!(reloaded(&stage, &before, &file)? <= SOON);
    let row = setting(&stage, "protection.off")?;
    ensure!(row["value"] == "allow" && row["origin"] == "user" && row["locked"] == false, "{row}");
    let row = setting(&stage, "opaque")?;
    ensure!(row["value"] == "block" && row["locked"] == true, "the managed profile implies it: {row}");
    Ok(())
}

#[test]
fn a_signed_bundle_counts_and_never_goes_back() -> Result<()> {
    let providers = Providers::emulated()?;
    let managed = Managed::new()?;
    let mut stage = stage(&providers)?;
    let key = |name: &str| -> Result<String> {
        let file = stage.path(name).display().to_string();
        let made = stage.cli(&["policy", "bundle", "keygen", "--output", &file])?.ok()?;
        made.stdout
            .split_whitespace()
            .find(|word| word.starts_with("ed25519:"))
            .map(str::to_owned)
            .context("no key")
    };
    let trusted = key("signing.key")?;
    key("other.key")?;
    managed.write("config.yaml", &format!("bundles: {{trusted_keys: [\"{trusted}\"]}}\n"))?;
    let sign = |word: &str, version: &str, key: &str| -> Result<()> {
        let text = stage.path("signed.yaml");
        fs::write(&text, forbids(word))?;
        let (text, key) = (text.display().to_string(), stage.path(key).display().to_string());
        let bundle = managed.path("policy.bundle").display().to_string();
        let arguments =
            ["policy", "bundle", "sign", "--key", &key, "--version", version, "--output", &bundle, &text];
        stage.cli(&arguments)?.ok().map(drop)
    };
    let bundle = managed.path("policy.bundle");
    let mut signed = Vec::new();
    for (word, version, key) in
        [("HERON", "6", "signing.key"), ("OSPREY", "9", "other.key"), ("FALCON", "7", "signing.key")]
    {
        sign(word, version, key)?;
        signed.push(fs::read(&bundle)?);
    }
    stage.start_with(managed.wrapper()?)?;
    ensure!(!passes(&stage, "FALCON")? && passes(&stage, "HERON")?);
    ensure!(setting(&stage, "on_violation")?["locked"] == true);

    for (text, said) in signed.iter().zip(["version 6, and version 7", "does not trust"]) {
        fs::write(&bundle, text)?;
        let item = wait::until(said, || {
            let item = stage.health().ok()?.into_iter().find(|item| item["code"] == "policy-malformed")?;
            item["sentence"].as_str()?.contains(said).then_some(item)
        });
        item.with_context(|| format!("{:?}", stage.health()))?;
        ensure!(!passes(&stage, "FALCON")? && passes(&stage, "HERON")?, "{said}");
    }
    // Taking it away weakens nothing, in a later run neither.
    fs::remove_file(&bundle)?;
    stage.stop()?;
    stage.start_with(managed.wrapper()?)?;
    ensure!(!passes(&stage, "FALCON")?);
    Ok(())
}
