//! How long an answer is kept open while a person decides on a call in it: what policy says, and how long each client
//! is known to bear it.
//!
//! Pure figures. Who keeps the answer open, and by what signs of life, is the engine's and the wire's.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::documents::Span;
use crate::written::written;

/// The table that ships with the product.
const PATIENCE_YAML: &str = include_str!("../../../../assets/agents/patience.yaml");

/// `hold` of a document: `off`, a length of time, or `client`. Ordered: the later the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Hold {
    /// As long as the client bears, by the table.
    #[default]
    Client,
    /// No longer than this, and no longer than the client bears.
    For(Span),
    /// What lacks a permission is answered at once.
    Off,
}

impl Hold {
    fn strictness(self) -> (u8, Reverse<u64>) {
        match self {
            Hold::Client => (0, Reverse(0)),
            Hold::For(span) => (1, Reverse(span.seconds())),
            Hold::Off => (2, Reverse(0)),
        }
    }
}

impl Ord for Hold {
    fn cmp(&self, other: &Hold) -> std::cmp::Ordering {
        self.strictness().cmp(&other.strictness())
    }
}

impl PartialOrd for Hold {
    fn partial_cmp(&self, other: &Hold) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Client => f.write_str("client"),
            Hold::For(span) => fmt::Display::fmt(span, f),
            Hold::Off => f.write_str("off"),
        }
    }
}

impl Hold {
    pub fn parse(text: &str) -> Option<Hold> {
        match text {
            "client" => Some(Hold::Client),
            "off" => Some(Hold::Off),
            span => Span::parse(span).map(Hold::For),
        }
    }
}

written!(Hold, "`client`, `off`, or a length of time such as `90s` or `5m`");

impl schemars::JsonSchema for Hold {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hold".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(client|off|[0-9]+[smhdw])$",
            "description": "`client`, `off`, or a length of time such as `5m`"
        })
    }
}

/// How long one client waits, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// For a streamed answer that gives signs of life.
    stream: u64,
    /// For an answer of which nothing has come yet.
    plain: u64,
}

/// The table of patience.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// Seconds between two signs of life.
    pub alive_every: u64,
    /// The longest hold where nobody is there to be told of it, unless policy names a time.
    unattended: u64,
    /// Clients that no row names.
    others: Row,
    clients: BTreeMap<String, Row>,
}

/// Why a table can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the table of patience can't be read: {0}")]
pub struct PatienceError(String);

impl Patience {
    pub fn builtin() -> Result<Patience, PatienceError> {
        Patience::parse(PATIENCE_YAML)
    }

    pub fn parse(text: &str) -> Result<Patience, PatienceError> {
        let table: Patience =
            serde_saphyr::from_str(text).map_err(|error| PatienceError(error.to_string()))?;
        let empty = |row: &Row| row.stream == 0 || row.plain == 0;
        let empty = empty(&table.others) || table.clients.values().any(empty);
        if table.alive_every == 0 || empty {
            return Err(PatienceError("every figure is a second or more".into()));
        }
        Ok(table)
    }

    /// Seconds for which an answer to this client is held; none where it is not. `attended`: somebody is there who is
    /// told of the request.
    pub fn allows(&self, hold: Hold, client: &str, stream: bool, attended: bool) -> Option<u64> {
        let row = self.clients.get(client).unwrap_or(&self.others);
        let bears = if stream { row.stream } else { row.plain };
        match hold {
            Hold::Off => None,
            Hold::For(span) => Some(bears.min(span.seconds())),
            Hold::Client if attended => Some(bears),
            Hold::Client => Some(bears.min(self.unattended)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "{alive_every: 5, unattended: 30, others: {stream: 20, plain: 10}, clients: {slow: {stream: 300, plain: 90}}}";

    #[test]
    fn policy_and_the_client_both_bound_a_hold() {
        let table = Patience::parse(TABLE).unwrap();
        let five = Hold::For(Span::parse("5s").unwrap());
        let hour = Hold::For(Span::parse("1h").unwrap());
        for (hold, client, stream, attended, seconds) in [
            (Hold::Client, "slow", true, true, Some(300)),
            (Hold::Client, "slow", false, true, Some(90)),
            (Hold::Client, "slow", true, false, Some(30)),
            (Hold::Client, "other", true, true, Some(20)),
            (five, "slow", true, false, Some(5)),
            (hour, "slow", true, false, Some(300)),
            (Hold::Off, "slow", true, true, None),
        ] {
            assert_eq!(table.allows(hold, client, stream, attended), seconds, "{hold} {client}");
        }
    }

    #[test]
    fn the_shorter_hold_is_the_stricter() {
        let span = |text: &str| Hold::For(Span::parse(text).unwrap());
        assert!(Hold::Client < span("1h") && span("1h") < span("5m") && span("5m") < Hold::Off);
    }

    #[test]
    fn the_table_that_ships_can_be_read() {
        let table = Patience::builtin().unwrap();
        assert!(table.clients.contains_key("claude-code"));
        assert!(
            Patience::parse("{alive_every: 0, unattended: 1, others: {stream: 1, plain: 1}, clients: {}}")
                .is_err()
        );
    }
}
