//! The provider emulator, an npm package that answers as OpenAI and Anthropic do.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::Background;
use crate::{tools, wait};

pub struct Aimock {
    pub address: SocketAddr,
    _process: Background,
    _dir: TempDir,
}

/// What the emulator says when it calls no tool, streamed in pieces of twenty characters.
pub const ANSWER: &str =
    "The gate is shut and the guard is awake, so nothing leaves this house unseen tonight.";

impl Aimock {
    /// Starts with the fixtures in `tests/fixtures/providers.json`.
    pub fn start() -> Result<Aimock> {
        let fixtures = std::fs::read_to_string(tools::sources().join("fixtures/providers.json"))?;
        Aimock::with_fixtures(&fixtures)
    }

    /// Starts with fixtures of the test's own, in the emulator's JSON.
    pub fn with_fixtures(fixtures: &str) -> Result<Aimock> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("fixtures.json");
        std::fs::write(&file, fixtures)?;
        let mut command = Command::new(tools::aimock()?);
        command.args(["--port", "0", "--journal-max", "1", "--fixtures"]).arg(&file);
        let process = Background::start(command, &dir.path().join("aimock.log"))?;
        let address = wait::until("the emulator to listen", || {
            let output = process.output();
            let at = output.split("listening on http://").nth(1)?;
            at.split_whitespace().next()?.parse().ok()
        });
        let Ok(address) = address else { bail!("the emulator did not start: {}", process.output()) };
        std::net::TcpStream::connect(address).context("the emulator does not accept connections")?;
        Ok(Aimock { address, _process: process, _dir: dir })
    }
}
