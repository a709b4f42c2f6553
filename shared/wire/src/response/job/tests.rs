//! Jobs as they are shown, in every state.

use super::*;
use crate::fixtures::{self, at, pretty, uid};
use model::job::AttemptEnd;
use model::toolkit::{CommunicationBackend, PyTorch};
use model::{ImageSourceRegistry, MountVolumes, RegistryCredentials, SecretVariable};
use model::{Waiting, WaitingReason};

fn node_id(number: u8) -> NodeId {
    NodeId::new(&uid(number), true)
}

fn record(number: u32, node: u8, end_reason: Option<EndReason>) -> AttemptRecord {
    let start = u64::from(number) * 100;
    AttemptRecord {
        number,
        nodes: vec![node_id(node)],
        started_at: at(start),
        ended: end_reason.map(|end_reason| AttemptEnd {
            at: at(start + 50),
            end_reason,
            shortage: None,
        }),
        cost_micro_usd: Some(8000),
    }
}

fn waiting() -> Waiting {
    let message = "Waits for 1 node".to_owned();
    Waiting { reason: WaitingReason::Nodes, message, since: at(1) }
}

#[test]
fn a_new_job() {
    insta::assert_snapshot!(pretty(&job(&fixtures::job(), Some(&waiting()), at(1000))), @r#"
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
          "waitingReason": {
            "code": "WaitsForNodes",
            "message": "Waits for 1 node",
            "since": "2018-06-06T20:46:54.03Z"
          }
        }
      }
    }
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot of a whole document")]
fn a_failed_job_that_has_everything() {
    let mut full = fixtures::job();
    full.spec.preparation = Some("pip install torch".to_owned());
    full.spec.mounts = Some(MountVolumes {
        file_servers: vec![fixtures::file_server_mount()],
        ..MountVolumes::default()
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
    full.spec.secrets = Some(vec![SecretVariable {
        name: "B".to_owned(),
        value: SecretValue::Sealed("c2VhbGVk".to_owned()),
    }]);
    full.spec.max_wall_clock_seconds = 5400;
    full.spec.max_retries = Some(0);
    full.spec.container = Some(ContainerSettings {
        image_source_registry: ImageSourceRegistry {
            server_url: Some("registry.example".to_owned()),
            image: "ubuntu".to_owned(),
            credentials: Some(RegistryCredentials {
                username: "me".to_owned(),
                password: SecretValue::Sealed("c2VhbGVk".to_owned()),
            }),
        },
        shm_size: Some("1g".to_owned()),
    });
    full.spec.toolkit = Toolkit::PyTorch(PyTorch {
        python_script_file_path: "train.py".to_owned(),
        python_interpreter_path: None,
        command_line_args: Some("--epochs 3".to_owned()),
        process_count: Some(2),
        communication_backend: Some(CommunicationBackend::Gloo),
    });
    full.attempts = vec![
        record(1, 1, Some(EndReason::Interrupted { node: node_id(1) })),
        record(2, 2, Some(EndReason::Exited { exit_code: 1 })),
    ];
    full.state = JobState::Failed {
        started_at: at(200),
        ended_at: at(250),
        exit_code: Some(1),
        error: model::ResourceError::new("JobFailed", "Job failed with non-zero exit code"),
    };
    insta::assert_snapshot!(pretty(&job(&full, Some(&waiting()), at(1000))), @r#"
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
        "containerSettings": {
          "imageSourceRegistry": {
            "serverUrl": "registry.example",
            "image": "ubuntu",
            "credentials": {
              "username": "me"
            }
          },
          "shmSize": "1g"
        },
        "toolType": "pytorch",
        "pyTorchSettings": {
          "pythonScriptFilePath": "train.py",
          "commandLineArgs": "--epochs 3",
          "processCount": 2,
          "communicationBackend": "Gloo"
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
              "result": "node tvm-0101010101014101-p was interrupted",
              "costMicroUsd": 8000
            },
            {
              "number": 2,
              "nodes": [
                "tvm-0202020202024202-p"
              ],
              "startTime": "2018-06-06T20:50:13.03Z",
              "endTime": "2018-06-06T20:51:03.03Z",
              "result": "exited with code 1",
              "costMicroUsd": 8000
            }
          ],
          "maxRetries": 0,
          "costMicroUsd": 16000
        }
      }
    }
    "#);
}

#[test]
fn execution_info_in_every_state() {
    let (started_at, ended_at) = (at(0), at(2));
    let failed = |end_reason: EndReason| match end_reason.outcome() {
        model::Outcome::Failed { exit_code, error } => {
            JobState::Failed { started_at, ended_at, exit_code, error }
        }
        outcome => panic!("{outcome:?}"),
    };
    let states = [
        JobState::Queued { since: at(0) },
        JobState::Running { attempt: attempt(at(0)) },
        JobState::Terminating {
            since: at(1),
            attempt: attempt(started_at),
            operation: Some(uid(3)),
        },
        JobState::Succeeded { started_at, ended_at },
        failed(EndReason::Exited { exit_code: 3 }),
        failed(EndReason::Terminated),
    ];
    let info = |state| {
        let properties = job(&Job { state, ..fixtures::job() }, None, at(1000)).properties;
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
        JobState::Terminating { since: at(30), attempt: attempt(at(10)), operation: None };
    deleted.deletion = Some(model::Deletion { operation: uid(3), since: at(30) });
    let properties = job(&deleted, None, at(1000)).properties;
    assert_eq!(properties.provisioning_state, "deleting");
    assert_eq!(properties.provisioning_state_transition_time, at(30));
    assert_eq!(properties.execution_state, "terminating");
    assert_eq!(properties.execution_info.map(|info| info.start_time), Some(at(10)));
}

fn attempt(started_at: Timestamp) -> model::Attempt {
    let node = NodeId::parse("n").expect("a valid id");
    model::Attempt::begin(1, vec![(node, "10.0.0.4".to_owned())], started_at)
}
