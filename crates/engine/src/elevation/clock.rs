//! A clock that a person or a program can't set back: a grant ends when its time has passed, whatever the wall says.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

pub(crate) struct Clock {
    latest: Timestamp,
    /// The same moment on both clocks.
    anchor: (Instant, Timestamp),
}

impl Clock {
    /// `latest`: the last moment that an earlier run knew.
    pub(crate) fn new(latest: Timestamp, wall: Timestamp) -> Clock {
        let start = latest.max(wall);
        Clock { latest: start, anchor: (Instant::now(), start) }
    }

    /// At least what it said before, at least what has passed since it started, at least the wall.
    pub(crate) fn now(&mut self, wall: Timestamp) -> Timestamp {
        self.at(wall, self.anchor.0.elapsed())
    }

    fn at(&mut self, wall: Timestamp, since_start: std::time::Duration) -> Timestamp {
        let passed = SignedDuration::try_from(since_start).unwrap_or(SignedDuration::MAX);
        let ran = self.anchor.1.checked_add(passed).unwrap_or(Timestamp::MAX);
        self.latest = self.latest.max(wall).max(ran);
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_never_goes_back() {
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let hour = SignedDuration::from_hours(1);
        let mut clock = Clock::new(start, start - hour);
        assert_eq!(clock.at(start - hour, Duration::ZERO), start, "a restart with an earlier clock");
        assert_eq!(clock.at(start - hour, Duration::from_secs(60)), start + SignedDuration::from_secs(60));
        assert_eq!(clock.at(start + hour, Duration::from_secs(61)), start + hour, "a sleep of the machine");
        assert_eq!(clock.at(start, Duration::from_secs(62)), start + hour, "set back again");
    }
}
