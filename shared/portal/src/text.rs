//! Filters of templates.

use askama::filters::HtmlSafeOutput;
use resources::{dollars, time};
use std::fmt::Write as _;

/// What a template shows of a time that may be missing: `2026-01-02 03:04 UTC`, which the script of the page replaces by
/// "3m ago".
#[askama::filter_fn]
pub(crate) fn when(
    text: &Option<String>,
    _: &dyn askama::Values,
) -> askama::Result<HtmlSafeOutput<String>> {
    Ok(HtmlSafeOutput(text.as_deref().map(time_element).unwrap_or_default()))
}

fn time_element(text: &str) -> String {
    let Some(time) = time::parse(text) else { return String::new() };
    let shown = time.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("<time datetime=\"{time}\" title=\"{shown}\">{shown}</time>")
}

/// How long between two times; until now, which the script of the page counts, if the second one is missing.
#[askama::filter_fn]
pub(crate) fn until(
    from: &Option<String>,
    _: &dyn askama::Values,
    to: &Option<String>,
) -> askama::Result<HtmlSafeOutput<String>> {
    Ok(HtmlSafeOutput(duration(from.as_deref(), to.as_deref())))
}

fn duration(from: Option<&str>, to: Option<&str>) -> String {
    let Some(from) = from.and_then(time::parse) else { return String::new() };
    match to.and_then(time::parse) {
        Some(to) => time::format(time::elapsed(from, to)),
        None => format!("<time data-since datetime=\"{from}\">…</time>"),
    }
}

/// An amount of millionths of a dollar.
#[askama::filter_fn]
pub(crate) fn usd(micro: &u64, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(dollars(*micro))
}

/// A number of a metric: at most six digits.
pub(crate) fn number(value: &f64) -> String {
    let value = *value;
    let size = value.abs();
    if value == value.trunc() && size < 1e9 {
        return format!("{value}");
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let mut text = String::new();
    let digits = 5usize.saturating_sub(size.log10().max(0.0) as usize);
    let _ = write!(text, "{value:.digits$}");
    if text.contains('.') {
        let shortest = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(shortest);
    }
    text
}

/// A number of bytes.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = count as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit < UNITS.len() - 1 {
        amount /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{amount:.1} {}", UNITS[unit]),
    }
}

/// A number of mebibytes.
pub(crate) fn mebibytes(count: &u64) -> String {
    bytes(count.saturating_mul(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown =
            [0.0, 1.0, 0.123_456_789, 123.456_789, 1e-9, 3.5e12, -2.5].map(|value| number(&value));
        insta::assert_snapshot!(shown.join(" "), @"0 1 0.12346 123.457 1.000e-9 3.500e12 -2.5");
        insta::assert_snapshot!([0, 1023, 1024, 5_000_000].map(bytes).join(" "), @"0 B 1023 B 1.0 KiB 4.8 MiB");
    }

    #[test]
    fn times_are_markup_only_where_they_are_times() {
        assert_eq!(time_element("<b>"), "");
        insta::assert_snapshot!(time_element("2026-01-02T03:04:05Z"), @r#"<time datetime="2026-01-02T03:04:05Z" title="2026-01-02 03:04:05 UTC">2026-01-02 03:04:05 UTC</time>"#);
        assert_eq!(duration(Some("2026-01-02T03:04:05Z"), Some("2026-01-02T03:05:05Z")), "1m");
    }
}
