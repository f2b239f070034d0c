//! Whoever changes the trail is found out: `audit verify` says that it is not whole, and where.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use rusqlite::{Connection, params};
use sallyport_tests::process::{Outcome, run};
use sallyport_tests::stage::{NEGATIVE, OK};
use sallyport_tests::{Answer, tools, wait};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::common::{Family, Providers, prompt};

const REQUESTS: usize = 12;

/// A home with a finished trail, and an older copy of the trail's file.
struct Trail {
    home: tempfile::TempDir,
    older: Vec<u8>,
}

impl Trail {
    fn record() -> Result<Trail> {
        let providers = Providers::scripted()?;
        providers.front.answer(|_| Answer::json(200, &json!({"choices": []})));
        let mut stage = providers.stage()?;
        let mut older = Vec::new();
        for part in 0..2 {
            stage.start()?;
            let client = stage.client()?;
            for n in 0..REQUESTS / 2 {
                let body = prompt(Family::OpenAi, &format!("part {part}, request {n}"), false);
                client.curl_post(&Family::OpenAi.url(), &[], body.as_bytes())?.ok()?;
            }
            stage.stop()?;
            if part == 0 {
                older = whole_file(&stage.path("state/audit.db"))?;
            }
        }
        let home = tempfile::Builder::new().prefix("tr").tempdir()?;
        copy(stage.home(), home.path())?;
        whole_file(&home.path().join("state/audit.db"))?;
        Ok(Trail { home, older })
    }

    /// Tampers with a copy, and verifies that.
    fn after(&self, tamper: impl FnOnce(&Connection) -> Result<()>) -> Result<Outcome> {
        let home = tempfile::Builder::new().prefix("tr").tempdir()?;
        copy(self.home.path(), home.path())?;
        let connection = Connection::open(home.path().join("state/audit.db"))?;
        tamper(&connection)?;
        connection.close().map_err(|(_, e)| e)?;
        verify(home.path())
    }
}

/// Leaves nothing of the trail in its write-ahead log, and returns the file.
fn whole_file(path: &Path) -> Result<Vec<u8>> {
    let connection = Connection::open(path)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, e)| e)?;
    Ok(fs::read(path)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.arg("--archive").arg(from.join("config")).arg(from.join("state")).arg(to);
    run(command, wait::PATIENCE)?.ok().map(drop)
}

fn verify(home: &Path) -> Result<Outcome> {
    let mut command = Command::new(tools::sallyport()?);
    command.args(["audit", "verify"]).env_clear().env("SALLYPORT_HOME", home).env("HOME", home);
    run(command, wait::PATIENCE)
}

