//! The kernel's socket table by netlink `sock_diag`: one question for one socket, no dump.
//! `man 7 sock_diag`; layouts from `linux/inet_diag.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

use crate::Error;
use crate::socket_owner::{SocketOwner, canonical};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const ENOENT: i32 = 2;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
const ANSWER: usize = HEADER + 72;

static SEQUENCE: AtomicU32 = AtomicU32::new(1);

/// What the kernel says about one socket.
struct Answer {
    state: u8,
    /// The socket's own end, then the end it is connected to.
    ends: (SocketAddr, SocketAddr),
    uid: u32,
    inode: u32,
}

pub(crate) fn connection_owner(local: SocketAddr, peer: SocketAddr) -> Result<SocketOwner, Error> {
    let no_owner = || Error::NoOwner { local, peer };
    // The client's socket has our peer as its own end.
    let answer = ask(peer, local)?.ok_or_else(no_owner)?;
    // Without an exact match the kernel offers a listener on that port; a socket in TIME_WAIT or one whose process
    // closed it reports user 0 and no inode. Neither is an owner.
    let exact = answer.ends == (peer, local);
    if !exact || answer.state == TCP_LISTEN || answer.inode == 0 {
        return Err(no_owner());
    }
    Ok(SocketOwner { uid: answer.uid, inode: answer.inode.into() })
}

pub(crate) fn listener_owner(address: SocketAddr) -> Result<SocketOwner, Error> {
    let nobody = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    match ask(address, nobody)? {
        Some(a) if a.state == TCP_LISTEN && a.ends.0.port() == address.port() => {
            Ok(SocketOwner { uid: a.uid, inode: a.inode.into() })
        }
        _ => Err(Error::NoListener { address }),
    }
}

fn ask(own: SocketAddr, other: SocketAddr) -> Result<Option<Answer>, Error> {
    let failed = |e: rustix::io::Errno| Error::io("ask the kernel who owns a connection", e);
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))
            .map_err(failed)?;
    // The kernel answers while it handles the request; the timeout only bounds what should not happen.
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(500))).map_err(failed)?;

    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let request = request(own, other, sequence);
    send(&socket, &request, SendFlags::empty()).map_err(failed)?;
    let mut buffer = [0_u8; 1024];
    let (received, _) =
        rustix::io::retry_on_intr(|| recv(&socket, &mut buffer[..], RecvFlags::empty())).map_err(failed)?;
    parse(&buffer[..received], sequence)
}

fn request(own: SocketAddr, other: SocketAddr, sequence: u32) -> Vec<u8> {
    // The kernel looks for an IPv4 pair among mapped IPv6 sockets too.
    let family = if own.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut bytes = Vec::with_capacity(REQUEST);
    bytes.extend((REQUEST as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family as u8, IPPROTO_TCP, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes()); // any state
    bytes.extend(own.port().to_be_bytes());
    bytes.extend(other.port().to_be_bytes());
    for address in [own.ip(), other.ip()] {
        match address {
            IpAddr::V4(v4) => {
                bytes.extend(v4.octets());
                bytes.extend([0; 12]);
            }
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend(0_u32.to_ne_bytes()); // any interface
    bytes.extend([0xff; 8]); // no cookie
    bytes
}

fn parse(bytes: &[u8], sequence: u32) -> Result<Option<Answer>, Error> {
    let malformed = Error::Malformed { about: "a connection" };
    if bytes.len() < HEADER || word(bytes, 8) != sequence {
        return Err(malformed);
    }
    let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
    if kind == NLMSG_ERROR && bytes.len() >= HEADER + 4 {
        let code = (word(bytes, HEADER) as i32).wrapping_neg();
        return match code {
            ENOENT => Ok(None),
            code => Err(Error::io(
                "ask the kernel who owns a connection",
                std::io::Error::from_raw_os_error(code),
            )),
        };
    }
    if kind != SOCK_DIAG_BY_FAMILY || bytes.len() < ANSWER {
        return Err(malformed);
    }
    let body = &bytes[HEADER..];
    let end = |port: usize, address: usize| {
        let octets: [u8; 16] = std::array::from_fn(|i| body[address + i]);
        let ip = match i32::from(body[0]) {
            libc::AF_INET => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
            _ => IpAddr::from(octets),
        };
        canonical(SocketAddr::new(ip, u16::from_be_bytes([body[port], body[port + 1]])))
    };
    Ok(Some(Answer {
        state: body[1],
        ends: (end(4, 8), end(6, 24)),
        uid: word(body, 64),
        inode: word(body, 68),
    }))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_has_the_kernels_layout() {
        let own: SocketAddr = "127.0.0.1:4660".parse().expect("address");
        let other: SocketAddr = "127.0.0.1:8877".parse().expect("address");
        let bytes = request(own, other, 7);
        assert_eq!(bytes.len(), REQUEST);
        assert_eq!(&bytes[24..28], &[0x12, 0x34, 0x22, 0xad]);
        assert_eq!(&bytes[28..32], &[127, 0, 0, 1]);
    }

    #[test]
    fn short_and_foreign_answers_are_refused() {
        for len in 0..ANSWER {
            let mut bytes = vec![0; len];
            if len >= HEADER {
                bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            }
            assert!(parse(&bytes, 0).is_err(), "{len}");
        }
        assert!(parse(&[0; 200], 9).is_err());
    }
}
