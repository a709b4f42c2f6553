//! One job: why it is in its state, its attempts, its metrics, its output, and what it was asked to do.

use crate::failure::Failure;
use crate::links::{WorkspacePath, name_of, quoted};
use crate::pages::expected_start::{Forecast, Start};
use crate::pages::job_definition::{Definition, hidden, request};
use crate::pages::job_files::{STANDARD_OUTPUT, directory_page};
use crate::pages::job_nodes::{self, NodeRow};
use crate::pages::queue;
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use resources::{Attempt, Cluster, ExecutionState, Job, Metric, time};
use serde::Deserialize;
use serde_json::{Value, json};

/// The job of a page, as its path names it.
#[derive(Clone, Deserialize)]
pub(crate) struct JobPath {
    #[serde(flatten)]
    pub(crate) workspace: WorkspacePath,
    pub(crate) experiment: String,
    pub(crate) job: String,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobContent {
    path: JobPath,
    job: Job,
    waiting_since: Option<String>,
    place: Option<Place>,
    /// The nodes of the current attempt, and how many are not shown.
    nodes: Option<(Vec<NodeRow>, usize)>,
    started: Option<String>,
    ended: Option<String>,
    attempts: Vec<Row>,
    /// Attempts that are not shown.
    earlier: usize,
    definition: Definition,
    tails: Vec<Tail>,
    /// What a copy of the job would lack.
    hidden: Vec<String>,
    may_write: bool,
}

/// The place of a queued job in its queue, and when it starts.
struct Place {
    position: usize,
    start: Option<Start>,
}

/// An attempt, and its place in the time of the job, in thousandths.
struct Row {
    attempt: Attempt,
    state: &'static str,
    start: u32,
    width: u32,
}

/// The end of an output file, as a node reported it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tail {
    name: String,
    node_id: String,
    attempt: u32,
    content_length: u64,
    text: String,
}

/// So many attempts are shown, the last ones: others are in the JSON.
const ATTEMPTS: usize = 50;

/// So many metrics have a chart; the others are in the table. A page with more is slow to draw.
const CHARTS: usize = 12;

/// So many ends of output are shown: two files of the master and of a node that failed, and some of other processes.
const TAILS: usize = 20;

/// The place of a job is looked for among so many of its queue, and estimated with them: 20 ms with all.
const QUEUED: usize = 50;

/// So many nodes of an attempt are named.
const NODES: usize = 8;

pub(crate) async fn page(visit: Visit, Path(path): Path<JobPath>) -> Result<Response, Failure> {
    let body: Value = visit.api.get(&path.api(&[])).await?;
    let definition = Definition::of(&body);
    let hidden = hidden(&request(&body));
    let mut job: Job = serde_json::from_value(body).map_err(|error| {
        tracing::error!(%error, "a page cannot read a job");
        Failure::unreadable(&path.api(&[]))
    })?;
    let tails = visit.api.list::<Tail>(&path.api(&["logTails"]), TAILS).await?.items;
    let may_write = visit.may_write(&path.workspace).await;
    let place = place(&visit, &job).await;
    let nodes = job_nodes::of_job(&visit, &job).await;
    let (attempts, earlier) = rows(&mut job, time::now());
    let mut shell = Shell::of(path.job.clone(), &path.workspace, Tab::Experiments)
        .below("Experiments", path.workspace.page(&["experiments"]))
        .below(path.experiment.clone(), path.experiment_page())
        .command(path.command("show", ""))
        .json(path.json());
    if !job.has_ended() {
        shell = shell.live(2);
    }
    let waiting_since = job.waiting_since().map(str::to_owned);
    let started = job.start_time().map(str::to_owned);
    let ended = job.end_time().map(str::to_owned);
    let content = JobContent {
        path,
        job,
        waiting_since,
        place,
        nodes,
        started,
        ended,
        attempts,
        earlier,
        definition,
        tails,
        hidden,
        may_write,
    };
    Ok(shell.respond(&visit, &content))
}

/// None if the job is not queued, or not among the first of its queue.
async fn place(visit: &Visit, job: &Job) -> Option<Place> {
    if job.properties.execution_state != ExecutionState::Queued {
        return None;
    }
    let id = &job.properties.cluster.as_ref()?.id;
    let (path, name) = (WorkspacePath::of_id(id)?, name_of(id));
    let mut queue = queue::of_cluster(visit, &path, name, QUEUED).await.ok()?.items;
    let at = queue.iter().position(|row| row.job.id.eq_ignore_ascii_case(&job.id))?;
    queue.truncate(at + 1);
    let cluster: Cluster = visit.api.get(&path.api(&["clusters", name])).await.ok()?;
    let start = Forecast::new(visit).starts(&path, &cluster, &queue).await;
    let start = start.into_iter().nth(at);
    Some(Place { position: at + 1, start: start.flatten() })
}

