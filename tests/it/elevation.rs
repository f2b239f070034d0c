//! Permissions for a while on the real binary, with a real polkitd: nobody grants but the person at the desk or a named
//! approver, whoever speaks to the control socket; and everything is in the trail.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sallyport_tests::front::Answer;
use sallyport_tests::polkit::give;
use sallyport_tests::process::Outcome;
use sallyport_tests::{tools, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};
use crate::desk::{ACTIONS, Desk, Person};

#[test]
fn the_person_at_the_desk_approves_and_nobody_else() -> Result<()> {
    let mut desk = Desk::new(ACTIONS, None)?;
    let id = desk.request("secrets:read", "billing/api-key")?;
    let number = id.to_string();
    ensure!(desk.request("secrets:read", "billing/api-key")? == id, "asking again makes no second request");

    let (refused, asked) = desk.sallyport(&["elevate", "approve", &number], Person::No)?;
    ensure!(refused.code == 1 && asked == 1, "asked {asked} times: {refused:?}");
    for person in [Person::No, Person::Absent] {
        let (answer, _) = desk.socket("/v1/elevation/approve", &json!({"id": id}), person)?;
        ensure!(answer.contains("\"not_permitted\""), "{answer}");
        let (answer, _) = desk.socket("/v1/off", &json!({}), person)?;
        ensure!(answer.contains("\"not_permitted\""), "{answer}");
    }
    ensure!(desk.state(id)? == "pending");
    ensure!(desk.json(&["status", "--json"])?["state"] != "off");
    desk.expect("authentication_asked", "refused")?;

    let (granted, asked) = desk.sallyport(&["elevate", "approve", &number, "--json"], Person::Yes)?;
    let granted: Value = serde_json::from_str(&granted.ok()?.stdout)?;
    ensure!(asked == 1 && granted["state"] == "approved", "{granted}");
    ensure!(granted["grant"]["granted_by"]["by"] == "person", "{granted}");

    desk.restart()?;
    ensure!(desk.state(id)? == "approved", "a grant survives a restart");
    let (again, _) = desk.sallyport(&["elevate", "approve", &number], Person::Yes)?;
    ensure!(again.code == 1, "{again:?}");
    desk.sallyport(&["elevate", "revoke", &number], Person::Absent)?.0.ok()?;
    desk.restart()?;
    ensure!(desk.state(id)? == "revoked");

    let denied = desk.request("shell:execute", "git push *")?;
    desk.sallyport(&["elevate", "deny", &denied.to_string()], Person::Absent)?.0.ok()?;
    ensure!(desk.state(denied)? == "denied");

    let (off, asked) = desk.sallyport(&["off", "--for", "5m"], Person::Yes)?;
    off.ok()?;
    ensure!(asked == 1 && desk.json(&["status", "--json"])?["state"] == "paused");
    for (action, outcome) in [
        ("elevation_requested", "pending"),
        ("authentication_asked", "authenticated"),
        ("elevation_granted", "person"),
        ("elevation_revoked", "revoked"),
        ("elevation_denied", "denied"),
        ("protection_off", "off for 300 s"),
    ] {
        desk.expect(action, outcome)?;
    }
    desk.sallyport(&["audit", "verify"], Person::Absent)?.0.ok()?;
    Ok(())
}

