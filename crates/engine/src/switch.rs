//! On, off, or off until a moment. Off tunnels everything; the moment is kept by the caller's clock.

use jiff::Timestamp;
use parking_lot::Mutex;

/// What the switch says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    On,
    Off,
    OffUntil(Timestamp),
}

pub(crate) struct Switch(Mutex<(Position, Timestamp)>);

impl Switch {
    pub(crate) fn new(now: Timestamp) -> Switch {
        Switch(Mutex::new((Position::On, now)))
    }

    pub(crate) fn is_off(&self) -> bool {
        self.at(Timestamp::now()).0 != Position::On
    }

    /// The position at `now`, and since when. A pause that is over is on.
    pub(crate) fn at(&self, now: Timestamp) -> (Position, Timestamp) {
        let mut state = self.0.lock();
        if let (Position::OffUntil(until), _) = *state
            && until <= now
        {
            *state = (Position::On, until);
        }
        *state
    }

    pub(crate) fn set(&self, position: Position, now: Timestamp) {
        *self.0.lock() = (position, now);
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_pause_ends_by_itself() {
        let start = Timestamp::now();
        let switch = Switch::new(start);
        let until = start + SignedDuration::from_mins(5);
        switch.set(Position::OffUntil(until), start);
        assert_eq!(switch.at(start + SignedDuration::from_mins(4)).0, Position::OffUntil(until));
        assert_eq!(switch.at(until), (Position::On, until));
    }

    #[test]
    fn off_stays_off() {
        let start = Timestamp::now();
        let switch = Switch::new(start);
        switch.set(Position::Off, start);
        assert_eq!(switch.at(start + SignedDuration::from_hours(24)).0, Position::Off);
    }
}
