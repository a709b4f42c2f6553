//! Times and durations as tables show them: "3m ago", "1h 5m".

use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use jiff::{SignedDuration, Span, SpanRelativeTo, SpanRound, Timestamp, Unit};

const PRINTER: SpanPrinter =
    SpanPrinter::new().designator(Designator::Compact).spacing(Spacing::BetweenUnits);

/// The time of the clock.
#[expect(clippy::disallowed_methods, reason = "the clock is read here: a command may take hours")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A date of HTTP (RFC 9110, section 5.6.7), if the text is one.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// A timestamp of the service, if the text is one.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A duration of ISO 8601, such as `P7D` or `PT1H30M`. A day has 24 hours.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// How long before `now`, such as "3m ago". Text that is not a timestamp is returned unchanged.
pub fn ago(text: Option<&str>, now: Timestamp) -> String {
    let Some(text) = text else { return String::new() };
    match parse(text).map(|time| elapsed(time, now)) {
        Some(SignedDuration::ZERO) => "just now".to_owned(),
        Some(duration) => format!("{} ago", format(duration)),
        None => text.to_owned(),
    }
}

/// The time between two timestamps, such as "1h 5m"; until `now` if the second one is missing.
pub fn between(from: Option<&str>, to: Option<&str>, now: Timestamp) -> String {
    let Some(from) = from.and_then(parse) else { return String::new() };
    format(elapsed(from, to.and_then(parse).unwrap_or(now)))
}

/// Rounded to a second. Never negative: the clocks of two machines may disagree.
pub fn elapsed(from: Timestamp, to: Timestamp) -> SignedDuration {
    let duration = to.duration_since(from).max(SignedDuration::ZERO);
    duration.round(Unit::Second).unwrap_or(duration)
}

/// At most two units: seconds below ten minutes, minutes below a day, else hours.
pub fn format(duration: SignedDuration) -> String {
    let smallest = match duration.as_secs() {
        ..600 => Unit::Second,
        600..86_400 => Unit::Minute,
        _ => Unit::Hour,
    };
    let rounding = SpanRound::new()
        .largest(Unit::Day)
        .smallest(smallest)
        .mode(jiff::RoundMode::Trunc)
        .days_are_24_hours();
    let span = Span::try_from(duration).and_then(|span| span.round(rounding));
    PRINTER.span_to_string(&span.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        let date = parse_http_date("Thu, 01 Jan 2026 00:10:00 GMT");
        assert_eq!(date, parse("2026-01-01T00:10:00Z"));
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0, 59, 60, 61, 599, 600, 3599, 3600, 3660, 86_399, 86_400, 90_000]
            .map(|seconds| format(SignedDuration::from_secs(seconds)))
            .join(", ");
        insta::assert_snapshot!(texts, @"0s, 59s, 1m, 1m 1s, 9m 59s, 10m, 59m, 1h, 1h 1m, 23h 59m, 1d, 1d 1h");
    }

    #[test]
    fn durations_of_the_service_are_read() {
        let hours = |hours| Some(SignedDuration::from_hours(hours));
        assert_eq!([duration("P7D"), duration("PT36H")], [hours(168), hours(36)]);
        assert_eq!(duration("PT1H30M"), Some(SignedDuration::from_mins(90)));
        assert_eq!(duration("a week"), None);
    }

    #[test]
    fn timestamps_are_shown_relative_to_now() {
        let now = parse("2026-01-01T00:10:00.5Z").unwrap();
        assert_eq!(ago(Some("2026-01-01T00:00:00.03Z"), now), "10m ago");
        assert_eq!(ago(Some("2026-01-01T00:20:00Z"), now), "just now");
        assert_eq!(ago(Some("yesterday"), now), "yesterday");
        assert_eq!(ago(None, now), "");
        assert_eq!(between(Some("2026-01-01T00:09:00.5Z"), None, now), "1m");
        assert_eq!(between(None, None, now), "");
    }
}
