//! The way out: a proxy of the house that everything goes through, by `upstream.proxy` or else by `HTTPS_PROXY` of this
//! process, and what goes past it.
//!
//! Must never lead to ourselves: a shell that was set up by `sallyport env` names our own listener.

use std::net::{IpAddr, SocketAddr};

use hudson_proxy::{Authority, DialerConfig, NoProxy, ProxyKind, UnusableProxy, UpstreamProxy as Chain};
use sallyport_policy::config::{ProxyAddress, ProxyScheme, UpstreamProxy};
use sallyport_policy::settings::UpstreamSettings;

/// Set by `sallyport env` and `exec`, beside what the person had in these variables before.
const OURS: &str = "SALLYPORT_ENV";
const SAVED: &str = "SALLYPORT_SAVED_";

/// Why there is no such way.
#[derive(Debug, thiserror::Error)]
pub enum NoWayOut {
    #[error("the proxy {proxy} can't be used")]
    Proxy { proxy: String, source: UnusableProxy },
    #[error(
        "{variable} names no proxy that is understood; correct it, or set `upstream.proxy` in config.yaml"
    )]
    Variable { variable: &'static str },
    #[error("the proxy's host {0} is none")]
    Host(String),
}

/// How connections leave. `own` is where we listen.
pub(crate) fn dialer(
    upstream: &UpstreamSettings,
    env: &dyn Fn(&str) -> Option<String>,
    own: SocketAddr,
) -> Result<DialerConfig, NoWayOut> {
    let mut dialer = DialerConfig::default();
    for (name, address) in &upstream.resolve.value {
        if let Ok(target) = Authority::new(&name.host, name.port) {
            dialer.resolve.insert(target, vec![*address]);
        }
    }
    if let Some((address, beside)) = proxy(upstream, env, own)? {
        dialer.upstream_proxy = Some(chain(&address)?);
        dialer.no_proxy = NoProxy::parse(&beside);
    }
    Ok(dialer)
}

/// The proxy of the house, and the hosts that go past it as `NO_PROXY` lists them.
pub(crate) fn proxy(
    upstream: &UpstreamSettings,
    env: &dyn Fn(&str) -> Option<String>,
    own: SocketAddr,
) -> Result<Option<(ProxyAddress, String)>, NoWayOut> {
    match &upstream.proxy.value {
        Some(UpstreamProxy::Direct) => Ok(None),
        Some(UpstreamProxy::Via(address)) => Ok(Some((address.clone(), String::new()))),
        None => {
            let Some(address) = of_environment(env, own)? else { return Ok(None) };
            let shown = UpstreamProxy::Via(address.clone());
            tracing::info!(proxy = %shown, "HTTPS_PROXY names the way out");
            let beside = variable(env, "NO_PROXY").map(|(_, list)| list).or_else(|| env("NO_PROXY"));
            Ok(Some((address, beside.unwrap_or_default())))
        }
    }
}

fn of_environment(
    env: &dyn Fn(&str) -> Option<String>,
    own: SocketAddr,
) -> Result<Option<ProxyAddress>, NoWayOut> {
    let Some((name, text)) = variable(env, "HTTPS_PROXY") else { return Ok(None) };
    let address = UpstreamProxy::from_variable(&text).ok_or(NoWayOut::Variable { variable: name })?;
    if is_own(&address, own) {
        tracing::info!("HTTPS_PROXY names this very engine, so connections leave directly");
        return Ok(None);
    }
    Ok(Some(address))
}

/// The upper or the lower case of a variable, as it was before `sallyport env` set its own.
fn variable(env: &dyn Fn(&str) -> Option<String>, upper: &'static str) -> Option<(&'static str, String)> {
    let lower = if upper == "NO_PROXY" { "no_proxy" } else { "https_proxy" };
    let ours = env(OURS).is_some();
    [upper, lower].into_iter().find_map(|name| {
        let value = if ours { env(&format!("{SAVED}{name}")) } else { env(name) };
        value.filter(|value| !value.trim().is_empty()).map(|value| (name, value))
    })
}

fn is_own(address: &ProxyAddress, own: SocketAddr) -> bool {
    let here = match address.host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || ip.is_unspecified() || ip == own.ip(),
        Err(_) => address.host == "localhost" || address.host.ends_with(".localhost"),
    };
    here && address.port == own.port()
}

fn chain(address: &ProxyAddress) -> Result<Chain, NoWayOut> {
    let kind = match address.scheme {
        ProxyScheme::Http => ProxyKind::Http,
        ProxyScheme::Https => ProxyKind::Https,
        ProxyScheme::Socks5 => ProxyKind::Socks5,
    };
    let at = Authority::new(&address.host, address.port).map_err(|_| NoWayOut::Host(address.host.clone()))?;
    Chain::new(kind, at, address.credentials())
        .map_err(|source| NoWayOut::Proxy { proxy: UpstreamProxy::Via(address.clone()).to_string(), source })
}

#[cfg(test)]
mod tests {
    use sallyport_policy::settings::{Layers, resolve};

    use super::*;

    fn way(pairs: &[(&str, &str)], configured: Option<&str>) -> Result<Option<String>, NoWayOut> {
        let mut upstream = resolve(&Layers::default()).unwrap().upstream;
        upstream.proxy.value = configured.map(|text| UpstreamProxy::parse(text).unwrap());
        let env =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let dialer = dialer(&upstream, &env, "127.0.0.1:8877".parse().unwrap())?;
        Ok(dialer.upstream_proxy.map(|proxy| proxy.address().to_string()))
    }

    #[test]
    fn the_environment_counts_where_the_configuration_is_silent() {
        let corp = ("HTTPS_PROXY", "http://proxy.corp:3128");
        assert_eq!(way(&[corp], None).unwrap().as_deref(), Some("proxy.corp:3128"));
        assert_eq!(way(&[("https_proxy", "proxy.corp:1")], None).unwrap().as_deref(), Some("proxy.corp:1"));
        assert_eq!(way(&[corp], Some("none")).unwrap(), None);
        assert_eq!(way(&[corp], Some("socks5://other.corp")).unwrap().as_deref(), Some("other.corp:1080"));
        assert_eq!(way(&[("HTTPS_PROXY", " ")], None).unwrap(), None);
        assert!(matches!(way(&[("HTTPS_PROXY", "ftp://x")], None), Err(NoWayOut::Variable { .. })));
        assert_eq!(way(&[("HTTPS_PROXY", "ftp://x")], Some("none")).unwrap(), None);
    }

    #[test]
    fn it_never_leads_to_ourselves() {
        for own in ["http://127.0.0.1:8877", "localhost:8877", "http://[::1]:8877", "http://0.0.0.0:8877/"] {
            assert_eq!(way(&[("HTTPS_PROXY", own)], None).unwrap(), None, "{own}");
        }
        assert!(way(&[("HTTPS_PROXY", "http://127.0.0.1:3128")], None).unwrap().is_some());
        // In a shell of `sallyport env` what the person had before counts; its own may be of an engine that is gone.
        let ours = ("SALLYPORT_ENV", "1");
        assert_eq!(way(&[ours, ("HTTPS_PROXY", "http://127.0.0.1:9999")], None).unwrap(), None);
        let before = ("SALLYPORT_SAVED_HTTPS_PROXY", "http://proxy.corp:3128");
        assert_eq!(way(&[ours, before], None).unwrap().as_deref(), Some("proxy.corp:3128"));
    }
}