impl JobPath {
    /// Another job of the experiment.
    pub(crate) fn named(&self, job: String) -> Self {
        Self { job, ..self.clone() }
    }

    fn segments<'a>(&'a self, below: &[&'a str]) -> Vec<&'a str> {
        [&["experiments", &self.experiment, "jobs", &self.job], below].concat()
    }

    pub(crate) fn page(&self, below: &[&str]) -> String {
        self.workspace.page(&self.segments(below))
    }

    pub(crate) fn api(&self, below: &[&str]) -> String {
        self.workspace.api(&self.segments(below))
    }

    pub(crate) fn json(&self) -> String {
        self.workspace.json(&self.segments(&[]))
    }

    pub(crate) fn experiment_page(&self) -> String {
        self.workspace.page(&["experiments", &self.experiment])
    }

    pub(crate) fn options(&self) -> String {
        format!("-e {} {}", quoted(&self.experiment), self.workspace.options())
    }

    /// `batchai job COMMAND` for this job.
    pub(crate) fn command(&self, command: &str, options: &str) -> String {
        format!("batchai job {command} {}{options} {}", quoted(&self.job), self.options())
    }
}

/// The last attempts in the time from the submission to the end, and how many others there are.
fn rows(job: &mut Job, now: jiff::Timestamp) -> (Vec<Row>, usize) {
    let from = job.properties.creation_time.as_deref().and_then(time::parse);
    let ended = job.end_time().and_then(time::parse);
    let extensions = job.properties.extensions.get_or_insert_default();
    let attempts = std::mem::take(&mut extensions.attempts);
    let seconds = |at: Option<jiff::Timestamp>| {
        from.zip(at).map_or(0, |(from, at)| time::elapsed(from, at).as_secs())
    };
    let parsed = |text: &Option<String>| seconds(text.as_deref().and_then(time::parse));
    let is_running = attempts.last().is_some_and(|last| last.end_time.is_none());
    let total = match is_running {
        true => horizon(seconds(Some(now))),
        false => seconds(ended).max(attempts.last().map_or(0, |last| parsed(&last.end_time))),
    };
    let share = |seconds: i64| (seconds * 1000 / total.max(1)).clamp(0, 1000) as u32;
    let row = |attempt: Attempt| {
        let start = share(parsed(&attempt.start_time)).min(995);
        let end = if attempt.end_time.is_some() { share(parsed(&attempt.end_time)) } else { 1000 };
        let state = state_of(attempt.result.as_deref());
        Row { attempt, state, start, width: end.saturating_sub(start).max(5) }
    };
    let earlier = attempts.len().saturating_sub(ATTEMPTS);
    (attempts.into_iter().skip(earlier).map(row).collect(), earlier)
}

/// The end of the time line of a job that runs. It moves in steps, so that the page does not change with every second.
fn horizon(seconds: i64) -> i64 {
    let step = (seconds / 40).max(2);
    (seconds / step + 1) * step
}

/// The state of an attempt by what the service says of its end (docs/api.md has no code of it).
fn state_of(result: Option<&str>) -> &'static str {
    let Some(result) = result else { return "running" };
    let has = |part: &str| result.contains(part);
    match result {
        "exited with code 0" => "succeeded",
        _ if result.starts_with("terminated") || result.starts_with("stopped early") => {
            "terminated"
        }
        _ if has("was interrupted") => "interrupted",
        _ if has("was lost") || has("gave up node") => "lost",
        _ => "failed",
    }
}

impl Row {
    fn ended(&self) -> &Option<String> {
        &self.attempt.end_time
    }

    fn class(&self) -> &'static str {
        crate::states::look(self.state).class
    }

    fn nodes(&self) -> String {
        let nodes = &self.attempt.nodes;
        let shown: Vec<&str> = nodes.iter().take(NODES).map(String::as_str).collect();
        match nodes.len() {
            count if count > NODES => format!("{} and {} more", shown.join(", "), count - NODES),
            _ => shown.join(", "),
        }
    }
}

impl Tail {
    fn is_cut(&self) -> bool {
        (self.text.len() as u64) < self.content_length
    }
}

impl JobContent {
    fn properties(&self) -> &resources::JobProperties {
        &self.job.properties
    }

    fn state(&self) -> String {
        self.job.properties.execution_state.to_string()
    }

    fn is_queued(&self) -> bool {
        self.job.properties.execution_state == ExecutionState::Queued
    }

