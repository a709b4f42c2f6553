//! `batchai sweep show` and `list`: the runs of a sweep beside each other, and the sweeps of an experiment.

use super::runs;
use crate::commands::job::list::{self, Listed};
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::name_argument::ResourceName;
use crate::output::{Column, Format, Output, View, rows, state_style};
use crate::watch::{self, WatchArguments};
use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use resources::natural;
use resources::time;
use resources::{ExecutionState, Goal, Job, Objective};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const HELP: &str = "\
The best run comes first, by the metric that the sweep was submitted with (--metric of batchai sweep), or the one
given here. BEST is the best value that a run has reported, and LAST its last one, at STEP.

Examples:
  batchai sweep show lr-search --watch
  batchai sweep show lr-search --metric accuracy --goal maximize
  batchai sweep show lr-search -o json --query '[0].name'";

#[derive(Args)]
pub struct ShowArguments {
    #[command(flatten)]
    name: ResourceName,
    /// Metric to compare the runs by [default: that of the sweep]
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// Whether a small or a large value is better
    #[arg(long, value_name = "GOAL", requires = "metric", default_value = "minimize")]
    goal: GoalArgument,
    #[command(flatten)]
    watch: WatchArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GoalArgument {
    Minimize,
    Maximize,
}

impl From<GoalArgument> for Goal {
    fn from(goal: GoalArgument) -> Self {
        match goal {
            GoalArgument::Minimize => Self::Minimize,
            GoalArgument::Maximize => Self::Maximize,
        }
    }
}

pub async fn run(context: &Context, arguments: ShowArguments) -> Result<Exit> {
    let ShowArguments { name, metric, goal, watch } = arguments;
    let given = metric.map(|metric| Objective { metric, goal: goal.into() });
    watch::repeat(context, &watch, async |output: &Output| {
        let mut found = runs::existing(context, &name).await?;
        let objective = given.clone().or_else(|| runs::objective(&found));
        runs::sort(&mut found, objective.as_ref());
        print(output, found, objective.as_ref())
    })
    .await
}

fn print(output: &Output, runs: Vec<Listed>, objective: Option<&Objective>) -> Result<()> {
    let is_table = matches!(output.format, Format::Table | Format::Wide);
    if !is_table || output.query.is_some() {
        return output.list::<Job>(runs.into_iter().map(|run| run.answer).collect(), "");
    }
    output.print(table(&runs, objective, output))?;
    output.message(summary(&runs, objective));
    Ok(())
}

/// The runs as rows.
pub fn table(runs: &[Listed], objective: Option<&Objective>, output: &Output) -> String {
    let names = parameters(runs);
    let metrics = match objective {
        Some(_) => Vec::new(),
        None => metrics(runs),
    };
    let row = |run: &Listed| row(&run.job, &names, &metrics, objective, output.now);
    rows(&runs.iter().map(row).collect::<Vec<_>>(), &output.layout())
}

/// How many metrics a sweep without an objective shows.
const SHOWN_METRICS: usize = 4;

/// The names of parameters, in the order of the first run that has them.
fn parameters(runs: &[Listed]) -> Vec<String> {
    let names = runs.iter().filter_map(|run| run.job.sweep()).flat_map(|sweep| &sweep.parameters);
    distinct(names.map(|parameter| parameter.name.as_str()))
}

fn metrics(runs: &[Listed]) -> Vec<String> {
    let names = runs.iter().flat_map(|run| run.job.metrics()).map(|metric| metric.name.as_str());
    let mut names = distinct(names);
    names.truncate(SHOWN_METRICS);
    names
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

fn row(
    job: &Job,
    parameters: &[String],
    metrics: &[String],
    objective: Option<&Objective>,
    now: Timestamp,
) -> Vec<Column> {
    let properties = &job.properties;
    let mut columns = vec![Column::new("run", &job.name).key()];
    let values = job.sweep().map(|sweep| sweep.parameters.as_slice()).unwrap_or_default();
    for name in parameters {
        let value = values.iter().find(|parameter| parameter.name == *name);
        columns.push(Column::new(name.clone(), value.map_or("", |it| it.value.as_str())));
    }
    columns.push(
        Column::new("state", properties.execution_state.to_string())
            .styled(state_style(properties.execution_state))
            .key(),
    );
    if let Some(objective) = objective {
        let metric = runs::metric(job, &objective.metric);
        let best = runs::best(job, objective).map(number).unwrap_or_default();
        columns.push(Column::new(format!("best {}", objective.metric), best).key());
        let (last, step) = metric.map(|it| (number(it.value), it.step.to_string())).unzip();
        columns.push(Column::new("last", last.unwrap_or_default()));
        columns.push(Column::new("step", step.unwrap_or_default()));
    }
    for name in metrics {
        let value = runs::metric(job, name).map(|metric| number(metric.value));
        columns.push(Column::new(name.clone(), value.unwrap_or_default()));
    }
    columns.push(Column::new("ran", time::between(job.start_time(), job.end_time(), now)));
    columns.push(Column::new("note", note(job)).note());
    columns
}

/// Why a run waits or failed; in a few words what many runs have in common.
fn note(job: &Job) -> String {
    match job.properties.execution_state {
        ExecutionState::Queued if job.waiting_code() == Some("WaitsForSweep") => {
            "waits for other runs (maxParallel)".to_owned()
        }
        ExecutionState::Failed
            if job.first_error().is_some_and(|error| error.code == "JobStoppedEarly") =>
        {
            "stopped early".to_owned()
        }
        ExecutionState::Queued => job.waiting_reason().unwrap_or_default().to_owned(),
        ExecutionState::Failed => job.first_error().map(ToString::to_string).unwrap_or_default(),
        ExecutionState::Running
        | ExecutionState::Terminating
        | ExecutionState::Succeeded
        | ExecutionState::Unknown => String::new(),
    }
}

/// A value with five significant digits.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    match rounded.abs() {
        size if size != 0.0 && !(1e-4..1e7).contains(&size) => format!("{rounded:e}"),
        _ => rounded.to_string(),
    }
}

