//! Who may use the listener and the control socket, and what passes through unread. Another user may not, a web page may
//! not; what is no AI host is nobody's business.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sallyport_tests::browser::{Browser, Seen, cross_site_page, lead, rebinding_page};
use sallyport_tests::clients::Client;
use sallyport_tests::process::{Outcome, run};
use sallyport_tests::raw::{Channel, tunnel};
use sallyport_tests::relay::Rebinding;
use sallyport_tests::secrets;
use sallyport_tests::vault::Vault;
use sallyport_tests::{Answer, Front, Stage, TestRoot, encodings, memory, tools, wait};
use serde_json::json;

use crate::common::{Family, Providers, prompt};

/// Every path that the proxy's own address answers.
fn origin_form_paths() -> Vec<String> {
    let ingress = Family::BOTH.map(|f| match f {
        Family::OpenAi => format!("/openai{}", f.path()),
        Family::Anthropic => format!("/anthropic{}", f.path()),
    });
    ["/proxy.pac", "/wpad.dat", "/", "/metrics", "/openai/v1/models"]
        .map(str::to_owned)
        .into_iter()
        .chain(ingress)
        .collect()
}

/// Runs curl as the user `nobody`.
fn nobody(arguments: &[&str]) -> Result<Outcome> {
    let mut words = tools::as_root()?;
    words.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"].map(str::to_owned));
    words.extend(["curl", "--silent", "--show-error", "--max-time", "10"].map(str::to_owned));
    words.extend(arguments.iter().map(|a| (*a).to_owned()));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir("/");
    run(command, wait::PATIENCE)
}

fn owner(arguments: &[&str]) -> Result<Outcome> {
    let mut command = Command::new(tools::required("curl")?);
    command.args(["--silent", "--show-error", "--max-time", "10"]).args(arguments);
    run(command, wait::PATIENCE)
}

#[test]
fn another_user_is_refused_by_the_listener() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"choices": []})));
    let mut stage = providers.stage()?;
    stage.start()?;
    let proxy = format!("http://{}", stage.proxy()?);
    let pac = format!("{proxy}/proxy.pac");
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];

    ensure!(owner(&[&status[..], &[&pac]].concat())?.stdout == "200", "the owner gets no PAC file");
    let other = nobody(&[&status[..], &[&pac]].concat())?;
    ensure!(other.stdout == "403" || other.code != 0, "another user gets the PAC file: {other:?}");

    // Without checking our certificate, which another user could not read.
    let url = Family::OpenAi.url();
    let request = ["--insecure", "--proxy", &proxy, "--data", "{}", &url];
    ensure!(owner(&[&status[..], &request].concat())?.stdout == "200", "the owner's request does not pass");
    providers.front.take();
    let other = nobody(&[&status[..], &request].concat())?;
    ensure!(other.code != 0, "another user's request passed: {other:?}");
    let plain = ["--proxy", &proxy, "http://origin.example/"];
    let other = nobody(&[&status[..], &plain].concat())?;
    ensure!(other.stdout == "403" || other.code != 0, "another user's plain request passed: {other:?}");
    ensure!(providers.front.requests().is_empty(), "another user's request arrived");
    Ok(())
}

#[test]
fn another_user_is_refused_by_the_control_socket() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.start()?;
    let socket = stage.path("run/control.sock");
    let mode = fs::metadata(&socket)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the socket's mode is {mode:o}");
    let path = socket.display().to_string();
    let ask = ["--unix-socket", &path, "--write-out", "\n%{http_code}", "http://localhost/v1/status"];
    let mine = owner(&ask)?;
    ensure!(mine.stdout.ends_with("200"), "the owner gets no answer: {mine:?}");
    ensure!(nobody(&ask)?.code != 0, "another user reaches the socket");
    // And when the files' permissions do not stop them, the peer's credentials must.
    for folder in [stage.home(), &stage.path("run")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    let other = nobody(&ask)?;
    ensure!(!other.stdout.contains("listen"), "another user reads the status: {other:?}");
    ensure!(!other.stdout.ends_with("200"), "another user gets an answer: {other:?}");
    Ok(())
}

