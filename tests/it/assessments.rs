//! A tool is assessed and approved on the real binary, with a real polkitd: nobody approves but the person at the desk, and
//! no file that somebody wrote does.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sallyport_tests::front::Answer;
use sallyport_tests::managed::Managed;
use sallyport_tests::polkit::give;
use sallyport_tests::stage::NEGATIVE;
use sallyport_tests::{tools, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};
use crate::desk::{ACTIONS, Desk, Person};

const TEMPLATE: &str = include_str!("../../assets/policies/examples/ai-tool-security-assessment.yaml");
const HOUSE: &str = "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: house}\n\
    spec: {unapprovedTools: block}\n";

/// What the provider's client is told.
fn asked(desk: &Desk) -> Result<String> {
    let family = Family::Anthropic;
    let root = desk.home.join("state/ca/root.pem").display().to_string();
    let (url, body) = (family.url(), prompt(family, "hello", false));
    let mut arguments = vec!["--silent", "--max-time", "30", "--cacert", &root, "--data-binary", &body];
    arguments.extend(["--header", "content-type: application/json"]);
    arguments.extend(family.headers().iter().flat_map(|header| ["--header", header]));
    arguments.push(&url);
    Ok(desk.client(&tools::required("curl")?, &arguments, "")?.ok()?.stdout)
}

fn is_refused(desk: &Desk) -> Result<()> {
    let said = asked(desk)?;
    ensure!(said.contains("asks for an approved security assessment"), "{said}");
    Ok(())
}

fn passes(desk: &Desk) -> Result<()> {
    let said = asked(desk)?;
    ensure!(said.contains("\"passed\""), "{said}");
    Ok(())
}

fn one(desk: &Desk, tool: &str) -> Result<Value> {
    let all = desk.json(&["assess", "show", tool, "--json"])?;
    Ok(all["tools"][0].clone())
}

fn write(desk: &Desk, file: &Path, record: &Value) -> Result<()> {
    let place = desk.home.join("state/assessments").join(file);
    fs::write(&place, record.to_string())?;
    give(&place)
}

/// Questions of the template, answered.
fn answer_all(desk: &Desk, tool: &str) -> Result<()> {
    let questions = one(desk, tool)?["questions"].as_array().cloned().context("no questions")?;
    for question in questions {
        let id = question["id"].as_str().context("no id")?;
        let arguments = ["assess", "answer", tool, id, "--answer", "so it is", "--evidence", "dpa.pdf"];
        desk.sallyport(&arguments, Person::Absent)?.0.ok()?;
    }
    Ok(())
}

#[test]
fn a_tool_is_approved_by_the_person_at_the_desk_and_by_no_file() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"passed": true})));
    let documents = [TEMPLATE.to_owned(), HOUSE.to_owned()];
    let mut desk = Desk::with(ACTIONS, &json!({}), &documents, Some(&providers))?;
    is_refused(&desk)?;
    let new = ["assess", "new", "claude", "--provider", "anthropic", "--certificate", "SOC2"];
    desk.sallyport(&new, Person::Absent)?.0.ok()?;
    ensure!(desk.sallyport(&new, Person::Absent)?.0.code == 1, "a second one of the same name");
    // Nobody is asked who they are for what can't be done.
    let (early, questions) = desk.sallyport(&["assess", "approve", "claude"], Person::Yes)?;
    ensure!(early.code == 1 && questions == 0 && early.stdout.contains("not answered"), "{early:?}");
    answer_all(&desk, "claude")?;
    ensure!(one(&desk, "claude")?["standing"]["state"] == "ready", "{}", one(&desk, "claude")?);

    for (person, times) in [(Person::No, 1), (Person::Absent, 0)] {
        let (refused, questions) = desk.sallyport(&["assess", "approve", "claude"], person)?;
        ensure!(refused.code == 1 && questions == times, "asked {questions} times: {refused:?}");
        let (answer, _) = desk.socket("/v1/assessments/approve", &json!({"tool": "claude"}), person)?;
        ensure!(answer.contains("\"not_permitted\""), "{answer}");
    }
    desk.expect("authentication_asked", "refused")?;
    is_refused(&desk)?;

    // Whoever can write the file approves nothing, with or without something that looks like a seal.
    let file = desk.home.join("state/assessments/claude.yaml");
    let honest: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let mut forged = honest.clone();
    forged["approval"] = json!({"by": "me", "on": "2026-01-01", "until": "2999-01-01"});
    for seal in [Value::Null, json!("ab".repeat(32)), json!("x")] {
        forged["approval"]["seal"] = seal;
        write(&desk, &file, &forged)?;
        wait::until("the forgery to be told of", || {
            let doctor = desk.json(&["doctor", "--json"]).ok()?.to_string();
            doctor.contains("assessment-unsealed").then_some(())
        })?;
        is_refused(&desk)?;
        let shown = one(&desk, "claude")?;
        ensure!(shown["standing"]["state"] == "ready" && shown["approval"].is_null(), "{shown}");
    }
    write(&desk, &file, &honest)?;

    let approve = ["assess", "approve", "claude", "--until", "2999-01-01"];
    let (approved, questions) = desk.sallyport(&approve, Person::Yes)?;
    ensure!(approved.ok()?.stdout.contains("claude is approved until 2999-01-01"));
    ensure!(questions == 1, "asked {questions} times");
    passes(&desk)?;
    let explain = ["policy", "explain", "--provider", "anthropic", "--path", "/v1/messages"];
    ensure!(desk.sallyport(&explain, Person::Absent)?.0.code == 0, "explain says what the engine does");
    desk.restart()?;
    passes(&desk)?;
    desk.expect("assessment_approved", "approved until 2999-01-01 for anthropic")?;

    // The seal is good for this record alone.
    let sealed: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    for (key, value) in [("providers", json!(["anthropic", "openai"])), ("tool", json!("other"))] {
        let mut changed = sealed.clone();
        changed[key] = value;
        write(&desk, &file, &changed)?;
        wait::until("the change to be seen", || is_refused(&desk).ok())?;
        write(&desk, &file, &sealed)?;
        wait::until("the approval to count again", || passes(&desk).ok())?;
    }

    // It was given for these answers.
    let other =
        ["assess", "answer", "claude", "data-usage", "--answer", "Trained on", "--severity", "critical"];
    desk.sallyport(&other, Person::Absent)?.0.ok()?;
    is_refused(&desk)?;
    ensure!(desk.sallyport(&explain, Person::Absent)?.0.code == 1);
    desk.sallyport(&["audit", "verify"], Person::Absent)?.0.ok().map(drop)
}

