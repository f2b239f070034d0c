//! Keys, and the authority that rests on them: opened before anything is served, and waited for where they can't be.
//! What needs no key (policy, rules, the control socket) is not kept up by it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hudson_proxy::Proxy;
use sallyport_certs::{CaOutcome, CertAuthority};
use sallyport_platform::process::Processes;
use sallyport_platform::{KeyStoreKind, Keys, Paths, Unlock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{DaemonError, Door, RETRY, explain, not_locked};
use crate::foyer::Foyer;
use crate::health::Condition;
use crate::keys::{Installation, KeyRing};
use crate::policy::Policy;
use crate::waiting::WaitingHandler;

/// How long a locked keychain's own prompt may stand open.
const UNLOCK_PROMPT: Duration = Duration::from_secs(60);

/// Keys, and the authority that rests on them.
pub(super) struct Foundation {
    pub keys: Keys,
    pub installation: Installation,
    pub authority: CertAuthority,
    /// Why some key's memory could not be locked.
    unlocked: Option<String>,
}

/// Opens keys and authority. While that fails the listener tunnels what is no AI traffic, refuses what is, and tries
/// again: nothing is sent unscanned, and nothing else breaks.
pub(super) async fn lay(
    foyer: &Arc<Foyer>,
    door: &mut Door,
    policy: &Policy,
    listener: TcpListener,
    stop: &CancellationToken,
) -> Result<Option<(Foundation, TcpListener)>, DaemonError> {
    let hosts = policy.snapshot.providers.intercepted_hosts();
    let first = open(&foyer.paths, hosts.clone(), Unlock::Never).await;
    let mut sentence = match first {
        Ok(foundation) => return Ok(Some((laid(foyer, foundation), listener))),
        Err(sentence) => sentence,
    };
    let handler = Arc::new(WaitingHandler {
        uid: foyer.identity.uid,
        providers: policy.snapshot.providers.clone(),
        processes: Arc::new(Processes::new()),
    });
    let unusable = |source| DaemonError::Listen { wish: foyer.listen, source };
    let listener = listener.into_std().map_err(unusable)?;
    let again = || listener.try_clone().and_then(TcpListener::from_std).map_err(unusable);
    let done = stop.child_token();
    let waiting = Proxy::builder(handler.clone(), handler).build()?.serve(again()?, done.clone());
    let waiting = tokio::spawn(waiting);
    let found = loop {
        foyer.health.raise(
            Condition::KeysUnavailable,
            "keys",
            format!("{} AI traffic is refused until then; all else goes on.", sentence.0),
            sentence.1.clone(),
        );
        door.open();
        tokio::select! {
            () = stop.cancelled() => break None,
            () = tokio::time::sleep(RETRY) => {}
        }
        match open(&foyer.paths, hosts.clone(), Unlock::Ask { wait: UNLOCK_PROMPT }).await {
            Ok(foundation) => break Some(foundation),
            Err(again) => sentence = again,
        }
    };
    done.cancel();
    let _ = waiting.await;
    foyer.health.clear(Condition::KeysUnavailable, "keys");
    match found {
        Some(found) => Ok(Some((laid(foyer, found), again()?))),
        None => Ok(None),
    }
}

/// A sentence that says what failed, and its fix.
type Trouble = (String, String);

async fn open(paths: &Paths, hosts: Vec<String>, unlock: Unlock) -> Result<(Foundation, CaOutcome), Trouble> {
    let paths = paths.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let keys =
            Keys::open(&paths, unlock).map_err(|error| (format!("{}.", explain(&error)), error.hint()))?;
        let ring = KeyRing::new(keys.store.as_ref());
        let installation =
            Installation::open(&ring).map_err(|error| (format!("{}.", explain(&error)), error.hint()))?;
        let (authority, outcome) =
            CertAuthority::open_or_create(&paths.ca_dir(), &ring, &hosts, SystemTime::now()).map_err(
                |error| (format!("{}.", explain(&error)), "Check the disk and the key store.".to_owned()),
            )?;
        let unlocked = ring.unlocked();
        Ok((Foundation { keys, installation, authority, unlocked }, outcome))
    });
    match opening.await {
        Ok(opened) => opened,
        Err(_) => Err(("Opening the key store failed.".into(), "Restart Sallyport.".into())),
    }
}

fn laid(foyer: &Foyer, (foundation, outcome): (Foundation, CaOutcome)) -> Foundation {
    if let CaOutcome::Reissued { reason } = outcome {
        foyer.health.raise(
            Condition::CaReissued,
            "ca",
            format!("A new root certificate was made, because {reason}."),
            "Tools started before need the new root: run them again through `sallyport exec` or `eval \"$(sallyport env)\"`.".into(),
        );
    }
    if let Some(reason) = &foundation.unlocked {
        not_locked(&foyer.health, "the keys", reason);
    }
    if foundation.keys.kind == KeyStoreKind::File {
        let why = match &foundation.keys.no_keychain {
            Some(error) => format!(" ({})", explain(error)),
            None => String::new(),
        };
        foyer.health.raise(
            Condition::KeysInFile,
            "keys",
            format!(
                "Keys rest in {} with mode 0600{why}. Whoever reads this user's files reads them.",
                foyer.paths.keys_dir().display()
            ),
            "Start a keychain (gnome-keyring, KWallet) before Sallyport's first start to keep them there."
                .into(),
        );
    }
    foundation
}
