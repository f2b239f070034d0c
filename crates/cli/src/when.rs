//! Points in time and durations, as people write and read them.

use jiff::{SignedDuration, Span, Timestamp, Zoned, civil};

/// `15m`, `1h 30m`: how long something lasts. Days and weeks have no fixed length here and are refused.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let wanted = "write a duration such as 15m, 2h or 1h30m";
    let parsed: SignedDuration = text.parse().map_err(|_| wanted.to_owned())?;
    match std::time::Duration::try_from(parsed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(wanted.to_owned()),
    }
}

/// A point in the past as a distance (`1h`, `2d`, `1w`), an RFC 3339 time, or a date or time of here.
pub(crate) fn parse_point(text: &str) -> Result<Timestamp, String> {
    parse_point_from(text, &Zoned::now())
}

fn parse_point_from(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let wanted = "write a distance such as 1h or 2d, or a time such as 2026-03-01T09:30:00Z";
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    if let Ok(date) = text.parse::<civil::DateTime>() {
        return date.to_zoned(now.time_zone().clone()).map(|z| z.timestamp()).map_err(|_| wanted.to_owned());
    }
    let span: Span = text.parse().map_err(|_| wanted.to_owned())?;
    if span.is_negative() {
        return Err(wanted.to_owned());
    }
    now.checked_sub(span).map(|z| z.timestamp()).map_err(|_| wanted.to_owned())
}

/// `12 s`, `4 min`, `3 h 12 min`, `5 d`: enough for a person.
pub(crate) fn spoken(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days >= 2 => format!("{days} d"),
        () if hours >= 1 && minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        () if hours >= 1 => format!("{hours} h"),
        () if minutes >= 1 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

/// The time of here, to the second.
pub(crate) fn local(then: Timestamp) -> String {
    then.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("15m").unwrap().as_secs(), 900);
        assert_eq!(parse_duration("1h 30m").unwrap().as_secs(), 5400);
        assert_eq!(parse_duration("PT90S").unwrap().as_secs(), 90);
        for bad in ["", "15", "-5m", "0s", "soon", "1d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn points_are_read() {
        let now: Zoned = "2026-03-10T12:00:00+00:00[UTC]".parse().unwrap();
        let cases = [
            ("1h", "2026-03-10T11:00:00Z"),
            ("2d", "2026-03-08T12:00:00Z"),
            ("1w", "2026-03-03T12:00:00Z"),
            ("2026-03-01T09:30:00Z", "2026-03-01T09:30:00Z"),
            ("2026-03-01T09:30:00+02:00", "2026-03-01T07:30:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2026-03-01T09:30", "2026-03-01T09:30:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_point_from(text, &now).map(|t| t.to_string()), Ok(expected.into()), "{text}");
        }
        for bad in ["", "yesterday-ish", "-1h", "12"] {
            assert!(parse_point_from(bad, &now).is_err(), "{bad}");
        }
    }

    #[test]
    fn distances_are_spoken() {
        let cases = [
            (5, "5 s"),
            (-5, "0 s"),
            (65, "1 min"),
            (3600, "1 h"),
            (11_520, "3 h 12 min"),
            (100_000, "27 h 46 min"),
            (500_000, "5 d"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(spoken(SignedDuration::from_secs(seconds)), expected);
        }
    }
}
