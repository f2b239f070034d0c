//! Against a real redis-server: the script rules as the ledger does, and the way in is what configuration says.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use sallyport_policy::config::QuotaStore;
use sallyport_policy::quotas::{Ledger, MINUTE};
use tempfile::TempDir;

use super::*;

struct Server {
    process: Child,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.current_dir(folder.path()).args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]);
        let process = command.args(arguments).stdout(Stdio::null()).spawn().expect("redis-server");
        Server { process, folder }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn shared(url: &str, password_file: Option<&Path>, ca: Option<&Path>) -> Shared {
    let QuotaStore::Redis(address) = QuotaStore::parse(url).unwrap() else { panic!("{url}") };
    let path = |path: Option<&Path>| path.map(Path::to_owned);
    Shared::new(Place { address, password_file: path(password_file), ca: path(ca) })
}

/// Waits until the server takes connections.
async fn up(shared: &Shared) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        shared.rests_until.store(0, Ordering::Release);
        match shared.look("nobody").await {
            Ok(_) => return,
            Err(away) => assert!(Instant::now() < deadline, "{away}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A small generator, so that a failing run can be told by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test]
async fn the_script_rules_as_the_ledger_does() {
    let port = free_port();
    let _server = Server::start(&["--port", &port.to_string()]);
    let shared = shared(&format!("redis://127.0.0.1:{port}/3"), None, None);
    up(&shared).await;
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let tier = Tier {
            requests_per_minute: dice.roll(12),
            requests_per_hour: 1 + dice.roll(20),
            tokens_per_day: 200 + dice.roll(3_000),
            max_prompt_length: 25,
            max_concurrent_requests: 1 + dice.roll(6),
        };
        let subject = format!("ann{seed}");
        let (mut ledger, mut tickets) = (Ledger::default(), Vec::<Ticket>::new());
        for n in 0..120_u64 {
            let picked = (!tickets.is_empty()).then(|| tickets[dice.roll(tickets.len() as u64) as usize]);
            let now = match (dice.roll(6), picked) {
                (4, Some(ticket)) => {
                    let used = dice.roll(500);
                    shared.settle(&subject, &ticket, used).await.unwrap();
                    ledger.settle(&ticket, used);
                    tickets.retain(|other| other.id != ticket.id);
                    shared.look(&subject).await.unwrap().now
                }
                (5, Some(ticket)) => {
                    shared.cancel(&subject, &ticket).await.unwrap();
                    ledger.cancel(&ticket);
                    tickets.retain(|other| other.id != ticket.id);
                    shared.look(&subject).await.unwrap().now
                }
                (3, Some(ticket)) => {
                    shared.renew(&subject, ticket.id, MINUTE).await.unwrap();
                    shared.look(&subject).await.unwrap().now
                }
                _ => {
                    let ask = Ask {
                        id: RequestId::from(seed * 1_000 + n),
                        prompt_length: dice.roll(28),
                        tokens: dice.roll(300),
                        lease: MINUTE,
                        enforce: dice.roll(10) > 0,
                    };
                    let ruling = shared.reserve(&subject, &tier, &ask).await.unwrap();
                    // At the moment that the server saw, so that only the rules can differ.
                    let expected = ledger.reserve(&tier, &ask, ruling.tally.now);
                    assert_eq!(ruling, expected, "seed {seed}, step {n}: {ask:?} {tier:?}");
                    tickets.extend(ruling.ticket);
                    continue;
                }
            };
            let tally = shared.look(&subject).await.unwrap();
            assert_eq!(Tally { now, ..ledger.look(now) }, Tally { now, ..tally }, "seed {seed}, step {n}");
        }
    }
}

#[tokio::test]
async fn a_slot_that_nobody_renews_comes_back() {
    let port = free_port();
    let _server = Server::start(&["--port", &port.to_string()]);
    let shared = shared(&format!("redis://127.0.0.1:{port}"), None, None);
    up(&shared).await;
    let tier = Tier { max_concurrent_requests: 1, ..Tier::builtin()["service_account"] };
    let ask = |id, lease| Ask { id, prompt_length: 1, tokens: 1, lease, enforce: true };
    assert!(shared.reserve("ann", &tier, &ask(1, 400)).await.unwrap().ticket.is_some());
    assert!(shared.reserve("ann", &tier, &ask(2, 400)).await.unwrap().ticket.is_none());
    let deadline = Instant::now() + Duration::from_secs(20);
    while shared.reserve("ann", &tier, &ask(2, 400)).await.unwrap().ticket.is_none() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn users_passwords_and_tls_are_as_configured() {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca_parameters = rcgen::CertificateParams::default();
    ca_parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = ca_parameters.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca_parameters, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf =
        rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();

    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = files.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let (ca, cert, key) =
        (write("ca.pem", &ca.pem()), write("cert.pem", &leaf.pem()), write("key.pem", &key.serialize_pem()));
    let (right, wrong) = (write("right", "pa55 word\n"), write("wrong", "other\n"));
    let port = free_port();
    let hash = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(b"pa55 word"));
    let users = format!("user default off\nuser quota on #{hash} ~sallyport:quota:* +@all\n");
    let acl = write("users.acl", &users);
    let text = |path: &Path| path.display().to_string();
    let server = Server::start(&[
        "--port",
        "0",
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &text(&cert),
        "--tls-key-file",
        &text(&key),
        "--tls-ca-cert-file",
        &text(&ca),
        "--tls-auth-clients",
        "no",
        "--aclfile",
        &text(&acl),
    ]);
    assert!(server.folder.path().is_dir());
    let url = format!("rediss://quota@localhost:{port}");
    up(&shared(&url, Some(&right), Some(&ca))).await;
    for (url, password, ca, why) in [
        (url.as_str(), Some(&wrong), Some(&ca), "a wrong password"),
        (&url, None, Some(&ca), "no password"),
        (&url, Some(&right), None, "a root that the system does not know"),
        (&url.replace("rediss", "redis"), Some(&right), None, "no TLS"),
    ] {
        let refused = shared(url, password.map(|p| p.as_path()), ca.map(|c| c.as_path())).look("ann").await;
        let said = refused.expect_err(why).to_string();
        assert!(!said.contains("pa55") && !said.contains("other"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_goes_and_comes_is_asked_again() {
    let port = free_port();
    let server = Server::start(&["--port", &port.to_string()]);
    let shared = shared(&format!("redis://127.0.0.1:{port}"), None, None);
    up(&shared).await;
    drop(server);
    let started = Instant::now();
    assert!(matches!(shared.look("ann").await, Err(Away::Failed(_))));
    // While it is away nobody waits for it.
    for _ in 0..50 {
        assert!(shared.look("ann").await.is_err());
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let _server = Server::start(&["--port", &port.to_string()]);
    up(&shared).await;
}
