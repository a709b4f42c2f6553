//! Collects the figures, prints them as a table, and writes them as JSON.

use crate::machine;
use crate::options::Setup;
use crate::samples::Samples;
use anyhow::Result;
use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Millis,
    /// CPU milliseconds per job or request.
    CpuMillis,
    Mebibytes,
}

impl Unit {
    fn decimals(self) -> usize {
        match self {
            Self::PerSecond => 0,
            Self::Millis | Self::Mebibytes => 1,
            Self::CpuMillis => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Millis | Self::CpuMillis => "ms",
            Self::Mebibytes => "MiB",
        }
    }
}

/// One row: the measured values, and the values to compare them with.
pub struct Figure {
    pub name: String,
    pub unit: Unit,
    pub value: Samples,
    /// The name and the values of the other side.
    pub other: Option<(String, Samples)>,
}

/// Figures in the order in which they were first added.
pub struct Report {
    binary: String,
    scratch: String,
    load_before: String,
    load_after: Option<String>,
    warnings: Vec<String>,
    begin: Instant,
    figures: Vec<Figure>,
    quiet_timeout: Duration,
    rounds: Vec<Round>,
}

/// The load of the machine just before a round.
struct Round {
    title: String,
    load: String,
    others_percent: f64,
}

impl Report {
    pub fn new(setup: &Setup) -> Result<Self> {
        let changed = std::fs::metadata(&setup.binary)?.modified()?;
        let age = changed.elapsed().unwrap_or_default().as_secs() / 60;
        let mut warnings = Vec::new();
        if machine::is_in_memory(setup.scratch.path()) {
            let directory = setup.scratch.path().display();
            warnings.push(format!(
                "{directory} is in memory, so writes are not durable; set --scratch DIR"
            ));
        }
        Ok(Self {
            binary: format!("{} (built {age} minutes ago)", setup.binary.display()),
            scratch: setup.scratch.path().display().to_string(),
            load_before: machine::load_average(),
            load_after: None,
            warnings,
            begin: Instant::now(),
            figures: Vec::new(),
            quiet_timeout: setup.quiet_timeout,
            rounds: Vec::new(),
        })
    }

    /// The measured binary and the machine, to print before the first round.
    pub fn heading(&self) -> String {
        let (cores, processor) = (machine::cores(), machine::processor());
        let mut text = format!(
            "measuring {}\non {cores} cores, {processor}, files in {}\nload average before: {}",
            self.binary, self.scratch, self.load_before
        );
        for warning in &self.warnings {
            text += &format!("\nwarning: {warning}");
        }
        text
    }

    /// Prints the start of a round on stderr, and records the load of the machine.
    pub async fn begin(&mut self, measurement: &str, detail: &str) {
        let others_percent = machine::others_percent(self.quiet_timeout).await;
        let minutes = self.begin.elapsed().as_secs_f64() / 60.0;
        let (title, load) = (format!("{measurement}: {detail}"), machine::load_average());
        eprintln!("{minutes:5.1} min  {title}  (load {load}, others {others_percent:.0} %)");
        self.rounds.push(Round { title, load, others_percent });
    }

