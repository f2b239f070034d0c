//! The proxies that are compared, each a process of its own with a home of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use crate::upstream::Upstream;

/// A running proxy; it ends with this value.
pub(crate) struct Peer {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    pub(crate) root: CertificateDer<'static>,
    _home: TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const START: Duration = Duration::from_secs(30);

pub(crate) async fn sallyport(binary: &Path, upstream: &Upstream, durability: &str) -> Result<Peer> {
    let home = tempfile::tempdir()?;
    let config = home.path().join("config");
    std::fs::create_dir_all(&config)?;
    let root = home.path().join("upstream.pem");
    std::fs::write(&root, &upstream.root_pem)?;
    let secrets = home.path().join("secrets.env");
    let lines: String =
        (0..1_000).map(|n| format!("SECRET_{n}=s3cr3t-{:016x}\n", n * 0x9e37_79b9_7f4a_u64)).collect();
    std::fs::write(&secrets, lines)?;
    std::fs::write(
        config.join("config.yaml"),
        format!(
            "listen: 127.0.0.1:0\nupstream:\n  resolve: {{\"api.openai.com:443\": \"{0}\", \"tunnel.example:443\": \"{0}\"}}\n  \
             extra_roots: [{1}]\nsecrets: {{keychain: false, well_known_files: false, files: [{2}]}}\n\
             audit: {{durability: {durability}}}\n",
            upstream.address,
            root.display(),
            secrets.display()
        ),
    )?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(binary);
        command.args(arguments).env("SALLYPORT_HOME", home.path()).stderr(Stdio::null());
        command
    };
    let child = command(&["daemon"]).stdout(Stdio::null()).spawn()?;
    let (pid, started) = (child.id(), Instant::now());
    loop {
        let output = command(&["status", "--json"]).output()?;
        if let Ok(status) = serde_json::from_slice::<serde_json::Value>(&output.stdout)
            && status["secrets"]["secrets"].as_u64() == Some(1_000)
        {
            let address = status["listen"].as_str().context("no listen")?.parse()?;
            let pem = command(&["ca", "export", "--pem"]).output()?.stdout;
            return Ok(Peer {
                child,
                pid,
                address,
                root: CertificateDer::from_pem_slice(&pem)?,
                _home: home,
            });
        }
        if started.elapsed() > START {
            bail!("Sallyport did not start: {}", String::from_utf8_lossy(&output.stdout));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn mitmproxy(binary: &Path, addon: &Path, upstream: &Upstream) -> Result<Peer> {
    let home = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let child = Command::new(binary)
        .arg("--quiet")
        .args(["--listen-host", "127.0.0.1", "--listen-port", &address.port().to_string()])
        .args(["--set", &format!("confdir={}", home.path().display()), "--set", "ssl_insecure=true"])
        .args(["--set", "connection_strategy=lazy", "--scripts"])
        .arg(addon)
        .env("BENCH_UPSTREAM", upstream.address.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("mitmdump could not be started")?;
    let pid = child.id();
    let pem = home.path().join("mitmproxy-ca-cert.pem");
    let started = Instant::now();
    while std::net::TcpStream::connect(address).is_err() || !pem.exists() {
        if started.elapsed() > START {
            bail!("mitmproxy did not start");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(Peer { child, pid, address, root: CertificateDer::from_pem_file(&pem)?, _home: home })
}

/// Processor time of a process's threads so far (Linux), to the nanosecond.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may be gone meanwhile.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos +=
            stat.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).context("an odd schedstat")?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// What a process holds in memory, in kilobytes.
pub(crate) struct Weight {
    pub(crate) resident: u64,
    /// The most that was resident since [`forget_peak`].
    pub(crate) peak: u64,
    /// Without pages of files.
    pub(crate) own: u64,
}

pub(crate) fn weight(pid: u32) -> Result<Weight> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("an odd status")?;
        let number = line.trim_matches(|c: char| !c.is_ascii_digit());
        number.parse().with_context(|| format!("{name} is no number"))
    };
    Ok(Weight { resident: of("VmRSS:")?, peak: of("VmHWM:")?, own: of("RssAnon:")? })
}

pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}
