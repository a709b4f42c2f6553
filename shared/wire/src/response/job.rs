//! Jobs: the request, and the state of execution (docs/contract.md, "Jobs" and "Execution
//! states").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::job_metrics::MetricBody;
use super::mounts::MountVolumesBody;
use super::parts::{self, BatchAiError, Resource, SecretName};
use crate::ids;
use model::{
    AttemptRecord, ContainerSettings, EndReason, EnvironmentVariable, InputDirectory, Job,
    JobState, KeyVaultSecretReference, NodeId, OutputDirectory, Priority, ResourceId, SecretValue,
    SweepRun, Timestamp, Toolkit, Waiting, time,
};
use schemars::JsonSchema;
use serde::Serialize;

/// `JobProperties` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Job", inline)]
pub struct JobProperties {
    pub experiment_name: String,
    pub scheduling_priority: Priority,
    pub cluster: ResourceId,
    pub job_output_directory_path_segment: String,
    pub node_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_volumes: Option<MountVolumesBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_settings: Option<ContainerSettings<PasswordBody>>,
    #[schemars(extend("enum" = ["cntk", "tensorflow", "caffe", "caffe2", "chainer", "pytorch", "horovod", "custommpi", "custom"]))]
    pub tool_type: &'static str,
    #[serde(flatten)]
    pub toolkit: Toolkit,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_preparation: Option<CommandLine>,
    pub std_out_err_path_prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_directories: Option<Vec<InputDirectory>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_directories: Option<Vec<OutputDirectory>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<Vec<EnvironmentVariable>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<SecretName>>,
    pub constraints: Constraints,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub creation_time: Timestamp,
    #[schemars(extend("enum" = ["creating", "succeeded", "failed", "deleting"]))]
    pub provisioning_state: &'static str,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub provisioning_state_transition_time: Timestamp,
    #[schemars(extend("enum" = ["queued", "running", "terminating", "succeeded", "failed"]))]
    pub execution_state: &'static str,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub execution_state_transition_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_info: Option<ExecutionInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<JobExtensions>,
}

/// A password: only a reference to it is returned, never the password itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret_reference: Option<KeyVaultSecretReference>,
}

/// `JobPreparation` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "JobPreparation")]
pub struct CommandLine {
    pub command_line: String,
}

/// `Constraints` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Constraints {
    pub max_wall_clock_time: String,
}

/// `ExecutionInfo` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionInfo {
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<BatchAiError>,
}

/// Fields beyond the contract: every attempt of the job, why it waits, how often it is retried, the sweep that it
/// is a run of, what it has cost, and the metrics that it reports.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobExtensions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_reason: Option<WaitingReasonBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepRun>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricBody>,
}

/// Why a queued job does not run yet.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WaitingReason")]
pub struct WaitingReasonBody {
    pub code: &'static str,
    pub message: String,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub since: Timestamp,
}

impl From<&Waiting> for WaitingReasonBody {
    fn from(waiting: &Waiting) -> Self {
        Self { code: waiting.reason.code(), message: waiting.message.clone(), since: waiting.since }
    }
}

/// One attempt of the job.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    pub number: u32,
    pub nodes: Vec<NodeId>,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
}

/// The body of a job. `waiting` is why a queued job does not run yet; it appears only while the job is
/// queued. A job that runs has its cost until now.
pub fn job(job: &Job, waiting: Option<&Waiting>, now: Timestamp) -> Resource<JobProperties> {
    let spec = &job.spec;
    let command = |line: &String| CommandLine { command_line: line.clone() };
    let (provisioning_state, provisioning_since) = provisioning(job);
    let properties = JobProperties {
        experiment_name: job.names.experiment.as_str().to_owned(),
        scheduling_priority: spec.priority,
        cluster: ResourceId {
            id: ids::cluster_id(job.cluster_workspace(), &job.cluster_names.name),
        },
        job_output_directory_path_segment: ids::job_output_path_segment(job),
        node_count: spec.node_count,
        mount_volumes: spec.mounts.as_ref().map(MountVolumesBody::from),
        container_settings: spec.container.clone().map(|container| {
            container.map_password(|password: SecretValue| PasswordBody {
                password_secret_reference: password.reference().cloned(),
            })
        }),
        tool_type: spec.toolkit.name(),
        toolkit: spec.toolkit.clone(),
        job_preparation: spec.preparation.as_ref().map(command),
        std_out_err_path_prefix: spec.std_out_err_path_prefix.clone(),
        input_directories: spec.input_directories.clone(),
        output_directories: spec.output_directories.clone(),
        environment_variables: spec.environment.clone(),
        secrets: spec.secrets.as_deref().map(parts::secret_names),
        constraints: Constraints {
            max_wall_clock_time: time::format_duration_seconds(spec.max_wall_clock_seconds),
        },
        creation_time: job.submitted_at,
        provisioning_state,
        provisioning_state_transition_time: provisioning_since,
        execution_state: job.state.name(),
        execution_state_transition_time: job.state.since(),
        execution_info: execution_info(&job.state),
        extensions: extensions(job, waiting, now),
    };
    Resource::child(ids::job_id(&job.names), &job.names.job, ids::JOB_TYPE, properties)
}