#[test]
fn where_nobody_can_be_asked_the_approval_is_recorded_as_advisory() -> Result<()> {
    let desk = Desk::with("<policyconfig></policyconfig>", &json!({}), &[TEMPLATE.to_owned()], None)?;
    let new = ["assess", "new", "claude", "--provider", "anthropic", "--certificate", "SOC2"];
    desk.sallyport(&new, Person::Absent)?.0.ok()?;
    answer_all(&desk, "claude")?;
    desk.sallyport(&["assess", "approve", "claude"], Person::Absent)?.0.ok()?;
    let actions = desk.actions()?;
    let row = actions.iter().find(|(kind, ..)| kind == "assessment_approved").context("no row")?;
    ensure!(row.1.contains("nobody could be asked") && row.2, "it waits for a review: {row:?}");
    Ok(())
}

#[test]
fn where_the_administrator_decides_the_administrators_assessments_count() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"passed": true})));
    let managed = Managed::new()?;
    managed.write("policies/house.yaml", HOUSE)?;
    managed.write("policies/template.yaml", TEMPLATE)?;
    let mut stage = providers.stage()?;
    // Of one name the administrator's template counts.
    fs::create_dir_all(stage.path("config/policies"))?;
    let lax = "apiVersion: security.platform/v1\nkind: SecurityAssessmentTemplate\nmetadata: {name: ai-tool-assessment}\nspec: {phases: []}\n";
    fs::write(stage.path("config/policies/lax.yaml"), lax)?;
    stage.start_with(managed.wrapper()?)?;
    let family = Family::Anthropic;
    let client = stage.client()?;
    let said = || -> Result<String> {
        let body = prompt(family, "hello", false);
        Ok(client.curl_post(&family.url(), &family.headers(), body.as_bytes())?.stdout)
    };
    let new = ["assess", "new", "claude", "--provider", "anthropic", "--certificate", "SOC2"];
    ensure!(stage.cli(&new)?.ok()?.stdout.contains("not answered: data-residency"));
    let refused = stage.cli(&["assess", "approve", "claude"])?;
    ensure!(refused.code == NEGATIVE, "{refused:?}");
    let shown = stage.json(&["assess", "show", "claude", "--json"])?["tools"][0].clone();
    ensure!(shown["counts"] == false && shown["managed"] == false, "{shown}");
    let mut answers = json!({});
    for question in shown["questions"].as_array().context("no questions")? {
        let id = question["id"].as_str().context("no id")?;
        stage.cli(&["assess", "answer", "claude", id, "--answer", "so it is"])?.ok()?;
        answers[id] = json!({"answer": "so it is"});
    }
    let refused = stage.cli(&["assess", "approve", "claude"])?;
    ensure!(
        refused.code == NEGATIVE && refused.stderr.contains("whoever manages this machine"),
        "{refused:?}"
    );
    ensure!(said()?.contains("asks for an approved security assessment"), "{}", said()?);

    let record = json!({"tool": "claude", "providers": ["anthropic"], "template": "ai-tool-assessment",
        "created": "2026-01-01", "certificates": ["SOC2"], "answers": answers,
        "approval": {"by": "the company", "on": "2026-01-01", "until": "2999-01-01"}});
    fs::create_dir_all(managed.path("assessments"))?;
    managed.write("assessments/claude.yaml", &record.to_string())?;
    wait::until("the administrator's approval to count", || said().ok()?.contains("\"passed\"").then_some(()))
}
