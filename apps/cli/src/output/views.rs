//! What is shown of each kind of resource.

use super::{Column, Style, View};
use crate::resources::{
    Attempt, BasicProperties, Cluster, ClusterProperties, ExecutionState, File, FileServer, Job,
    Node, NodeStateCounts, Resource,
};
use crate::time;
use jiff::Timestamp;

/// Workspaces and experiments.
impl View for Resource<BasicProperties> {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let tags: Vec<_> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            Column::new("name", &self.name),
            Column::new("location", self.location.clone().unwrap_or_default()),
            provisioning(&self.properties.provisioning_state),
            Column::new("created", time::ago(self.properties.creation_time.as_deref(), now)),
            Column::new("tags", tags.join(" ")),
        ]
    }

    fn more(&self, _now: Timestamp) -> Vec<Column> {
        vec![Column::new("id", &self.id)]
    }
}

impl View for FileServer {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let mount = self.properties.mount_settings.as_ref();
        let export = mount.map(|mount| format!("{}:{}", mount.internal_ip, mount.mount_point));
        let place = self.properties.extensions.local_path.clone().or(export);
        vec![
            Column::new("name", &self.name),
            provisioning(&self.properties.provisioning_state),
            Column::new("created", time::ago(self.properties.creation_time.as_deref(), now)),
            Column::new("files", place.unwrap_or_default()),
        ]
    }

    fn more(&self, _now: Timestamp) -> Vec<Column> {
        vec![Column::new("id", &self.id)]
    }
}

impl View for Cluster {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let properties = &self.properties;
        let error = properties.errors.first().map(|error| error.message.clone());
        vec![
            Column::new("name", &self.name),
            cluster_state(properties),
            Column::new("size", &properties.vm_size),
            Column::new("priority", &properties.vm_priority),
            Column::new("scale", scale(properties)),
            Column::new(
                "nodes",
                nodes(properties.current_node_count, &properties.node_state_counts),
            ),
            Column::new("created", time::ago(properties.creation_time.as_deref(), now)),
            Column::new("note", error.unwrap_or_default()).styled(Style::Bad),
        ]
    }

    fn more(&self, _now: Timestamp) -> Vec<Column> {
        let errors = self.properties.errors.iter().skip(1);
        let mut columns: Vec<_> =
            errors.map(|error| Column::new("also", error.to_string()).styled(Style::Bad)).collect();
        columns.push(Column::new("id", &self.id));
        columns
    }
}

impl View for Job {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let properties = &self.properties;
        let cluster = properties.cluster.as_ref().map(|cluster| last_segment(&cluster.id));
        let attempts = match self.attempt_number() {
            0 => String::new(),
            number => number.to_string(),
        };
        let exit = self.exit_code().map(|code| code.to_string()).unwrap_or_default();
        vec![
            Column::new("name", &self.name),
            Column::new("state", properties.execution_state.to_string())
                .styled(state_style(properties.execution_state)),
            Column::new("cluster", cluster.unwrap_or_default()),
            Column::new("nodes", properties.node_count.to_string()),
            Column::new("submitted", time::ago(properties.creation_time.as_deref(), now)),
            Column::new("ran", time::duration(self.start_time(), self.end_time(), now)),
            Column::new("attempts", attempts),
            Column::new("exit", exit),
            note(self),
        ]
    }

    fn more(&self, now: Timestamp) -> Vec<Column> {
        let mut columns: Vec<_> =
            self.attempts().iter().map(|attempt| attempt_line(attempt, now)).collect();
        columns.push(Column::new("id", &self.id));
        columns
    }
}

impl View for Node {
    fn name(&self) -> &str {
        &self.node_id
    }

    fn columns(&self, _now: Timestamp) -> Vec<Column> {
        vec![
            Column::new("node", &self.node_id),
            Column::new("address", &self.ip_address),
            Column::new("ssh port", format!("{:.0}", self.port)),
        ]
    }
}

impl View for File {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let slash = if self.is_directory() { "/" } else { "" };
        let size = self.properties.content_length.map(|bytes| bytes.to_string());
        vec![
            Column::new("name", format!("{}{slash}", self.name)),
            Column::new("bytes", size.unwrap_or_default()),
            Column::new("modified", time::ago(self.properties.last_modified.as_deref(), now)),
        ]
    }
}

