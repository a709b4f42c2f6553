//! Timestamps in whole milliseconds since 1970 in UTC, the precision of the API.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z. Displays as RFC 3339 in UTC with trailing zeros of the
/// fraction trimmed (`2018-06-06T20:46:53.03Z`), as the Batch AI service printed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time this many seconds later; the largest timestamp on overflow.
    pub fn plus_seconds(self, seconds: u64) -> Self {
        self.plus_millis(seconds.saturating_mul(1000))
    }

    /// The time this many milliseconds later; the largest timestamp on overflow.
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to `self`; 0 if the clock went backwards.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Whole seconds from `earlier` to `self`; 0 if the clock went backwards.
    pub fn seconds_since(self, earlier: Self) -> u64 {
        self.millis_since(earlier) / 1000
    }

    /// Whole seconds since 1970, rounded down.
    pub fn epoch_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The HTTP date, for `Last-Modified`.
    pub fn http_date(self) -> String {
        self.instant().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// The timestamp rounded down to a second, as file listings show it.
    pub fn to_whole_seconds(self) -> Self {
        Self(self.epoch_seconds() * 1000)
    }

    /// The nearest instant that the calendar library can represent.
    fn instant(self) -> jiff::Timestamp {
        let nearest = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(nearest)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.instant())
    }
}

/// The number of days that a span of time can have, in seconds.
const MAX_DURATION_SECONDS: u64 = 7_304_484 * 86_400;

/// Parses an ISO 8601 duration of the API (`P7D`, `PT1H30M`, `P1DT12H`) into seconds, rounded up.
///
/// Years and months have no fixed length and are refused, as are negative durations and those that
/// are longer than the calendar.
pub fn parse_duration_seconds(text: &str) -> Option<u64> {
    let span = jiff::fmt::temporal::SpanParser::new().parse_span(text).ok()?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    if duration.is_negative() {
        return None;
    }
    let seconds = u64::try_from(duration.as_secs()).ok()? + u64::from(duration.subsec_nanos() > 0);
    (seconds <= MAX_DURATION_SECONDS).then_some(seconds)
}

/// The ISO 8601 form of a number of seconds: `604800` is `P7D`, `5400` is `PT1H30M`.
pub fn format_duration_seconds(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3600, rest % 3600 / 60, rest % 60);
    let mut text = String::from("P");
    if days > 0 {
        text += &format!("{days}D");
    }
    if rest > 0 || days == 0 {
        text.push('T');
        for (amount, unit) in [(hours, 'H'), (minutes, 'M'), (seconds, 'S')] {
            if amount > 0 || (unit == 'S' && text == "PT") {
                text += &format!("{amount}{unit}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_the_service_printed_them() {
        let second = 1_528_318_013_000;
        assert_eq!(Timestamp(second).to_string(), "2018-06-06T20:46:53Z");
        assert_eq!(Timestamp(second + 30).to_string(), "2018-06-06T20:46:53.03Z");
        assert_eq!(Timestamp(second + 100).to_string(), "2018-06-06T20:46:53.1Z");
        assert_eq!(Timestamp(second).http_date(), "Wed, 06 Jun 2018 20:46:53 GMT");
    }

    #[test]
    fn durations_of_the_api_are_parsed() {
        assert_eq!(parse_duration_seconds("P7D"), Some(604_800));
        assert_eq!(parse_duration_seconds("P1DT12H"), Some(129_600));
        assert_eq!(parse_duration_seconds("PT0.5S"), Some(1));
        for refused in ["P1M", "P1Y", "-P1D", "-PT1S", "-PT0.5S"] {
            assert_eq!(parse_duration_seconds(refused), None, "{refused}");
        }
        for other_format in ["7h", "7 days", "1d 2h", "7", ""] {
            assert_eq!(parse_duration_seconds(other_format), None, "{other_format}");
        }
        assert_eq!(parse_duration_seconds("P7304484D"), Some(7_304_484 * 86_400));
        assert_eq!(parse_duration_seconds("PT304124109H"), None);
        // Exact also where a floating-point number of days would not be.
        assert_eq!(parse_duration_seconds("P53386DT16H38M3S"), Some(4_612_610_283));
    }

    #[test]
    fn intervals_between_timestamps() {
        let (early, late) = (Timestamp(1_500), Timestamp(4_499));
        assert_eq!((late.millis_since(early), late.seconds_since(early)), (2_999, 2));
        assert_eq!((early.millis_since(late), early.seconds_since(late)), (0, 0));
        assert_eq!(
            (early.plus_seconds(2), early.plus_millis(2)),
            (Timestamp(3_500), Timestamp(1_502))
        );
        assert_eq!(early.plus_seconds(u64::MAX), Timestamp(i64::MAX));
        assert_eq!((late.epoch_seconds(), Timestamp(-1).epoch_seconds()), (4, -1));
        assert_eq!(late.to_whole_seconds(), Timestamp(4_000));
    }

    #[test]
    fn timestamps_beyond_the_calendar_are_clamped() {
        assert_eq!(Timestamp(i64::MAX).http_date(), "Thu, 30 Dec 9999 22:00:00 GMT");
        assert_eq!(Timestamp(i64::MIN).to_string(), "-009999-01-02T01:59:59Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn durations_print_in_their_shortest_form() {
        for (seconds, text) in [
            (0, "PT0S"),
            (1, "PT1S"),
            (60, "PT1M"),
            (3_661, "PT1H1M1S"),
            (86_400, "P1D"),
            (86_401, "P1DT1S"),
            (90_000, "P1DT1H"),
            (604_800, "P7D"),
        ] {
            assert_eq!(format_duration_seconds(seconds), text);
        }
        assert_eq!(parse_duration_seconds("PT0S"), Some(0));
    }

    proptest::proptest! {
        #[test]
        fn a_duration_is_parsed_back_from_its_text(seconds in 0u64..10_000_000) {
            let text = format_duration_seconds(seconds);
            proptest::prop_assert_eq!(parse_duration_seconds(&text), Some(seconds), "{}", text);
        }
    }
}
