//! The environment of a tool: what its variables say is secret.

use crate::Judge;
use crate::collect::Collector;
use crate::value::NamedSecret;

/// Parts of names that say so.
const SAY_SECRET: [&str; 5] = ["key", "secret", "password", "token", "credential"];

/// The secrets among the variables of a process. `block`: `NAME=value` pairs that end with a zero byte each, as the system
/// keeps them.
pub fn of_environment(block: &[u8], judge: Judge) -> Vec<NamedSecret> {
    let mut collector = Collector::new(judge);
    for pair in block.split(|byte| *byte == 0) {
        let Some((name, value)) = std::str::from_utf8(pair).ok().and_then(|pair| pair.split_once('=')) else {
            continue;
        };
        let lower = name.to_ascii_lowercase();
        let says = SAY_SECRET.iter().any(|word| lower.contains(word));
        // Ours: what a session is known by, and the names of brokered keys.
        let ours = name.starts_with("SALLYPORT_") || value.starts_with("sallyport:");
        if says && !ours {
            collector.add_if_secret("env", name, value, &[]);
        }
    }
    collector.finish().0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::judge;

    #[test]
    fn variables_count_whose_names_and_values_say_secret() {
        let block = b"PATH=/usr/bin\0DEPLOY_TOKEN=x9-Kq2!vLmZ\0api_key=b4ttery-staple-42\0KEY_SHORT=abc\0\
            OPENAI_API_KEY=sallyport:openai\0SALLYPORT_TOKEN=x9-Kq2!vLmZ-ours\0TOKEN\0\xff_KEY=x9-Kq2!vLmZ\0\
            USER=ann-x9-Kq2!vLmZ\0=odd\0DB_SECRET=production";
        let found = of_environment(block, judge());
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.weak)).collect();
        assert_eq!(found, [("env/DB_SECRET", true), ("env/DEPLOY_TOKEN", false), ("env/api_key", false)]);
        assert!(of_environment(b"", judge()).is_empty());
    }
}
