//! What a thief of our intermediate's key could sign, verifiers refuse: it is constrained to the intercepted hosts. Each
//! verifier is first shown a leaf that it must accept, so that a refusal means something.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sallyport_tests::Stage;
use sallyport_tests::clients::Client;
use sallyport_tests::process::{Background, run};
use sallyport_tests::{tools, wait};

const LIMIT: Duration = Duration::from_secs(60);
/// The first run compiles Go's library.
const GO_LIMIT: Duration = Duration::from_secs(300);

/// The files of an engine that has made its authority, as a thief finds them.
struct Loot {
    dir: tempfile::TempDir,
    root: PathBuf,
    stage: Stage,
}

impl Loot {
    fn take() -> Result<Loot> {
        let mut stage = Stage::new()?;
        stage.start()?;
        let root = stage.trust()?;
        let dir = tempfile::tempdir()?;
        // The one key whose public half is the intermediate's.
        let intermediate = stage.path("state/ca/intermediate.pem");
        let wanted = openssl(&["x509", "-noout", "-pubkey", "-in", path(&intermediate)])?;
        for entry in fs::read_dir(stage.path("state/keys"))? {
            let file = entry?.path();
            let pem = dir.path().join("intermediate.key");
            let converted =
                openssl(&["pkcs8", "-inform", "DER", "-nocrypt", "-in", path(&file), "-out", path(&pem)]);
            if converted.is_ok()
                && openssl(&["pkey", "-pubout", "-in", path(&pem)]).is_ok_and(|p| p == wanted)
            {
                fs::copy(&intermediate, dir.path().join("intermediate.pem"))?;
                return Ok(Loot { dir, root, stage });
            }
        }
        bail!("no key file in state/keys is the intermediate's")
    }

    /// Signs a leaf for `san`, such as `DNS:bank.example`, and returns its chain and key as files.
    fn sign(&self, san: &str) -> Result<(PathBuf, PathBuf)> {
        let name = san.replace([':', '.', '*'], "-");
        let file = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        let (key, request, leaf, chain, extensions) =
            (file("key"), file("csr"), file("pem"), file("chain.pem"), file("ext"));
        fs::write(&extensions, format!("subjectAltName=critical,{san}\nextendedKeyUsage=serverAuth\n"))?;
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/",
            "-keyout",
            path(&key),
            "-out",
            path(&request),
        ])?;
        let (ca, ca_key) =
            (self.dir.path().join("intermediate.pem"), self.dir.path().join("intermediate.key"));
        openssl(&[
            "x509",
            "-req",
            "-days",
            "3",
            "-in",
            path(&request),
            "-CA",
            path(&ca),
            "-CAkey",
            path(&ca_key),
            "-extfile",
            path(&extensions),
            "-out",
            path(&leaf),
        ])?;
        fs::write(&chain, [fs::read(&leaf)?, fs::read(&ca)?].concat())?;
        Ok((chain, key))
    }

    fn serve(&self, san: &str) -> Result<Server> {
        let (chain, key) = self.sign(san)?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(tools::required("openssl")?);
        command.args(["s_server", "-accept", &address.to_string(), "-www", "-quiet"]);
        command.arg("-cert").arg(&chain).arg("-cert_chain").arg(&chain).arg("-key").arg(&key);
        let process = Background::start(command, &self.dir.path().join("s_server.log"))?;
        wait::until("openssl s_server", || TcpStream::connect(address).ok())?;
        Ok(Server { address, _process: process })
    }
}

