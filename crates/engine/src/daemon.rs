//! An engine from its start to its end: address, keys, authority, trail, then service until it is told to stop.

mod foundation;
mod trail;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use hudson_proxy::{Authority, Limits, Proxy};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sallyport_audit::Actor;
use sallyport_detect::{RuleError, Scanner, SecretIndex};
use sallyport_ipc::ControlListener;
use sallyport_ipc::types::KeyStoreKind;
use sallyport_platform::Paths;
use sallyport_platform::process::Processes;
use sallyport_policy::settings::Origin;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::foundation::Foundation;
use crate::allow::Allow;
use crate::assessments::Seals;
use crate::control::EngineControl;
use crate::elevation::Elevation;
use crate::engine::{Engine, Identity};
use crate::foyer::Foyer;
use crate::handler::{EngineHandler, Leaves};
use crate::health::{Condition, Health};
use crate::hold::Holds;
use crate::keys::OpenKeys;
use crate::own_rules::OwnRules;
use crate::policy::Policy;
use crate::record::ControlAction;
use crate::scan_memory::ScanMemory;
use crate::sources::Sources;
use crate::threads::Threads;
use crate::{accounts, bundles, ports, presence, quotas, refresh, reload, rest, self_test, switch, way_out};

/// Between two tries to open keys or trail.
const RETRY: Duration = Duration::from_secs(3);

