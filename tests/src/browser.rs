//! Chromium without a window, with a profile of its own and no traffic of its own, and the log of what it really sent
//! and got.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Outcome, run};
use crate::tools;

pub struct Browser {
    dir: TempDir,
}

/// One response that the browser got.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub url: String,
    pub status: u16,
}

impl Browser {
    pub fn new() -> Result<Browser> {
        Ok(Browser { dir: tempfile::tempdir()? })
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("net.json")
    }

    /// Opens `url` with `rules` for names, and returns the page as it is when its scripts have run.
    pub fn open(&self, url: &str, rules: &str) -> Result<Outcome> {
        let mut command = Command::new(tools::required("chromium")?);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.dir.path());
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args([
            "--no-proxy-server",
            "--disable-dev-shm-usage",
            "--dump-dom",
            "--virtual-time-budget=15000",
        ]);
        // A page of the public internet may not reach loopback in newer browsers; the guard must not rely on that.
        command.arg("--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessForNavigations");
        command.arg(format!("--user-data-dir={}", self.dir.path().join("profile").display()));
        command.arg(format!("--log-net-log={}", self.log().display()));
        command.arg(format!("--host-resolver-rules={rules}")).arg(url);
        run(command, Duration::from_secs(90))
    }

    /// All responses with a status, from the browser's own log of the network.
    pub fn responses(&self) -> Result<Vec<Seen>> {
        let log: Value = serde_json::from_slice(&fs::read(self.log())?).context("the browser's log")?;
        let mut urls = std::collections::HashMap::new();
        let mut seen = Vec::new();
        for event in log["events"].as_array().into_iter().flatten() {
            let (source, params) = (event["source"]["id"].as_u64().unwrap_or(0), &event["params"]);
            if let (Some(url), Some(method)) = (params["url"].as_str(), params["method"].as_str()) {
                urls.insert(source, (method.to_owned(), url.to_owned()));
            }
            let status = params["headers"][0].as_str().and_then(|line| line.strip_prefix("HTTP/1.1 "));
            if let (Some(status), Some((method, url))) = (status, urls.get(&source)) {
                let status = status.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(0);
                seen.push(Seen { method: method.clone(), url: url.clone(), status });
            }
        }
        Ok(seen)
    }
}

/// A resolver rule that leads a name to an address, whatever port is asked for.
pub fn lead(name: &str, to: SocketAddr) -> String {
    format!("MAP {name} {to}")
}

/// A page that asks each path by GET and POST once its name has turned, and writes `METHOD path status` for each.
pub fn rebinding_page(paths: &[String]) -> String {
    let script = r#"<title>evil</title><pre id=out></pre><script>(async () => {
        await fetch('/turn');
        for (const path of PATHS) for (const method of ['GET', 'POST']) {
            const body = method == 'POST' ? '{}' : undefined;
            const headers = body && {'content-type': 'application/json'};
            let said;
            try { said = (await fetch(path + '?m=' + method, {method, body, headers})).status } catch (e) { said = e }
            out.textContent += method + ' ' + path + ' ' + said + '\n';
        }
        out.textContent += 'finished';
    })()</script>"#;
    script.replace("PATHS", &json!(paths).to_string())
}

/// A page that sends what any page may send anywhere: forms, pictures and requests that need no permission; and one
/// that does need it.
pub fn cross_site_page(target: &str, paths: &[String]) -> String {
    let script = r#"<title>evil</title><script>
        const make = (kind, properties) => {
            const made = Object.assign(document.createElement(kind), properties);
            document.documentElement.append(made);
            return made;
        };
        PATHS.forEach((path, n) => {
            const action = 'TARGET' + path;
            make('iframe', {name: 'f' + n});
            const form = make('form', {method: 'POST', action, target: 'f' + n, enctype: 'text/plain'});
            form.innerHTML = '<input name="{" value="}">';
            form.submit();
            fetch(action, {mode: 'no-cors'}).catch(() => 0);
            make('img', {src: action});
            const headers = {'content-type': 'application/json'};
            fetch(action, {method: 'POST', headers, body: '{}'}).catch(() => 0);
        });
    </script>"#;
    script.replace("PATHS", &json!(paths).to_string()).replace("TARGET", target)
}
