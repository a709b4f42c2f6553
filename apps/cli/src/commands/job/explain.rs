//! `batchai explain`: why a job does not run yet, and which jobs run before it.

use super::describe;
use crate::commands::queue::{self, Entry};
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::{Column, View, nodes};
use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use resources::start_estimate::{Load, capacity, estimate, median, successful_run};
use resources::{Cluster, ExecutionState, Job, time};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

pub const HELP: &str = "\
Shows what the job waits for, its place in the queue of its cluster, and the state of that cluster.
The order is by priority, then by submission. A job that needs fewer nodes may start before one that
waits for more. Only jobs of this workspace are counted.

The latest start is when every job before it runs to its time limit (maxWallClockTime, a week by
default). The expected start is when each takes as long as the median of the runs that have ended in its
experiment. Both assume that the nodes of the cluster can be launched and none is lost.";

const USUAL: &str = "if jobs take as long as the median of the runs of their experiments";
const LIMITS: &str = "if the jobs before it run to their time limits";

/// How many of the jobs before it are named.
const NAMED: usize = 5;

/// What is known about the start of a job.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    name: String,
    state: String,
    /// What happens to the job, in a sentence.
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_since: Option<String>,
    /// From 1 on; absent unless the job is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// How many jobs of this workspace wait for the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<usize>,
    /// `EXPERIMENT/JOB` of the jobs before it, in their order.
    before: Vec<String>,
    cluster: String,
    /// Absent where more than the jobs before it keeps the job waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_start: Option<String>,
    /// Absent where nothing has ended yet in the experiment of a job before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_start: Option<String>,
    /// Nodes and scale settings of the cluster.
    cluster_nodes: String,
    cluster_errors: Vec<String>,
}

pub async fn run(context: &Context, name: &str) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[name]);
    let job: Job = context.client.get(&address).await?.read()?;
    let cluster = match &job.properties.cluster {
        Some(cluster) => {
            let address = crate::client::Address::of_id(&cluster.id);
            Some(context.client.get(&address).await?.read::<Cluster>()?)
        }
        None => None,
    };
    let mut queue = Vec::new();
    if job.properties.execution_state == ExecutionState::Queued {
        queue = queue::jobs(context).await?;
    }
    let explanation = explain(&job, cluster.as_ref(), queue, context.output.now);
    let answer = Json::parse(&serde_json::to_string(&explanation)?)?;
    context.output.details::<Explanation>(&answer)?;
    Ok(Exit::SUCCESS)
}

