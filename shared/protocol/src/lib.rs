//! The messages between a node's agent and the control plane, as JSON in one kind of request:
//! `POST /nodes/v1/{workspace uid}/{cluster name}/{cluster uid}/{node id}/sync`.
//!
//! An agent that does not know its node signs in first, until it is answered ([`SignInRequest`]):
//! `POST /instances/v1/{workspace uid}/{cluster name}/{cluster uid}/{launch id}/{instance}/sign-in`.
//!
//! The protocol is level-triggered: the agent reports all that it observes, the response contains all that is
//! desired, and the agent converges on it. A request may be lost, repeated or late; the next one has the same
//! content. With `Prefer: wait=N` the response may be held for up to N seconds while the desired state does not
//! differ from the observed one.
//!
//! A leaf crate: ids are plain strings, so that the agent does not depend on the crates of the control plane.

#![warn(missing_docs)]

mod container;
mod end_details;
mod job_metrics;
mod metrics;
mod mount;
mod toolkit;

pub use container::{Container, RegistryCredentials};
pub use end_details::{EndDetails, OutputTail, ScarceResource, Shortage, last_lines};
pub use job_metrics::{
    CurvePoint, JobMetric, MAX_CURVE_POINTS, MAX_JOB_METRICS, MAX_METRIC_LINE_BYTES,
    MAX_METRIC_NAME_BYTES, MAX_METRIC_STEP, is_metric_name, thin,
};
pub use metrics::{GpuMetrics, Metrics};
pub use mount::{Mount, MountSource, SecretText, StorageKind};
pub use toolkit::{Processes, Program, Python, TensorFlow, Toolkit};

use serde::{Deserialize, Serialize};

/// Environment variable from which the agent reads the node's token. The agent sends the token as
/// `Authorization: Bearer {token}`.
pub const TOKEN_VARIABLE: &str = "BATCHAI_NODE_TOKEN";

/// Header of every request and response: the version of the protocol, a number. A message without it has version 1.
pub const VERSION_HEADER: &str = "x-batchai-protocol";

/// The version of these messages. It is raised by a change that the earlier release would misunderstand, such as a new
/// kind of [`Desired`]. A new field is none: readers ignore fields that they do not know, and have a default for those
/// that are absent.
///
/// A control plane reads the versions from [`OLDEST_VERSION`] to this one and answers in that of the request. It
/// refuses any other with 400 `UnsupportedProtocol`, and its own version in the header.
pub const VERSION: u32 = 1;

/// The oldest version that the control plane reads.
pub const OLDEST_VERSION: u32 = 1;

/// An instance of a launch asks which node it is. It may ask again at any time and gets the same
/// answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignInRequest {
    /// Address at which the other nodes of a job reach this one.
    pub address: String,
}

/// Which node an instance is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SignInResponse {
    /// This node.
    Node {
        /// Id of the node.
        node_id: String,
        /// The bearer token of the node, where nodes have tokens; never logged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// No node: it is not needed. Its agent exits, and the instance will be terminated.
    Leave,
}

/// The observed state of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncRequest {
    /// The instance that the agent runs on: EC2 instance id, or the id of the local provider.
    pub instance: String,
    /// Address at which the other nodes of a job reach this one.
    pub address: String,
    /// How far the setup of the node is.
    pub phase: NodePhase,
    /// The attempt that runs here, or has ended here without an acknowledgement: a response without it is the
    /// acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptReport>,
    /// The instance is about to be interrupted, in so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruption_notice_seconds: Option<u64>,
    /// The port at `address` where the administrator logs in with SSH; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_port: Option<u16>,
    /// What was measured on the node. For display only: a change of it alone sends no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// Metrics that the job of `attempt` has reported in this attempt, from its first node: all of them, if any has
    /// changed since the last acknowledged request, and always with the end of the attempt. A change of them alone
    /// sends no request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job_metrics: Vec<JobMetric>,
}

impl SyncRequest {
    /// Whether the other request reports the same, apart from what was measured.
    pub fn reports_the_same_as(&self, other: &Self) -> bool {
        let (metrics, job_metrics) = (self.metrics.clone(), self.job_metrics.clone());
        *self == Self { metrics, job_metrics, ..other.clone() }
    }
}

/// How far the setup of the node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum NodePhase {
    /// Has not received its setup yet, or is executing it.
    Preparing,
    /// Mounts and setup task are done.
    Ready,
    /// Mounts or setup task failed, or a GPU did later; the node takes no further jobs.
    Failed {
        /// Why.
        problem: Problem,
    },
    /// Everything on the node has ended; the agent's final report.
    Left,
}

/// An error for the user, in the form of the contract's `BatchAIError`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// For programs, such as `NFSMountError`.
    pub code: String,
    /// For people: one sentence.
    pub message: String,
    /// Names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

/// Identifies one attempt of one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptKey {
    /// The experiment of the job.
    pub experiment_uid: String,
    /// The name of the job, unique in its experiment at one time.
    pub job_name: String,
    /// The id of the job, never used again.
    pub job_uid: String,
    /// 1 for the first attempt.
    pub number: u32,
}