#[test]
fn a_rebinding_page_gets_403_from_every_path() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"choices": []})));
    let mut stage = providers.stage()?;
    stage.start()?;
    let paths = origin_form_paths();
    // Its own page first; then its name leads to our listener, as after a change of the name's address.
    let rebinding = Rebinding::start(rebinding_page(&paths), stage.proxy()?)?;
    let browser = Browser::new()?;
    // The name with our listener's own port, as a rebinding page must have it.
    let url = format!("http://evil.example:{}/", stage.proxy()?.port());
    let page = browser.open(&url, &lead("evil.example", rebinding.address))?.ok()?.stdout;
    ensure!(rebinding.has_turned() && page.contains("finished"), "the page did not run: {page}");
    for path in &paths {
        for method in ["GET", "POST"] {
            ensure!(page.contains(&format!("{method} {path} 403")), "{method} {path} is not 403:\n{page}");
        }
    }
    ensure!(providers.front.requests().is_empty(), "the page reached a provider");
    Ok(())
}

#[test]
fn a_cross_site_form_gets_403_from_every_path() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"choices": []})));
    let mut stage = providers.stage()?;
    stage.start()?;
    let (target, paths) = (format!("http://{}", stage.proxy()?), origin_form_paths());
    let attacker = Rebinding::start(cross_site_page(&target, &paths), stage.proxy()?)?;
    let browser = Browser::new()?;
    browser.open("http://evil.example/", &lead("evil.example", attacker.address))?.ok()?;
    let seen: Vec<Seen> = browser.responses()?.into_iter().filter(|r| r.url.starts_with(&target)).collect();
    for path in paths {
        for method in ["POST", "GET"] {
            let url = format!("{target}{path}");
            let answers: Vec<_> = seen.iter().filter(|r| r.url == url && r.method == method).collect();
            ensure!(!answers.is_empty(), "the page sent no {method} {path}; it sent {seen:?}");
            ensure!(answers.iter().all(|r| r.status == 403), "{method} {path}: {answers:?}");
        }
    }
    ensure!(seen.iter().all(|r| r.status == 403), "{seen:?}");
    ensure!(providers.front.requests().is_empty(), "the page reached a provider");
    Ok(())
}

#[test]
fn the_memory_holds_none_of_a_thousand_secrets() -> Result<()> {
    let vault = Vault::start()?;
    let known = secrets::some("memory", 1000, 31, true);
    vault.store(&known, 2)?;
    let providers = Providers::emulated()?;
    let planted = "a control string that stands in the environment of the engine";
    let mut stage = providers
        .stage()?
        .set("/secrets/vaults", json!([vault.config(&vault.token_file("30m")?)[0]]))
        .with_environment(vec![("PLANTED".into(), planted.into())]);
    stage.start()?;
    stage.wait_for_secrets(1000)?;
    // The index works, so that an empty memory means something.
    let body = prompt(Family::OpenAi, &format!("the key is {}", known[0].value), false);
    stage
        .client()?
        .curl_post(&Family::OpenAi.url(), &[], prompt(Family::OpenAi, "hello", false).as_bytes())?
        .ok()?;
    let mut needles = vec![planted.as_bytes().to_vec()];
    let mut names = vec!["the control string".to_owned()];
    for secret in &known {
        for (form, needle) in encodings::traces(&secret.value) {
            needles.push(needle);
            names.push(format!("{} ({form})", secret.path));
        }
    }
    let (counts, read) = memory::count(stage.pid()?, &needles)?;
    ensure!(counts[0] > 0, "the control string was not found in {read} bytes: the search does not work");
    let found: Vec<_> =
        counts.iter().zip(&names).skip(1).filter(|(n, _)| **n > 0).map(|(_, name)| name).collect();
    ensure!(found.is_empty(), "the engine's memory holds {found:?}");
    println!("{} needles in {} MiB: only the control string", needles.len(), read >> 20);
    stage.client()?.curl_post(&Family::OpenAi.url(), &[], body.as_bytes())?.ok()?;
    let seen = providers.front.take();
    let last = seen.last().context("no request")?;
    ensure!(String::from_utf8_lossy(&last.body).contains("[SECRET:"), "the index does not know the secret");
    Ok(())
}

