//! The one way out: names, addresses, a chained proxy. HTTP, WebSockets and tunnels all leave through it. Must not
//! speak TLS with the target; that is the caller's.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::authority::Authority;
use crate::chain::{self, UpstreamProxy};
use crate::error::{ChainFailure, UpstreamError};
use crate::lane::Forwarding;
use crate::leg::Leg;
use crate::noproxy::NoProxy;

/// RFC 8305 8: how long an address may take before the next one is tried beside it.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Before a silent connection is probed, so that a peer that vanished is noticed.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Where connections go.
#[derive(Clone, Debug, Default)]
pub struct DialerConfig {
    /// Addresses for a host and port instead of what names resolve to, like curl's `--resolve`. Such a target is
    /// dialled directly, also when there is an upstream proxy.
    pub resolve: HashMap<Authority, Vec<SocketAddr>>,
    /// The proxy that everything else goes through.
    pub upstream_proxy: Option<UpstreamProxy>,
    /// Targets that are dialled directly although there is an upstream proxy. Loopback always is.
    pub no_proxy: NoProxy,
}

/// What the caller means to do with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Bytes straight to the target.
    Stream,
    /// Plain HTTP requests; a chained HTTP proxy then takes them in absolute form, as many refuse CONNECT to port 80.
    PlainHttp,
}

/// An open connection.
pub(crate) struct Dialled {
    pub(crate) leg: Leg,
    /// Set when requests must be written in absolute form for a forwarding proxy.
    pub(crate) forwarding: Option<Forwarding>,
}

pub(crate) struct Dialer {
    config: DialerConfig,
    proxy_tls: TlsConnector,
    limit: Duration,
    own: OnceLock<SocketAddr>,
}

impl Dialer {
    pub(crate) fn new(config: DialerConfig, proxy_tls: TlsConnector, limit: Duration) -> Self {
        Self { config, proxy_tls, limit, own: OnceLock::new() }
    }

    /// Where we listen: never dialled.
    pub(crate) fn set_own(&self, address: SocketAddr) {
        let _ = self.own.set(address);
    }

    /// Whether a client that names this target means the proxy itself.
    pub(crate) fn is_own(&self, target: &Authority) -> bool {
        let Some(own) = self.own.get() else { return false };
        if own.port() != target.port() {
            return false;
        }
        match target.ip() {
            Some(ip) => self.loops(SocketAddr::new(ip, target.port())),
            None => target.host() == "localhost" && own.ip().is_loopback(),
        }
    }

    pub(crate) async fn dial(&self, target: &Authority, purpose: Purpose) -> Result<Dialled, UpstreamError> {
        match timeout(self.limit, Box::pin(self.route(target, purpose))).await {
            Ok(dialled) => dialled,
            Err(_) => Err(UpstreamError::ConnectTimeout { target: target.clone(), after: self.limit }),
        }
    }

    async fn route(&self, target: &Authority, purpose: Purpose) -> Result<Dialled, UpstreamError> {
        if self.is_own(target) {
            return Err(UpstreamError::Loop { target: target.clone() });
        }
        let directly = self.config.resolve.contains_key(target) || self.config.no_proxy.covers(target);
        let Some(proxy) = self.config.upstream_proxy.as_ref().filter(|_| !directly) else {
            return Ok(direct(self.resolve_and_reach(target).await?));
        };
        let socket = self.resolve_and_reach(proxy.address()).await?;
        let mut leg = Leg::Plain(socket);
        if let Some(name) = proxy.tls_name() {
            let failed = |source: io::Error| UpstreamError::Chain {
                proxy: proxy.address().clone(),
                target: target.clone(),
                reason: ChainFailure::Tls,
                source: Some(source.into()),
            };
            leg = Leg::Tls(Box::new(self.proxy_tls.connect(name, leg).await.map_err(failed)?));
        }
        if purpose == Purpose::PlainHttp && proxy.forwards_http() {
            return Ok(Dialled {
                leg,
                forwarding: Some(Forwarding { authorization: proxy.authorization() }),
            });
        }
        chain::open(proxy, &mut leg, target).await.map_err(|failure| UpstreamError::Chain {
            proxy: proxy.address().clone(),
            target: target.clone(),
            reason: failure.reason,
            source: failure.source.map(Into::into),
        })?;
        Ok(direct_leg(leg))
    }