    /// Adds the value of one round.
    pub fn add(&mut self, name: &str, unit: Unit, value: f64) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.value.0.push(value),
            None => self.figures.push(Figure {
                name: name.to_owned(),
                unit,
                value: Samples(vec![value]),
                other: None,
            }),
        }
    }

    /// Adds the value of one round to what a figure is compared with.
    pub fn compare(&mut self, name: &str, other: &str, value: f64) {
        let Some(figure) = self.figures.iter_mut().find(|figure| figure.name == name) else {
            return;
        };
        match &mut figure.other {
            Some((_, samples)) => samples.0.push(value),
            None => figure.other = Some((other.to_owned(), Samples(vec![value]))),
        }
    }

    /// Ends the report. In an incomplete run, the last round may lack figures.
    pub fn finish(&mut self, complete: bool) {
        self.load_after = Some(machine::load_average());
        if !complete {
            self.warnings.push("the run was not complete".to_owned());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    pub fn table(&self) -> String {
        let after = self.load_after.as_deref().unwrap_or("unknown");
        let load = format!("load average {} before, {after} after", self.load_before);
        let others = Samples(self.rounds.iter().map(|round| round.others_percent).collect());
        let others = format!(
            "other programs used {:.0} % of the cores before the median round, {:.0} % at most",
            others.median(),
            others.highest()
        );
        let mut heading = format!("{}\n{load}\n{others}\n", self.binary);
        for warning in &self.warnings {
            heading += &format!("warning: {warning}\n");
        }
        format!("{heading}\n{}", table(&self.figures))
    }

    pub fn json(&self) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(figure_json).collect();
        let round = |it: &Round| json!({"round": it.title, "loadAverage": it.load, "othersPercent": it.others_percent});
        let rounds: Vec<Value> = self.rounds.iter().map(round).collect();
        json!({
            "binary": self.binary,
            "machine": machine::describe(),
            "scratch": self.scratch,
            "minutes": self.begin.elapsed().as_secs_f64() / 60.0,
            "loadAverage": {"before": self.load_before, "after": self.load_after},
            "rounds": rounds,
            "warnings": self.warnings,
            "figures": figures,
        })
    }
}

fn figure_json(figure: &Figure) -> Value {
    let mut object = json!({
        "name": figure.name,
        "unit": figure.unit.name(),
        "median": figure.value.median(),
        "rounds": figure.value.0,
    });
    if let Some((name, other)) = &figure.other {
        let ratio = figure.value.over(other);
        object["comparedWith"] = json!({"name": name, "median": other.median(), "rounds": other.0});
        object["ratio"] = json!({"median": ratio.median(), "rounds": ratio.0});
    }
    object
}

fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let titles = ["figure", "median", "lowest..highest", "compared with", "ratio", ""];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for figure in figures {
        let decimals = figure.unit.decimals();
        let (other, ratio) = match &figure.other {
            None => (String::new(), None),
            Some((name, other)) => {
                let median = format!("{name} {:.decimals$}", other.median());
                let ratio = figure.value.over(other);
                (format!("{median}  {}", range(other, decimals)), Some(ratio))
            }
        };
        let median = ratio.as_ref().map(|ratio| format!("{:.2}", ratio.median()));
        let ratios = ratio.map(|ratio| range(&ratio, 2));
        table.add_row([
            Cell::new(&figure.name),
            Cell::new(format!("{:.decimals$} {}", figure.value.median(), figure.unit.name()))
                .set_alignment(CellAlignment::Right),
            Cell::new(range(&figure.value, decimals)),
            Cell::new(other),
            Cell::new(median.unwrap_or_default()).add_attribute(Attribute::Bold),
            Cell::new(ratios.unwrap_or_default()),
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Empty if there was one round.
fn range(samples: &Samples, decimals: usize) -> String {
    match samples.0.len() {
        1 => String::new(),
        _ => format!("{:.decimals$}..{:.decimals$}", samples.lowest(), samples.highest()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_both_sides_and_their_ratio() {
        let figures = [
            Figure {
                name: "durable jobs".to_owned(),
                unit: Unit::PerSecond,
                value: Samples(vec![180.0, 200.0, 190.0]),
                other: Some(("HyperQueue".to_owned(), Samples(vec![360.0, 400.0, 385.0]))),
            },
            Figure {
                name: "memory idle, RSS".to_owned(),
                unit: Unit::Mebibytes,
                value: Samples(vec![21.04]),
                other: None,
            },
        ];
        insta::assert_snapshot!(table(&figures), @"
        figure            median    lowest..highest  compared with             ratio
        durable jobs        190 /s  180..200         HyperQueue 385  360..400  0.50   0.49..0.50
        memory idle, RSS  21.0 MiB
        ");
    }
}
