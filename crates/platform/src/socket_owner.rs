//! Which user holds the other end of a loopback TCP connection.
//!
//! TCP carries no peer credentials, so the kernel is asked for the one socket with exactly this pair of addresses.
//! No answer is an error, and an error means refusal: there is no guess by port alone.

use std::net::{IpAddr, SocketAddr};

use crate::Error;

/// Owner of one socket, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOwner {
    pub uid: u32,
    /// The socket's inode, by which [`crate::process::Processes::of_socket`] finds the process.
    pub inode: u64,
}

/// The owner of the client end of an accepted connection. `local` and `peer` as the accepting side sees them.
pub fn owner_of(local: SocketAddr, peer: SocketAddr) -> Result<SocketOwner, Error> {
    crate::imp::connection_owner(canonical(local), canonical(peer))
}

/// The user whose listener would get a connection to `address`.
pub fn listener_owner(address: SocketAddr) -> Result<SocketOwner, Error> {
    crate::imp::listener_owner(canonical(address))
}

/// `::ffff:127.0.0.1` and `127.0.0.1` are one socket to the kernel.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{Ipv6Addr, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn inode_of(stream: &TcpStream) -> u64 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd())).expect("link");
        let text = link.to_string_lossy().into_owned();
        text.trim_start_matches("socket:[").trim_end_matches(']').parse().expect("inode")
    }

    fn connected(bind: &str, connect_to: IpAddr) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(bind).expect("bind");
        let port = listener.local_addr().expect("address").port();
        let client = TcpStream::connect((connect_to, port)).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        (client, server)
    }

    /// A child that another test is just starting holds a copy of every socket until it executes its program.
    fn soon(what: &str, is_so: impl Fn() -> bool) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !is_so() {
            assert!(std::time::Instant::now() < deadline, "{what}");
            std::thread::yield_now();
        }
    }

    fn assert_owned(client: &TcpStream, server: &TcpStream) {
        let owner =
            owner_of(server.local_addr().expect("local"), server.peer_addr().expect("peer")).expect("owner");
        assert_eq!(owner, SocketOwner { uid: crate::current_uid(), inode: inode_of(client) });
    }

    #[test]
    fn finds_the_client_over_ipv4() {
        let (client, server) = connected("127.0.0.1:0", "127.0.0.1".parse().expect("ip"));
        assert_owned(&client, &server);
    }

    #[test]
    fn finds_the_client_over_ipv6() {
        let (client, server) = connected("[::1]:0", "::1".parse().expect("ip"));
        assert_owned(&client, &server);
    }

    #[test]
    fn finds_the_client_over_mapped_addresses() {
        // a client with an IPv6 socket and an IPv4 listener, then the other way round
        let mapped: IpAddr = Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1]).into();
        let (client, server) = connected("127.0.0.1:0", mapped);
        assert_owned(&client, &server);
        let (client, server) = connected("[::]:0", "127.0.0.1".parse().expect("ip"));
        assert!(server.peer_addr().expect("peer").is_ipv6());
        assert_owned(&client, &server);
    }

    #[test]
    fn answers_for_the_exact_pair_only() {
        let (client, server) = connected("127.0.0.1:0", "127.0.0.1".parse().expect("ip"));
        let local = server.local_addr().expect("local");
        let peer = client.local_addr().expect("peer");
        let other_port = SocketAddr::new(peer.ip(), peer.port() ^ 1);
        assert!(matches!(owner_of(local, other_port), Err(Error::NoOwner { .. })));
        // a listener on the peer's port is not the peer
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let listening = listener.local_addr().expect("address");
        assert!(matches!(owner_of(local, listening), Err(Error::NoOwner { .. })));
        drop(client);
    }

    #[test]
    fn a_client_that_left_has_no_owner() {
        let (client, server) = connected("127.0.0.1:0", "127.0.0.1".parse().expect("ip"));
        let (local, peer) = (server.local_addr().expect("local"), server.peer_addr().expect("peer"));
        let nobody = || matches!(owner_of(local, peer), Err(Error::NoOwner { .. }));
        drop(client);
        soon("the client has no owner", nobody);
        drop(server);
        soon("nor when the other end is gone", nobody);
    }

    #[test]
    fn a_half_closed_client_is_still_there() {
        let (client, server) = connected("127.0.0.1:0", "127.0.0.1".parse().expect("ip"));
        client.shutdown(std::net::Shutdown::Write).expect("shutdown");
        assert_owned(&client, &server);
    }

    #[test]
    fn knows_who_listens() {
        for bind in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(bind).expect("bind");
            let address = listener.local_addr().expect("address");
            let loopback = match address {
                SocketAddr::V4(a) if a.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], a.port())),
                a => a,
            };
            assert_eq!(listener_owner(loopback).expect("owner").uid, crate::current_uid());
            drop(listener);
            soon("nobody listens", || matches!(listener_owner(loopback), Err(Error::NoListener { .. })));
        }
    }

    #[test]
    fn tells_another_user_apart() {
        if crate::current_uid() != 0 {
            return; // only root can become somebody else
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let mut child = std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c"])
            .arg(format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -u 3 line"))
            .spawn()
            .expect("setpriv and bash");
        let (server, peer) = listener.accept().expect("accept");
        let owner = owner_of(server.local_addr().expect("local"), peer).expect("owner");
        assert_eq!(owner.uid, 65534);
        assert_ne!(owner.inode, 0);
        drop(server);
        child.wait().expect("child");
    }
}
