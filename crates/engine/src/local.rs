//! Requests sent to the proxy's own address: the PAC file and the base-URL ingress.
//!
//! Any web page in a browser can make such a request, by a form or by rebinding its own name to
//! loopback. So each must name exactly our address and carry no sign of a foreign page; a preflight is
//! never forwarded.

use std::net::SocketAddr;

use http::{HeaderMap, Method, header};

/// Why an origin-form request is refused with 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignPage {
    Host,
    Origin,
    FetchSite,
    Preflight,
}

impl ForeignPage {
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            ForeignPage::Host => "the Host header does not name this listener's own address",
            ForeignPage::Origin => "the request comes from a web page of another origin",
            ForeignPage::FetchSite => "a browser says that another site caused this request",
            ForeignPage::Preflight => "preflight requests are not answered here",
        }
    }
}

/// Judges the head of an origin-form request against the address that we listen on.
pub(crate) fn admit(method: &Method, headers: &HeaderMap, listen: SocketAddr) -> Result<(), ForeignPage> {
    if method == Method::OPTIONS || headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(ForeignPage::Preflight);
    }
    let own = listen.to_string();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|h| h.to_str().ok());
    if hosts.next().is_some() || host.is_none_or(|h| own != h) {
        return Err(ForeignPage::Host);
    }
    for origin in headers.get_all(header::ORIGIN) {
        let same = origin.to_str().ok().and_then(|o| o.strip_prefix("http://")).is_some_and(|o| own == o);
        if !same {
            return Err(ForeignPage::Origin);
        }
    }
    for site in headers.get_all("sec-fetch-site") {
        if !matches!(site.as_bytes(), b"same-origin" | b"none") {
            return Err(ForeignPage::FetchSite);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(method: &Method, pairs: &[(&'static str, &str)]) -> Result<(), ForeignPage> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        admit(method, &headers, "127.0.0.1:8877".parse().unwrap())
    }

    #[test]
    fn own_clients_are_admitted() {
        assert_eq!(judge(&Method::GET, &[("host", "127.0.0.1:8877")]), Ok(()));
        assert_eq!(judge(&Method::GET, &[("host", "127.0.0.1:8877"), ("sec-fetch-site", "none")]), Ok(()));
        let same = [("host", "127.0.0.1:8877"), ("origin", "http://127.0.0.1:8877")];
        assert_eq!(judge(&Method::POST, &same), Ok(()));
    }

    #[test]
    fn foreign_pages_are_not() {
        use ForeignPage::{FetchSite, Host, Origin, Preflight};
        let own = ("host", "127.0.0.1:8877");
        type Case = (Method, Vec<(&'static str, &'static str)>, ForeignPage);
        let cases: [Case; 12] = [
            (Method::GET, vec![("host", "evil.example:8877")], Host),
            (Method::GET, vec![("host", "127.0.0.1")], Host),
            (Method::GET, vec![("host", "localhost:8877")], Host),
            (Method::GET, vec![("host", "127.0.0.1:80")], Host),
            (Method::GET, vec![], Host),
            (Method::GET, vec![own, ("host", "evil.example")], Host),
            (Method::POST, vec![own, ("origin", "https://evil.example")], Origin),
            (Method::POST, vec![own, ("origin", "null")], Origin),
            (Method::POST, vec![own, ("origin", "http://127.0.0.1:9999")], Origin),
            (Method::GET, vec![own, ("sec-fetch-site", "cross-site")], FetchSite),
            (Method::GET, vec![own, ("sec-fetch-site", "same-site")], FetchSite),
            (Method::OPTIONS, vec![own], Preflight),
        ];
        for (method, headers, expected) in cases {
            assert_eq!(judge(&method, &headers), Err(expected), "{headers:?}");
        }
    }
}