    /// The name of the cluster, and its page.
    fn cluster(&self) -> Option<(String, String)> {
        let id = &self.job.properties.cluster.as_ref()?.id;
        let name = name_of(id).to_owned();
        let page = WorkspacePath::of_id(id)?.page(&["clusters", &name]);
        Some((name, page))
    }

    fn time_limit(&self) -> String {
        self.job.time_limit().map_or_else(String::new, time::format)
    }

    fn charts(&self) -> &[Metric] {
        &self.job.metrics()[..self.job.metrics().len().min(CHARTS)]
    }

    fn chart(&self, metric: &Metric) -> String {
        chart(&self.path.job, metric)
    }

    /// The directories of the output, with their pages.
    fn directories(&self) -> Vec<(&str, &str, String)> {
        let outputs = self.definition.outputs.iter().map(|(id, path)| (id.as_str(), path.as_str()));
        let all =
            outputs.chain([(STANDARD_OUTPUT, self.properties().std_out_err_path_prefix.as_str())]);
        all.map(|(id, path)| (id, path, directory_page(&self.path, id))).collect()
    }

    /// Changes when the files of the log may be others.
    fn log_key(&self) -> String {
        format!("{}-{}", self.state(), self.attempts.last().map_or(0, |row| row.attempt.number))
    }

    fn terminate_command(&self) -> String {
        self.path.command("terminate", "")
    }

    fn delete_command(&self) -> String {
        self.path.command("delete", "")
    }

    fn submit_command(&self) -> String {
        format!("batchai job submit -f job.json {}", self.path.options())
    }

    fn logs_command(&self) -> String {
        self.path.command("logs", " --follow")
    }

    fn explain_command(&self) -> String {
        self.path.command("explain", "")
    }
}

/// What the script of charts draws.
fn chart(job: &str, metric: &Metric) -> String {
    let points: Vec<Value> =
        metric.curve.iter().map(|point| json!([point.step, point.value])).collect();
    let series = json!([{ "label": job, "points": points }]);
    json!({ "title": metric.name, "x": "step", "series": series }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(attempts: Value, state: &str) -> Job {
        serde_json::from_value(json!({ "name": "train", "properties": {
            "executionState": state, "creationTime": "2018-06-06T20:00:00Z",
            "extensions": { "attempts": attempts },
        }}))
        .unwrap()
    }

    fn shown(job: &mut Job, now: &str) -> String {
        let (rows, earlier) = rows(job, time::parse(now).unwrap());
        let row =
            |row: &Row| format!("{} {} {}+{}", row.attempt.number, row.state, row.start, row.width);
        format!("{} ({earlier} earlier)", rows.iter().map(row).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn attempts_have_places_in_the_time_of_the_job() {
        let attempts = json!([
            { "number": 1, "startTime": "2018-06-06T20:01:40Z", "endTime": "2018-06-06T20:05:00Z",
              "result": "node tvm-1 was interrupted" },
            { "number": 2, "startTime": "2018-06-06T20:06:40Z" },
        ]);
        let mut running = job(attempts.clone(), "running");
        insta::assert_snapshot!(shown(&mut running, "2018-06-06T20:16:40Z"), @"1 interrupted 97+195, 2 running 390+610 (0 earlier)");
        let mut queued = job(json!([attempts[0]]), "queued");
        insta::assert_snapshot!(shown(&mut queued, "2018-06-06T20:16:40Z"), @"1 interrupted 333+667 (0 earlier)");
    }

    /// A page that changes with every second is sent with every second.
    #[test]
    fn the_time_line_moves_in_steps() {
        let steps: std::collections::BTreeSet<i64> = (3600..3660).map(horizon).collect();
        assert!(steps.len() <= 3, "{steps:?}");
        assert!((0..5000).all(|seconds| horizon(seconds) > seconds));
    }

    #[test]
    fn results_are_states() {
        let results = [
            None,
            Some("exited with code 0"),
            Some("exited with code 2"),
            Some("node n was interrupted"),
            Some("the cluster gave up node n"),
            Some("terminated by the user"),
            Some("ran longer than maxWallClockTime"),
        ];
        insta::assert_snapshot!(results.map(state_of).join(" "), @"running succeeded failed interrupted lost terminated failed");
    }

    #[test]
    fn a_chart_is_json() {
        let metric = serde_json::from_value(json!({ "name": "\"loss\"", "step": 1, "value": 0.5, "minimum": 0.5,
            "maximum": 1.0, "curve": [{ "step": 0, "value": 1.0, "minimum": 1.0, "maximum": 1.0 }] }))
        .unwrap();
        insta::assert_snapshot!(chart("train", &metric), @r#"{"series":[{"label":"train","points":[[0,1.0]]}],"title":"\"loss\"","x":"step"}"#);
    }
}