fn provisioning(state: &str) -> Column {
    let style = match state {
        "succeeded" => Style::Good,
        "failed" => Style::Bad,
        _ => Style::Waiting,
    };
    Column::new("state", state).styled(style)
}

/// Steady or resizing, unless the cluster itself is what changes.
fn cluster_state(properties: &ClusterProperties) -> Column {
    match (properties.provisioning_state.as_str(), properties.allocation_state.as_str()) {
        ("succeeded" | "", state @ "steady") => Column::new("state", state).styled(Style::Good),
        ("succeeded" | "", state) => Column::new("state", state).styled(Style::Active),
        (state, _) => provisioning(state),
    }
}

fn scale(properties: &ClusterProperties) -> String {
    let settings = &properties.scale_settings;
    match (&settings.auto_scale, &settings.manual) {
        (Some(auto), _) => {
            format!("auto {}..{}", auto.minimum_node_count, auto.maximum_node_count)
        }
        (None, Some(manual)) => format!("manual {}", manual.target_node_count),
        (None, None) => String::new(),
    }
}

/// "3: 2 running, 1 idle"
pub fn nodes(total: u32, counts: &NodeStateCounts) -> String {
    let kinds = [
        (counts.running_node_count, "running"),
        (counts.idle_node_count, "idle"),
        (counts.preparing_node_count, "preparing"),
        (counts.leaving_node_count, "leaving"),
        (counts.unusable_node_count, "unusable"),
    ];
    let parts: Vec<_> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    if parts.is_empty() { total.to_string() } else { format!("{total}: {}", parts.join(", ")) }
}

fn state_style(state: ExecutionState) -> Style {
    match state {
        ExecutionState::Queued | ExecutionState::Terminating => Style::Waiting,
        ExecutionState::Running => Style::Active,
        ExecutionState::Succeeded => Style::Good,
        ExecutionState::Failed => Style::Bad,
        ExecutionState::Unknown => Style::Plain,
    }
}