    async fn resolve_and_reach(&self, target: &Authority) -> Result<TcpStream, UpstreamError> {
        if let Some(addresses) = self.config.resolve.get(target) {
            return self.reach(target, addresses.clone()).await;
        }
        if let Some(ip) = target.ip() {
            return self.reach(target, vec![SocketAddr::new(ip, target.port())]).await;
        }
        let failed = |source| UpstreamError::Resolve { host: target.host().to_owned(), source };
        let found = tokio::net::lookup_host((target.host(), target.port()))
            .await
            .map_err(|source| failed(Some(source)))?;
        let addresses = interleave(found);
        if addresses.is_empty() {
            return Err(failed(None));
        }
        self.reach(target, addresses).await
    }

    /// Tries the addresses one after the other, each beside those before it that are still silent.
    async fn reach(
        &self,
        target: &Authority,
        addresses: Vec<SocketAddr>,
    ) -> Result<TcpStream, UpstreamError> {
        if addresses.iter().any(|address| self.loops(*address)) {
            return Err(UpstreamError::Loop { target: target.clone() });
        }
        let socket = first_to_answer(addresses, ATTEMPT_DELAY, TcpStream::connect)
            .await
            .map_err(|source| UpstreamError::Connect { target: target.clone(), source })?;
        // A listener on every interface has addresses that can't be told beforehand.
        let looped = self.own.get().is_some_and(|own| {
            own.ip().is_unspecified()
                && socket.peer_addr().is_ok_and(|peer| {
                    peer.port() == own.port()
                        && socket.local_addr().is_ok_and(|local| local.ip() == peer.ip())
                })
        });
        if looped {
            return Err(UpstreamError::Loop { target: target.clone() });
        }
        tune(&socket).map_err(|source| UpstreamError::Connect { target: target.clone(), source })?;
        Ok(socket)
    }

    fn loops(&self, address: SocketAddr) -> bool {
        let Some(own) = self.own.get() else { return false };
        let (own_ip, ip) = (own.ip().to_canonical(), address.ip().to_canonical());
        // Dialling 0.0.0.0 or :: reaches loopback.
        own.port() == address.port()
            && (ip == own_ip
                || ip.is_unspecified() && (own_ip.is_loopback() || own_ip.is_unspecified())
                || own_ip.is_unspecified() && ip.is_loopback())
    }
}

fn direct(socket: TcpStream) -> Dialled {
    direct_leg(Leg::Plain(socket))
}

fn direct_leg(leg: Leg) -> Dialled {
    Dialled { leg, forwarding: None }
}

/// What every socket of ours is given, on both legs: small writes leave at once (without it HTTP/2 waits 40 ms for
/// delayed acknowledgements), and a peer that vanished is noticed.
pub(crate) fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
    socket2::SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// RFC 8305 4: the families take turns, the first as the resolver sorted them.
fn interleave(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<SocketAddr> = found.collect();
    let Some(first) = all.first().map(|address| address.is_ipv6()) else { return all };
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|address| address.is_ipv6() == first);
    one.dedup();
    other.dedup();
    let mut mixed = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return mixed,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
}

async fn first_to_answer<T, F>(
    addresses: Vec<SocketAddr>,
    delay: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "it has no address");
    running.extend(waiting.next().map(&connect));
    while !running.is_empty() {
        let next_try =
            async { if waiting.len() == 0 { std::future::pending().await } else { sleep(delay).await } };
        tokio::select! {
            answer = running.next() => match answer {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => {
                    last = error;
                    running.extend(waiting.next().map(&connect));
                }
                None => break,
            },
            () = next_try => running.extend(waiting.next().map(&connect)),
        }
    }
    Err(last)
}

