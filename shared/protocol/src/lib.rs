//! The messages between a node's agent and the control plane, as JSON in one kind of request:
//! `POST /nodes/v1/{workspace uid}/{cluster name}/{cluster uid}/{node id}/sync`.
//!
//! The rule of this protocol: level-triggered. The agent reports all that it observes, the response
//! has all that is desired, and the agent converges on it. A request may be lost, repeated or late;
//! the next one has the same content. With `Prefer: wait=N` the response may be held for up to N
//! seconds while nothing is desired that differs from what was observed.
//!
//! A leaf crate: ids are plain strings here, so that the agent needs none of the control plane.

use serde::{Deserialize, Serialize};

/// Environment variable from which the agent reads the node's token. The agent sends the token as
/// `Authorization: Bearer {token}`.
pub const TOKEN_VARIABLE: &str = "BATCHAI_NODE_TOKEN";

/// All that the node observes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncRequest {
    /// The machine that the agent runs on (EC2 instance id, or the local provider's own id).
    pub instance: String,
    /// Address at which the other nodes of a job reach this one.
    pub address: String,
    pub phase: NodePhase,
    /// The attempt that runs here, or ended here and was not yet acknowledged: an answer that no
    /// longer mentions it is the acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptReport>,
    /// The machine is about to be taken away; seconds that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruption_notice_seconds: Option<u64>,
}

/// How far the node itself is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum NodePhase {
    /// Has not received its setup yet, or is executing it.
    Preparing,
    /// Mounts and setup task are done.
    Ready,
    /// Mounts or setup task failed; the node takes no jobs.
    Failed { problem: Problem },
    /// Everything on the node has ended; the agent's final report.
    Left,
}

/// Something a user should see, in the form of the contract's `BatchAIError`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

/// One attempt of one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptKey {
    pub experiment_uid: String,
    pub job_name: String,
    pub job_uid: String,
    pub number: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptReport {
    pub key: AttemptKey,
    pub progress: Progress,
    /// The agent was restarted and needs the assignment once more: it keeps no secrets on its disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_assignment: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Progress {
    /// Mounting, preparing directories, running the job preparation.
    Preparing,
    /// Prepared and waiting for `start` (a gang waits for all its members).
    Prepared,
    /// The command runs (on the master), or runs elsewhere (on the other members).
    Running,
    /// Nothing of the attempt runs here any more: every process is gone, all output is flushed.
    Ended { end: End },
}

/// How the attempt ended on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum End {
    /// The command ended before it was asked to stop. Killed by a signal: 128 + signal.
    Exited { exit_code: i32 },
    /// The job preparation ended with a code other than 0.
    PreparationFailed { exit_code: i32 },
    /// What the job asks for cannot be provided: a mount fails, or a path does not exist or is not
    /// writable. Another node would not help.
    NotProvided { problem: Problem },
    /// The node could not do its own part: its job directory is full or not writable, no process
    /// could be started. The job is not to blame, and may run on another node.
    NodeFailed { problem: Problem },
    /// Ran longer than `max_wall_clock_seconds` and was stopped.
    WallClockExceeded,
    /// Stopped because the control plane asked for it.
    Stopped,
    /// Stopped because this machine is being taken away.
    Interrupted,
    /// The supervisor of the processes ended without leaving an exit code; they were killed.
    Lost { reason: String },
}

/// All that is desired of the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncResponse {
    pub desired: Desired,
    /// The least time between this request and the next one with the same content, from when this
    /// one was sent. A request with news is sent at once.
    pub ask_again_millis: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Desired {
    /// Mount, run the setup task, then report `Ready` or `Failed`. Sent while the node reports
    /// `Preparing`; the same setup each time.
    Prepare { setup: Box<NodeSetup> },
    /// Nothing is to run here.
    Idle,
    /// This attempt is to run here. The assignment comes along unless the request showed that the
    /// node already has it and does not need it again. `start` lets the command begin (always true
    /// for one node).
    Run {
        key: AttemptKey,
        start: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignment: Option<Box<Assignment>>,
    },
    /// This attempt is to end here: SIGTERM, then after the grace SIGKILL, then report `Ended`.
    /// A node that never ran it reports `Ended` with `Stopped` at once.
    Stop { key: AttemptKey, grace_seconds: u64 },
    /// End whatever runs (as with `Stop`), unmount, report `Left` and exit.
    Leave { grace_seconds: u64 },
}

/// What the cluster wants of every node (`nodeSetup` of the contract).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSetup {
    pub node_id: String,
    /// Mounted below `$AZ_BATCHAI_MOUNT_ROOT`.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_task: Option<SetupTask>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetupTask {
    pub command_line: String,
    pub environment: Vec<Variable>,
    /// Opened secrets; never logged.
    pub secrets: Vec<Variable>,
    /// May refer to variables, such as `$AZ_BATCHAI_MOUNT_ROOT/nfs`.
    pub std_out_err_path_prefix: String,
    pub std_out_err_path_suffix: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Below the mount root of the cluster or of the job.
    pub relative_mount_path: String,
    pub source: MountSource,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum MountSource {
    /// A file server whose tree is a directory of this machine. `path` may hold a sub-directory,
    /// which must stay inside `root`.
    Directory { root: String, sub_directory: String },
    /// The user's own command; the mount path is appended to it.
    Command { command: String },
}

/// All that a node needs to run its part of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    pub key: AttemptKey,
    pub node_id: String,
    pub workspace: String,
    pub experiment: String,
    pub job: String,
    /// Private addresses of the gang, the master first.
    pub hosts: Vec<String>,
    /// Position of this node in `hosts`; 0 is the master.
    pub rank: u32,
    /// `jobOutputDirectoryPathSegment`.
    pub output_path_segment: String,
    pub std_out_err_path_prefix: String,
    /// Runs on the master only.
    pub command_line: String,
    /// Runs on every node, before the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation_command_line: Option<String>,
    /// Mounted below `$AZ_BATCHAI_JOB_MOUNT_ROOT` for the time of the job.
    pub mounts: Vec<Mount>,
    pub input_directories: Vec<InputDirectory>,
    pub output_directories: Vec<OutputDirectory>,
    pub environment: Vec<Variable>,
    /// Opened secrets; never logged.
    pub secrets: Vec<Variable>,
    /// Counted from the first process of this attempt on this node.
    pub max_wall_clock_seconds: u64,
    /// Between SIGTERM and SIGKILL when the wall clock is exceeded.
    pub stop_grace_seconds: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputDirectory {
    pub id: String,
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputDirectory {
    pub id: String,
    pub path_prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_suffix: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_node_is_told_apart_from_one_of_the_job() {
        let problem = Problem { code: "C".into(), message: "m".into(), details: Vec::new() };
        let text = serde_json::to_string(&End::NodeFailed { problem }).unwrap();
        assert_eq!(text, r#"{"kind":"nodeFailed","problem":{"code":"C","message":"m"}}"#);
    }

    #[test]
    fn a_request_without_news_is_small_and_survives_its_json() {
        let request = SyncRequest {
            instance: "local-1".into(),
            address: "127.0.1.1".into(),
            phase: NodePhase::Ready,
            attempt: None,
            interruption_notice_seconds: None,
        };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(
            text,
            r#"{"instance":"local-1","address":"127.0.1.1","phase":{"kind":"ready"}}"#
        );
        assert_eq!(serde_json::from_str::<SyncRequest>(&text).unwrap(), request);
    }
}