/// How often the trust bundle and old rows are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Events that a slow listener may lag behind.
const EVENTS: usize = 1024;

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the folders of Sallyport could not be used")]
    Folders(#[source] sallyport_platform::Error),
    #[error("no address on {wish} could be bound")]
    Listen { wish: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Control(#[from] sallyport_ipc::BindError),
    #[error("the proxy could not be built")]
    Proxy(#[from] hudson_proxy::BuildError),
    #[error("the way out is not usable")]
    WayOut(#[from] way_out::NoWayOut),
    #[error("the built-in rules could not be used")]
    Rules(#[from] sallyport_detect::RuleError),
    #[error("the self-test's provider could not be started: {0}")]
    SelfTest(String),
}

impl DaemonError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        use sallyport_ipc::BindError;
        match self {
            DaemonError::Folders(_) => "SALLYPORT_HOME=DIR keeps all files in a folder that you may write to",
            DaemonError::Listen { .. } => "set `listen: 127.0.0.1:0` in config.yaml to take any free port",
            DaemonError::Control(BindError::InUse { .. }) => {
                "`sallyport status` shows it; each SALLYPORT_HOME=DIR may have an engine of its own"
            }
            DaemonError::Control(_) => {
                "move it away, or keep Sallyport's files elsewhere with SALLYPORT_HOME=DIR"
            }
            DaemonError::WayOut(_) => "correct `upstream.proxy` in config.yaml, or HTTPS_PROXY",
            DaemonError::Proxy(_) | DaemonError::Rules(_) | DaemonError::SelfTest(_) => "",
        }
    }
}

/// Runs an engine in the foreground until `stop`, or until it is told to shut down over the control socket.
pub async fn run(stop: CancellationToken) -> Result<(), DaemonError> {
    let paths = Paths::from_env().map_err(DaemonError::Folders)?;
    paths.create_private_dirs().map_err(DaemonError::Folders)?;
    let health = Arc::new(Health::default());
    harden(&health);

    let identity =
        Identity { uid: sallyport_platform::current_uid(), user: sallyport_platform::host::user_name() };
    // The control socket first: it is what tells two engines of one home apart.
    let control_listener = ControlListener::bind(&paths.control_socket())?;
    let mut foyer = Foyer {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        paths: paths.clone(),
        identity,
        started: Timestamp::now(),
        health,
        problems: Mutex::default(),
        seals: OnceLock::new(),
    };
    let policy = foyer.load_policy();
    let wish = policy.snapshot.listen.value;
    let bound = ports::bind(wish, &paths.listen_file())
        .await
        .map_err(|source| DaemonError::Listen { wish, source })?;
    foyer.listen = bound.address;
    if let Some(wish) = bound.instead_of {
        foyer.health.raise(
            Condition::PortMoved,
            "listen",
            format!("{wish} is taken by another program, so the proxy listens on {}.", bound.address),
            format!(
                "Open shells need `eval \"$(sallyport env)\"` again. To get {wish} back, stop the program that holds it \
                 and restart Sallyport; or set `listen` in config.yaml."
            ),
        );
    }
    let foyer = Arc::new(foyer);
    tracing::info!(listen = %foyer.listen, "listening");

    let mut door = Door {
        listener: Some(control_listener),
        control: Arc::new(EngineControl {
            foyer: foyer.clone(),
            engine: Default::default(),
            stop: stop.clone(),
        }),
        serving: None,
        stop: stop.clone(),
    };
    let outcome = serve(&foyer, &mut door, policy, bound.listener, &stop).await;
    stop.cancel();
    if let Some(serving) = door.serving.take() {
        let _ = serving.await;
    }
    outcome
}

/// The control socket. Calls wait in its backlog until there is something to say: that the engine stands, with all of
/// its files, or what it waits for.
struct Door {
    listener: Option<ControlListener>,
    control: Arc<EngineControl>,
    serving: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Door {
    fn open(&mut self) {
        if let Some(listener) = self.listener.take() {
            let uid = self.control.foyer.identity.uid;
            let control = self.control.clone();
            self.serving =
                Some(tokio::spawn(sallyport_ipc::serve(listener, uid, control, self.stop.clone())));
        }
    }
}

fn harden(health: &Health) {
    let _ = sallyport_platform::host::raise_open_file_limit();
    let hardening = sallyport_platform::memory::harden_process();
    for (subject, failure) in
        [("core files", hardening.no_core_files.err()), ("dumps", hardening.not_dumpable.err())]
    {
        if let Some(reason) = failure {
            let sentence = format!("This process could not be protected against {subject}: {reason}.");
            let fix = "Turn core dumps off for this user (ulimit -c 0).".to_owned();
            health.raise(Condition::MemoryNotLocked, subject, sentence, fix);
        }
    }
}

fn not_locked(health: &Health, key: &str, reason: &str) {
    health.raise(
        Condition::MemoryNotLocked,
        key,
        format!("The memory of {key} could not be locked, so it may be written to swap: {reason}."),
        "Raise the limit of locked memory for this user (ulimit -l), or encrypt the swap.".into(),
    );
}

async fn serve(
    foyer: &Arc<Foyer>,
    door: &mut Door,
    policy: Policy,
    listener: TcpListener,
    stop: &CancellationToken,
) -> Result<(), DaemonError> {
    let reading = read_rules(foyer, &policy);
    let Some((foundation, listener)) = foundation::lay(foyer, door, &policy, listener, stop).await? else {
        return Ok(());
    };
    let engine = Arc::new(build(foyer, policy, foundation, reading).await?);
    write_trust(&engine).await;
    trail::open(&engine).await;
    if let Err(error) = engine.record_control(ControlAction::EngineStarted, env!("CARGO_PKG_VERSION")).await {
        tracing::error!(%error, "the start could not be recorded");
    }
    if engine.health.holds_for(Condition::ElevationFile, "elevation")
        && let Err(error) =
            engine.record_control(ControlAction::ElevationFileRefused, "nothing is granted").await
    {
        tracing::error!(%error, "a changed file of permissions could not be recorded");
    }
    let health = engine.health.clone();
    tokio::task::spawn_blocking(move || presence::note_availability(&health));
    let _ = door.control.engine.set(engine.clone());
    door.open();
    tokio::spawn(refresh::keep_current(engine.clone(), stop.clone()));
    tokio::spawn(crate::watching::keep_watch(engine.clone(), stop.clone()));
    tokio::spawn(reload::watch(engine.clone(), foyer.clone(), stop.clone()));
    tokio::spawn(rest::watch(engine.clone(), stop.clone()));
    tokio::spawn(bundles::keep_current(engine.clone(), foyer.clone(), stop.clone()));
    tokio::spawn(keep_house(engine.clone(), stop.clone()));
    tokio::spawn(trail::watch(engine.clone(), stop.clone()));
    tokio::spawn(accounts::watch_sessions(engine.clone(), stop.clone()));
    tokio::spawn(quotas::watch(engine.clone(), stop.clone()));
    tokio::spawn(crate::elevation::keep_time(engine.clone(), stop.clone()));

    let (ending, holding) = (stop.clone(), engine.clone());
    tokio::spawn(async move {
        ending.cancelled().await;
        holding.holds.close();
    });

    let proxy = proxy(&engine)?;
    let drained = proxy.serve(listener, stop.clone()).await;
    tracing::info!(cut = drained.cut, "stopped");
    if let Err(error) = engine.record_control(ControlAction::EngineStopped, "stopped").await {
        tracing::error!(%error, "the stop could not be recorded");
    }
    if let Some(trail) = engine.trail.swap(None) {
        let closing = tokio::task::spawn_blocking(move || trail.close());
        let _ = closing.await;
    }
    let _ = tokio::task::spawn_blocking(move || engine.quotas.close()).await;
    Ok(())
}

/// An error and its causes in one line.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

type ReadingRules = JoinHandle<Result<OwnRules, RuleError>>;

/// Reads the detection rules beside what else a start needs.
fn read_rules(foyer: &Arc<Foyer>, policy: &Policy) -> ReadingRules {
    let own = policy.snapshot.detection.own_rules.value;
    let foyer = foyer.clone();
    tokio::task::spawn_blocking(move || {
        let last_good = foyer.paths.state_dir().join("rules.last-good.json");
        OwnRules::open(foyer.paths.rules_dir(), last_good, own, &foyer.health)
    })
}

async fn build(
    foyer: &Arc<Foyer>,
    policy: Policy,
    foundation: Foundation,
    reading: ReadingRules,
) -> Result<Engine, DaemonError> {
    let Foundation { keys, installation, authority, .. } = foundation;
    let policy = foyer.knowing(Seals::new(installation.assessments), policy);
    let paths = foyer.paths.clone();
    // A keychain that somebody named is waited for like a vault; one that is only looked at by default is not.
    let keychain = &policy.snapshot.secrets.keychain;
    let awaits_keychain = keychain.value && keychain.origin != Origin::Default;
    let file = paths.state_dir().join("fingerprints.json");
    let sources = Sources::open(installation.index, file, awaits_keychain);
    let own_rules = reading.await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?;
    let rules = own_rules.rules();
    let self_test = self_test::Stage::open().await.map_err(DaemonError::SelfTest)?;
    let (elevation, trouble) = Elevation::open(paths.state_dir(), installation.elevation);
    if let Some(why) = &trouble {
        foyer.health.raise(
            Condition::ElevationFile,
            "elevation",
            format!("Permissions that were granted before are gone, since {why} (elevation.json in the state folder)."),
            "Find out who changed it; it was set aside as elevation.json.rejected. Ask for permissions anew.".into(),
        );
    }
    let engine = Engine {
        identity: foyer.identity.clone(),
        listen: foyer.listen,
        started_with: policy.snapshot.clone(),
        policy: ArcSwap::from_pointee(policy),
        scanner: ArcSwap::from_pointee(Scanner::new(rules, Arc::new(SecretIndex::empty()))),
        rules: own_rules,
        sources,
        first_load: watch::channel(false).0,
        reload: Notify::new(),
        loads: watch::channel(0).0,
        loading: AtomicBool::new(false),
        words: Arc::new(crate::words::Words::new(installation.memory.clone())),
        memory: ScanMemory::new(installation.memory),
        threads: Threads::new(installation.threads, installation.tags),
        looks: Default::default(),
        conduct: Default::default(),
        injections: Default::default(),
        trail: ArcSwapOption::empty(),
        authority: Arc::new(authority),
        key_store: match keys.kind {
            sallyport_platform::KeyStoreKind::Keychain => KeyStoreKind::Keychain,
            sallyport_platform::KeyStoreKind::File => KeyStoreKind::File,
        },
        keys: OpenKeys::new(keys),
        health: foyer.health.clone(),
        flows: Default::default(),
        counters: Default::default(),
        shadow_told: Default::default(),
        switch: switch::Switch::new(foyer.started),
        one_question: Default::default(),
        elevation: Arc::new(elevation),
        assessing: Default::default(),
        allow: Allow::new(
            paths.allowlist_file(),
            paths.user_home().display().to_string(),
            installation.allowlist,
            installation.fingerprinter,
        ),
        holds: Holds::new(),
        processes: Arc::new(Processes::new()),
        sessions: Default::default(),
        environments: Default::default(),
        leases: Default::default(),
        quotas: quotas::Quotas::open(paths.state_dir(), &foyer.health),
        events: broadcast::channel(EVENTS).0,
        self_test,
        paths,
    };
    engine.refresh_allowlist();
    engine.rebuild_scanner();
    Ok(engine)
}

/// Old rows go, and the bundle follows the system's roots.
async fn keep_house(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        let days = i64::from(engine.policy().snapshot.audit.retention_days.value);
        let limit = Timestamp::now().checked_sub(SignedDuration::from_hours(days.saturating_mul(24)));
        if let (Some(trail), Ok(limit)) = (engine.trail.load_full(), limit) {
            let by = Actor { user_id: Some("retention".into()), ..Actor::default() };
            if let Err(error) = trail.purge(limit, by).await {
                tracing::warn!(%error, "old rows could not be removed");
            }
        }
        write_trust(&engine).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING) => {}
        }
    }
}

/// Writes what tools are to trust: after a reissue the old root beside the new one, since it goes on signing for tools
/// that know only it.
async fn write_trust(engine: &Arc<Engine>) {
    let engine = engine.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let previous = engine.authority.previous_root_pem().unwrap_or_default();
        let roots = format!("{}{previous}", engine.authority.root_pem());
        let file = engine.paths.own_roots_file();
        sallyport_platform::fs::write_private_atomic(&file, roots.as_bytes(), 0o644)
            .and_then(|()| sallyport_platform::trust::write_bundle(&engine.paths, &roots))
    });
    if let Ok(Err(error)) = writing.await {
        tracing::warn!(%error, "the files that tools trust could not be written");
    }
}

