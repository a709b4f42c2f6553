//! Some runs of an experiment: their curves over one another, and which parameters gave which result.

use crate::failure::Failure;
use crate::links::quoted;
use crate::pages::experiment::ExperimentPath;
use crate::pages::runs::{self, Columns, Order};
use crate::shell::{Shell, Tab, Visit};
use crate::text::number;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use resources::{Job, Metric};
use serde::Serialize;

#[derive(Template)]
#[template(path = "compare.html")]
struct Compare {
    path: ExperimentPath,
    columns: Columns,
    jobs: Vec<Job>,
    missing: Vec<String>,
    curves: Vec<Chart>,
    results: Vec<Chart>,
}

/// What `charts.js` draws.
#[derive(Debug, Serialize)]
struct Chart {
    title: String,
    x: String,
    /// Whether single points are shown, not lines.
    points: bool,
    /// Whether the horizontal axis is logarithmic.
    log: bool,
    series: Vec<Series>,
}

#[derive(Debug, Serialize)]
struct Series {
    label: String,
    points: Vec<(f64, f64)>,
}

/// A chart with more curves cannot be read, and each run is a call of the API.
const MOST: usize = 12;
const FEWEST: usize = 2;

/// Parameters whose largest value is so many times the smallest have a logarithmic axis.
const LOGARITHMIC: f64 = 30.0;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<ExperimentPath>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let mut names: Vec<String> = Vec::new();
    for (_, name) in query.into_iter().filter(|(key, _)| key == "job") {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !(FEWEST..=MOST).contains(&names.len()) {
        let count = names.len();
        let message = format!("Choose {FEWEST} to {MOST} runs to compare, not {count}");
        return Err(Failure::invalid(message));
    }
    let (mut jobs, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        let job = path.workspace.api(&["experiments", &path.experiment, "jobs", &name]);
        match visit.api.get::<Job>(&job).await {
            Ok(job) => jobs.push(job),
            Err(failure) if failure.status == StatusCode::NOT_FOUND => missing.push(name),
            Err(failure) => return Err(failure),
        }
    }
    let columns = Columns::of(&jobs);
    // The colour of a run stays when another one becomes the best.
    Order::read("name", &columns).sort(&mut jobs, &columns);
    let curves = columns.metrics.iter().filter_map(|name| curves(name, &jobs)).collect();
    let results = columns.parameters.iter().filter_map(|name| result(name, &jobs, &columns));
    let results = results.collect();
    Order::read("", &columns).sort(&mut jobs, &columns);
    let ExperimentPath { workspace, experiment } = &path;
    let shell = Shell::of("Compare runs", workspace, Tab::Experiments)
        .below("Experiments", workspace.page(&["experiments"]))
        .below(experiment.clone(), workspace.page(&["experiments", experiment]))
        .command(command(&path, &jobs))
        .json(workspace.json(&["experiments", experiment, "jobs"]))
        .live(5);
    let content = Compare { path, columns, jobs, missing, curves, results };
    Ok(shell.respond(&visit, &content))
}

fn command(path: &ExperimentPath, jobs: &[Job]) -> String {
    let options = format!("-e {} {}", quoted(&path.experiment), path.workspace.options());
    match jobs.iter().find_map(Job::sweep_name) {
        Some(sweep) => format!("batchai sweep show {} {options}", quoted(&sweep)),
        None => format!("batchai job list {options}"),
    }
}

/// The curves of a metric, if a job reported it.
fn curves(metric: &str, jobs: &[Job]) -> Option<Chart> {
    let series = |job: &Job| {
        let curve = &job.metric(metric)?.curve;
        let points = curve.iter().map(|point| (point.step as f64, point.value)).collect();
        Some(Series { label: job.name.clone(), points })
    };
    let series: Vec<Series> = jobs.iter().filter_map(series).collect();
    let title = metric.to_owned();
    (!series.is_empty()).then(|| Chart {
        title,
        x: "step".to_owned(),
        points: false,
        log: false,
        series,
    })
}

/// A parameter against the result, if it is a number that differs.
fn result(parameter: &str, jobs: &[Job], columns: &Columns) -> Option<Chart> {
    let mut title = None;
    let mut series = Vec::new();
    for job in jobs {
        let Some(value) = job.parameter(parameter) else { continue };
        let x: f64 = value.parse().ok().filter(|x: &f64| x.is_finite())?;
        let result = match &columns.objective {
            Some(objective) => (runs::best_name(objective), runs::best(job, objective)),
            None => {
                let metric = columns.metrics.first()?;
                (format!("last {metric}"), job.metric(metric).map(|it| it.value))
            }
        };
        let (name, Some(y)) = result else { continue };
        title = Some(name);
        series.push(Series { label: job.name.clone(), points: vec![(x, y)] });
    }
    let values = || series.iter().flat_map(|it| &it.points).map(|(x, _)| *x);
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    if least >= most {
        return None;
    }
    let log = least > 0.0 && most / least >= LOGARITHMIC;
    let title = format!("{} by {parameter}", title?);
    Some(Chart { title, x: parameter.to_owned(), points: true, log, series })
}

impl Chart {
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a screen reader says of it: the table has the numbers.
    fn described(&self) -> String {
        let runs: Vec<&str> = self.series.iter().map(|it| it.label.as_str()).collect();
        let (title, x) = (&self.title, &self.x);
        let runs = runs.join(", ");
        match self.points {
            true => format!("Chart: {title}, one point for each of {runs}; values in the table"),
            false => format!("Chart: {title} by {x}, curves of {runs}; values in the table"),
        }
    }
}

impl Compare {
    fn page_of(&self, job: &Job) -> String {
        self.path.workspace.page(&["experiments", &self.path.experiment, "jobs", &job.name])
    }

    fn best_header(&self) -> Option<String> {
        self.columns.objective.as_ref().map(runs::best_name)
    }

    fn best(&self, job: &Job) -> String {
        let objective = self.columns.objective.as_ref();
        let best = objective.and_then(|objective| runs::best(job, objective));
        best.as_ref().map_or_else(String::new, number)
    }
}

fn range(metric: &Metric) -> String {
    format!("{} to {}", number(&metric.minimum), number(&metric.maximum))
}

#[cfg(test)]
mod tests;
