//! Gathers the values of one source: trims them, counts the short ones, adds the pieces of private keys, and gives
//! every secret a name of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::Judge;
use crate::address;
use crate::pem;
use crate::value::{MIN_LENGTH, NamedSecret, SecretValue, clean_name};

#[derive(Debug)]
pub(crate) struct Collector {
    judge: Judge,
    /// By name, then by value: the order does not depend on how the source was read.
    found: BTreeMap<String, BTreeSet<Candidate>>,
    skipped_short: usize,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    value: Vec<u8>,
    others: Vec<Vec<u8>>,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.value.zeroize();
        self.others.zeroize();
    }
}

impl Collector {
    pub(crate) fn new(judge: Judge) -> Collector {
        Collector { judge, found: BTreeMap::new(), skipped_short: 0 }
    }

    pub(crate) fn judge(&self) -> Judge {
        self.judge
    }

    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        self.add_spelt(name, value, &[]);
    }

    /// With other spellings of the same value, such as the raw text between quotes.
    pub(crate) fn add_spelt(&mut self, name: &str, value: &[u8], others: &[&[u8]]) {
        let value = value.trim_ascii();
        if value.is_empty() {
            return;
        }
        if value.len() < MIN_LENGTH {
            self.skipped_short += 1;
            return;
        }
        let others = others
            .iter()
            .map(|o| o.trim_ascii())
            .filter(|o| o.len() >= MIN_LENGTH && *o != value)
            .map(<[u8]>::to_vec)
            .collect();
        self.found.entry(clean_name(name)).or_default().insert(Candidate { value: value.to_vec(), others });
    }

    /// A pair of a place that holds much besides secrets: kept only if it looks like one (decision 17). `key` is what
    /// is judged, without the file's path: everything below `secrets/` would be named a secret.
    pub(crate) fn add_if_secret(&mut self, file: &str, key: &str, value: &str, others: &[&[u8]]) {
        if (self.judge.looks_secret)(key, value) {
            self.add_spelt(&format!("{file}/{key}"), value.as_bytes(), others);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.found.values().map(BTreeSet::len).sum()
    }

    /// The secrets by name, and how many values were too short.
    pub(crate) fn finish(self) -> (Vec<NamedSecret>, usize) {
        let mut secrets = Vec::new();
        for (name, candidates) in &self.found {
            for (number, candidate) in candidates.iter().enumerate() {
                // Several values of one name are numbered; no name from outside holds a tilde.
                let name = match number {
                    0 => name.clone(),
                    n => format!("{name}~{}", n + 1),
                };
                let weak = std::str::from_utf8(&candidate.value).is_ok_and(|v| (self.judge.is_common)(v));
                let piece = |value: &[u8], part: bool| NamedSecret {
                    name: name.clone(),
                    value: SecretValue::new(value),
                    weak: weak && !part,
                    part,
                };
                secrets.push(piece(&candidate.value, false));
                secrets.extend(candidate.others.iter().map(|o| piece(o, true)));
                secrets.extend(pem::key_lines(&candidate.value).into_iter().map(|l| piece(l, true)));
                let passwords = address::passwords(&candidate.value);
                let good = passwords.iter().filter(|one| (self.judge.looks_secret)("password", one));
                secrets.extend(good.map(|one| piece(one.as_bytes(), true)));
            }
        }
        (secrets, self.skipped_short)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn judge() -> Judge {
        Judge {
            looks_secret: |name, value| {
                let name = name.to_ascii_lowercase();
                value.len() >= 8 && ["key", "token", "secret", "pass"].iter().any(|w| name.contains(w))
            },
            is_common: |value| value == "production",
        }
    }

    /// (name, value) of everything that was found, for tests of parsers.
    pub(crate) fn pairs(collector: Collector) -> Vec<(String, String)> {
        let (secrets, _) = collector.finish();
        secrets
            .iter()
            .filter(|s| !s.part)
            .map(|s| (s.name.clone(), s.value.as_str().expect("text").to_owned()))
            .collect()
    }

    #[test]
    fn order_and_names_do_not_depend_on_how_it_was_read() {
        let values = [
            ("b", "value-two"),
            ("a", "value-one"),
            ("b", "value-three"),
            ("b", "value-two"),
            ("b~2", "taken-name"),
        ];
        let collected = |order: &mut dyn Iterator<Item = &(&str, &str)>| {
            let mut collector = Collector::new(judge());
            for (name, value) in order {
                collector.add(name, value.as_bytes());
            }
            pairs(collector)
        };
        let forwards = collected(&mut values.iter());
        assert_eq!(forwards, collected(&mut values.iter().rev()));
        let names: Vec<&str> = forwards.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["a", "b", "b~2", "b_2"]);
    }

    #[test]
    fn the_password_of_an_address_counts_by_itself() {
        let pieces = |value: &str| {
            let mut collector = Collector::new(judge());
            collector.add("url", value.as_bytes());
            let (secrets, _) = collector.finish();
            let parts = secrets.iter().filter(|s| s.part && !s.weak);
            parts.map(|s| s.value.as_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(pieces("postgres://app:kx82vmQp1z@db/app"), ["kx82vmQp1z"]);
        assert_eq!(pieces("amqp://app:kx82%40vmQp1@mq:5671"), ["kx82%40vmQp1", "kx82@vmQp1"]);
        assert_eq!(pieces("https://app:short@host/"), Vec::<String>::new());
        assert_eq!(pieces("https://host/kx82vmQp1z"), Vec::<String>::new());
    }

    #[test]
    fn short_values_are_counted_and_common_ones_marked() {
        let mut collector = Collector::new(judge());
        collector.add("pin", b" 1234 \n");
        collector.add("empty", b"  ");
        collector.add("stage", b"production\n");
        collector.add("real", b"\n  x9-Kq2!vLmZ  \n");
        let (secrets, short) = collector.finish();
        assert_eq!(short, 1);
        assert_eq!(secrets.len(), 2);
        assert_eq!(secrets[0].value.as_str(), Some("x9-Kq2!vLmZ"));
        assert!(!secrets[0].weak);
        assert!(secrets[1].weak);
    }
}
