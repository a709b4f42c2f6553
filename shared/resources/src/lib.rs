//! The resources of the API as its clients read them: the command line and the portal. Only the fields that they show;
//! a field that the service may omit is optional.

mod cluster_node;
mod ended_nodes;
pub mod natural;
mod node;
pub mod role;
pub mod start_estimate;
mod sweep;
pub mod time;

pub use cluster_node::{ClusterNode, NodeState};
pub use ended_nodes::EndedNodes;
pub use node::{GpuMetrics, Node, NodeMetrics};
pub use sweep::{Goal, Metric, MetricPoint, Objective, Sweep};

use jiff::SignedDuration;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// An amount of millionths of a dollar: two digits after the point, more below ten cents.
pub fn dollars(micro: u64) -> String {
    let amount = micro as f64 / 1e6;
    match micro {
        0 => "$0".to_owned(),
        1..100_000 => format!("${amount:.4}"),
        _ => format!("${amount:.2}"),
    }
}

#[derive(Debug, Deserialize)]
pub struct Resource<Properties> {
    #[serde(default)]
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub location: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub properties: Properties,
}

pub type Workspace = Resource<BasicProperties>;
pub type Experiment = Resource<BasicProperties>;
pub type FileServer = Resource<FileServerProperties>;
pub type Cluster = Resource<ClusterProperties>;
pub type Job = Resource<JobProperties>;

#[derive(Debug, Deserialize)]
pub struct ResourceGroup {
    pub name: String,
    pub location: String,
    pub properties: BasicProperties,
}

#[derive(Debug, Deserialize)]
pub struct RoleAssignment {
    pub name: String,
    pub properties: RoleAssignmentProperties,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignmentProperties {
    pub role_definition_id: String,
    pub principal_id: String,
    pub scope: String,
}

/// What the caller may do in a workspace: `actions` without `not_actions`, as patterns such as `*/read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Permission {
    pub actions: Vec<String>,
    pub not_actions: Vec<String>,
}

