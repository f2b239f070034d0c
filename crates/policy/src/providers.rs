//! The registry of AI providers: which hosts are looked into, what is spoken there, and which headers carry
//! the caller's own credential.
//!
//! What is not in the registry is none of our business and is tunnelled unread.

mod hosts;
mod pac;
mod row;

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Origin;
use crate::yaml::{self, Mark};

pub use pac::pac;
pub use row::{AuthRow, EndpointRow, ProviderRow, RowProblem};

/// The provider that only the product's own self-test talks to.
pub const SELF_TEST: &str = "self-test";

/// The embedded table.
pub const PROVIDERS_YAML: &str = include_str!("../../../assets/providers.yaml");

/// What of a body is understood; everything else is `Generic`, which is scanned all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WireFamily {
    #[serde(rename = "openai_chat")]
    OpenAiChat,
    AnthropicMessages,
    #[default]
    Generic,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrafficKind {
    #[default]
    Model,
    /// What a client reports about itself.
    Telemetry,
    Account,
    Files,
}

/// In whose words a refusal is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorShape {
    OpenAi,
    Anthropic,
    Google,
    Aws,
    #[default]
    Plain,
}

/// What the company has agreed with the provider. Ordered: the later may see the more.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    #[default]
    None,
    Enterprise,
    SelfHosted,
}

/// Names that carry the caller's credential for a host, in lower case. Their values are not scanned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuthNames {
    pub headers: BTreeSet<String>,
    pub query: BTreeSet<String>,
    /// Beginnings of WebSocket subprotocols.
    pub subprotocols: BTreeSet<String>,
}

impl AuthNames {
    pub fn exempts_header(&self, name: &str) -> bool {
        self.headers.contains(&name.to_ascii_lowercase())
    }

    pub fn exempts_query(&self, name: &str) -> bool {
        self.query.contains(&name.to_ascii_lowercase())
    }

    pub fn exempts_subprotocol(&self, protocol: &str) -> bool {
        self.subprotocols.iter().any(|start| protocol.starts_with(start.as_str()))
    }
}

/// What one path of a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Endpoint {
    pub family: WireFamily,
    pub kind: TrafficKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provider {
    /// The word in documents and in the trail.
    pub name: String,
    pub title: String,
    /// Exact names and `*.suffix`, regions spelled out.
    pub hosts: Vec<String>,
    /// Empty: every port.
    pub ports: Vec<u16>,
    /// Passed on unread.
    pub tunnel: bool,
    /// Plain HTTP on this machine.
    pub plain: bool,
    pub kind: TrafficKind,
    pub error_shape: ErrorShape,
    pub auth: AuthNames,
    pub agreement: Agreement,
    /// Whose word the agreement is.
    pub agreement_origin: Origin,
    /// Known, but not approved by itself: see `shadowAi`.
    pub shadow: bool,
    pub residency: Option<String>,
    pub retention: Option<String>,
    /// Header that limits a client to the company's workspaces.
    pub tenant_header: Option<String>,
    pub ingress: Option<String>,
    endpoints: Vec<(PathPattern, Endpoint)>,
    pub origin: Origin,
    /// Managed policy has spoken on it: no user's row may amend it.
    #[serde(skip)]
    pub locked: bool,
}

impl Provider {
    /// What a path is. A path that a server might read differently from us gets the row's default, which
    /// is always looked into at least as closely.
    pub fn endpoint(&self, path: &str) -> Endpoint {
        let default = Endpoint { family: WireFamily::Generic, kind: self.kind };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        if hosts::ambiguous(path) {
            return default;
        }
        let known = self.endpoints.iter().find(|(pattern, _)| pattern.matches(path));
        match known {
            // Most servers take two slashes for one, but not all: it is read as that family, and excused from nothing.
            Some((_, endpoint)) if path.contains("//") => Endpoint { kind: self.kind, ..*endpoint },
            Some((_, endpoint)) => *endpoint,
            None => default,
        }
    }

    fn takes_port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    /// Where a base URL, or a request that is led here, goes: host and port.
    pub fn front_door(&self) -> Option<(&str, u16)> {
        let host = self.hosts.iter().find(|host| !host.starts_with("*."))?;
        Some((host, self.ports.first().copied().unwrap_or(if self.plain { 80 } else { 443 })))
    }

    /// The path under which this provider takes what another one takes under `path`.
    pub fn counterpart(&self, path: &str, family: WireFamily) -> Option<String> {
        if self.endpoint(path).family == family {
            return Some(path.to_owned());
        }
        let same = self.endpoints.iter().filter(|(_, endpoint)| endpoint.family == family);
        same.map(|(pattern, _)| &pattern.0).find(|pattern| !pattern.contains('*')).cloned()
    }
}