/// "20 runs: 3 queued, 4 running, 13 succeeded."
fn summary(runs: &[Listed], objective: Option<&Objective>) -> String {
    let mut counts: BTreeMap<ExecutionState, usize> = BTreeMap::new();
    for run in runs {
        *counts.entry(run.job.properties.execution_state).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let has_metrics = runs.iter().any(|run| !run.job.metrics().is_empty());
    let hint = match (objective, has_metrics) {
        (None, true) => " To put the best run first, give --metric.",
        (None, false) | (Some(_), _) => "",
    };
    let plural = if runs.len() == 1 { "run" } else { "runs" };
    format!("{} {plural}: {}.{hint}", runs.len(), counts.join(", "))
}

/// A sweep in the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sweep {
    name: String,
    runs: usize,
    queued: usize,
    running: usize,
    ended: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    best_run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
}

impl View for Sweep {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, _now: Timestamp) -> Vec<Column> {
        let best = self.best.map(number).unwrap_or_default();
        vec![
            Column::new("name", &self.name).key(),
            Column::new("runs", self.runs.to_string()),
            Column::new("queued", self.queued.to_string()),
            Column::new("running", self.running.to_string()),
            Column::new("ended", self.ended.to_string()),
            Column::new("best run", self.best_run.clone().unwrap_or_default()),
            Column::new("best", best),
            Column::new("metric", self.metric.clone().unwrap_or_default()).minor(),
        ]
    }
}

pub async fn list(context: &Context) -> Result<Exit> {
    let jobs = list::read(&context.client, &context.scope.jobs()?).await?;
    let mut sweeps: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for listed in jobs {
        if let Some(name) = listed.job.sweep_name() {
            sweeps.entry(name.to_lowercase()).or_default().push(listed);
        }
    }
    let mut sweeps: Vec<Sweep> = sweeps.into_values().map(summarized).collect();
    sweeps.sort_by(|one, other| natural::compare(&one.name, &other.name));
    let answers = sweeps.iter().map(|it| Json::parse(&serde_json::to_string(it)?));
    let none = "No sweeps. To start one, see: batchai sweep --help";
    context.output.list::<Sweep>(answers.collect::<Result<_>>()?, none)?;
    Ok(Exit::SUCCESS)
}

fn summarized(mut runs: Vec<Listed>) -> Sweep {
    let objective = runs::objective(&runs);
    runs::sort(&mut runs, objective.as_ref());
    let count = |is: fn(&Job) -> bool| runs.iter().filter(|run| is(&run.job)).count();
    let queued = count(|job| job.properties.execution_state == ExecutionState::Queued);
    let ended = count(Job::has_ended);
    let best = objective.as_ref().and_then(|it| runs::best(&runs.first()?.job, it));
    let first = runs.first().map(|run| &run.job);
    Sweep {
        name: first.and_then(Job::sweep_name).unwrap_or_default(),
        runs: runs.len(),
        queued,
        running: runs.len() - queued - ended,
        ended,
        best_run: best.and(first.map(|job| job.name.clone())),
        best,
        metric: objective.map(|it| it.metric),
    }
}