/// Decision 20 with as many as a company's vault may hold. Of each value the search wants its first twelve characters
/// only: together they are a search of a size that a test can build.
#[test]
fn the_memory_holds_none_of_a_hundred_thousand_secrets() -> Result<()> {
    const FILES: usize = 5;
    const EACH: usize = 20_000;
    let mut noise = secrets::Noise(47);
    let values: Vec<String> = (0..FILES * EACH).map(|_| noise.string(secrets::ALNUM, 24)).collect();
    let providers = Providers::emulated()?;
    let planted = "a control string that stands in the environment of the engine";
    let mut stage = providers.stage()?.with_environment(vec![("PLANTED".into(), planted.into())]);
    let mut files = Vec::new();
    for (number, some) in values.chunks(EACH).enumerate() {
        let lines = some.iter().enumerate().map(|(i, value)| format!("S{number}_{i}={value}\n"));
        let path = stage.path(&format!("secrets-{number}.env"));
        fs::write(&path, lines.collect::<String>())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        files.push(path);
    }
    stage = stage.set("/secrets/files", json!(files));
    stage.start()?;
    // An unoptimised build takes its time over so many.
    wait::within(Duration::from_secs(120), "all secrets to be known", || {
        let known = stage.status().ok()?["secrets"]["secrets"].as_u64()?;
        (known == values.len() as u64).then_some(())
    })?;
    let mut needles = vec![planted.as_bytes().to_vec()];
    needles.extend(values.iter().map(|value| value.as_bytes()[..12].to_vec()));
    for value in values.iter().step_by(100) {
        needles.extend(encodings::traces(value).into_iter().map(|(_, needle)| needle));
    }
    let (counts, read) = memory::count(stage.pid()?, &needles)?;
    ensure!(counts[0] > 0, "the control string was not found in {read} bytes: the search does not work");
    let found = counts.iter().skip(1).filter(|count| **count > 0).count();
    ensure!(found == 0, "the engine's memory holds {found} of {} needles", needles.len());
    println!("{} needles in {} MiB: only the control string", needles.len(), read >> 20);
    for value in [&values[0], &values[99_999]] {
        let body = prompt(Family::OpenAi, &format!("the key is {value}"), false);
        stage.client()?.curl_post(&Family::OpenAi.url(), &[], body.as_bytes())?.ok()?;
        let seen = providers.front.take();
        let last = seen.last().context("no request")?;
        ensure!(String::from_utf8_lossy(&last.body).contains("[SECRET:S"), "the index does not know {value}");
    }
    Ok(())
}

#[test]
fn a_host_that_is_no_ai_host_is_tunnelled() -> Result<()> {
    let root = TestRoot::new()?;
    let front = Front::start(&root, &["origin.example"])?;
    let secret = "Kf8-zQ2wYvL0xNb5.jT7rGmS3";
    front.answer(|request| Answer::Reply {
        status: 200,
        headers: vec![("x-seen".into(), "origin".into())],
        body: request.body.to_vec(),
    });
    let mut stage =
        Stage::new()?.behind(&front, &root).with_secret_file(&format!("TUNNEL_TOKEN={secret}\n"))?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    // Trusts the origin's root alone: an intercepted connection would fail.
    let mut channel = Channel::through(stage.proxy()?, "origin.example", 443, &root.pem())?;
    ensure!(channel.certificates().len() == 1, "the chain is not the origin's");
    let body = format!("a body with {secret} in it, which is the origin's business");
    channel.request("POST", "/x", &[("host", "origin.example")], body.as_bytes())?;
    let answer = channel.response()?;
    ensure!(answer.header("x-seen") == Some("origin") && answer.text() == body, "{answer:?}");
    let curl = Client::new(stage.proxy()?, &root.pem())?
        .curl(&["--data", &body, "https://origin.example/y"])?
        .ok()?;
    ensure!(curl.stdout == body);
    ensure!(stage.status()?["counters"]["tunnelled"].as_u64() > Some(0), "no tunnel was counted");
    let events = stage.settled_events()?;
    ensure!(!json!(events).to_string().contains("origin.example"), "the trail speaks of a tunnelled host");
    Ok(())
}

#[test]
fn a_tunnel_carries_a_server_that_speaks_first() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server: SocketAddr = listener.local_addr()?;
    thread::spawn(move || -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        socket.write_all(b"220 ready\r\n")?;
        std::io::copy(&mut socket.try_clone()?, &mut socket).map(drop)
    });
    let mut stage =
        Stage::new()?.set("/upstream/resolve", json!({"origin.example:2222": server.to_string()}));
    stage.start()?;
    let mut socket = tunnel(stage.proxy()?, "origin.example", 2222)?;
    let mut banner = [0; 11];
    socket.read_exact(&mut banner)?;
    ensure!(&banner == b"220 ready\r\n");
    let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let mut writer = socket.try_clone()?;
    let sent = bytes.clone();
    let writing = thread::spawn(move || writer.write_all(&sent));
    let mut back = vec![0; bytes.len()];
    socket.read_exact(&mut back)?;
    ensure!(back == bytes, "the bytes changed on the way");
    let _ = writing.join();
    Ok(())
}

