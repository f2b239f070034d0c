//! Who may know whom. An edge that is not in the table is a wall that somebody moved; moving one takes an ADR.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sallyport_tests::tools;
use serde_json::Value;

/// Each crate of ours, the crates of ours that it may use, and why each is allowed.
const EDGES: &[(&str, &[(&str, &str)])] = &[
    // The pure middle and the generic parts know nothing of ours, so each can be tested, fuzzed and swapped alone.
    ("sallyport-policy", &[]),
    ("sallyport-wire", &[]),
    ("hudson-proxy", &[]),
    ("sallyport-certs", &[]),
    ("sallyport-platform", &[]),
    ("sallyport-detect", &[("sallyport-policy", "findings carry its levels and severities")]),
    (
        "sallyport-secrets",
        &[
            ("sallyport-policy", "its configuration names the sources"),
            ("sallyport-platform", "the keychain and the places of well-known files differ by system"),
        ],
    ),
    ("sallyport-audit", &[("sallyport-policy", "events carry its levels, retention is its setting")]),
    (
        "sallyport-ipc",
        &[
            ("sallyport-policy", "answers carry its vocabulary"),
            ("sallyport-platform", "credentials of a socket's peer differ by system"),
        ],
    ),
    (
        "sallyport-engine",
        &[
            ("sallyport-policy", "the engine composes everything"),
            ("sallyport-detect", "the engine composes everything"),
            ("sallyport-wire", "the engine composes everything"),
            ("hudson-proxy", "the engine composes everything"),
            ("sallyport-secrets", "the engine composes everything"),
            ("sallyport-audit", "the engine composes everything"),
            ("sallyport-platform", "the engine composes everything"),
            ("sallyport-ipc", "the engine composes everything"),
            ("sallyport-certs", "the engine composes everything"),
        ],
    ),
    (
        "sallyport-cli",
        &[
            ("sallyport-engine", "`daemon` is the engine in the foreground"),
            ("sallyport-ipc", "every other command talks to a running engine"),
            ("sallyport-detect", "`scan` and `rules` work without an engine"),
            ("sallyport-audit", "`audit verify` must work when the engine does not"),
            ("sallyport-policy", "`policy check` works without an engine"),
            ("sallyport-platform", "paths, and which shell and system this is"),
        ],
    ),
    (
        "sallyport-desktop",
        &[
            ("sallyport-ipc", "the app is a client of the engine, as the command line is"),
            ("sallyport-platform", "paths, and how a system wants its icons"),
            ("sallyport-policy", "answers of the engine carry its vocabulary"),
        ],
    ),
];

/// May use anything; nothing may use them.
const OUTSIDE: [&str; 2] = ["sallyport-tests", "sallyport-bench"];

/// Only the crate for the systems' differences may hold `unsafe`, and only there may `cfg(target_os)` decide.
const PLATFORM: &str = "sallyport-platform";

#[test]
fn crates_know_only_whom_they_may() -> Result<()> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let table: BTreeMap<&str, &[(&str, &str)]> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package without a name")?;
        if OUTSIDE.contains(&name) {
            continue;
        }
        let Some(allowed) = table.get(name) else {
            wrong.push(format!("{name} is not in the table: say whom it may know, and why"));
            continue;
        };
        // Dependencies of tests and build scripts count as well: they are knowledge too.
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or("");
            if ours.contains(on) && on != name && !allowed.iter().any(|(a, _)| *a == on) {
                wrong.push(format!("{name} uses {on}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "edges that are not allowed:\n  {}", wrong.join("\n  "));
    let gone: Vec<_> = table.keys().filter(|name| !ours.contains(*name)).collect();
    ensure!(gone.is_empty(), "the table names crates that are gone: {gone:?}");
    Ok(())
}

#[test]
fn every_crate_inherits_the_lints() -> Result<()> {
    let workspace = std::fs::read_to_string(tools::sources().with_file_name("Cargo.toml"))?;
    for (name, manifest) in manifests()? {
        let text = std::fs::read_to_string(&manifest)?;
        if name != PLATFORM {
            ensure!(
                text.contains("[lints]\nworkspace = true"),
                "{name} does not inherit the workspace's lints"
            );
            continue;
        }
        // A crate cannot inherit and allow `unsafe`; so this one repeats the rest.
        let lints = workspace
            .lines()
            .skip_while(|l| !l.starts_with("[workspace.lints"))
            .filter(|l| l.contains(" = "));
        for lint in lints.take_while(|l| !l.starts_with("debug")).filter(|l| !l.starts_with("unsafe_code")) {
            ensure!(text.contains(lint), "{name} lacks the workspace's lint {lint}");
        }
    }
    Ok(())
}

#[test]
fn unsafe_and_system_differences_stay_in_platform() -> Result<()> {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests()? {
        if name == PLATFORM || OUTSIDE.contains(&name.as_str()) {
            continue;
        }
        let sources = Path::new(&manifest).with_file_name("src");
        each_source(&sources, &mut |path, text| {
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                let bad = code.contains("cfg(target_os")
                    || code.contains("allow(unsafe_code)")
                    || code.contains("expect(unsafe_code)");
                if bad {
                    wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
                }
            }
        })?;
    }
    ensure!(wrong.is_empty(), "these belong in {PLATFORM}:\n  {}", wrong.join("\n  "));
    Ok(())
}

/// AI traffic goes through the dialer of hudson-proxy. The engine asks for policy bundles by another client, and for
/// nothing else.
#[test]
fn the_engine_fetches_bundles_alone_by_a_client_of_its_own() -> Result<()> {
    let manifests = manifests()?;
    let (_, manifest) = manifests.iter().find(|(name, _)| name == "sallyport-engine").context("no engine")?;
    let engine = Path::new(manifest).with_file_name("src");
    let mut users = BTreeSet::new();
    each_source(&engine, &mut |path, text| {
        if text.contains("reqwest") {
            users.insert(path.strip_prefix(&engine).unwrap_or(path).display().to_string());
        }
    })?;
    ensure!(users == BTreeSet::from(["bundles/fetch.rs".to_owned()]), "{users:?} name reqwest");
    Ok(())
}

#[test]
fn crates_that_parse_hostile_bytes_deny_panics() -> Result<()> {
    let guarded = ["hudson-proxy", "sallyport-wire", "sallyport-detect", "sallyport-certs", "sallyport-ipc"];
    for (name, manifest) in manifests()? {
        if !guarded.contains(&name.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(Path::new(&manifest).with_file_name("src").join("lib.rs"))?;
        for lint in ["unwrap_used", "expect_used", "indexing_slicing", "clippy::panic"] {
            ensure!(text.contains(lint), "{name} does not deny {lint}");
        }
    }
    Ok(())
}

fn manifests() -> Result<Vec<(String, String)>> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let pair = |p: &Value| Some((p["name"].as_str()?.to_owned(), p["manifest_path"].as_str()?.to_owned()));
    Ok(packages.iter().filter_map(pair).collect())
}

fn metadata() -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(tools::sources())
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn each_source(folder: &Path, visit: &mut impl FnMut(&Path, &str)) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            each_source(&path, visit)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            visit(&path, &std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