/// Whether an address is this machine's loopback, however it is written.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;

    pub(crate) fn dialer(config: DialerConfig) -> Dialer {
        let tls = crate::tls::UpstreamTls::new(rustls::RootCertStore::empty()).unwrap();
        Dialer::new(config, tls.for_proxies(), Duration::from_secs(5))
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let found =
            ["[2001:db8::1]:1", "[2001:db8::2]:1", "10.0.0.1:1", "[2001:db8::3]:1", "10.0.0.2:1"].map(at);
        let expected =
            ["[2001:db8::1]:1", "10.0.0.1:1", "[2001:db8::2]:1", "10.0.0.2:1", "[2001:db8::3]:1"].map(at);
        assert_eq!(interleave(found.into_iter()), expected);
        assert!(interleave(std::iter::empty()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_does_not_hold_up_the_next_and_a_refused_one_not_at_all() {
        let connect = |address: SocketAddr| async move {
            match address.port() {
                1 => std::future::pending().await,
                2 => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                _ => Ok(address),
            }
        };
        let begin = tokio::time::Instant::now();
        let all = ["10.0.0.1:2", "10.0.0.2:1", "10.0.0.3:3"].map(at).to_vec();
        assert_eq!(first_to_answer(all, ATTEMPT_DELAY, connect).await.unwrap(), at("10.0.0.3:3"));
        assert_eq!(begin.elapsed(), ATTEMPT_DELAY);
        let refused = first_to_answer(vec![at("10.0.0.1:2")], ATTEMPT_DELAY, connect).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn the_upstream_leg_sends_small_writes_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Authority::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
        let dialled = dialer(DialerConfig::default()).dial(&target, Purpose::Stream).await.unwrap();
        assert!(dialled.leg.socket().nodelay().unwrap());
        assert!(socket2::SockRef::from(dialled.leg.socket()).keepalive().unwrap());
    }

    #[tokio::test]
    async fn the_resolve_map_stands_in_for_names() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Authority::new("gateway.example", 443).unwrap();
        let resolve = HashMap::from([(target.clone(), vec![listener.local_addr().unwrap()])]);
        let dialled = dialer(DialerConfig { resolve, ..DialerConfig::default() })
            .dial(&target, Purpose::Stream)
            .await
            .unwrap();
        assert_eq!(dialled.leg.socket().peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[tokio::test]
    async fn our_own_address_is_never_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let name = Authority::new("gateway.example", 443).unwrap();
        let resolve = HashMap::from([(name.clone(), vec![own])]);
        let dialer = Arc::new(dialer(DialerConfig { resolve, ..DialerConfig::default() }));
        dialer.set_own(own);
        for host in ["127.0.0.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1", "::"] {
            let target = Authority::new(host, own.port()).unwrap();
            let outcome = dialer.dial(&target, Purpose::Stream).await;
            assert!(matches!(outcome, Err(UpstreamError::Loop { .. })), "{host}");
        }
        assert!(matches!(dialer.dial(&name, Purpose::Stream).await, Err(UpstreamError::Loop { .. })));
    }

    #[tokio::test]
    async fn a_dead_port_is_told_apart_from_a_dead_name() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let dialer = dialer(DialerConfig::default());
        let target = Authority::new("127.0.0.1", gone.port()).unwrap();
        assert!(matches!(dialer.dial(&target, Purpose::Stream).await, Err(UpstreamError::Connect { .. })));
        let target = Authority::new("no-such-host.invalid", 443).unwrap();
        assert!(matches!(dialer.dial(&target, Purpose::Stream).await, Err(UpstreamError::Resolve { .. })));
    }
}
