//! Secrets on their way to a tool. The one answer that holds values: it is written into locked memory and has no
//! `Serialize`, no `Clone` and no `Debug` that shows one.

use std::fmt;

use data_encoding::BASE64;
use sallyport_platform::LockedBytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ElevationView;

/// The secrets of one class, for the calling process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandoverRequest {
    pub class: String,
    /// Whoever approves reads it.
    #[serde(default)]
    pub justification: String,
}

/// What became of it.
#[derive(Debug)]
pub enum Handover {
    /// A human must grant it first. Ask again then.
    Waits(Box<ElevationView>),
    Granted(Vec<Variable>),
}

/// One variable of a tool's environment.
pub struct Variable {
    pub name: String,
    pub value: LockedBytes,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variable({})", self.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wire<'a> {
    Waits(Box<ElevationView>),
    #[serde(borrow)]
    Granted(Vec<WireVariable<'a>>),
}

#[derive(Deserialize)]
struct WireVariable<'a> {
    name: String,
    /// Base64 holds nothing that JSON would escape, so it is never copied out.
    value: &'a str,
}

impl Handover {
    /// As JSON, in memory that is wiped once it is sent.
    pub(crate) fn to_bytes(&self) -> Result<LockedBytes, HandoverBroken> {
        let variables = match self {
            Handover::Waits(view) => {
                let json = serde_json::to_vec(&serde_json::json!({ "waits": view }));
                let json = json.map_err(|_| HandoverBroken)?;
                return LockedBytes::from_vec(Zeroizing::new(json)).map_err(|_| HandoverBroken);
            }
            Handover::Granted(variables) => variables,
        };
        let mut parts: Vec<(Vec<u8>, &[u8])> = Vec::with_capacity(variables.len());
        for (number, variable) in variables.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let name = serde_json::to_string(&variable.name).map_err(|_| HandoverBroken)?;
            parts.push((format!("{comma}{{\"name\":{name},\"value\":\"").into_bytes(), &variable.value));
        }
        let (head, after, tail) = (&b"{\"granted\":["[..], &b"\"}"[..], &b"]}"[..]);
        let length: usize = parts
            .iter()
            .map(|(before, value)| before.len() + BASE64.encode_len(value.len()) + after.len())
            .sum();
        let mut bytes = LockedBytes::zeroed(head.len() + length + tail.len()).map_err(|_| HandoverBroken)?;
        let mut rest: &mut [u8] = &mut bytes;
        let mut room = |length: usize| rest.split_off_mut(..length).ok_or(HandoverBroken);
        room(head.len())?.copy_from_slice(head);
        for (before, value) in &parts {
            room(before.len())?.copy_from_slice(before);
            BASE64.encode_mut(value, room(BASE64.encode_len(value.len()))?);
            room(after.len())?.copy_from_slice(after);
        }
        room(tail.len())?.copy_from_slice(tail);
        Ok(bytes)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Handover, HandoverBroken> {
        match serde_json::from_slice(bytes).map_err(|_| HandoverBroken)? {
            Wire::Waits(view) => Ok(Handover::Waits(view)),
            Wire::Granted(variables) => {
                let decoded = variables.into_iter().map(|variable| {
                    let value = Zeroizing::new(BASE64.decode(variable.value.as_bytes()).ok()?);
                    Some(Variable { name: variable.name, value: LockedBytes::from_vec(value).ok()? })
                });
                decoded.collect::<Option<Vec<_>>>().map(Handover::Granted).ok_or(HandoverBroken)
            }
        }
    }
}

/// Says nothing of what it found: that may be a part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("secrets could not be handed over")]
pub struct HandoverBroken;

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &[u8]) -> Variable {
        let value = LockedBytes::from_vec(Zeroizing::new(value.to_vec())).unwrap();
        Variable { name: name.into(), value }
    }

    #[test]
    fn values_go_over_whole_and_are_never_shown() {
        for values in [&[][..], &[&b"made-up"[..]], &[b"a\"\\\n\xff", b"", b"made-up-2"]] {
            let granted = Handover::Granted(values.iter().map(|value| variable("A_B", value)).collect());
            assert!(!format!("{granted:?}").contains("made"));
            let bytes = granted.to_bytes().unwrap();
            let Handover::Granted(back) = Handover::parse(&bytes).unwrap() else { panic!("granted") };
            assert_eq!(back.iter().map(|v| &v.value[..]).collect::<Vec<_>>(), values);
            assert!(back.iter().all(|v| v.name == "A_B"));
        }
    }

    #[test]
    fn what_is_no_answer_is_told_without_its_text() {
        for bad in
            [&b""[..], b"{}", br#"{"granted":[{"name":"A","value":"%%"}]}"#, br#"{"granted":[{"name":"A"}]}"#]
        {
            assert_eq!(Handover::parse(bad).unwrap_err(), HandoverBroken);
        }
    }
}