struct Server {
    address: SocketAddr,
    _process: Background,
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn openssl(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(tools::required("openssl")?);
    command.args(arguments);
    Ok(run(command, LIMIT)?.ok()?.stdout)
}

/// A name that the authority may speak for, and names that it may not: another host, and one that begins alike.
const GOOD: &str = "api.openai.com";
const BAD: [&str; 2] = ["bank.example", "api.openai.com.bank.example"];

/// Asks each verifier whether it accepts the server for `host`. `None`: the verifier is not on this machine.
type Verifier = fn(&Loot, &Server, &str) -> Result<Option<bool>>;

const VERIFIERS: [(&str, Verifier); 9] = [
    ("curl", by_curl),
    ("Node", by_node),
    ("Python", by_python),
    ("openssl", by_openssl),
    ("GnuTLS", by_gnutls),
    ("NSS", by_nss),
    ("rustls", by_rustls),
    ("Go", by_go),
    ("Java", by_java),
];

#[test]
fn verifiers_refuse_a_leaf_for_another_host() -> Result<()> {
    let loot = Loot::take()?;
    let good = loot.serve(&format!("DNS:{GOOD}"))?;
    let bad: Vec<_> =
        BAD.iter().map(|host| Ok((*host, loot.serve(&format!("DNS:{host}"))?))).collect::<Result<_>>()?;
    for (name, verifier) in VERIFIERS {
        let accepts = |server: &Server, host: &str| verifier(&loot, server, host).with_context(|| name);
        let Some(accepted) = accepts(&good, GOOD)? else {
            // Only Java: `make setup` installs the others.
            ensure!(name == "Java", "{name} is missing; run `make setup`");
            println!("{name}: not on this machine");
            continue;
        };
        ensure!(accepted, "{name} refuses a leaf for {GOOD}, so its refusals would mean nothing");
        for (host, server) in &bad {
            ensure!(accepts(server, host)? == Some(false), "{name} accepts a leaf for {host}");
        }
        println!("{name}: accepts {GOOD}, refuses {BAD:?}");
    }
    Ok(())
}

#[test]
fn verifiers_refuse_a_leaf_for_an_address() -> Result<()> {
    let loot = Loot::take()?;
    let server = loot.serve("IP:127.0.0.1")?;
    for (name, verifier) in
        [("curl", by_curl as Verifier), ("Python", by_python), ("openssl", by_openssl), ("rustls", by_rustls)]
    {
        ensure!(
            verifier(&loot, &server, "127.0.0.1")? == Some(false),
            "{name} accepts a leaf for an address"
        );
    }
    Ok(())
}

#[test]
fn the_root_key_is_nowhere() -> Result<()> {
    let loot = Loot::take()?;
    let wanted = openssl(&["x509", "-noout", "-pubkey", "-in", path(&loot.root)])?;
    for entry in fs::read_dir(loot.stage.path("state/keys"))? {
        let file = entry?.path();
        let public = openssl(&["pkey", "-inform", "DER", "-pubout", "-in", path(&file)]);
        ensure!(!public.is_ok_and(|p| p == wanted), "{} is the root's key", file.display());
    }
    Ok(())
}

fn by_curl(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    let mut command = Command::new(tools::required("curl")?);
    command
        .env_clear()
        .args(["--silent", "--show-error", "--output", "/dev/null", "--cacert"])
        .arg(&loot.root);
    command.arg("--resolve").arg(format!("{host}:{}:127.0.0.1", server.address.port()));
    command.arg(format!("https://{host}:{}/", server.address.port()));
    let outcome = run(command, LIMIT)?;
    // 60: the certificate was refused.
    ensure!([0, 60].contains(&outcome.code), "{outcome:?}");
    Ok(Some(outcome.code == 0))
}

fn client(loot: &Loot) -> Result<Client> {
    Client::new(loot.stage.proxy()?, &loot.root)
}

fn by_node(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    said(
        &client(loot)?.node("fetch.mjs", &[&format!("https://{host}/"), &server.address.to_string()])?.stdout,
    )
}

fn by_python(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    said(&client(loot)?.python("fetch.py", &[host, &server.address.to_string()], "")?.stdout)
}

/// The scripts print `refused` with the reason, or something else.
fn said(output: &str) -> Result<Option<bool>> {
    ensure!(!output.is_empty(), "the client said nothing");
    let refused = output.starts_with("refused");
    let about_trust = ["ertificate", "CERT", "ermitted", "constraint"].iter().any(|w| output.contains(w));
    ensure!(!refused || about_trust, "refused for another reason: {output}");
    Ok(Some(!refused))
}

fn by_openssl(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    let mut command = Command::new(tools::required("openssl")?);
    command.args(["s_client", "-connect", &server.address.to_string(), "-verify_return_error", "-no-CApath"]);
    command.args(["-no-CAstore", "-CAfile"]).arg(&loot.root);
    match host.parse::<std::net::IpAddr>() {
        Ok(_) => command.args(["-verify_ip", host]),
        Err(_) => command.args(["-servername", host, "-verify_hostname", host]),
    };
    let outcome = run(command, LIMIT)?;
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(all.contains("Verify return code") || all.contains("verify error"), "{all}");
    Ok(Some(all.contains("Verify return code: 0 (ok)")))
}

fn by_gnutls(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    let Some(program) = tools::on_path("gnutls-cli") else { return Ok(None) };
    let mut command = Command::new(program);
    command.arg("--x509cafile").arg(&loot.root).args(["--sni-hostname", host, "--verify-hostname", host]);
    command.args(["--port", &server.address.port().to_string(), "127.0.0.1"]);
    let outcome = run(command, LIMIT)?;
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(all.contains("Status:"), "{all}");
    Ok(Some(all.contains("The certificate is trusted")))
}

fn by_nss(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    let (Some(certutil), Some(tstclnt)) = (tools::on_path("certutil"), tools::on_path("tstclnt")) else {
        return Ok(None);
    };
    let dir = tempfile::tempdir()?;
    let database = format!("sql:{}", dir.path().display());
    let mut create = Command::new(&certutil);
    create.args(["-N", "--empty-password", "-d", &database]);
    run(create, LIMIT)?.ok()?;
    let mut add = Command::new(&certutil);
    add.args(["-A", "-t", "C,,", "-n", "root", "-d", &database, "-i"]).arg(&loot.root);
    run(add, LIMIT)?.ok()?;
    let mut connect = Command::new(tstclnt);
    connect.args([
        "-h",
        "127.0.0.1",
        "-p",
        &server.address.port().to_string(),
        "-a",
        host,
        "-d",
        &database,
        "-Q",
    ]);
    let outcome = run(connect, LIMIT)?;
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(outcome.code == 0 || all.contains("ERROR"), "{all}");
    Ok(Some(outcome.code == 0))
}

fn by_rustls(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    let connected = sallyport_tests::raw::Channel::tls(TcpStream::connect(server.address)?, host, &loot.root);
    Ok(Some(connected.is_ok()))
}

fn by_go(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    let Some(go) = tools::on_path("go") else { return Ok(None) };
    let mut command = Command::new(go);
    // Go compiles its own library once; the rest of the runs take it from there.
    command.env("GOCACHE", tools::cache().join("go-build")).env("GO111MODULE", "off");
    command.arg("run").arg(tools::sources().join("clients/fetch.go")).arg(&loot.root);
    command.args([host, &server.address.to_string()]);
    said(&run(command, GO_LIMIT)?.stdout)
}

fn by_java(loot: &Loot, server: &Server, host: &str) -> Result<Option<bool>> {
    let (Some(java), Some(keytool)) = (tools::on_path("java"), tools::on_path("keytool")) else {
        return Ok(None);
    };
    let dir = tempfile::tempdir()?;
    let store = dir.path().join("trust.p12");
    let mut import = Command::new(keytool);
    import
        .args(["-importcert", "-noprompt", "-alias", "root", "-storepass", "changeit", "-keystore"])
        .arg(&store);
    import.arg("-file").arg(&loot.root);
    run(import, LIMIT)?.ok()?;
    let mut command = Command::new(java);
    command.arg(format!("-Djavax.net.ssl.trustStore={}", store.display()));
    command.arg("-Djavax.net.ssl.trustStorePassword=changeit");
    command.arg(tools::sources().join("clients/Fetch.java")).args([host, &server.address.to_string()]);
    said(&run(command, LIMIT)?.stdout)
}