/// `jobs` are those of the workspace.
fn explain(job: &Job, cluster: Option<&Cluster>, jobs: Vec<Entry>, now: Timestamp) -> Explanation {
    let usual = usual_durations(&jobs);
    let jobs = jobs.into_iter().filter(|it| cluster_of(it.job()) == cluster_of(job));
    let (mut queue, others): (Vec<_>, Vec<_>) =
        jobs.partition(|it| it.state() == ExecutionState::Queued);
    queue::sort(&mut queue);
    let index = queue.iter().position(|it| it.job().id.eq_ignore_ascii_case(&job.id));
    let name = |it: &Entry| format!("{}/{}", it.experiment, it.job().name);
    let start = index.filter(|_| job.waits_for_nodes()).and_then(|index| {
        let running = others.iter().filter(|it| !it.state().is_final());
        let before = running.chain(&queue[..index]);
        let before = before.map(|it| Load::of(it.job(), usual.get(&it.experiment).copied()));
        let before: Vec<_> = before.collect::<Option<_>>()?;
        estimate(capacity(cluster?)?, &before, job.properties.node_count, now)
    });
    Explanation {
        name: job.name.clone(),
        state: job.properties.execution_state.to_string(),
        summary: describe(job),
        waiting_since: job.waiting_since().map(str::to_owned),
        position: index.map(|index| index + 1),
        queued: index.map(|_| queue.len()),
        before: queue.iter().take(index.unwrap_or(0)).map(name).collect(),
        latest_start: start.map(|start| start.latest.to_string()),
        expected_start: start.and_then(|start| start.expected).map(|time| time.to_string()),
        cluster: cluster.map(|it| it.name.clone()).unwrap_or_default(),
        cluster_nodes: cluster.map(state_of).unwrap_or_default(),
        cluster_errors: cluster
            .map(|it| it.properties.errors.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
    }
}

/// The id of the job's cluster in lower case.
fn cluster_of(job: &Job) -> String {
    job.properties.cluster.as_ref().map(|it| it.id.to_lowercase()).unwrap_or_default()
}

/// The median run time of the jobs that have succeeded, by experiment.
fn usual_durations(jobs: &[Entry]) -> HashMap<String, SignedDuration> {
    let mut of_experiment: HashMap<String, Vec<SignedDuration>> = HashMap::new();
    for entry in jobs {
        if let Some(duration) = successful_run(entry.job()) {
            of_experiment.entry(entry.experiment.clone()).or_default().push(duration);
        }
    }
    of_experiment.into_iter().filter_map(|(name, all)| Some((name, median(all)?))).collect()
}

/// "in at most 2h, if the jobs before it run to their time limits"
fn starts(time: Option<&str>, now: Timestamp, condition: &str) -> String {
    let Some(time) = time.and_then(time::parse) else { return String::new() };
    match time::elapsed(now, time) {
        SignedDuration::ZERO => "as soon as its nodes are ready".to_owned(),
        wait => format!("in {}, {condition}", time::format(wait)),
    }
}

/// "2: 2 running; scales between 0 and 4"
fn state_of(cluster: &Cluster) -> String {
    let properties = &cluster.properties;
    let nodes = nodes(properties.current_node_count, &properties.node_state_counts);
    let settings = &properties.scale_settings;
    match (&settings.auto_scale, &settings.manual) {
        (Some(auto), _) => format!(
            "{nodes}; scales between {} and {}",
            auto.minimum_node_count, auto.maximum_node_count
        ),
        (None, Some(manual)) => format!("{nodes}; fixed at {}", manual.target_node_count),
        (None, None) => nodes,
    }
}

impl View for Explanation {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let place = match (self.position, self.queued) {
            (Some(position), Some(queued)) => format!("{position} of {queued}"),
            _ => String::new(),
        };
        let mut before = self.before.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if self.before.len() > NAMED {
            before += &format!(" and {} more", self.before.len() - NAMED);
        }
        let since = self.waiting_since.as_deref();
        let (expected, latest) = (self.expected_start.as_deref(), self.latest_start.as_deref());
        vec![
            Column::new("job", &self.name).key(),
            Column::new("state", &self.state),
            Column::new("why", &self.summary).note(),
            Column::new("since", time::ago(since, now)).exact(since.unwrap_or_default()),
            Column::new("place in the queue", place),
            Column::new("before it", before).note(),
            Column::new("expected start", starts(expected, now, USUAL))
                .exact(expected.unwrap_or_default())
                .note(),
            Column::new("latest start", starts(latest, now, LIMITS))
                .exact(latest.unwrap_or_default())
                .note(),
            Column::new("cluster", &self.cluster),
            Column::new("nodes", &self.cluster_nodes),
            Column::new("errors of the cluster", self.cluster_errors.join("\n")).note(),
        ]
    }
}