/// What `sweep show` prints of these jobs.
#[cfg(test)]
pub fn screen(runs: Vec<serde_json::Value>, output: &Output) -> String {
    let listed = |run: serde_json::Value| {
        let answer = Json::parse(&run.to_string()).unwrap();
        Listed { job: answer.read().unwrap(), answer }
    };
    let mut found: Vec<Listed> = runs.into_iter().map(listed).collect();
    let objective = runs::objective(&found);
    runs::sort(&mut found, objective.as_ref());
    let table = table(&found, objective.as_ref(), output);
    format!("{table}\n{}", summary(&found, objective.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Layout;
    use serde_json::{Value, json};

    fn run(name: &str, state: &str, lr: &str, loss: Option<(f64, f64)>) -> Listed {
        let metrics: Vec<Value> = loss
            .iter()
            .map(|(last, best)| json!({ "name": "loss", "step": 40, "value": last, "minimum": best, "maximum": 9.5 }))
            .collect();
        let job = json!({ "name": name, "properties": { "executionState": state, "extensions": {
            "sweep": { "name": "lr", "parameters": [
                { "name": "lr", "value": lr }, { "name": "layers", "value": "2" }],
                "objective": { "metric": "loss" } },
            "metrics": metrics,
        }}});
        let answer = Json::parse(&job.to_string()).unwrap();
        let job = answer.read().unwrap();
        Listed { answer, job }
    }

    fn runs() -> Vec<Listed> {
        vec![
            run("lr-1", "succeeded", "0.1", Some((0.51, 0.5))),
            run("lr-2", "running", "0.01", Some((0.312_345_6, 0.3))),
            run("lr-10", "queued", "0.001", None),
            run("lr-3", "queued", "0.0001", None),
        ]
    }

    #[test]
    fn the_best_run_comes_first() {
        let mut found = runs();
        let objective = runs::objective(&found).unwrap();
        runs::sort(&mut found, Some(&objective));
        let rows_of = |objective: Option<&Objective>| {
            let (names, metrics) = (parameters(&found), metrics(&found));
            let metrics = if objective.is_some() { Vec::new() } else { metrics };
            let row = |it: &Listed| row(&it.job, &names, &metrics, objective, time::now());
            rows(&found.iter().map(row).collect::<Vec<_>>(), &Layout::PLAIN)
        };
        insta::assert_snapshot!(rows_of(Some(&objective)), @"
        RUN    LR      LAYERS  STATE      BEST LOSS  LAST     STEP
        lr-2   0.01    2       running    0.3        0.31235  40
        lr-1   0.1     2       succeeded  0.5        0.51     40
        lr-3   0.0001  2       queued
        lr-10  0.001   2       queued
        ");
        insta::assert_snapshot!(rows_of(None), @"
        RUN    LR      LAYERS  STATE      LOSS
        lr-2   0.01    2       running    0.31235
        lr-1   0.1     2       succeeded  0.51
        lr-3   0.0001  2       queued
        lr-10  0.001   2       queued
        ");
        insta::assert_snapshot!(summary(&found, None), @"4 runs: 2 queued, 1 running, 1 succeeded. To put the best run first, give --metric.");
        let worst = Objective { goal: Goal::Maximize, ..objective };
        runs::sort(&mut found, Some(&worst));
        assert_eq!(found[0].job.name, "lr-1", "both have the same maximum");
    }

    #[test]
    fn a_sweep_is_summarized_with_its_best_run() {
        let sweep = summarized(runs());
        assert_eq!((sweep.runs, sweep.queued, sweep.running, sweep.ended), (4, 2, 1, 1));
        assert_eq!((sweep.best_run.as_deref(), sweep.best), (Some("lr-2"), Some(0.3)));
    }

    #[test]
    fn numbers_have_five_digits() {
        let shown = [0.0, 0.312_345_6, 12.0, 123_456.7, 1e-9, -2.5e12].map(number);
        assert_eq!(shown, ["0", "0.31235", "12", "123460", "1e-9", "-2.5e12"]);
    }
}
