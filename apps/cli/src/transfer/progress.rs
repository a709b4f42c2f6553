//! The progress of a transfer, on stderr when that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;

#[derive(Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Shown if stderr is a terminal and `wanted` is set.
    pub fn new(wanted: bool) -> Self {
        let is_shown = wanted && std::io::stderr().is_terminal();
        let target =
            if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "{bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// More bytes are to be transferred.
    pub fn expect(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    /// These bytes need no transfer any more.
    pub fn done(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// The file that is being transferred.
    pub fn file(&self, name: &str) {
        self.0.set_message(name.to_owned());
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// A size for people: `512 B`, `1.5 KiB`, `20 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        // What is rounded to 1024 is shown in the next unit.
        if size < 1023.5 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if size < 9.95 { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 10, "10 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (20 << 30, "20 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(human_bytes(bytes), expected, "{bytes}");
        }
    }
}
