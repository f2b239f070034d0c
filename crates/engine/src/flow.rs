//! Who is at the other end of a connection: only the owner's processes, each known by pid and executable.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use http::HeaderValue;
use hudson_proxy::{Authority, ConnectionInfo, Refused};
use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_ipc::types::{self, Handling};
use sallyport_platform::process::{Process, Processes};
use sallyport_platform::socket_owner::{self, SocketOwner};
use tokio::sync::OnceCell;

use crate::accounts::{Credential, Sessions};

/// One accepted connection with the process that opened it.
pub(crate) struct Flow {
    id: u64,
    pub(crate) peer: SocketAddr,
    since: Timestamp,
    target: Mutex<Option<(Authority, Handling)>>,
    /// As it came with the latest request or CONNECT.
    credential: Mutex<Option<Credential>>,
    owner: SocketOwner,
    processes: Arc<Processes>,
    process: OnceCell<Option<Process>>,
}

impl Flow {
    /// Asks the kernel whose socket the other end is. No answer means refusal: TCP carries no credentials.
    pub(crate) fn identify(
        connection: &ConnectionInfo,
        own_uid: u32,
        processes: &Arc<Processes>,
    ) -> Result<Arc<Flow>, Refused> {
        let owner = socket_owner::owner_of(connection.local, connection.peer).map_err(|error| {
            tracing::debug!(%error, "a connection without a known owner");
            Refused::new("Sallyport can't tell which user opened this connection, so it is refused.")
        })?;
        if owner.uid != own_uid {
            return Err(Refused::new(
                "This Sallyport belongs to another user; start your own with `sallyport daemon`.",
            ));
        }
        let flow = Arc::new(Flow {
            id: connection.id,
            peer: connection.peer,
            since: Timestamp::now(),
            target: Mutex::default(),
            credential: Mutex::default(),
            owner,
            processes: processes.clone(),
            process: OnceCell::new(),
        });
        // Looked up while the request is being read: the walk over /proc takes a millisecond or more.
        let early = flow.clone();
        tokio::spawn(async move {
            early.process().await;
        });
        Ok(flow)
    }

    /// Notes where the connection goes, and on whose behalf it says it does.
    pub(crate) fn heads_for(&self, target: &Authority, handling: Handling, proxy_auth: Option<&HeaderValue>) {
        *self.target.lock() = Some((target.clone(), handling));
        *self.credential.lock() = Credential::read(proxy_auth);
    }

    /// The process that holds the other end, or none where it is gone or can't be read.
    pub(crate) async fn process(&self) -> Option<&Process> {
        self.process
            .get_or_init(|| async {
                let (owner, processes) = (self.owner, self.processes.clone());
                tokio::task::spawn_blocking(move || processes.of_socket(owner.inode, owner.uid))
                    .await
                    .ok()
                    .flatten()
            })
            .await
            .as_ref()
    }
}

/// The connections that are open now.
#[derive(Default)]
pub(crate) struct Flows(Mutex<Vec<Weak<Flow>>>);

impl Flows {
    pub(crate) fn add(&self, flow: &Arc<Flow>) {
        let mut flows = self.0.lock();
        if flows.len() == flows.capacity() {
            flows.retain(|flow| flow.strong_count() > 0);
        }
        flows.push(Arc::downgrade(flow));
    }

    pub(crate) async fn open(&self, sessions: &Sessions) -> Vec<types::Flow> {
        let flows: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        let mut open = Vec::with_capacity(flows.len());
        for flow in flows {
            let target = flow.target.lock().clone();
            let Some((target, handling)) = target else { continue };
            let process = flow.process().await;
            let credential = flow.credential.lock().clone();
            let account = match &credential {
                Some(credential) => sessions.of_credential(credential),
                None => process.and_then(|process| sessions.of_process(process)),
            };
            open.push(types::Flow {
                id: flow.id,
                host: target.host().to_owned(),
                port: target.port(),
                handling,
                pid: process.map(|process| process.pid),
                executable: process
                    .and_then(|process| process.exe.as_ref())
                    .map(|exe| exe.display().to_string()),
                account: account.map(|account| account.name),
                since: flow.since,
            });
        }
        open
    }
}