/// A token of the local service. The secret is present only in the answer to its creation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    pub name: String,
    pub principal_id: String,
    pub created_on: Option<String>,
    pub expires_on: Option<String>,
    pub token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub name: UsageName,
    pub current_value: u64,
    pub limit: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageName {
    pub localized_value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BasicProperties {
    pub provisioning_state: String,
    pub creation_time: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileServerProperties {
    pub provisioning_state: String,
    pub creation_time: Option<String>,
    pub mount_settings: Option<MountSettings>,
    pub extensions: FileServerExtensions,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountSettings {
    pub mount_point: String,
    #[serde(rename = "fileServerInternalIP")]
    pub internal_ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileServerExtensions {
    /// The directory of its files on this machine; only the local service sets it.
    pub local_path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterProperties {
    pub provisioning_state: String,
    pub allocation_state: String,
    pub creation_time: Option<String>,
    pub vm_size: String,
    pub vm_priority: String,
    pub current_node_count: u32,
    pub node_state_counts: NodeStateCounts,
    pub scale_settings: ScaleSettings,
    pub user_account_settings: Option<UserAccount>,
    pub errors: Vec<Problem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserAccount {
    pub admin_user_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStateCounts {
    pub running_node_count: u32,
    pub idle_node_count: u32,
    pub preparing_node_count: u32,
    pub leaving_node_count: u32,
    pub unusable_node_count: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleSettings {
    pub manual: Option<ManualScale>,
    pub auto_scale: Option<AutoScale>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManualScale {
    pub target_node_count: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoScale {
    pub minimum_node_count: u32,
    pub maximum_node_count: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobProperties {
    pub execution_state: ExecutionState,
    pub node_count: u32,
    pub scheduling_priority: String,
    pub cluster: Option<Reference>,
    pub std_out_err_path_prefix: String,
    pub job_output_directory_path_segment: String,
    pub creation_time: Option<String>,
    pub constraints: Option<Constraints>,
    pub execution_info: Option<ExecutionInfo>,
    pub extensions: Option<JobExtensions>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionState {
    Queued,
    Running,
    Terminating,
    Succeeded,
    Failed,
    #[default]
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Constraints {
    /// In the form of ISO 8601.
    pub max_wall_clock_time: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reference {
    pub id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecutionInfo {
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    pub exit_code: Option<i64>,
    pub errors: Vec<Problem>,
}

/// An error of a job or a cluster.
#[derive(Debug, Deserialize)]
pub struct Problem {
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub details: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
pub struct Detail {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobExtensions {
    pub attempts: Vec<Attempt>,
    pub waiting_reason: Option<WaitingReason>,
    pub sweep: Option<Sweep>,
    /// In millionths of a dollar; until now if the job runs.
    pub cost_micro_usd: Option<u64>,
    pub metrics: Vec<Metric>,
}

#[derive(Debug, Deserialize)]
pub struct WaitingReason {
    #[serde(default)]
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub since: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempt {
    pub number: u32,
    pub nodes: Vec<String>,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    pub result: Option<String>,
    /// In millionths of a US dollar.
    pub cost_micro_usd: Option<u64>,
}

/// An entry of a job's output directory.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    pub name: String,
    pub file_type: String,
    #[serde(default)]
    pub download_url: Option<String>,
    #[serde(default)]
    pub properties: FileProperties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileProperties {
    pub last_modified: Option<String>,
    pub content_length: Option<u64>,
}

impl Job {
    /// The number of the current or last attempt; 0 before the first one.
    pub fn attempt_number(&self) -> u32 {
        match (&self.properties.extensions, self.properties.execution_state) {
            (Some(extensions), _) => extensions.attempts.last().map_or(0, |last| last.number),
            (None, ExecutionState::Queued) => 0,
            // A service without our extensions shows only that the job started.
            (None, _) => 1,
        }
    }

    pub fn attempts(&self) -> &[Attempt] {
        self.properties.extensions.as_ref().map_or(&[], |extensions| &extensions.attempts)
    }

    pub fn waiting_reason(&self) -> Option<&str> {
        let reason = self.properties.extensions.as_ref()?.waiting_reason.as_ref()?;
        Some(&reason.message)
    }

    pub fn waiting_code(&self) -> Option<&str> {
        Some(&self.properties.extensions.as_ref()?.waiting_reason.as_ref()?.code)
    }

    pub fn waiting_since(&self) -> Option<&str> {
        self.properties.extensions.as_ref()?.waiting_reason.as_ref()?.since.as_deref()
    }

    /// Whether nothing but the nodes of other jobs keeps it waiting, rather than settings, launches or errors.
    pub fn waits_for_nodes(&self) -> bool {
        let reason = self.properties.extensions.as_ref().and_then(|it| it.waiting_reason.as_ref());
        reason.is_none_or(|reason| ["", "WaitsForNodes"].contains(&reason.code.as_str()))
    }

    /// How long it may run.
    pub fn time_limit(&self) -> Option<SignedDuration> {
        time::duration(&self.properties.constraints.as_ref()?.max_wall_clock_time)
    }

    pub fn exit_code(&self) -> Option<i64> {
        self.properties.execution_info.as_ref()?.exit_code
    }

    pub fn first_error(&self) -> Option<&Problem> {
        self.properties.execution_info.as_ref()?.errors.first()
    }

    pub fn start_time(&self) -> Option<&str> {
        self.properties.execution_info.as_ref()?.start_time.as_deref()
    }

    pub fn end_time(&self) -> Option<&str> {
        self.properties.execution_info.as_ref()?.end_time.as_deref()
    }

    pub fn errors(&self) -> &[Problem] {
        self.properties.execution_info.as_ref().map_or(&[], |info| &info.errors)
    }

    /// In millionths of a US dollar.
    pub fn cost_micro_usd(&self) -> Option<u64> {
        self.properties.extensions.as_ref()?.cost_micro_usd
    }

    pub fn has_failed(&self) -> bool {
        self.properties.execution_state == ExecutionState::Failed
    }

    pub fn has_ended(&self) -> bool {
        self.properties.execution_state.is_final()
    }
}

impl ExecutionState {
    /// Whether a job in this state runs on nodes.
    pub fn has_nodes(self) -> bool {
        match self {
            Self::Running | Self::Terminating => true,
            Self::Queued | Self::Succeeded | Self::Failed | Self::Unknown => false,
        }
    }

    pub fn is_final(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed => true,
            Self::Queued | Self::Running | Self::Terminating | Self::Unknown => false,
        }
    }
}

impl File {
    pub fn is_directory(&self) -> bool {
        self.file_type == "directory"
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Terminating => "terminating",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message, self.code)?;
        self.details
            .iter()
            .try_for_each(|detail| write!(formatter, "; {}: {}", detail.name, detail.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer recorded from the original service, which has no extensions.
    #[test]
    fn a_recorded_job_can_be_read() {
        let job: Job = serde_json::from_str(
            r#"{"id":"/subscriptions/s/x/jobs/job","name":"job",
                "type":"Microsoft.BatchAI/workspaces/experiments/jobs",
                "properties":{"experimentName":"experiment","schedulingPriority":"normal",
                "cluster":{"id":"/subscriptions/s/x/clusters/cluster"},"nodeCount":1,
                "toolType":"custom","executionState":"failed","executionInfo":{
                "startTime":"2018-06-14T22:22:45.123Z","endTime":"2018-06-14T22:22:46.9Z",
                "exitCode":2,"errors":[{"code":"JobFailed",
                "message":"Job failed with non-zero exit code"}]}}}"#,
        )
        .unwrap();
        assert_eq!(job.attempt_number(), 1);
        assert_eq!(job.exit_code(), Some(2));
        assert!(job.has_ended());
        insta::assert_snapshot!(job.first_error().unwrap(), @"Job failed with non-zero exit code (JobFailed)");
    }

    #[test]
    fn a_cluster_without_node_counts_can_be_read() {
        let cluster: Cluster = serde_json::from_str(
            r#"{"name":"c","properties":{"scaleSettings":{"autoScale":
                {"minimumNodeCount":0,"maximumNodeCount":4,"initialNodeCount":0}}}}"#,
        )
        .unwrap();
        assert_eq!(cluster.properties.current_node_count, 0);
        assert_eq!(cluster.properties.scale_settings.auto_scale.unwrap().maximum_node_count, 4);
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!([0, 250, 1_234_567].map(dollars).join(" "), "$0 $0.0003 $1.23");
    }
}