#[test]
fn a_dead_port_is_no_tunnel() -> Result<()> {
    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut stage = Stage::new()?.set("/upstream/resolve", json!({"origin.example:443": dead.to_string()}));
    stage.start()?;
    let refused = tunnel(stage.proxy()?, "origin.example", 443);
    let said = refused.err().map(|e| format!("{e:#}")).context("a dead port answered 200 to CONNECT")?;
    ensure!(said.contains("50"), "the answer is no gateway error: {said}");
    Ok(())
}

#[test]
fn an_authority_that_differs_from_the_tunnel_gets_421() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({})));
    let mut stage = providers.stage()?;
    stage.start()?;
    let mut channel = Channel::through(stage.proxy()?, "api.openai.com", 443, &stage.trust()?)?;
    channel.request("POST", "/v1/chat/completions", &[("host", "api.anthropic.com")], b"{}")?;
    ensure!(channel.response()?.status == 421);
    ensure!(providers.front.requests().is_empty());
    Ok(())
}

#[test]
fn a_flow_is_tied_to_its_process() -> Result<()> {
    let providers = Providers::emulated()?;
    let mut stage = providers.stage()?;
    stage.start()?;
    stage
        .client()?
        .curl_post(&Family::OpenAi.url(), &[], prompt(Family::OpenAi, "hello", false).as_bytes())?
        .ok()?;
    let events = stage.settled_events()?;
    let sent = events.iter().find(|e| e["event_type"] == "prompt_sent").context("no prompt_sent event")?;
    let actor = sent["actor"].to_string();
    ensure!(actor.contains("curl"), "the row does not name the process: {sent}");
    Ok(())
}

#[test]
fn the_pac_file_routes_ai_hosts_alone() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.start()?;
    let pac = owner(&[&format!("http://{}/proxy.pac", stage.proxy()?)])?.ok()?.stdout;
    let script = Path::new("clients/pac.mjs");
    let client = stage.client()?;
    let file = client.home().join("proxy.pac");
    fs::write(&file, &pac)?;
    let decide = |host: &str| -> Result<String> {
        let name = script.file_name().and_then(|n| n.to_str()).context("no name")?;
        Ok(client.node(name, &[&file.display().to_string(), host])?.ok()?.stdout.trim().to_owned())
    };
    ensure!(decide("api.openai.com")?.starts_with(&format!("PROXY {}", stage.proxy()?)));
    ensure!(decide("api.anthropic.com")?.starts_with("PROXY"));
    for host in ["www.debian.org", "openai.com.evil.example", "localhost", "amazonaws.com"] {
        ensure!(decide(host)? == "DIRECT", "{host} is routed: {}", decide(host)?);
    }
    Ok(())
}

#[test]
fn a_base_url_client_goes_through_the_same_pipeline() -> Result<()> {
    let providers = Providers::emulated()?;
    let secret = "Pd3-uX6cVnM1zHk9.eB4yRqW7";
    let mut stage = providers.stage()?.with_secret_file(&format!("INGRESS_TOKEN={secret}\n"))?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    for (family, prefix) in [(Family::OpenAi, "openai"), (Family::Anthropic, "anthropic")] {
        let url = format!("http://{}/{prefix}{}", stage.proxy()?, family.path());
        let body = prompt(family, &format!("the token is {secret}"), false);
        let answer =
            owner(&["--header", "content-type: application/json", "--data-binary", &body, &url])?.ok()?;
        ensure!(answer.stdout.contains(sallyport_tests::aimock::ANSWER), "{answer:?}");
        let [seen] = &providers.front.take()[..] else { anyhow::bail!("not one request") };
        ensure!(seen.authority.starts_with(family.host()), "it went to {}", seen.authority);
        let expected = body.replace(secret, "[SECRET:INGRESS_TOKEN]");
        ensure!(seen.body == expected.as_bytes(), "{}", String::from_utf8_lossy(&seen.body));
    }
    Ok(())
}
