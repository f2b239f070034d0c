//! Which fillings of a limit a person was told of: 80 and 100 per cent, once each time.

use std::collections::HashMap;

use sallyport_policy::quotas::{DAY, Gauge, HOUR, Limit, MINUTE, Millis};

/// How full each limit was said to be, and until when that need not be said again.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<(String, Limit), (u8, Millis)>);

impl Told {
    /// What is to be said now.
    pub(super) fn due(&mut self, subject: &str, gauges: &[Gauge], now: Millis) -> Vec<(u8, Gauge)> {
        let mut due = Vec::new();
        for gauge in gauges {
            let window = match gauge.limit {
                Limit::RequestsPerMinute => MINUTE,
                Limit::RequestsPerHour => HOUR,
                Limit::TokensPerDay => DAY,
                // Full slots are how an agent works, and a prompt fills nothing.
                Limit::ConcurrentRequests | Limit::PromptLength => continue,
            };
            if gauge.used.saturating_mul(5) < gauge.size.saturating_mul(4) {
                continue;
            }
            let percent = if gauge.used >= gauge.size { 100 } else { 80 };
            let key = (subject.to_owned(), gauge.limit);
            if self.0.get(&key).is_some_and(|(said, until)| *said >= percent && now < *until) {
                continue;
            }
            self.0.insert(key, (percent, now + window));
            due.push((percent, *gauge));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filling_is_said_once() {
        let mut told = Told::default();
        let gauge = |used| [Gauge { limit: Limit::RequestsPerMinute, size: 5, used, resets_at: None }];
        let mut due = |subject: &str, used, now| {
            let said = told.due(subject, &gauge(used), now);
            said.into_iter().map(|(percent, _)| percent).collect::<Vec<_>>()
        };
        assert!(due("ann", 3, 0).is_empty());
        assert_eq!(due("ann", 4, 1), [80]);
        assert!(due("ann", 4, 2).is_empty());
        assert_eq!(due("bob", 4, 2), [80], "each for themselves");
        assert_eq!(due("ann", 5, 3), [100]);
        assert!(due("ann", 6, 4).is_empty());
        assert!(due("ann", 4, 5).is_empty(), "emptying is no filling");
        assert_eq!(due("ann", 4, 3 + MINUTE), [80], "another minute, another filling");
    }

    #[test]
    fn slots_are_not_spoken_of() {
        let full = Gauge { limit: Limit::ConcurrentRequests, size: 3, used: 3, resets_at: None };
        assert!(Told::default().due("ann", &[full], 0).is_empty());
    }
}
