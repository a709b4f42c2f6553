//! The metrics of a job: a line for each, aligned as a table.

use crate::output::Column;
use resources::Metric;

/// Digits of a value that are shown; `-o json` has all.
const DIGITS: i32 = 6;

/// One line per metric: its latest value and step, and the lowest and the highest value until then.
pub fn lines(metrics: &[Metric]) -> Vec<Column> {
    let cells = |metric: &Metric| {
        let Metric { name, step, value, minimum, maximum, curve: _ } = metric;
        let (step, value) = (format!("step {step}"), number(*value));
        let (minimum, maximum) = (number(*minimum), number(*maximum));
        [name.clone(), value, step, format!("min {minimum}"), format!("max {maximum}")]
    };
    let rows: Vec<_> = metrics.iter().map(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(|row| Column::new("metric", line(row)).aligned()).collect()
}

/// A value with the digits that a person reads.
pub fn number(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    if !(-4.0..f64::from(DIGITS)).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let decimals = usize::try_from(DIGITS - 1 - magnitude as i32).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short() {
        let shown = number;
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(0.300_000_000_01), "0.3");
        assert_eq!(shown(-1.5), "-1.5");
        assert_eq!(shown(0.000_123_456_789), "0.000123457");
        assert_eq!(shown(123_456.789), "123457");
        assert_eq!(shown(99.999_999), "100");
        assert_eq!(shown(12_345_678.0), "1.2346e7");
        assert_eq!(shown(0.000_001_5), "1.5000e-6");
    }
}
