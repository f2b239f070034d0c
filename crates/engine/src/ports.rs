//! The port that this user's shells and browsers know. The configured one is a wish; what was really bound is
//! written down, so that the next start takes the same port and open shells go on working.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// A bound listener, and the wish that could not be met, if any.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) instead_of: Option<SocketAddr>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    wish: SocketAddr,
    bound: SocketAddr,
}

/// Binds the recorded address if the wish is still the same, else the wish, else any free port of it.
pub(crate) async fn bind(wish: SocketAddr, record: &Path) -> std::io::Result<Bound> {
    let known = read(record).filter(|known| known.wish == wish).map(|known| known.bound);
    let mut listener = None;
    // The wish first: a moved port moves back as soon as it can. Port 0 is no wish.
    let candidates = [(wish.port() != 0).then_some(wish), known];
    for candidate in candidates.into_iter().flatten() {
        match TcpListener::bind(candidate).await {
            Ok(bound) => {
                listener = Some(bound);
                break;
            }
            Err(error) => tracing::info!(%candidate, %error, "address not free"),
        }
    }
    let listener = match listener {
        Some(listener) => listener,
        None => TcpListener::bind(SocketAddr::new(wish.ip(), 0)).await?,
    };
    let address = listener.local_addr()?;
    let moved = wish.port() != 0 && address != wish;
    if let Ok(bytes) = serde_json::to_vec(&Record { wish, bound: address })
        && let Err(error) = sallyport_platform::fs::write_private_atomic(record, &bytes, 0o600)
    {
        tracing::warn!(%error, "the port could not be written down");
    }
    Ok(Bound { listener, address, instead_of: moved.then_some(wish) })
}

fn read(record: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(record).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_free_port_is_kept_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("port.json");
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = bind(any, &record).await.unwrap().address;
        let second = bind(any, &record).await.unwrap();
        assert_eq!(second.address, first);
        assert!(second.instead_of.is_none());
    }

    #[tokio::test]
    async fn a_taken_port_is_replaced_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("port.json");
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wish = taken.local_addr().unwrap();
        let bound = bind(wish, &record).await.unwrap();
        assert_ne!(bound.address, wish);
        assert_eq!(bound.instead_of, Some(wish));
        let moved_to = bound.address;
        drop(bound);
        assert_eq!(bind(wish, &record).await.unwrap().address, moved_to);
        drop(taken);
        assert_eq!(bind(wish, &record).await.unwrap().address, wish);
    }
}
