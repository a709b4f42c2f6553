//! `batchai explain`: why a job does not run yet, and which jobs run before it.

use super::describe;
use crate::commands::queue::{self, Entry};
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::{Column, View, nodes};
use crate::resources::{Cluster, ExecutionState, Job};
use crate::time;
use anyhow::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub const HELP: &str = "\
Shows what the job waits for, its place in the queue of its cluster, and the state of that cluster.
The order is by priority, then by submission. A job that needs fewer nodes may start before one that
waits for more. Only jobs of this workspace are counted.";

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
    let explanation = explain(&job, cluster.as_ref(), queue);
    let answer = Json::parse(&serde_json::to_string(&explanation)?)?;
    context.output.details::<Explanation>(&answer)?;
    Ok(Exit::SUCCESS)
}

/// `jobs` are those of the workspace.
fn explain(job: &Job, cluster: Option<&Cluster>, jobs: Vec<Entry>) -> Explanation {
    let cluster_of = |job: &Job| {
        job.properties.cluster.as_ref().map(|it| it.id.to_lowercase()).unwrap_or_default()
    };
    let wanted = cluster_of(job);
    let mut queue: Vec<_> = jobs
        .into_iter()
        .filter(|it| it.state() == ExecutionState::Queued && cluster_of(it.job()) == wanted)
        .collect();
    queue::sort(&mut queue);
    let index = queue.iter().position(|it| it.job().id.eq_ignore_ascii_case(&job.id));
    let name = |it: &Entry| format!("{}/{}", it.experiment, it.job().name);
    Explanation {
        name: job.name.clone(),
        state: job.properties.execution_state.to_string(),
        summary: describe(job),
        waiting_since: job.waiting_since().map(str::to_owned),
        position: index.map(|index| index + 1),
        queued: index.map(|_| queue.len()),
        before: queue.iter().take(index.unwrap_or(0)).map(name).collect(),
        cluster: cluster.map(|it| it.name.clone()).unwrap_or_default(),
        cluster_nodes: cluster.map(state_of).unwrap_or_default(),
        cluster_errors: cluster
            .map(|it| it.properties.errors.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
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
        vec![
            Column::new("job", &self.name).key(),
            Column::new("state", &self.state),
            Column::new("why", &self.summary).note(),
            Column::new("since", time::ago(since, now)).exact(since.unwrap_or_default()),
            Column::new("place in the queue", place),
            Column::new("before it", before).note(),
            Column::new("cluster", &self.cluster),
            Column::new("nodes", &self.cluster_nodes),
            Column::new("errors of the cluster", self.cluster_errors.join("\n")).note(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::job::list::Listed;
    use crate::output::{Layout, details};
    use serde_json::json;

    fn job(name: &str, day: u32, cluster: &str) -> Entry {
        let job = json!({ "name": name, "id": format!("/x/experiments/e/jobs/{name}"), "properties": {
            "executionState": "queued", "schedulingPriority": "normal",
            "creationTime": format!("2026-01-0{day}T00:00:00Z"),
            "cluster": { "id": format!("/x/clusters/{cluster}") },
            "extensions": { "waitingReason": { "since": "2026-01-05T00:00:00Z",
                "message": "Waits for 1 free node of cluster spot." } },
        }});
        let answer = Json::parse(&job.to_string()).unwrap();
        let job = answer.read().unwrap();
        Entry { experiment: "e".to_owned(), listed: Listed { answer, job } }
    }

    #[test]
    fn the_jobs_before_it_are_named() {
        let cluster: Cluster = serde_json::from_value(json!({ "name": "spot", "properties": {
            "currentNodeCount": 1, "nodeStateCounts": { "runningNodeCount": 1 },
            "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 1 } },
            "errors": [{ "code": "NoCapacity", "message": "There is no capacity at the moment" }],
        }}))
        .unwrap();
        let asked = job("mine", 4, "spot");
        let queue = vec![
            job("mine", 4, "spot"),
            job("later", 5, "spot"),
            job("first", 1, "SPOT"),
            job("elsewhere", 1, "other"),
            job("second", 2, "spot"),
        ];
        let explanation = explain(asked.job(), Some(&cluster), queue);
        let columns = explanation.columns(time::parse("2026-01-05T00:10:00Z").unwrap());
        let layout = Layout { width: Some(80), color: false, is_wide: false };
        insta::assert_snapshot!(details(&columns, &layout), @"
        job                    mine
        state                  queued
        why                    mine is queued. Waits for 1 free node of cluster spot.
        since                  10m ago
        place in the queue     3 of 4
        before it              e/first, e/second
        cluster                spot
        nodes                  1: 1 running; scales between 0 and 1
        errors of the cluster  There is no capacity at the moment (NoCapacity)
        ");
    }
}