fn proxy(engine: &Arc<Engine>) -> Result<Proxy, DaemonError> {
    let policy = engine.policy();
    let upstream = &policy.snapshot.upstream;
    let handler = EngineHandler { engine: engine.clone(), listen: engine.listen };
    let mut dialer = way_out::dialer(upstream, &|name| std::env::var(name).ok(), engine.listen)?;
    if let Ok(target) = Authority::new(self_test::HOST, self_test::PORT) {
        dialer.resolve.insert(target, vec![engine.self_test.address]);
    }
    let proxy = Proxy::builder(Arc::new(handler), Arc::new(Leaves(engine.authority.clone())))
        .roots(roots(engine, &upstream.extra_roots.value))
        .dialer(dialer)
        .limits(Limits::default())
        .build()?;
    Ok(proxy)
}

/// The machine's roots without ours, and those that the configuration adds.
fn roots(engine: &Engine, extra: &[PathBuf]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    let system = sallyport_platform::trust::system_roots().without(engine.authority.root_der());
    store.add_parsable_certificates(system.certificates);
    for problem in system.problems {
        tracing::warn!(%problem, "system roots");
    }
    for file in extra {
        if let Err(reason) = add_roots(&mut store, file) {
            engine.health.raise(
                Condition::UpstreamRoots,
                &file.display().to_string(),
                format!("{} can't be used as a root certificate: {reason}.", file.display()),
                "Correct `upstream.extra_roots` in config.yaml and restart Sallyport.".into(),
            );
        }
    }
    if let Err(error) = store.add(engine.self_test.root.clone()) {
        tracing::warn!(%error, "the self-test's root can't be used");
    }
    store
}

fn add_roots(store: &mut RootCertStore, file: &std::path::Path) -> Result<(), String> {
    let mut any = false;
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        store.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        any = true;
    }
    if any { Ok(()) } else { Err("it holds no PEM certificate".into()) }
}