fn rows(connection: &Connection) -> Result<Vec<(i64, Vec<u8>, String)>> {
    let mut statement = connection.prepare("SELECT seq, hash, body FROM event ORDER BY seq")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn set_body(connection: &Connection, seq: i64, body: &str) -> Result<()> {
    let changed = connection.execute("UPDATE event SET body = ?2 WHERE seq = ?1", params![seq, body])?;
    ensure!(changed == 1, "there is no row {seq}");
    Ok(())
}

/// A change in a place that no index repeats: another hash of what was sent, or another event id.
fn forge(body: &str) -> String {
    for field in ["\"prompt_hash\":\"", "\"user_id\":\"", "\"timestamp\":\""] {
        if let Some(at) = body.find(field).map(|at| at + field.len()) {
            let other = if &body[at..=at] == "1" { "2" } else { "1" };
            return format!("{}{other}{}", &body[..at], &body[at + 1..]);
        }
    }
    body.replace("gpt-4o", "gpt-5o")
}

/// Removes rows, and what the index says of them.
fn remove(connection: &Connection, from: i64, to: i64) -> Result<()> {
    for table in ["event", "facet"] {
        connection.execute(&format!("DELETE FROM {table} WHERE seq BETWEEN ?1 AND ?2"), params![from, to])?;
    }
    Ok(())
}

/// Gives row `from` the number `to`, in the index too.
fn renumber(connection: &Connection, from: i64, to: i64) -> Result<()> {
    for table in ["event", "facet"] {
        connection.execute(&format!("UPDATE {table} SET seq = ?2 WHERE seq = ?1"), params![from, to])?;
    }
    Ok(())
}

/// Makes the chain fit again from row `from` to the end, as somebody who knows how it is made would.
fn rehash(connection: &Connection, from: i64) -> Result<()> {
    let mut previous: Option<Vec<u8>> = None;
    for (seq, hash, body) in rows(connection)? {
        if seq < from {
            previous = Some(hash);
            continue;
        }
        let before = previous.context("the first row has no row before it")?;
        let at = body.find("\"prev_hash\":\"").context("a row without prev_hash")? + "\"prev_hash\":\"".len();
        let body = format!("{}{}{}", &body[..at], HEXLOWER.encode(&before), &body[at + 64..]);
        let hash = Sha256::new().chain_update(&before).chain_update(body.as_bytes()).finalize().to_vec();
        connection
            .execute("UPDATE event SET body = ?2, hash = ?3 WHERE seq = ?1", params![seq, body, hash])?;
        previous = Some(hash);
    }
    Ok(())
}

#[test]
fn every_kind_of_tampering_is_named() -> Result<()> {
    let trail = Trail::record()?;
    let whole = trail.after(|_| Ok(()))?;
    ensure!(whole.code == OK, "an untouched copy does not verify: {whole:?}");
    let all = rows(&Connection::open(trail.home.path().join("state/audit.db"))?)?;
    let last = all.len() as i64;
    ensure!(last >= 2 * REQUESTS as i64, "only {last} rows");
    let victim = all.iter().skip(5).find(|(_, _, body)| body.contains("prompt_hash")).map(|(seq, ..)| *seq);
    let victim = victim.context("no row has a prompt_hash")?;

    let found = |case: &str, row: Option<i64>, outcome: Outcome| -> Result<()> {
        ensure!(outcome.code == NEGATIVE, "{case} was not noticed: {outcome:?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        if let Some(row) = row {
            let number = regex::Regex::new(&format!(r"\b{row}\b"))?;
            ensure!(number.is_match(&said), "{case}: row {row} is not named: {said}");
        }
        println!("{case}: {}", said.lines().next().unwrap_or(""));
        Ok(())
    };

    found(
        "a changed row",
        Some(victim),
        trail.after(|c| set_body(c, victim, &forge(&rows(c)?[victim as usize - 1].2)))?,
    )?;
    found(
        "a changed row with its own hash made anew",
        Some(victim),
        trail.after(|c| {
            let all = rows(c)?;
            let body = forge(&all[victim as usize - 1].2);
            let before = &all[victim as usize - 2].1;
            let hash = Sha256::new().chain_update(before).chain_update(body.as_bytes()).finalize().to_vec();
            c.execute("UPDATE event SET hash = ?2 WHERE seq = ?1", params![victim, hash])?;
            set_body(c, victim, &body)
        })?,
    )?;
    found("a deleted row", Some(6), trail.after(|c| remove(c, 6, 6))?)?;
    found(
        "a deleted row, the rest moved up",
        None,
        trail.after(|c| {
            remove(c, 6, 6)?;
            (7..=last).try_for_each(|seq| renumber(c, seq, seq - 1))
        })?,
    )?;
    found(
        "an inserted row",
        None,
        trail.after(|c| {
            (8..=last).rev().try_for_each(|seq| renumber(c, seq, seq + 1))?;
            c.execute("INSERT INTO event SELECT 8, hash, body FROM event WHERE seq = 3", [])?;
            Ok(())
        })?,
    )?;
    found(
        "two swapped rows",
        Some(7),
        trail.after(|c| {
            let all = rows(c)?;
            for (to, from) in [(7, 8), (8, 7)] {
                let (_, hash, body) = &all[from as usize - 1];
                c.execute("UPDATE event SET hash = ?2, body = ?3 WHERE seq = ?1", params![to, hash, body])?;
            }
            Ok(())
        })?,
    )?;
    found("a cut tail", None, trail.after(|c| remove(c, last - 2, last))?)?;
    found("a tail of one row cut", None, trail.after(|c| remove(c, last, last))?)?;
    found(
        "a re-hashed suffix",
        None,
        trail.after(|c| {
            let at = last - 4;
            let body = forge(&rows(c)?[at as usize - 1].2);
            set_body(c, at, &body)?;
            rehash(c, at)
        })?,
    )?;
    found(
        "the whole trail re-hashed",
        None,
        trail.after(|c| {
            let body = forge(&rows(c)?[1].2);
            set_body(c, 2, &body)?;
            rehash(c, 2)
        })?,
    )?;
    found("an emptied trail", None, trail.after(|c| remove(c, 1, last))?)?;

    let home = tempfile::Builder::new().prefix("tr").tempdir()?;
    copy(trail.home.path(), home.path())?;
    fs::write(home.path().join("state/audit.db"), &trail.older)?;
    found("an older copy of the file", None, verify(home.path())?)?;

    fs::remove_file(home.path().join("state/audit.db"))?;
    found("a trail that is gone", None, verify(home.path())?)
}