/// Why a job waits or failed, or where it runs.
fn note(job: &Job) -> Column {
    match job.properties.execution_state {
        ExecutionState::Queued => {
            let reason = job.waiting_reason().map(|reason| format!("waits: {reason}"));
            Column::new("note", reason.unwrap_or_default()).styled(Style::Waiting)
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
    let ran = time::duration(attempt.start_time.as_deref(), attempt.end_time.as_deref(), now);
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

fn last_segment(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::table;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        time::parse("2026-01-01T00:10:00Z").unwrap()
    }

    fn rows_of<V: View>(resources: Vec<Value>) -> String {
        let rows: Vec<_> = resources
            .into_iter()
            .map(|json| serde_json::from_value::<V>(json).unwrap().columns(now()))
            .collect();
        table::rows(&rows, false)
    }

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
                "extensions": { "attempts": [
                    { "number": 1, "nodes": ["tvm-1-p"], "startTime": "2026-01-01T00:00:01Z",
                      "endTime": "2026-01-01T00:00:08Z", "result": "node tvm-1-p was taken away" },
                    { "number": 2, "nodes": ["tvm-2-p"], "startTime": "2026-01-01T00:00:10Z",
                      "endTime": "2026-01-01T00:00:52Z", "result": "failed" },
                ]},
            }),
        )
    }

    #[test]
    fn jobs_say_why_they_wait_or_failed() {
        let running = json!({
            "executionInfo": { "startTime": "2026-01-01T00:08:00Z" },
            "extensions": { "attempts": [{ "number": 1, "nodes": ["tvm-3-p", "tvm-4-p"] }] },
        });
        let waits = json!({ "extensions": { "waitingReason": "cluster spot has 0 idle nodes" } });
        insta::assert_snapshot!(rows_of::<Job>(vec![
            job("first", "running", running),
            rerun(),
            job("third", "queued", waits),
        ]), @"
        NAME    STATE    CLUSTER  NODES  SUBMITTED   RAN    ATTEMPTS  EXIT  NOTE
        first   running  spot     1      10 min ago  2 min  1               on tvm-3-p and 1 more
        second  failed   spot     1      10 min ago  42 s   2         3     Job failed with non-zero exit code (JobFailed)
        third   queued   spot     1      10 min ago                         waits: cluster spot has 0 idle nodes
        ");
    }

    #[test]
    fn a_job_shows_its_attempts() {
        let job: Job = serde_json::from_value(rerun()).unwrap();
        let mut columns = job.columns(now());
        columns.extend(job.more(now()));
        insta::assert_snapshot!(table::details(&columns, false), @"
        name       second
        state      failed
        cluster    spot
        nodes      1
        submitted  10 min ago
        ran        42 s
        attempts   2
        exit       3
        note       Job failed with non-zero exit code (JobFailed)
        attempt    1: node tvm-1-p was taken away, 7 s, on tvm-1-p
        attempt    2: failed, 42 s, on tvm-2-p
        id         /x/jobs/second
        ");
    }

    #[test]
    fn clusters_count_their_nodes() {
        let cluster = |name: &str, more: Value| {
            let mut cluster = json!({ "name": name, "properties": {
                "provisioningState": "succeeded", "allocationState": "resizing",
                "vmSize": "STANDARD_NC6", "vmPriority": "lowpriority", "currentNodeCount": 3,
                "creationTime": "2026-01-01T00:00:00Z",
                "nodeStateCounts": { "runningNodeCount": 2, "idleNodeCount": 0,
                    "preparingNodeCount": 1, "leavingNodeCount": 0, "unusableNodeCount": 0 },
                "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 4 } },
            }});
            for (key, value) in more.as_object().unwrap() {
                cluster["properties"][key] = value.clone();
            }
            cluster
        };
        let empty = json!({
            "allocationState": "steady", "currentNodeCount": 0, "nodeStateCounts": {},
            "vmPriority": "dedicated", "scaleSettings": { "manual": { "targetNodeCount": 0 } },
            "errors": [{ "code": "NoCapacity", "message": "There is no capacity at the moment" }],
        });
        insta::assert_snapshot!(rows_of::<Cluster>(vec![
            cluster("spot", json!({})),
            cluster("fixed", empty),
            cluster("gone", json!({ "provisioningState": "deleting" })),
        ]), @"
        NAME   STATE     SIZE          PRIORITY     SCALE      NODES                      CREATED     NOTE
        spot   resizing  STANDARD_NC6  lowpriority  auto 0..4  3: 2 running, 1 preparing  10 min ago
        fixed  steady    STANDARD_NC6  dedicated    manual 0   0                          10 min ago  There is no capacity at the moment
        gone   deleting  STANDARD_NC6  lowpriority  auto 0..4  3: 2 running, 1 preparing  10 min ago
        ");
    }

    #[test]
    fn file_servers_say_where_their_files_are() {
        let here = json!({ "name": "here", "properties": { "provisioningState": "succeeded",
            "mountSettings": { "mountPoint": "/data", "fileServerPublicIP": "1.2.3.4",
                "fileServerInternalIP": "10.0.0.4" },
            "extensions": { "localPath": "/home/a/.local/share/batchai/files/here" } }});
        let mut there = here.clone();
        there["name"] = json!("there");
        there["properties"]["extensions"] = json!({});
        insta::assert_snapshot!(rows_of::<FileServer>(vec![here, there]), @"
        NAME   STATE      FILES
        here   succeeded  /home/a/.local/share/batchai/files/here
        there  succeeded  10.0.0.4:/data
        ");
    }

    #[test]
    fn files_and_directories_can_be_told_apart() {
        insta::assert_snapshot!(rows_of::<File>(vec![
            json!({ "name": "attempt-1", "fileType": "directory" }),
            json!({ "name": "stdout.txt", "fileType": "file", "downloadUrl": "http://x",
                "properties": { "lastModified": "2026-01-01T00:09:00Z", "contentLength": 12345 } }),
        ]), @"
        NAME        BYTES  MODIFIED
        attempt-1/
        stdout.txt  12345  1 min ago
        ");
    }
}