#[test]
fn a_named_approver_signs_from_elsewhere() -> Result<()> {
    let keys = tempfile::tempdir()?;
    let sallyport = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(tools::sallyport()?);
        command.args(arguments).current_dir(keys.path());
        Ok(sallyport_tests::process::run(command, wait::PATIENCE)?.ok()?.stdout)
    };
    let public = sallyport(&["elevate", "key", "ann.key"])?;
    sallyport(&["elevate", "key", "mallory.key"])?;
    let policy = format!("{{elevation: {{approvers: [{{name: ann, publicKey: {}}}]}}}}", public.trim());
    let mut desk = Desk::new(ACTIONS, Some(&policy))?;
    let other = Desk::new(ACTIONS, Some(&policy))?;

    let id = desk.request("secrets:read", "billing/api-key")?;
    let sign = |key: &str| -> Result<String> {
        let all = desk.json(&["elevate", "list", "--json"])?;
        fs::write(keys.path().join("request.json"), all[0].to_string())?;
        sallyport(&["elevate", "sign", "request.json", "--key", key, "--name", "ann", "--for", "10m"])
    };
    let (token, forged) = (sign("ann.key")?, sign("mallory.key")?);
    let redeem = |desk: &Desk, token: &str| -> Result<i32> {
        let file = desk.home.join("token.json");
        fs::write(&file, token)?;
        give(&file)?;
        let arguments = ["elevate", "approve", "--token", &file.display().to_string()];
        Ok(desk.sallyport(&arguments, Person::Absent)?.0.code)
    };
    ensure!(redeem(&desk, &forged)? == 1, "another key's signature counts");
    ensure!(redeem(&desk, &token.replace("billing/api-key", "*"))? == 1, "a changed token counts");
    ensure!(other.request("secrets:read", "billing/api-key")? == id);
    ensure!(redeem(&other, &token)? == 1, "a token counts at another engine");
    ensure!(desk.state(id)? == "pending");
    ensure!(redeem(&desk, &token)? == 0, "{:?}", desk.sallyport(&["elevate", "list"], Person::Absent)?);
    let all = desk.json(&["elevate", "list", "--json"])?;
    ensure!(all[0]["grant"]["granted_by"] == json!({"by": "approver", "name": "ann"}), "{all}");
    ensure!(redeem(&desk, &token)? == 1, "a token counts twice");
    desk.sallyport(&["elevate", "revoke", &id.to_string()], Person::Absent)?.0.ok()?;
    let again = desk.request("secrets:read", "billing/api-key")?;
    ensure!(again != id && redeem(&desk, &token)? == 1, "a token counts for the next request");

    // Who edits the file of grants has none.
    let file = desk.home.join("state/elevation.json");
    let text = fs::read_to_string(&file)?.replace("revoked", "approved");
    if let Some(mut engine) = desk.engine.take() {
        engine.kill();
    }
    fs::write(&file, text)?;
    desk.start()?;
    ensure!(desk.json(&["elevate", "list", "--json"])? == json!([]));
    desk.expect("elevation_file_refused", "nothing is granted")?;
    desk.expect("elevation_granted", "approver:ann")?;
    desk.expect("elevation_token_refused", "its signature")
}

#[test]
fn where_nobody_can_be_asked_it_is_said_and_can_be_forbidden() -> Result<()> {
    let none = "<policyconfig></policyconfig>";
    let desk = Desk::new(none, None)?;
    let doctor = desk.json(&["doctor", "--json"])?.to_string();
    ensure!(doctor.contains("approval-advisory") && doctor.contains("polkit does not know"), "{doctor}");
    let id = desk.request("shell:execute", "make release")?;
    desk.sallyport(&["elevate", "approve", &id.to_string()], Person::Absent)?.0.ok()?;
    let actions = desk.actions()?;
    let advisory = actions.iter().find(|(kind, ..)| kind == "elevation_granted").context("no grant")?;
    ensure!(advisory.1 == "advisory" && advisory.2, "it waits for a review: {advisory:?}");
    drop(desk);

    let strict = "{protection: {authentication: required, reason: required}}";
    let desk = Desk::new(none, Some(strict))?;
    for arguments in [&["off", "--reason", "x"][..], &["elevate", "approve", "1"]] {
        desk.request("shell:execute", "make release")?;
        let (refused, _) = desk.sallyport(arguments, Person::Absent)?;
        ensure!(refused.code == 1 && refused.stderr.contains("requires authentication"), "{refused:?}");
    }
    ensure!(desk.state(1)? == "pending");
    drop(desk);

    let desk = Desk::new(ACTIONS, Some("{protection: {off: forbid}}"))?;
    let (refused, asked) = desk.sallyport(&["off", "--for", "5m"], Person::Yes)?;
    ensure!(refused.code == 1 && asked == 0 && refused.stderr.contains("forbids"), "{asked} {refused:?}");
    Ok(())
}