/// `*` is one segment, a final `**` any number of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct PathPattern(String);

impl PathPattern {
    fn matches(&self, path: &str) -> bool {
        // A base URL with a slash at its end gives a path with two of them, which providers take for one.
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        for pattern in self.0.split('/').filter(|segment| !segment.is_empty()) {
            match (pattern, segments.next()) {
                ("**", _) => return true,
                ("*", Some(_)) => {}
                (literal, Some(segment)) if literal == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

/// Where a base-URL request really goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress<'a> {
    pub provider: &'a Provider,
    pub host: &'a str,
    pub port: u16,
    /// Plain HTTP upstream.
    pub plain: bool,
    /// Path and query for the provider, beginning with `/`.
    pub path: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    providers: Vec<Provider>,
    exact: HashMap<String, Vec<usize>>,
    suffixes: HashMap<String, Vec<usize>>,
    ingress: HashMap<String, usize>,
}

/// A row of a policy document.
#[derive(Debug, Clone, Copy)]
pub struct AddedRow<'a> {
    pub origin: Origin,
    /// No later row of a user may amend the provider.
    pub locked: bool,
    pub row: &'a ProviderRow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    regions: row::Regions,
    providers: Vec<ProviderRow>,
}

fn table() -> Table {
    // The table is part of the program and a test reads it.
    yaml::from_str(PROVIDERS_YAML).unwrap_or_else(|fault| unreachable!("assets/providers.yaml: {fault}"))
}

impl Registry {
    /// The embedded table alone.
    pub fn builtin() -> Registry {
        let built = Registry::extended(&[]);
        built.unwrap_or_else(|problems| unreachable!("assets/providers.yaml: {problems:?}"))
    }

    /// The embedded table with the rows of policy documents, in order. A row with a known name amends it.
    pub fn extended(rows: &[AddedRow<'_>]) -> Result<Registry, Vec<RowProblem>> {
        let Table { regions, providers } = table();
        let mut registry = Registry {
            providers: Vec::new(),
            exact: HashMap::new(),
            suffixes: HashMap::new(),
            ingress: HashMap::new(),
        };
        let mut problems = Vec::new();
        for row in &providers {
            let added = AddedRow { origin: Origin::Default, locked: false, row };
            problems.extend(registry.add(added, &regions).err());
        }
        for (index, added) in rows.iter().enumerate() {
            let refused = registry.add(*added, &regions).err();
            problems.extend(refused.map(|problem| RowProblem { row: Some(index), ..problem }));
        }
        if problems.is_empty() { Ok(registry) } else { Err(problems) }
    }

    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// The provider that a host belongs to; an exact name counts before a suffix, a longer suffix before a
    /// shorter one. The caller looks at [`Provider::tunnel`].
    pub fn lookup(&self, host: &str, port: u16) -> Option<&Provider> {
        let host = hosts::normal(host);
        let pick = |rows: &Vec<usize>| {
            rows.iter().map(|row| &self.providers[*row]).find(|provider| provider.takes_port(port))
        };
        if let Some(provider) = self.exact.get(host.as_ref()).and_then(pick) {
            return Some(provider);
        }
        let mut rest: &str = &host;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(provider) = self.suffixes.get(suffix).and_then(pick) {
                return Some(provider);
            }
            rest = suffix;
        }
        None
    }

    /// The provider whose traffic on this host is looked into.
    pub fn intercepted(&self, host: &str, port: u16) -> Option<&Provider> {
        self.lookup(host, port).filter(|provider| !provider.tunnel)
    }

    /// The names that our certificates must be good for: exact and `*.suffix`, sorted.
    pub fn intercepted_hosts(&self) -> Vec<String> {
        let inspected = self.providers.iter().filter(|provider| !provider.tunnel && !provider.plain);
        let hosts: BTreeSet<_> = inspected.flat_map(|provider| provider.hosts.iter().cloned()).collect();
        hosts.into_iter().collect()
    }

    /// Exact names that are tunnelled although a suffix of an inspected row covers them.
    fn exceptions(&self) -> Vec<&str> {
        let tunnelled = self.providers.iter().filter(|provider| provider.tunnel);
        let mut hosts: Vec<_> = tunnelled
            .flat_map(|provider| provider.hosts.iter().map(String::as_str))
            .filter(|host| !host.starts_with("*."))
            .collect();
        hosts.sort_unstable();
        hosts
    }

    /// Maps `/anthropic/v1/messages?x=1` to its provider and `/v1/messages?x=1`.
    pub fn ingress<'a>(&'a self, path_and_query: &'a str) -> Option<Ingress<'a>> {
        let rest = path_and_query.strip_prefix('/')?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (name, path) = rest.split_at(end);
        let provider = self.ingress.get(name).map(|row| &self.providers[*row])?;
        let (host, port) = provider.front_door()?;
        let path = if path.starts_with('/') { path } else { "/" };
        Some(Ingress { provider, host, port, plain: provider.plain, path })
    }

    /// First path segments of base-URL clients with their provider, sorted.
    pub fn ingress_names(&self) -> Vec<(&str, &Provider)> {
        let mut names: Vec<_> =
            self.ingress.iter().map(|(name, row)| (name.as_str(), &self.providers[*row])).collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        names
    }

    /// What else policy says of known providers, once all rows are in: agreements by name, and which of the listed
    /// hosts are looked into because they are approved or to be refused.
    pub(crate) fn settle(&mut self, mut with: impl FnMut(&mut Provider)) {
        self.providers.iter_mut().for_each(&mut with);
    }

    fn add(&mut self, added: AddedRow<'_>, regions: &row::Regions) -> Result<(), RowProblem> {
        let AddedRow { origin, locked, row } = added;
        let problem = |field: &str, message: String| RowProblem {
            provider: row.name.clone(),
            row: None,
            field: field.into(),
            message,
        };
        row.check(regions).map_or(Ok(()), Err)?;
        let known = self.providers.iter().position(|provider| provider.name == row.name);
        let mut provider = match known {
            Some(index) => self.providers[index].clone(),
            None if row.hosts.is_empty() => {
                return Err(problem(
                    "hosts",
                    format!("no provider is called `{}`, and this row has no hosts", row.name),
                ));
            }
            None => row::blank(&row.name, origin),
        };
        if provider.locked && origin == Origin::User {
            let message =
                format!("`{}` is set by managed policy: only managed policy may amend it", row.name);
            return Err(problem("name", message));
        }
        let hosts = row.expanded(regions);
        for host in &hosts {
            if let Some(owner) = self.owner(host, row.ports.as_deref().unwrap_or(&provider.ports))
                && owner.name != row.name
            {
                let message =
                    format!("`{host}` belongs to `{}` already: amend that provider by its name", owner.name);
                return Err(problem("hosts", message));
            }
        }
        if row.tunnel == Some(true) && origin == Origin::User {
            let covered = hosts.iter().chain(&provider.hosts).find(|host| {
                let name = host.strip_prefix("*.").unwrap_or(host);
                self.intercepted(name, 443).is_some()
            });
            if let Some(host) = covered {
                let message =
                    format!("`{host}` is inspected: only managed policy may have it passed on unread");
                return Err(problem("tunnel", message));
            }
        }
        row.amend(&mut provider, hosts, origin);
        provider.locked |= locked;
        if let Some(name) = &row.ingress
            && self.ingress.get(name).is_some_and(|owner| Some(*owner) != known)
        {
            return Err(problem("ingress", format!("`/{name}` leads to another provider already")));
        }
        let index = known.unwrap_or(self.providers.len());
        for host in &provider.hosts {
            let (map, key) = match host.strip_prefix("*.") {
                Some(suffix) => (&mut self.suffixes, suffix),
                None => (&mut self.exact, host.as_str()),
            };
            let rows = map.entry(key.to_owned()).or_default();
            if !rows.contains(&index) {
                rows.push(index);
            }
        }
        if let Some(name) = &provider.ingress {
            self.ingress.insert(name.clone(), index);
        }
        match known {
            Some(index) => self.providers[index] = provider,
            None => self.providers.push(provider),
        }
        Ok(())
    }

    /// The row that names this very host, or this very suffix, for one of these ports.
    fn owner(&self, host: &str, ports: &[u16]) -> Option<&Provider> {
        let rows = match host.strip_prefix("*.") {
            Some(suffix) => self.suffixes.get(suffix),
            None => self.exact.get(host),
        };
        rows?.iter().map(|row| &self.providers[*row]).find(|provider| {
            provider.ports.is_empty()
                || ports.is_empty()
                || ports.iter().any(|port| provider.takes_port(*port))
        })
    }
}

/// Whether a word can stand as the name of a header.
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Whether a row of a document is sound by itself, for `policy check`.
pub(crate) fn check_row(row: &ProviderRow) -> Option<RowProblem> {
    row.check(&table().regions)
}

/// The place of a field of a row within its document.
pub(crate) fn row_mark(spec: &yaml::Node, index: usize, field: &str) -> Mark {
    spec.locate(&format!("spec.providers.{index}.{field}"))
}

#[cfg(test)]
mod tests;