#[cfg(test)]
pub fn screen(
    job: &serde_json::Value,
    cluster: &serde_json::Value,
    jobs: Vec<(&str, serde_json::Value)>,
    output: &crate::output::Output,
) -> String {
    let ((_, job), (_, cluster)) =
        (crate::screens::answered(job), crate::screens::answered(cluster));
    let explanation = explain(&job, Some(&cluster), queue::entries(jobs), output.now);
    crate::output::details(&explanation.columns(output.now), &output.layout())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::job::list::Listed;
    use crate::output::{Layout, details};
    use serde_json::json;

    const NOW: &str = "2026-01-05T00:10:00Z";

    fn entry(job: &serde_json::Value) -> Entry {
        let answer = Json::parse(&job.to_string()).unwrap();
        let job = answer.read().unwrap();
        Entry { experiment: "e".to_owned(), listed: Listed { answer, job } }
    }

    fn job(name: &str, day: u32, cluster: &str) -> Entry {
        entry(&json!({ "name": name, "id": format!("/x/experiments/e/jobs/{name}"), "properties": {
            "executionState": "queued", "schedulingPriority": "normal", "nodeCount": 1,
            "creationTime": format!("2026-01-0{day}T00:00:00Z"),
            "constraints": { "maxWallClockTime": "PT2H" },
            "cluster": { "id": format!("/x/clusters/{cluster}") },
            "extensions": { "waitingReason": { "since": "2026-01-05T00:00:00Z",
                "code": "WaitsForNodes", "message": "Waits for 1 free node of cluster spot." } },
        }}))
    }

    /// One that runs, or has run until `end`.
    fn run(name: &str, end: Option<&str>) -> Entry {
        let state = if end.is_some() { "succeeded" } else { "running" };
        entry(&json!({ "name": name, "id": format!("/x/experiments/e/jobs/{name}"), "properties": {
            "executionState": state, "nodeCount": 1, "creationTime": "2026-01-01T00:00:00Z",
            "constraints": { "maxWallClockTime": "PT1H" },
            "cluster": { "id": "/x/clusters/spot" },
            "executionInfo": { "startTime": "2026-01-05T00:00:00Z", "endTime": end },
        }}))
    }

    fn cluster() -> Cluster {
        serde_json::from_value(json!({ "name": "spot", "properties": {
            "currentNodeCount": 1, "nodeStateCounts": { "runningNodeCount": 1 },
            "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 1 } },
            "errors": [{ "code": "NoCapacity", "message": "There is no capacity at the moment" }],
        }}))
        .unwrap()
    }

    fn text(asked: &Entry, queue: Vec<Entry>) -> String {
        let now = time::parse(NOW).unwrap();
        let columns = explain(asked.job(), Some(&cluster()), queue, now).columns(now);
        details(&columns, &Layout { width: Some(80), color: false, is_wide: false })
    }

    #[test]
    fn the_jobs_before_it_are_named() {
        let queue = vec![
            job("mine", 4, "spot"),
            job("later", 5, "spot"),
            job("first", 1, "SPOT"),
            job("elsewhere", 1, "other"),
            job("second", 2, "spot"),
            run("now", None),
        ];
        insta::assert_snapshot!(text(&job("mine", 4, "spot"), queue), @"
        job                    mine
        state                  queued
        why                    mine is queued. Waits for 1 free node of cluster spot.
        since                  10m ago
        place in the queue     3 of 4
        before it              e/first, e/second
        latest start           in 4h 50m, if the jobs before it run to their time limits
        cluster                spot
        nodes                  1: 1 running; scales between 0 and 1
        errors of the cluster  There is no capacity at the moment (NoCapacity)
        ");
    }

    #[test]
    fn ended_runs_of_an_experiment_tell_what_to_expect() {
        let queue = vec![
            job("mine", 4, "spot"),
            job("first", 1, "spot"),
            run("now", None),
            run("quick", Some("2026-01-05T00:05:00Z")),
            run("slow", Some("2026-01-05T00:40:00Z")),
            run("usual", Some("2026-01-05T00:20:00Z")),
        ];
        let text = text(&job("mine", 4, "spot"), queue);
        let lines = text.lines().skip_while(|line| !line.starts_with("expected")).take(4);
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
        expected start         in 30m, if jobs take as long as the median of the runs of
                               their experiments
        latest start           in 2h 50m, if the jobs before it run to their time limits
        cluster                spot
        ");
    }

    #[test]
    fn no_start_is_estimated_where_a_setting_keeps_it_waiting() {
        let mut asked = job("mine", 4, "spot");
        let extensions = asked.listed.job.properties.extensions.as_mut().unwrap();
        extensions.waiting_reason.as_mut().unwrap().code = "WaitsForSetting".to_owned();
        let text = text(&asked, vec![job("mine", 4, "spot")]);
        assert!(!text.contains("start"), "{text}");
    }
}
