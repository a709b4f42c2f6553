//! Jobs: what they were asked to be, and how far they are (sections 3.5 and 3.6).

use super::mounts::MountVolumesBody;
use super::parts::{self, BatchAiError, Resource, ResourceId, SecretName};
use crate::ids;
use model::{
    AttemptRecord, Ending, EnvironmentVariable, InputDirectory, Job, JobState, NodeId,
    OutputDirectory, Priority, Timestamp, time,
};
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobProperties {
    pub experiment_name: String,
    pub scheduling_priority: Priority,
    pub cluster: ResourceId,
    pub job_output_directory_path_segment: String,
    pub node_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_volumes: Option<MountVolumesBody>,
    pub tool_type: &'static str,
    pub custom_toolkit_settings: CommandLine,
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
    pub creation_time: Timestamp,
    pub provisioning_state: &'static str,
    #[serde(serialize_with = "parts::instant")]
    pub provisioning_state_transition_time: Timestamp,
    pub execution_state: &'static str,
    #[serde(serialize_with = "parts::instant")]
    pub execution_state_transition_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_info: Option<ExecutionInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<JobExtensions>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandLine {
    pub command_line: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Constraints {
    pub max_wall_clock_time: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionInfo {
    #[serde(serialize_with = "parts::instant")]
    pub start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    pub end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<BatchAiError>,
}

/// What this project adds: every run of the job, and why it waits.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobExtensions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_reason: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    pub number: u32,
    pub nodes: Vec<NodeId>,
    #[serde(serialize_with = "parts::instant")]
    pub start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    pub end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// `waiting` says why a queued job does not run yet.
pub fn job(job: &Job, waiting: Option<&str>) -> Resource<JobProperties> {
    let spec = &job.spec;
    let command = |line: &String| CommandLine { command_line: line.clone() };
    let (provisioning_state, provisioning_since) = provisioning(job);
    let properties = JobProperties {
        experiment_name: job.names.experiment.as_str().to_owned(),
        scheduling_priority: spec.priority,
        cluster: ResourceId::new(&job.cluster_id),
        job_output_directory_path_segment: ids::job_output_path_segment(job),
        node_count: spec.node_count,
        mount_volumes: spec.mounts.as_ref().map(MountVolumesBody::from),
        tool_type: "custom",
        custom_toolkit_settings: command(&spec.command_line),
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
        extensions: extensions(job, waiting),
    };
    Resource::child(ids::job_id(&job.names), &job.names.job, ids::JOB_TYPE, properties)
}

/// A job is there as soon as it is accepted. The record of a deletion has no time of its own; the
/// deletion of a job ends it, so the time of that is the nearest.
fn provisioning(job: &Job) -> (&'static str, Timestamp) {
    match job.deletion {
        None => ("succeeded", job.submitted_at),
        Some(_) => ("deleting", job.state.since()),
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
        JobState::Running { since } => Some(started(*since)),
        JobState::Terminating { started_at, .. } => Some(started(*started_at)),
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

/// A reason to wait is shown only while the job waits.
fn extensions(job: &Job, waiting: Option<&str>) -> Option<JobExtensions> {
    let is_queued = matches!(job.state, JobState::Queued { .. });
    let waiting_reason = waiting.filter(|_| is_queued).map(str::to_owned);
    let attempts: Vec<AttemptView> = job.attempts.iter().map(attempt).collect();
    (waiting_reason.is_some() || !attempts.is_empty())
        .then_some(JobExtensions { attempts, waiting_reason })
}

fn attempt(record: &AttemptRecord) -> AttemptView {
    AttemptView {
        number: record.number,
        nodes: record.nodes.clone(),
        start_time: record.started_at,
        end_time: record.ended.as_ref().map(|end| end.at),
        result: record.ended.as_ref().map(|end| result(&end.ending)),
    }
}

/// How an attempt ended, in a few words.
fn result(ending: &Ending) -> String {
    match ending {
        Ending::Exited { exit_code } => format!("exited with code {exit_code}"),
        Ending::PreparationFailed { exit_code } => {
            format!("job preparation exited with code {exit_code}")
        }
        Ending::NotProvided { error } => format!("the node was not ready: {}", error.message),
        Ending::WallClockExceeded => "ran longer than maxWallClockTime".to_owned(),
        Ending::Terminated => "terminated by the user".to_owned(),
        Ending::ClusterDeleted => "the cluster was deleted".to_owned(),
        Ending::ShrunkAway { node } => {
            format!("the cluster gave up node {node}; the job was not put back into the queue")
        }
        Ending::Displaced { node } => format!("the cluster gave up node {node}"),
        Ending::Interrupted { node } => format!("node {node} was taken away"),
        Ending::NodeLost { node, reason } => format!("node {node} was lost: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, at, pretty, uid};
    use model::{MountVolumes, SealedSecret, job::AttemptEnd};

    fn node_id(number: u8) -> NodeId {
        NodeId::new(&uid(number), true)
    }

    fn record(number: u32, node: u8, ending: Option<Ending>) -> AttemptRecord {
        let start = u64::from(number) * 100;
        AttemptRecord {
            number,
            nodes: vec![node_id(node)],
            started_at: at(start),
            ended: ending.map(|ending| AttemptEnd { at: at(start + 50), ending }),
        }
    }

    #[test]
    fn a_new_job() {
        insta::assert_snapshot!(pretty(&job(&fixtures::job(), Some("waits for 1 node"))), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/experiments/first/jobs/train",
          "name": "train",
          "type": "Microsoft.BatchAI/workspaces/experiments/jobs",
          "properties": {
            "experimentName": "first",
            "schedulingPriority": "normal",
            "cluster": {
              "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/clusters/gpus"
            },
            "jobOutputDirectoryPathSegment": "00000000-0000-0000-0000-000000000000/demo_group/workspaces/demo/experiments/first/jobs/train/05050505-0505-4505-8505-050505050505",
            "nodeCount": 1,
            "toolType": "custom",
            "customToolkitSettings": {
              "commandLine": "python train.py"
            },
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "constraints": {
              "maxWallClockTime": "P7D"
            },
            "creationTime": "2018-06-06T20:46:53.03Z",
            "provisioningState": "succeeded",
            "provisioningStateTransitionTime": "2018-06-06T20:46:53.03Z",
            "executionState": "queued",
            "executionStateTransitionTime": "2018-06-06T20:46:53.03Z",
            "extensions": {
              "waitingReason": "waits for 1 node"
            }
          }
        }
        "#);
    }

    #[test]
    fn a_failed_job_that_has_everything() {
        let mut full = fixtures::job();
        full.spec.preparation = Some("pip install torch".to_owned());
        full.spec.mounts = Some(MountVolumes {
            file_servers: vec![fixtures::file_server_mount()],
            unmanaged_file_systems: Vec::new(),
        });
        full.spec.input_directories =
            Some(vec![InputDirectory { id: "DATA".to_owned(), path: "/data".to_owned() }]);
        full.spec.output_directories = Some(vec![OutputDirectory {
            id: "MODEL".to_owned(),
            path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".to_owned(),
            path_suffix: None,
        }]);
        full.spec.environment =
            Some(vec![EnvironmentVariable { name: "A".to_owned(), value: "1".to_owned() }]);
        full.spec.secrets =
            Some(vec![SealedSecret { name: "B".to_owned(), sealed: "c2VhbGVk".to_owned() }]);
        full.spec.max_wall_clock_seconds = 5400;
        full.attempts = vec![
            record(1, 1, Some(Ending::Interrupted { node: node_id(1) })),
            record(2, 2, Some(Ending::Exited { exit_code: 1 })),
        ];
        full.state = JobState::Failed {
            started_at: at(200),
            ended_at: at(250),
            exit_code: Some(1),
            error: model::ResourceError::new("JobFailed", "Job failed with non-zero exit code"),
        };
        insta::assert_snapshot!(pretty(&job(&full, Some("waits for 1 node"))), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/experiments/first/jobs/train",
          "name": "train",
          "type": "Microsoft.BatchAI/workspaces/experiments/jobs",
          "properties": {
            "experimentName": "first",
            "schedulingPriority": "normal",
            "cluster": {
              "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/clusters/gpus"
            },
            "jobOutputDirectoryPathSegment": "00000000-0000-0000-0000-000000000000/demo_group/workspaces/demo/experiments/first/jobs/train/05050505-0505-4505-8505-050505050505",
            "nodeCount": 1,
            "mountVolumes": {
              "fileServers": [
                {
                  "fileServer": {
                    "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs"
                  },
                  "relativeMountPath": "nfs",
                  "mountOptions": "rw"
                }
              ]
            },
            "toolType": "custom",
            "customToolkitSettings": {
              "commandLine": "python train.py"
            },
            "jobPreparation": {
              "commandLine": "pip install torch"
            },
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "inputDirectories": [
              {
                "id": "DATA",
                "path": "/data"
              }
            ],
            "outputDirectories": [
              {
                "id": "MODEL",
                "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs"
              }
            ],
            "environmentVariables": [
              {
                "name": "A",
                "value": "1"
              }
            ],
            "secrets": [
              {
                "name": "B"
              }
            ],
            "constraints": {
              "maxWallClockTime": "PT1H30M"
            },
            "creationTime": "2018-06-06T20:46:53.03Z",
            "provisioningState": "succeeded",
            "provisioningStateTransitionTime": "2018-06-06T20:46:53.03Z",
            "executionState": "failed",
            "executionStateTransitionTime": "2018-06-06T20:51:03.03Z",
            "executionInfo": {
              "startTime": "2018-06-06T20:50:13.03Z",
              "endTime": "2018-06-06T20:51:03.03Z",
              "exitCode": 1,
              "errors": [
                {
                  "code": "JobFailed",
                  "message": "Job failed with non-zero exit code"
                }
              ]
            },
            "extensions": {
              "attempts": [
                {
                  "number": 1,
                  "nodes": [
                    "tvm-0101010101014101-p"
                  ],
                  "startTime": "2018-06-06T20:48:33.03Z",
                  "endTime": "2018-06-06T20:49:23.03Z",
                  "result": "node tvm-0101010101014101-p was taken away"
                },
                {
                  "number": 2,
                  "nodes": [
                    "tvm-0202020202024202-p"
                  ],
                  "startTime": "2018-06-06T20:50:13.03Z",
                  "endTime": "2018-06-06T20:51:03.03Z",
                  "result": "exited with code 1"
                }
              ]
            }
          }
        }
        "#);
    }

    #[test]
    fn execution_info_in_every_state() {
        let (started_at, ended_at) = (at(0), at(2));
        let failed = |ending: Ending| match ending.verdict() {
            model::Verdict::Failed { exit_code, error } => {
                JobState::Failed { started_at, ended_at, exit_code, error }
            }
            verdict => panic!("{verdict:?}"),
        };
        let states = [
            JobState::Queued { since: at(0) },
            JobState::Running { since: at(0) },
            JobState::Terminating { since: at(1), started_at, operations: vec![uid(3)] },
            JobState::Succeeded { started_at, ended_at },
            failed(Ending::Exited { exit_code: 3 }),
            failed(Ending::Terminated),
        ];
        let info = |state| {
            let properties = job(&Job { state, ..fixtures::job() }, None).properties;
            let info = properties.execution_info.map(|info| serde_json::to_string(&info).unwrap());
            format!("{}: {}", properties.execution_state, info.as_deref().unwrap_or("nothing"))
        };
        let lines: Vec<String> = states.map(info).into();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        queued: nothing
        running: {"startTime":"2018-06-06T20:46:53.03Z"}
        terminating: {"startTime":"2018-06-06T20:46:53.03Z"}
        succeeded: {"startTime":"2018-06-06T20:46:53.03Z","endTime":"2018-06-06T20:46:55.03Z","exitCode":0}
        failed: {"startTime":"2018-06-06T20:46:53.03Z","endTime":"2018-06-06T20:46:55.03Z","exitCode":3,"errors":[{"code":"JobFailed","message":"Job failed with non-zero exit code"}]}
        failed: {"startTime":"2018-06-06T20:46:53.03Z","endTime":"2018-06-06T20:46:55.03Z","errors":[{"code":"JobTerminated","message":"The specified job has been terminated by the user"}]}
        "#);
    }

    #[test]
    fn a_job_that_is_being_deleted() {
        let mut deleted = fixtures::job();
        deleted.state =
            JobState::Terminating { since: at(30), started_at: at(10), operations: vec![uid(3)] };
        deleted.deletion = Some(uid(3));
        let properties = job(&deleted, None).properties;
        assert_eq!(properties.provisioning_state, "deleting");
        assert_eq!(properties.provisioning_state_transition_time, at(30));
        assert_eq!(properties.execution_state, "terminating");
        assert_eq!(properties.execution_info.map(|info| info.start_time), Some(at(10)));
    }
}
