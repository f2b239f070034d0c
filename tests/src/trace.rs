//! What the engine asked of the kernel, in order: syncs of files and first bytes of TLS records, from strace.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::tools;

/// One finished system call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Seconds since the epoch, when the call began and when it had returned.
    pub began: f64,
    pub returned: f64,
    pub name: String,
    /// Everything between the name and the result, file names and socket ends spelled out.
    pub arguments: String,
    pub result: String,
}

/// The words to start a command with, so that each of its threads leaves a file `trace.<thread>` in `dir`.
pub fn wrapper(dir: &Path) -> Result<Vec<String>> {
    let strace = tools::required("strace")?.display().to_string();
    let output = dir.join("trace").display().to_string();
    let calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64";
    // One file a thread: then no call is torn into a begun and a resumed half.
    let words = ["-ff", "-ttt", "-T", "-yy", "-xx", "-s", "12", "-e", calls, "-o", &output, "--"];
    Ok([strace].into_iter().chain(words.map(str::to_owned)).collect())
}

/// All calls of all threads, by the time at which they began.
pub fn calls(dir: &Path) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    for entry in fs::read_dir(dir)? {
        let text = fs::read(entry?.path())?;
        calls.extend(String::from_utf8_lossy(&text).lines().filter_map(parse));
    }
    calls.sort_by(|a, b| a.began.total_cmp(&b.began));
    Ok(calls)
}

fn parse(line: &str) -> Option<Call> {
    let (began, rest) = line.split_once(' ')?;
    let began: f64 = began.parse().ok()?;
    let (name, rest) = rest.split_once('(')?;
    let (rest, took) = rest.rsplit_once(" <")?;
    let took: f64 = took.trim_end_matches('>').parse().ok()?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    Some(Call {
        began,
        returned: began + took,
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        result: result.trim().to_owned(),
    })
}

impl Call {
    /// A sync of the file whose name ends so, that succeeded.
    pub fn synced(&self, file: &str) -> bool {
        self.name.ends_with("sync")
            && self.result == "0"
            && unescape(&self.arguments).contains(&format!("{file}>"))
    }

    /// A write to a socket connected to `port` that carries TLS application data.
    pub fn sent_records_to(&self, port: u16) -> bool {
        let socket =
            self.arguments.split('>').nth(1).unwrap_or("").starts_with(&format!("127.0.0.1:{port}]"));
        let application_data = self.arguments.contains("\"\\x17\\x03\\x03");
        socket && application_data && !self.result.starts_with('-')
    }
}

/// strace prints names in hexadecimal as it does all strings.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 2..at + 4).unwrap_or("");
        match u8::from_str_radix(digits, 16) {
            Ok(byte) => out.push(byte.into()),
            Err(_) => out.push_str("\\x"),
        }
        rest = rest.get(at + 4..).unwrap_or("");
    }
    out.push_str(rest);
    out
}
