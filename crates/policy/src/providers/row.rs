//! Rows of the registry as they are written, in the embedded table and in policy documents.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Agreement, AuthNames, Endpoint, ErrorShape, PathPattern, Provider, TrafficKind, WireFamily, hosts,
};
use crate::settings::Origin;

pub(super) type Regions = BTreeMap<String, Vec<String>>;

/// One provider. Without a known `name` it is a new one and needs `hosts`; with one it amends that
/// provider: lists grow, single values are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderRow {
    pub name: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub hosts: Vec<String>,
    #[serde(default)]
    pub ports: Option<Vec<u16>>,
    #[serde(default)]
    pub tunnel: Option<bool>,
    #[serde(default)]
    pub plain: Option<bool>,
    /// Known and not approved: tunnelled and counted unless policy approves or refuses it.
    #[serde(default)]
    pub shadow: Option<bool>,
    #[serde(default)]
    pub kind: Option<TrafficKind>,
    #[serde(default)]
    pub error_shape: Option<ErrorShape>,
    #[serde(default)]
    pub auth: AuthRow,
    #[serde(default)]
    pub agreement: Option<Agreement>,
    #[serde(default)]
    pub residency: Option<String>,
    #[serde(default)]
    pub retention: Option<String>,
    #[serde(default)]
    pub tenant_header: Option<String>,
    #[serde(default)]
    pub ingress: Option<String>,
    #[serde(default)]
    pub endpoints: Vec<EndpointRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthRow {
    pub headers: Vec<String>,
    pub query: Vec<String>,
    pub subprotocols: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointRow {
    pub path: String,
    #[serde(default)]
    pub family: WireFamily,
    #[serde(default)]
    pub kind: Option<TrafficKind>,
}

/// A row that can't be used, and which of its fields is the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    pub provider: String,
    /// Which of the added rows; none if it is an embedded one or was judged alone.
    pub row: Option<usize>,
    pub field: String,
    pub message: String,
}

impl ProviderRow {
    /// What is wrong with the row by itself.
    pub(super) fn check(&self, regions: &Regions) -> Option<RowProblem> {
        let (field, message) = self.fault(regions)?;
        Some(RowProblem { provider: self.name.clone(), row: None, field, message })
    }

    fn fault(&self, regions: &Regions) -> Option<(String, String)> {
        let word = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if !word(&self.name) {
            return Some(("name".into(), "expected a name of lower-case letters, digits and `-`".into()));
        }
        for (index, host) in self.hosts.iter().enumerate() {
            let field = format!("hosts.{index}");
            if let Some(list) = region_list(host).filter(|list| !regions.contains_key(*list)) {
                let known: Vec<_> = regions.keys().map(|name| format!("`{{{name}}}`")).collect();
                return Some((
                    field,
                    format!("`{{{list}}}` is no list of regions: known are {}", known.join(", ")),
                ));
            }
            if let Some(message) = expand(host, regions).iter().find_map(|host| hosts::fault(host)) {
                return Some((field, message));
            }
        }
        if let Some(index) = self.ports.iter().flatten().position(|port| *port == 0) {
            return Some((format!("ports.{index}"), "expected a port from 1 to 65535".into()));
        }
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let segments: Vec<_> = endpoint.path.split('/').collect();
            let stars = |(place, segment): (usize, &&str)| {
                segment.contains('*') && *segment != "*" && !(*segment == "**" && place + 1 == segments.len())
            };
            if !endpoint.path.starts_with('/') || segments.iter().enumerate().any(stars) {
                let message = "expected a path such as `/v1/models/*` or `/v1/files/**`".to_owned();
                return Some((format!("endpoints.{index}.path"), message));
            }
        }
        if self.ingress.as_deref().is_some_and(|name| !word(name)) {
            return Some((
                "ingress".into(),
                "expected one word of lower-case letters, digits and `-`".into(),
            ));
        }
        let header_names = self.auth.headers.iter().chain(&self.tenant_header);
        for name in header_names {
            if !super::is_header_name(name) {
                return Some(("auth".into(), format!("`{name}` is no header name")));
            }
        }
        let local = |host: &String| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok();
        if self.plain == Some(true) && !self.hosts.iter().all(local) {
            let message =
                "plain HTTP is for this machine or addresses only; a host name needs TLS".to_owned();
            return Some(("plain".into(), message));
        }
        None
    }

    /// Hosts with every region spelled out.
    pub(super) fn expanded(&self, regions: &Regions) -> Vec<String> {
        self.hosts.iter().flat_map(|host| expand(host, regions)).collect()
    }

    pub(super) fn amend(&self, provider: &mut Provider, hosts: Vec<String>, origin: Origin) {
        for host in hosts {
            if !provider.hosts.contains(&host) {
                provider.hosts.push(host);
            }
        }
        set(&mut provider.title, &self.title);
        set(&mut provider.ports, &self.ports);
        set(&mut provider.plain, &self.plain);
        set(&mut provider.kind, &self.kind);
        set(&mut provider.error_shape, &self.error_shape);
        if let Some(agreement) = self.agreement {
            provider.agreement = agreement;
            provider.agreement_origin = origin;
        }
        if let Some(shadow) = self.shadow {
            (provider.shadow, provider.tunnel) = (shadow, shadow);
        }
        set(&mut provider.tunnel, &self.tunnel);
        set(&mut provider.residency, &self.residency.clone().map(Some));
        set(&mut provider.retention, &self.retention.clone().map(Some));
        set(&mut provider.tenant_header, &self.tenant_header.clone().map(Some));
        set(&mut provider.ingress, &self.ingress.clone().map(Some));
        provider.auth.headers.extend(lower(&self.auth.headers));
        provider.auth.query.extend(lower(&self.auth.query));
        provider.auth.subprotocols.extend(self.auth.subprotocols.iter().cloned());
        let kind = provider.kind;
        let added = self.endpoints.iter().map(|row| {
            let endpoint = Endpoint { family: row.family, kind: row.kind.unwrap_or(kind) };
            (PathPattern(row.path.clone()), endpoint)
        });
        provider.endpoints.splice(0..0, added);
        provider.origin = origin;
    }
}

pub(super) fn blank(name: &str, origin: Origin) -> Provider {
    Provider {
        name: name.into(),
        title: name.into(),
        hosts: Vec::new(),
        ports: Vec::new(),
        tunnel: false,
        plain: false,
        kind: TrafficKind::default(),
        error_shape: ErrorShape::default(),
        auth: AuthNames::default(),
        agreement: Agreement::default(),
        agreement_origin: Origin::Default,
        shadow: false,
        residency: None,
        retention: None,
        tenant_header: None,
        ingress: None,
        endpoints: Vec::new(),
        origin,
        locked: false,
    }
}

fn set<T: Clone>(place: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        *place = value.clone();
    }
}

fn lower(names: &[String]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn region_list(host: &str) -> Option<&str> {
    let (_, rest) = host.split_once('{')?;
    rest.split_once('}').map(|(list, _)| list)
}

fn expand(host: &str, regions: &Regions) -> Vec<String> {
    let Some(list) = region_list(host) else { return vec![host.to_owned()] };
    let braces = format!("{{{list}}}");
    regions.get(list).into_iter().flatten().map(|region| host.replace(&braces, region)).collect()
}
