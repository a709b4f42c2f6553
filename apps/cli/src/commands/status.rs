//! `batchai status`: clusters, nodes and the queue of a workspace at a glance.

use super::queue::{self, Entry};
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::{Column, Format, Output, View as _, rows};
use crate::watch::{self, WatchArguments};
use anyhow::Result;
use clap::Args;
use resources::{Cluster, ExecutionState, Job};

/// Show the clusters, their nodes and the queue of the workspace
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    watch: WatchArguments,
}

const HELP: &str = "\
Running jobs come first, then queued ones in the order in which they run, with the reason why they wait.

Examples:
  batchai status -w vision
  batchai status --watch --interval 5";

/// How many jobs of a state are listed.
const LISTED: usize = 10;

/// What is shown.
struct Status {
    clusters: Vec<(Json, Cluster)>,
    /// How many jobs are in each state.
    counts: Vec<(ExecutionState, usize)>,
    running: Vec<Entry>,
    /// In the order in which they run.
    queued: Vec<Entry>,
}

pub async fn run(context: Context, arguments: Arguments) -> Result<Exit> {
    watch::repeat(&context, &arguments.watch, async |output: &Output| {
        let status = read(&context).await?;
        if output.query.is_some() {
            return output.value(&status.json());
        }
        match output.format {
            Format::Json | Format::Yaml => output.value(&status.json()),
            Format::Name => {
                status.clusters.iter().try_for_each(|(_, cluster)| output.print(&cluster.name))
            }
            Format::Table | Format::Wide => output.print(status.text(output)),
        }
    })
    .await
}

async fn read(context: &Context) -> Result<Status> {
    let mut clusters = Vec::new();
    for answer in context.client.list(&context.scope.clusters()?).await? {
        let cluster = answer.read()?;
        clusters.push((answer, cluster));
    }
    Ok(Status::of(clusters, queue::jobs(context).await?))
}

#[cfg(test)]
pub fn screen(
    clusters: Vec<serde_json::Value>,
    jobs: Vec<(&str, serde_json::Value)>,
    output: &Output,
) -> String {
    let clusters = clusters.iter().map(crate::screens::answered).collect();
    Status::of(clusters, queue::entries(jobs)).text(output)
}

impl Status {
    fn of(clusters: Vec<(Json, Cluster)>, jobs: Vec<Entry>) -> Self {
        let count = |state| jobs.iter().filter(|entry| entry.state() == state).count();
        let counts = [
            ExecutionState::Running,
            ExecutionState::Terminating,
            ExecutionState::Queued,
            ExecutionState::Succeeded,
            ExecutionState::Failed,
        ]
        .map(|state| (state, count(state)));
        let (mut queued, mut running) = (Vec::new(), Vec::new());
        for entry in jobs {
            match entry.state() {
                ExecutionState::Queued => queued.push(entry),
                ExecutionState::Running | ExecutionState::Terminating => running.push(entry),
                ExecutionState::Succeeded | ExecutionState::Failed | ExecutionState::Unknown => {}
            }
        }
        queue::sort(&mut queued);
        Self { clusters, counts: counts.to_vec(), running, queued }
    }

    fn json(&self) -> Json {
        let jobs = |entries: &[Entry]| {
            Json::Array(entries.iter().map(|entry| entry.listed.answer.clone()).collect())
        };
        let count = |(state, count): &(ExecutionState, usize)| {
            (state.to_string(), Json::Number((*count).into()))
        };
        let clusters = self.clusters.iter().map(|(answer, _)| answer.clone()).collect();
        Json::Object(vec![
            ("clusters".to_owned(), Json::Array(clusters)),
            ("counts".to_owned(), Json::Object(self.counts.iter().map(count).collect())),
            ("running".to_owned(), jobs(&self.running)),
            ("queued".to_owned(), jobs(&self.queued)),
        ])
    }

    fn text(&self, output: &Output) -> String {
        let layout = output.layout();
        let clusters: Vec<_> =
            self.clusters.iter().map(|(_, cluster)| cluster.columns(output.now)).collect();
        let mut parts = vec![match clusters.is_empty() {
            true => "No clusters. To create one, run: batchai cluster create NAME".to_owned(),
            false => rows(&clusters, &layout),
        }];
        let counts: Vec<_> = self
            .counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        parts.push(match counts.is_empty() {
            true => "No jobs.".to_owned(),
            false => format!("Jobs: {}", counts.join(", ")),
        });
        let shown = self.running.iter().take(LISTED).chain(self.queued.iter().take(LISTED));
        let jobs: Vec<_> = shown.map(|entry| row(entry, output)).collect();
        if !jobs.is_empty() {
            parts.push(rows(&jobs, &layout));
        }
        for (entries, state) in [(&self.running, "running"), (&self.queued, "queued")] {
            if entries.len() > LISTED {
                parts.push(format!("And {} more {state}.", entries.len() - LISTED));
            }
        }
        parts.join("\n\n")
    }
}