/// The state of the attempt on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptReport {
    /// Which attempt.
    pub key: AttemptKey,
    /// How far it is.
    pub progress: Progress,
    /// The agent was restarted and needs the assignment again: it stores no secrets on its disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_assignment: bool,
    /// What the node knows about the end, once the attempt has ended there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_details: Option<Box<EndDetails>>,
}

impl AttemptReport {
    /// A report of this progress, and of nothing else.
    pub fn new(key: AttemptKey, progress: Progress) -> Self {
        Self { key, progress, needs_assignment: false, end_details: None }
    }
}

/// How far an attempt is on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Progress {
    /// Mounting, preparing directories, running the job preparation.
    Preparing,
    /// Prepared and waiting for `start` (a gang waits for all its members).
    Prepared,
    /// The processes of the job run, on this node or on other members.
    Running,
    /// No process of the attempt is left here, and all output is written.
    Ended {
        /// How it ended.
        end: End,
    },
}

/// How the attempt ended on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum End {
    /// The processes of this node ended before they were asked to stop. Killed by a signal: 128 + signal. A node of a
    /// gang reports it if its end is one of the job: the command of the master, a process that failed, or the last
    /// process of a node whose job ends with the last process of every node.
    Exited {
        /// 0 to 255.
        exit_code: i32,
    },
    /// The job preparation ended with a code other than 0.
    PreparationFailed {
        /// 1 to 255.
        exit_code: i32,
    },
    /// What the job asks for cannot be provided: a mount fails, or a path does not exist or is not
    /// writable. Another node would not help.
    NotProvided {
        /// What, and why.
        problem: Problem,
    },
    /// The node has failed: its job directory is full or not writable, or no process could be started. The job may
    /// run on another node.
    NodeFailed {
        /// What, and why.
        problem: Problem,
    },
    /// Ran longer than `max_wall_clock_seconds` and was stopped.
    WallClockExceeded,
    /// Stopped because the control plane asked for it.
    Stopped,
    /// Stopped because the instance is being interrupted.
    Interrupted,
    /// The supervisor of the processes ended without leaving an exit code; they were killed.
    Lost {
        /// For people: one sentence.
        reason: String,
    },
}

/// The desired state of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncResponse {
    /// What the node is to do.
    pub desired: Desired,
    /// The shortest time between this request and the next one with the same content, counted from when this one was
    /// sent, in milliseconds. A request with other content is sent at once.
    pub ask_again_millis: u64,
}

/// What a node is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Desired {
    /// Mount, run the setup task, then report `Ready` or `Failed`. Sent while the node reports
    /// `Preparing`; the same setup each time.
    Prepare {
        /// The mounts and the setup task.
        setup: Box<NodeSetup>,
    },
    /// Nothing is to run here.
    Idle,
    /// This attempt is to run here. The assignment comes along unless the request showed that the
    /// node already has it and does not need it again. `start` lets the command begin (always true
    /// for one node).
    Run {
        /// Which attempt.
        key: AttemptKey,
        /// Whether the command may start.
        start: bool,
        /// What to run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignment: Option<Box<Assignment>>,
    },
    /// This attempt is to end here: SIGTERM, then after the grace SIGKILL, then report `Ended`.
    /// A node that never ran it reports `Ended` with `Stopped` at once.
    Stop {
        /// Which attempt.
        key: AttemptKey,
        /// Between SIGTERM and SIGKILL.
        grace_seconds: u64,
    },
    /// End whatever runs (as with `Stop`), unmount, report `Left` and exit.
    Leave {
        /// Between SIGTERM and SIGKILL.
        grace_seconds: u64,
    },
}

/// The setup of every node of a cluster (`nodeSetup` of the contract).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSetup {
    /// The node that is set up.
    pub node_id: String,
    /// Mounted below `$AZ_BATCHAI_MOUNT_ROOT`.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// Runs after the mounts.
    pub setup_task: Option<SetupTask>,
    /// Who logs in with SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administrator: Option<Administrator>,
}

/// The administrator of a cluster, who logs in with the key or the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Administrator {
    /// The name to log in with.
    pub user: String,
    /// A line of `authorized_keys`, as the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Hash of the password (PBKDF2, as a PHC string).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
}

/// The setup task of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetupTask {
    /// For `bash -c`.
    pub command_line: String,
    /// Variables of the user.
    pub environment: Vec<Variable>,
    /// Decrypted secrets; never logged.
    pub secrets: Vec<Variable>,
    /// May refer to variables, such as `$AZ_BATCHAI_MOUNT_ROOT/nfs`.
    pub std_out_err_path_prefix: String,
    /// Below the prefix, unique for the cluster.
    pub std_out_err_path_suffix: String,
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Without `=`.
    pub name: String,
    /// May refer to variables of the service.
    pub value: String,
}