/// A job exists as soon as it is accepted.
fn provisioning(job: &Job) -> (&'static str, Timestamp) {
    match &job.deletion {
        None => ("succeeded", job.submitted_at),
        Some(deletion) => ("deleting", deletion.since),
    }
}

fn execution_info(state: &JobState) -> Option<ExecutionInfo> {
    let started = |start_time| ExecutionInfo {
        start_time,
        end_time: None,
        exit_code: None,
        errors: Vec::new(),
    };
    match state {
        // Also of a job that ran before: the most recent start counts (swagger).
        JobState::Queued { .. } => None,
        JobState::Running { attempt } => Some(started(attempt.started_at)),
        JobState::Terminating { attempt, .. } => Some(started(attempt.started_at)),
        JobState::Succeeded { started_at, ended_at } => Some(ExecutionInfo {
            end_time: Some(*ended_at),
            exit_code: Some(0),
            ..started(*started_at)
        }),
        JobState::Failed { started_at, ended_at, exit_code, error } => Some(ExecutionInfo {
            end_time: Some(*ended_at),
            exit_code: *exit_code,
            errors: vec![error.into()],
            ..started(*started_at)
        }),
    }
}

/// A waiting reason appears only while the job is queued.
fn extensions(job: &Job, waiting: Option<&Waiting>, now: Timestamp) -> Option<JobExtensions> {
    let is_queued = matches!(job.state, JobState::Queued { .. });
    let waiting_reason = waiting.filter(|_| is_queued).map(WaitingReasonBody::from);
    let attempts: Vec<AttemptView> = job.attempt_records().iter().map(attempt).collect();
    let extensions = JobExtensions {
        attempts,
        waiting_reason,
        max_retries: job.spec.max_retries,
        sweep: job.spec.sweep.as_deref().cloned(),
        cost_micro_usd: job.cost_micro_usd(now),
        metrics: Vec::new(),
    };
    (!extensions.is_empty()).then_some(extensions)
}

impl JobExtensions {
    fn is_empty(&self) -> bool {
        let Self { attempts, waiting_reason, max_retries, sweep, cost_micro_usd, metrics } = self;
        attempts.is_empty()
            && waiting_reason.is_none()
            && max_retries.is_none()
            && sweep.is_none()
            && cost_micro_usd.is_none()
            && metrics.is_empty()
    }
}

fn attempt(record: &AttemptRecord) -> AttemptView {
    AttemptView {
        number: record.number,
        nodes: record.nodes.clone(),
        start_time: record.started_at,
        end_time: record.ended.as_ref().map(|end| end.at),
        result: record.ended.as_ref().map(|end| match &end.shortage {
            Some(shortage) => {
                format!("{}: {}", result(&end.end_reason), shortage.resource.summary())
            }
            None => result(&end.end_reason),
        }),
        cost_micro_usd: record.cost_micro_usd,
    }
}

/// How an attempt ended, in a few words.
fn result(end_reason: &EndReason) -> String {
    match end_reason {
        EndReason::Exited { exit_code } => format!("exited with code {exit_code}"),
        EndReason::PreparationFailed { exit_code } => {
            format!("job preparation exited with code {exit_code}")
        }
        EndReason::NotProvided { error } => format!("the node was not ready: {}", error.message),
        EndReason::NodeFailed { node, error } => format!("node {node} failed: {}", error.message),
        EndReason::WallClockExceeded => "ran longer than maxWallClockTime".to_owned(),
        EndReason::Terminated => "terminated by the user".to_owned(),
        EndReason::StoppedEarly { .. } => "stopped early".to_owned(),
        EndReason::ClusterDeleted => "the cluster was deleted".to_owned(),
        EndReason::DeallocatedTerminate { node } => {
            format!("the cluster gave up node {node}; the job was not put back into the queue")
        }
        EndReason::DeallocatedRequeue { node } => format!("the cluster gave up node {node}"),
        EndReason::Interrupted { node } => format!("node {node} was interrupted"),
        EndReason::NodeLost { node, reason } => format!("node {node} was lost: {reason}"),
    }
}

#[cfg(test)]
mod tests;