#[test]
fn policy_grants_what_it_may_and_holds_to_its_limits() -> Result<()> {
    let policy = "{elevation: {autoGrant: [network:external], maxDuration: 25m, requireJustification: true}}";
    let desk = Desk::new(ACTIONS, Some(policy))?;
    let id = desk.request("network:external", "*.example.com")?;
    ensure!(desk.state(id)? == "approved");
    let waiting = desk.request("filesystem:write", "/workspace/src/**")?;
    ensure!(desk.state(waiting)? == "pending");
    let ask = |more: &[&str]| -> Result<Outcome> {
        let mut arguments = vec!["elevate", "request", "--scope", "network:external", "--resource"];
        arguments.extend(more);
        Ok(desk.sallyport(&arguments, Person::Absent)?.0)
    };
    for (more, said) in [
        (&["a.example.com", "--for", "26m", "--justification", "x"][..], "1500 seconds"),
        (&["a.example.com", "--for", "5m"], "justification"),
        (&["*", "--justification", "x", "--for", "5m"], "expected a domain"),
    ] {
        let refused = ask(more)?;
        ensure!(refused.code == 2 && refused.stderr.contains(said), "{more:?}: {refused:?}");
    }
    Ok(())
}

/// An assistant's turn that calls for a shell.
fn shell_call(command: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": command}}],
        "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 7, "output_tokens": 9},
    })
}

#[test]
fn a_denied_call_asks_and_passes_once_it_is_granted() -> Result<()> {
    let providers = Providers::scripted()?;
    let agents = json!({"default_class": "coding-assistant", "default_tier": "work"});
    let mut stage = providers.stage()?.set("/agents", agents);
    fs::create_dir_all(stage.path("config/policies"))?;
    let permissions = json!({
        "apiVersion": "security.platform/v1", "kind": "AgentPermissionPolicy", "metadata": {"name": "agents"},
        "spec": {"agentClass": "coding-assistant", "tiers": [{"name": "work", "permissions":
            {"shell": [{"action": "execute", "allowlist": ["npm test"]}]}}]},
    });
    fs::write(stage.path("config/policies/agents.yaml"), permissions.to_string())?;
    let house = json!({
        "apiVersion": "sallyport/v1", "kind": "SallyportPolicy", "metadata": {"name": "house"},
        "spec": {"agents": {"mode": "enforce"}, "elevation": {"hold": "off"}},
    });
    fs::write(stage.path("config/policies/house.yaml"), house.to_string())?;
    stage.start()?;
    providers.front.answer(|_| Answer::json(200, &shell_call("git push origin main")));
    let client = stage.client()?;
    let ask = || -> Result<Value> {
        let body = prompt(Family::Anthropic, "Release it.", false);
        let answer =
            client.curl_post(&Family::Anthropic.url(), &Family::Anthropic.headers(), body.as_bytes())?;
        serde_json::from_str(&answer.ok()?.stdout).context("no JSON")
    };
    for _ in 0..2 {
        let denied = ask()?;
        let text = denied["content"][0]["text"].as_str().unwrap_or_default();
        ensure!(text.contains("Request 1 ") && text.contains("elevate approve 1"), "{denied}");
    }
    let waiting = stage.json(&["elevate", "list", "--json"])?;
    ensure!(waiting.as_array().is_some_and(|all| all.len() == 1), "the same call asks once: {waiting}");
    ensure!(waiting[0]["resources"] == json!(["git push origin main"]), "{waiting}");
    ensure!(waiting[0]["account"] == "coding-assistant", "{waiting}");

    stage.cli(&["elevate", "approve", "1"])?.ok()?;
    let passed = ask()?;
    ensure!(passed["content"][0]["input"]["command"] == "git push origin main", "{passed}");
    providers.front.answer(|_| Answer::json(200, &shell_call("git push origin main --force")));
    let other = ask()?;
    ensure!(other["content"][0]["text"].as_str().is_some_and(|text| text.contains("Request 2 ")), "{other}");
    stage.cli(&["elevate", "revoke", "1"])?.ok()?;
    providers.front.answer(|_| Answer::json(200, &shell_call("git push origin main")));
    ensure!(ask()?["content"][0]["type"] == "text", "a revoked grant still counts");

    let events = stage.settled_events()?;
    let used =
        events.iter().find(|e| e["actions"][0]["action_type"] == "elevation_used").context("no use")?;
    ensure!(used["actor"]["service_account"] == "coding-assistant", "{used}");
    stage.verified()
}