/// What a node needs to run its part of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Which attempt.
    pub key: AttemptKey,
    /// The node that runs it.
    pub node_id: String,
    /// Name of the workspace.
    pub workspace: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the job.
    pub job: String,
    /// Private addresses of the gang, the master first.
    pub hosts: Vec<String>,
    /// Position of this node in `hosts`; 0 is the master.
    pub rank: u32,
    /// `jobOutputDirectoryPathSegment`.
    pub output_path_segment: String,
    /// May refer to variables.
    pub std_out_err_path_prefix: String,
    /// The command of the custom toolkit. An agent of an earlier release that does not know `toolkit` runs it, too.
    pub command_line: String,
    /// What starts on this node. Absent: the custom toolkit.
    #[serde(default, skip_serializing_if = "Toolkit::is_custom")]
    pub toolkit: Toolkit,
    /// The job ends when the processes of every node have ended, not with those of the master: each node reports its
    /// own end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_with_every_node: bool,
    /// Runs on every node, before the command. Of a job with a container see [`Assignment::preparation`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation_command_line: Option<String>,
    /// The container of the job. Absent: the job runs directly on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Mounted below `$AZ_BATCHAI_JOB_MOUNT_ROOT` for the time of the job.
    pub mounts: Vec<Mount>,
    /// Directories that the job reads.
    pub input_directories: Vec<InputDirectory>,
    /// Directories that are created for the job.
    pub output_directories: Vec<OutputDirectory>,
    /// Variables of the user.
    pub environment: Vec<Variable>,
    /// Decrypted secrets; never logged.
    pub secrets: Vec<Variable>,
    /// The seed of the ed25519 key pair with which the nodes of this attempt reach each other over SSH: 32 bytes in
    /// hexadecimal digits; never logged. Absent for a job of one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_seed: Option<String>,
    /// Counted from the first process of this attempt on this node.
    pub max_wall_clock_seconds: u64,
    /// Between SIGTERM and SIGKILL when the wall clock is exceeded.
    pub stop_grace_seconds: u64,
    /// How many bytes of JSON of the end of each output file are reported with the end of the attempt. Absent: none, as
    /// the service can read the files themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tail_bytes: Option<u32>,
}

impl Assignment {
    /// The command line of the job preparation.
    pub fn preparation(&self) -> Option<&str> {
        match &self.container {
            Some(container) => container.preparation_command_line.as_deref(),
            None => self.preparation_command_line.as_deref(),
        }
    }
}

/// A directory that a job reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputDirectory {
    /// Part of the variable `AZ_BATCHAI_INPUT_{id}`.
    pub id: String,
    /// May refer to variables.
    pub path: String,
}

/// A directory that a job writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputDirectory {
    /// Part of the variable `AZ_BATCHAI_OUTPUT_{id}`.
    pub id: String,
    /// An absolute path, which may refer to variables.
    pub path_prefix: String,
    /// Below the prefix and the path segment of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_suffix: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_node_differs_from_one_of_the_job() {
        let problem = Problem { code: "C".into(), message: "m".into(), details: Vec::new() };
        let text = serde_json::to_string(&End::NodeFailed { problem }).unwrap();
        assert_eq!(text, r#"{"kind":"nodeFailed","problem":{"code":"C","message":"m"}}"#);
    }

    #[test]
    fn the_answer_to_a_sign_in() {
        let node = SignInResponse::Node { node_id: "tvm-1".into(), token: None };
        let text = serde_json::to_string(&node).unwrap();
        assert_eq!(text, r#"{"kind":"node","nodeId":"tvm-1"}"#);
        assert_eq!(serde_json::to_string(&SignInResponse::Leave).unwrap(), r#"{"kind":"leave"}"#);
        let read = r#"{"kind":"node","nodeId":"tvm-1","token":"t"}"#;
        let node = SignInResponse::Node { node_id: "tvm-1".into(), token: Some("t".into()) };
        assert_eq!(serde_json::from_str::<SignInResponse>(read).unwrap(), node);
    }

    #[test]
    fn a_request_of_an_idle_node_is_small_and_round_trips() {
        let request = SyncRequest {
            instance: "local-1".into(),
            address: "127.0.1.1".into(),
            phase: NodePhase::Ready,
            attempt: None,
            interruption_notice_seconds: None,
            login_port: None,
            metrics: None,
            job_metrics: Vec::new(),
        };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(
            text,
            r#"{"instance":"local-1","address":"127.0.1.1","phase":{"kind":"ready"}}"#
        );
        assert_eq!(serde_json::from_str::<SyncRequest>(&text).unwrap(), request);
        let measured = SyncRequest { metrics: Some(Metrics::default()), ..request.clone() };
        assert!(measured.reports_the_same_as(&request));
        let metric = JobMetric { name: "loss".into(), points: Vec::new() };
        let reported = SyncRequest { job_metrics: vec![metric], ..request.clone() };
        assert!(reported.reports_the_same_as(&request));
        let prepared = SyncRequest { phase: NodePhase::Preparing, ..request.clone() };
        assert!(!prepared.reports_the_same_as(&request));
    }
}