fn row(entry: &Entry, output: &Output) -> Vec<Column> {
    let job: &Job = entry.job();
    let mut columns = job.columns(output.now);
    columns.insert(1, Column::new("experiment", &entry.experiment));
    columns
}

#[cfg(test)]
mod tests {
    use super::super::job::list::Listed;
    use super::*;
    use resources::time;
    use serde_json::{Value, json};

    fn read<T: serde::de::DeserializeOwned>(value: &Value) -> (Json, T) {
        let answer = Json::parse(&value.to_string()).unwrap();
        let read = answer.read().unwrap();
        (answer, read)
    }

    fn entry(name: &str, state: &str, more: Value) -> Entry {
        let (answer, job) = read(&json!({ "name": name, "properties": {
            "executionState": state, "nodeCount": 1, "creationTime": "2026-01-01T00:00:00Z",
            "cluster": { "id": "/x/clusters/spot" }, "extensions": more,
        }}));
        Entry { experiment: "digits".to_owned(), listed: Listed { answer, job } }
    }

    fn status() -> Status {
        let cluster = json!({ "name": "spot", "properties": {
            "allocationState": "steady", "vmSize": "STANDARD_NC6", "vmPriority": "lowpriority",
            "currentNodeCount": 1, "nodeStateCounts": { "runningNodeCount": 1 },
            "creationTime": "2026-01-01T00:00:00Z",
            "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 1 } },
        }});
        let reason =
            json!({ "waitingReason": { "message": "Waits for 1 free node of cluster spot." } });
        let running = json!({ "attempts": [{ "number": 1, "nodes": ["tvm-3-p"] }] });
        let queued =
            (1..=11).map(|number| entry(&format!("sw-{number}"), "queued", reason.clone()));
        Status {
            clusters: vec![read(&cluster)],
            counts: vec![
                (ExecutionState::Running, 1),
                (ExecutionState::Queued, 11),
                (ExecutionState::Failed, 0),
            ],
            running: vec![entry("first", "running", running)],
            queued: queued.collect(),
        }
    }

    fn text(width: usize) -> String {
        let now = time::parse("2026-01-01T00:10:00Z").unwrap();
        let format = Format::Table;
        status().text(&Output { format, query: None, color: false, width: Some(width), now })
    }

    #[test]
    fn a_workspace_at_a_glance() {
        insta::assert_snapshot!(text(120), @"
        NAME  STATE   SIZE          PRIORITY     SCALE      NODES         CREATED
        spot  steady  STANDARD_NC6  lowpriority  auto 0..1  1: 1 running  10m ago

        Jobs: 1 running, 11 queued

        NAME   EXPERIMENT  STATE    CLUSTER  NODES  SUBMITTED  ATTEMPTS  NOTE
        first  digits      running  spot     1      10m ago    1         on tvm-3-p
        sw-1   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-2   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-3   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-4   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-5   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-6   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-7   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-8   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-9   digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.
        sw-10  digits      queued   spot     1      10m ago              Waits for 1 free node of cluster spot.

        And 1 more queued.
        ");
        insta::assert_snapshot!(text(80), @"
        NAME  STATE   SIZE          PRIORITY     SCALE      NODES         CREATED
        spot  steady  STANDARD_NC6  lowpriority  auto 0..1  1: 1 running  10m ago

        Jobs: 1 running, 11 queued

        NAME   EXPERIMENT  STATE    SUBMITTED  NOTE
        first  digits      running  10m ago    on tvm-3-p
        sw-1   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-2   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-3   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-4   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-5   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-6   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-7   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-8   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-9   digits      queued   10m ago    Waits for 1 free node of cluster spot.
        sw-10  digits      queued   10m ago    Waits for 1 free node of cluster spot.

        And 1 more queued.
        ");
    }

    #[test]
    fn programs_get_the_answers_of_the_service() {
        let json = status().json();
        let text = serde_json::to_string(&json).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["counts"], json!({ "running": 1, "queued": 11, "failed": 0 }));
        assert_eq!(read["queued"].as_array().unwrap().len(), 11);
        assert_eq!(read["clusters"][0]["properties"]["vmSize"], "STANDARD_NC6");
    }
}
