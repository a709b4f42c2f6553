//! The figures as a table and as JSON, and whether they meet the aims.

use crate::measure::{Figures, HELLO};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Decimal megabytes, as Lambda and the aims count them.
const MEGABYTE: f64 = 1e6;

const MAX_BINARY_MEGABYTES: f64 = 15.0;
const MAX_RESIDENT_MEGABYTES: f64 = 20.0;
/// As a multiple of the start of the function that does nothing.
const MAX_START: f64 = 2.0;

pub struct Report {
    /// The first one does nothing.
    pub functions: Vec<Figures>,
}

/// An aim for every function of the template.
struct Aim {
    text: String,
    /// The functions that do not meet it, with their figures.
    missed_by: Vec<String>,
}

impl Report {
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:12}{:>10}{:>10}{:>9}{:>10}{:>10}{:>12}{:>11}{:>10}\n",
            "function",
            "binary",
            "start",
            "x hello",
            "CPU",
            "memory",
            "first call",
            "warm call",
            "CPU"
        );
        for it in &self.functions {
            let millis = |duration| format!("{:.2} ms", in_millis(duration));
            let row = [
                (10, format!("{:.1} MB", it.binary_megabytes())),
                (10, millis(median(&it.starts))),
                (9, format!("{:.1}", self.over_hello(it))),
                (10, millis(median(&it.starts_cpu))),
                (10, format!("{:.1} MB", it.resident_megabytes())),
                (12, millis(median(&it.first_invocations))),
                (11, millis(median(&it.invocations))),
                (10, millis(it.invocation_cpu)),
            ];
            let cells: String =
                row.iter().map(|(width, cell)| format!("{cell:>0$}", *width)).collect();
            let _ = writeln!(text, "{:12}{cells}", it.function);
        }
        for Aim { text: aim, missed_by } in self.aims() {
            let outcome = match missed_by.is_empty() {
                true => "holds".to_owned(),
                false => format!("missed by {}", missed_by.join(", ")),
            };
            let _ = write!(text, "\n{aim}: {outcome}");
        }
        text
    }

    pub fn json(&self) -> Value {
        let functions: Vec<Value> =
            self.functions.iter().map(|it| self.function_json(it)).collect();
        let aim = |it: Aim| json!({"aim": it.text, "holds": it.missed_by.is_empty(), "missedBy": it.missed_by});
        let aims: Vec<Value> = self.aims().into_iter().map(aim).collect();
        json!({"functions": functions, "aims": aims})
    }

    fn function_json(&self, figures: &Figures) -> Value {
        let all =
            |values: &[Duration]| -> Vec<f64> { values.iter().map(|it| in_millis(*it)).collect() };
        let samples = |values| json!({"median": in_millis(median(values)), "rounds": all(values)});
        json!({
            "function": figures.function,
            "binaryBytes": figures.binary_bytes,
            "startMillis": samples(&figures.starts),
            "startOverHello": self.over_hello(figures),
            "startCpuMillis": samples(&figures.starts_cpu),
            "peakResidentBytes": figures.peak_resident_bytes,
            "firstInvocationMillis": samples(&figures.first_invocations),
            "invocationMillis": {
                "median": in_millis(median(&figures.invocations)),
                "highest": figures.invocations.iter().max().map(|it| in_millis(*it)),
                "count": figures.invocations.len(),
            },
            "invocationCpuMillis": in_millis(figures.invocation_cpu),
        })
    }

    fn aims(&self) -> [Aim; 3] {
        let aim = |text: String, value: &dyn Fn(&Figures) -> f64, most: f64, unit: &str| {
            let own = self.functions.iter().filter(|it| it.function != HELLO);
            let over = own.filter(|it| value(it) > most);
            let missed_by = over.map(|it| format!("{} ({:.1}{unit})", it.function, value(it)));
            Aim { text, missed_by: missed_by.collect() }
        };
        let start = |it: &Figures| self.over_hello(it);
        [
            aim(
                format!("binary at most {MAX_BINARY_MEGABYTES} MB"),
                &Figures::binary_megabytes,
                MAX_BINARY_MEGABYTES,
                " MB",
            ),
            aim(format!("start at most {MAX_START} x hello"), &start, MAX_START, " x"),
            aim(
                format!("memory at most {MAX_RESIDENT_MEGABYTES} MB"),
                &Figures::resident_megabytes,
                MAX_RESIDENT_MEGABYTES,
                " MB",
            ),
        ]
    }

    /// The start as a multiple of that of the function that does nothing.
    fn over_hello(&self, figures: &Figures) -> f64 {
        let hello = self.functions.iter().find(|it| it.function == HELLO);
        let hello = hello.map_or(Duration::ZERO, |it| median(&it.starts));
        median(&figures.starts).as_secs_f64() / hello.as_secs_f64()
    }
}

impl Figures {
    fn binary_megabytes(&self) -> f64 {
        self.binary_bytes as f64 / MEGABYTE
    }

    fn resident_megabytes(&self) -> f64 {
        self.peak_resident_bytes as f64 / MEGABYTE
    }
}

/// The upper one of two in the middle.
fn median(values: &[Duration]) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn in_millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(function: &'static str, megabytes: u64, start: &[u64]) -> Figures {
        let millis = |values: &[u64]| values.iter().map(|it| Duration::from_millis(*it)).collect();
        Figures {
            function,
            binary_bytes: megabytes * 1_000_000,
            starts: millis(start),
            starts_cpu: millis(&[1]),
            first_invocations: millis(&[9, 8, 7]),
            invocations: millis(&[1, 2, 3]),
            invocation_cpu: Duration::from_micros(250),
            peak_resident_bytes: (megabytes + 5) * 1_000_000,
        }
    }

    #[test]
    fn figures_beyond_an_aim_are_named() {
        let functions = vec![
            figures("hello", 16, &[4, 3, 9]),
            figures("api", 15, &[8, 8, 1]),
            figures("files", 16, &[9, 9, 9]),
        ];
        let report = Report { functions };
        assert_eq!(
            report.table(),
            "\
function        binary     start  x hello       CPU    memory  first call  warm call       CPU
hello          16.0 MB   4.00 ms      1.0   1.00 ms   21.0 MB     8.00 ms    2.00 ms   0.25 ms
api            15.0 MB   8.00 ms      2.0   1.00 ms   20.0 MB     8.00 ms    2.00 ms   0.25 ms
files          16.0 MB   9.00 ms      2.2   1.00 ms   21.0 MB     8.00 ms    2.00 ms   0.25 ms

binary at most 15 MB: missed by files (16.0 MB)
start at most 2 x hello: missed by files (2.2 x)
memory at most 20 MB: missed by files (21.0 MB)"
        );
        let json = report.json();
        assert_eq!(json["functions"][1]["startMillis"]["median"], 8.0);
        let holds = |aim: &Value| aim["holds"] == true;
        assert!(!json["aims"].as_array().unwrap().iter().any(holds), "{json}");
        let report = Report { functions: report.functions.into_iter().take(2).collect() };
        assert!(report.json()["aims"].as_array().unwrap().iter().all(holds));
        assert!(report.table().ends_with("memory at most 20 MB: holds"));
    }
}
