//! Times as a person reads them: how long ago, how long.

use jiff::Timestamp;

/// A time of the service, if it is one.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// "3 min ago"; the time itself if it cannot be read.
pub fn ago(text: Option<&str>, now: Timestamp) -> String {
    let Some(text) = text else { return String::new() };
    match parse(text) {
        Some(time) => match seconds_between(time, now) {
            0 => "just now".to_owned(),
            seconds => format!("{} ago", length(seconds)),
        },
        None => text.to_owned(),
    }
}

/// From one time to another, or until now if there is no other.
pub fn duration(from: Option<&str>, to: Option<&str>, now: Timestamp) -> String {
    let Some(from) = from.and_then(parse) else { return String::new() };
    length(seconds_between(from, to.and_then(parse).unwrap_or(now)))
}

/// To the nearest second; clocks that disagree do not make it negative.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    let milliseconds = to.as_millisecond().saturating_sub(from.as_millisecond());
    (u64::try_from(milliseconds).unwrap_or(0) + 500) / 1000
}

/// The two largest units of a length of time.
pub fn length(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 if !seconds.is_multiple_of(60) => format!("{minutes} min {} s", seconds % 60),
        60..3600 => format!("{minutes} min"),
        3600..86_400 if !minutes.is_multiple_of(60) => format!("{hours} h {} min", minutes % 60),
        3600..86_400 => format!("{hours} h"),
        _ if !hours.is_multiple_of(24) => format!("{days} d {} h", hours % 24),
        _ => format!("{days} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        let texts = [0, 59, 60, 61, 599, 600, 3599, 3600, 3660, 86_399, 86_400, 90_000]
            .map(length)
            .join(", ");
        insta::assert_snapshot!(texts, @"0 s, 59 s, 1 min, 1 min 1 s, 9 min 59 s, 10 min, 59 min, 1 h, 1 h 1 min, 23 h 59 min, 1 d, 1 d 1 h");
    }

    #[test]
    fn times_are_told_from_now() {
        let now = parse("2026-01-01T00:10:00.5Z").unwrap();
        assert_eq!(ago(Some("2026-01-01T00:00:00.03Z"), now), "10 min ago");
        assert_eq!(ago(Some("2026-01-01T00:20:00Z"), now), "just now");
        assert_eq!(ago(Some("yesterday"), now), "yesterday");
        assert_eq!(ago(None, now), "");
        assert_eq!(duration(Some("2026-01-01T00:09:00.5Z"), None, now), "1 min");
        assert_eq!(duration(None, None, now), "");
    }
}
