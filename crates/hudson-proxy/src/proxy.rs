//! The proxy as a whole: building it, accepting, and coming to an end. Must not know what a connection carries.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::RootCertStore;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{self, Shared};
use crate::dialer::{Dialer, DialerConfig, tune};
use crate::error::BuildError;
use crate::handler::{CertSource, ConnectionInfo, Handler};
use crate::limits::Limits;
use crate::one_go::InOneGo;
use crate::tls::{ClientTls, UpstreamTls};
use crate::upstream::Link;

/// Between attempts to accept when the process has run out of something.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// An intercepting proxy, ready to serve.
pub struct Proxy {
    handler: Arc<dyn Handler>,
    link: Arc<Link>,
    client_tls: ClientTls,
}

/// What a proxy is made of.
pub struct ProxyBuilder {
    handler: Arc<dyn Handler>,
    certs: Arc<dyn CertSource>,
    roots: RootCertStore,
    dialer: DialerConfig,
    limits: Limits,
}

/// How a proxy came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open when the deadline passed, and were cut.
    pub cut: usize,
}

impl Proxy {
    /// Begins a proxy. Without [`roots`](ProxyBuilder::roots) no upstream certificate verifies.
    pub fn builder(handler: Arc<dyn Handler>, certs: Arc<dyn CertSource>) -> ProxyBuilder {
        ProxyBuilder {
            handler,
            certs,
            roots: RootCertStore::empty(),
            dialer: DialerConfig::default(),
            limits: Limits::default(),
        }
    }

    /// Serves until `shutdown` is cancelled, then lets what runs come to its end: HTTP/1 finishes the current
    /// exchange, HTTP/2 says GOAWAY, tunnels go on. What is left at the deadline ([`Limits::drain`]) is cut.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Drained {
        if let Ok(own) = listener.local_addr() {
            self.link.dialer.set_own(own);
        }
        let (limit, drain) = (self.link.limits.connections, self.link.limits.drain);
        let shared = Arc::new(Shared {
            handler: self.handler,
            link: self.link,
            client_tls: self.client_tls,
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
        });
        let connections = TaskTracker::new();
        shutdown.run_until_cancelled(accept(&listener, &shared, &connections, limit)).await;
        drop(listener);
        shared.stop.cancel();
        connections.close();
        let cut = match timeout(drain, connections.wait()).await {
            Ok(()) => 0,
            Err(_) => connections.len(),
        };
        shared.kill.cancel();
        connections.wait().await;
        Drained { cut }
    }
}

impl ProxyBuilder {
    /// The roots that servers and `https://` upstream proxies are verified with.
    #[must_use]
    pub fn roots(mut self, roots: RootCertStore) -> Self {
        self.roots = roots;
        self
    }

    /// Where connections go.
    #[must_use]
    pub fn dialer(mut self, dialer: DialerConfig) -> Self {
        self.dialer = dialer;
        self
    }

    /// Bounds on time, number and size.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets TLS up. aws-lc-rs gathers entropy at its first use, which takes tens of milliseconds.
    pub fn build(self) -> Result<Proxy, BuildError> {
        let tls = UpstreamTls::new(self.roots)?;
        let dialer = Dialer::new(self.dialer, tls.for_proxies(), self.limits.connect);
        Ok(Proxy {
            handler: self.handler,
            link: Arc::new(Link { dialer, tls, limits: self.limits }),
            client_tls: ClientTls::new(self.certs)?,
        })
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, connections: &TaskTracker, limit: usize) {
    let slots = Arc::new(Semaphore::new(limit));
    let ids = AtomicU64::new(1);
    loop {
        // Waiting for a slot first leaves further clients in the kernel's backlog.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, peer)) => {
                let id = ids.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(shared.clone(), socket, peer, id, slot));
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "no connection can be accepted at the moment");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

async fn serve(
    shared: Arc<Shared>,
    socket: TcpStream,
    peer: SocketAddr,
    id: u64,
    slot: OwnedSemaphorePermit,
) {
    let Ok(info) = welcome(&socket, peer, id) else { return };
    let kill = shared.kill.clone();
    let connection = InOneGo::new(Box::pin(connection::run(shared, socket, info)));
    kill.run_until_cancelled(connection).await;
    drop(slot);
}

/// Sets the client's socket up. Fails when the client has gone already.
fn welcome(socket: &TcpStream, peer: SocketAddr, id: u64) -> io::Result<ConnectionInfo> {
    tune(socket)?;
    Ok(ConnectionInfo { id, peer, local: socket.local_addr()? })
}

/// Errors that are about one connection and not about the listener (accept(2)).
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_client_leg_sends_small_writes_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let info = welcome(&socket, peer, 7).unwrap();
        assert!(socket.nodelay().unwrap());
        assert_eq!(
            (info.id, info.peer, info.local),
            (7, client.local_addr().unwrap(), client.peer_addr().unwrap())
        );
    }
}
