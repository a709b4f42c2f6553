//! The columns of a job, with the reason why it waits or failed.

use super::{last_segment, metric, when};
use crate::output::{Column, Style, View};
use jiff::Timestamp;
use resources::time;
use resources::{Attempt, ExecutionState, Job};

impl View for Job {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let properties = &self.properties;
        let cluster = properties.cluster.as_ref().map(|cluster| last_segment(&cluster.id));
        let attempts = self.attempts().last().map(|last| last.number.to_string());
        let exit = self.exit_code().map(|code| code.to_string()).unwrap_or_default();
        vec![
            Column::new("name", &self.name).key(),
            Column::new("state", properties.execution_state.to_string())
                .styled(state_style(properties.execution_state))
                .key(),
            Column::new("cluster", cluster.unwrap_or_default()).minor(),
            Column::new("nodes", properties.node_count.to_string()).minor(),
            when("submitted", properties.creation_time.as_deref(), now),
            Column::new("ran", time::between(self.start_time(), self.end_time(), now)),
            Column::new("started", self.start_time().unwrap_or_default()).wide(),
            Column::new("ended", self.end_time().unwrap_or_default()).wide(),
            Column::new("attempts", attempts.unwrap_or_default()).minor(),
            Column::new("exit", exit).minor(),
            note(self).note(),
        ]
    }

    fn details(&self, now: Timestamp) -> Vec<Column> {
        let mut columns: Vec<_> =
            self.attempts().iter().map(|attempt| attempt_line(attempt, now)).collect();
        columns.extend(metric::lines(self.metrics()));
        columns.push(Column::new("id", &self.id));
        columns
    }
}

pub fn state_style(state: ExecutionState) -> Style {
    match state {
        ExecutionState::Queued | ExecutionState::Terminating => Style::Waiting,
        ExecutionState::Running => Style::Active,
        ExecutionState::Succeeded => Style::Good,
        ExecutionState::Failed => Style::Bad,
        ExecutionState::Unknown => Style::Plain,
    }
}

/// Why the job waits or failed, or on which nodes it runs.
fn note(job: &Job) -> Column {
    match job.properties.execution_state {
        ExecutionState::Queued => {
            Column::new("note", job.waiting_reason().unwrap_or_default()).styled(Style::Waiting)
        }
        ExecutionState::Failed => {
            let error = job.first_error().map(ToString::to_string);
            Column::new("note", error.unwrap_or_default()).styled(Style::Bad)
        }
        ExecutionState::Running | ExecutionState::Terminating => {
            let nodes = job.attempts().last().map(|attempt| on_nodes(&attempt.nodes));
            Column::new("note", nodes.unwrap_or_default())
        }
        ExecutionState::Succeeded | ExecutionState::Unknown => Column::new("note", ""),
    }
}

fn attempt_line(attempt: &Attempt, now: Timestamp) -> Column {
    let ran = time::between(attempt.start_time.as_deref(), attempt.end_time.as_deref(), now);
    let result = attempt.result.as_deref().unwrap_or("running");
    let nodes = on_nodes(&attempt.nodes);
    Column::new("attempt", format!("{}: {result}, {ran}, {nodes}", attempt.number))
}

/// "on n1 and 3 more"
pub fn on_nodes(nodes: &[String]) -> String {
    match nodes {
        [] => String::new(),
        [one] => format!("on {one}"),
        [one, rest @ ..] => format!("on {one} and {} more", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{now, rows_of};
    use super::*;
    use crate::output::table;
    use serde_json::{Value, json};

    fn job(name: &str, state: &str, more: Value) -> Value {
        let mut job = json!({ "name": name, "id": format!("/x/jobs/{name}"), "properties": {
            "executionState": state, "nodeCount": 1, "creationTime": "2026-01-01T00:00:00Z",
            "cluster": { "id": "/x/clusters/spot" },
        }});
        for (key, value) in more.as_object().unwrap() {
            job["properties"][key] = value.clone();
        }
        job
    }

    fn rerun() -> Value {
        job(
            "second",
            "failed",
            json!({
                "executionInfo": {
                    "startTime": "2026-01-01T00:00:10Z", "endTime": "2026-01-01T00:00:52Z",
                    "exitCode": 3,
                    "errors": [{ "code": "JobFailed", "message": "Job failed with non-zero exit code" }],
                },
                "extensions": {
                    "attempts": [
                        { "number": 1, "nodes": ["tvm-1-p"], "startTime": "2026-01-01T00:00:01Z",
                          "endTime": "2026-01-01T00:00:08Z", "result": "node tvm-1-p was interrupted" },
                        { "number": 2, "nodes": ["tvm-2-p"], "startTime": "2026-01-01T00:00:10Z",
                          "endTime": "2026-01-01T00:00:52Z", "result": "failed" },
                    ],
                    "metrics": [
                        { "name": "loss", "step": 900, "value": 0.312_345_678, "minimum": 0.3, "maximum": 2.5, "curve": [] },
                        { "name": "val_accuracy", "step": 1000, "value": 0.9, "minimum": 0.1, "maximum": 0.9 },
                    ],
                },
            }),
        )
    }

    #[test]
    fn jobs_show_why_they_wait_or_failed() {
        let running = json!({
            "executionInfo": { "startTime": "2026-01-01T00:08:00Z" },
            "extensions": { "attempts": [{ "number": 1, "nodes": ["tvm-3-p", "tvm-4-p"] }] },
        });
        let waiting = json!({ "extensions": { "waitingReason": { "message": "Waits for 1 free node of cluster spot." } } });
        insta::assert_snapshot!(rows_of::<Job>(vec![
            job("first", "running", running),
            rerun(),
            job("third", "queued", waiting),
        ]), @"
        NAME    STATE    CLUSTER  NODES  SUBMITTED  RAN  ATTEMPTS  EXIT  NOTE
        first   running  spot     1      10m ago    2m   1               on tvm-3-p and 1 more
        second  failed   spot     1      10m ago    42s  2         3     Job failed with non-zero exit code (JobFailed)
        third   queued   spot     1      10m ago                         Waits for 1 free node of cluster spot.
        ");
    }

    #[test]
    fn a_job_shows_its_attempts_and_metrics() {
        let job: Job = serde_json::from_value(rerun()).unwrap();
        let mut columns = job.columns(now());
        columns.extend(job.details(now()));
        insta::assert_snapshot!(table::details(&columns, &table::Layout::PLAIN), @"
        name       second
        state      failed
        cluster    spot
        nodes      1
        submitted  10m ago
        ran        42s
        attempts   2
        exit       3
        note       Job failed with non-zero exit code (JobFailed)
        attempt    1: node tvm-1-p was interrupted, 7s, on tvm-1-p
        attempt    2: failed, 42s, on tvm-2-p
        metric     loss          0.312346  step 900   min 0.3  max 2.5
        metric     val_accuracy  0.9       step 1000  min 0.1  max 0.9
        id         /x/jobs/second
        ");
    }
}
