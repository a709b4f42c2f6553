//! Messages as release 0.1 wrote them, protocol version 1. Every later release reads them: its agents
//! may speak to functions of 0.1, and its functions to agents of 0.1, until a stack is upgraded.
//!
//! A message that changes gets a new directory, for the release that changes it; these files stay.

#![expect(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

use protocol::{
    Assignment, AttemptKey, AttemptReport, CurvePoint, Desired, End, EndDetails, GpuMetrics,
    InputDirectory, JobMetric, Metrics, Mount, MountSource, NodePhase, NodeSetup, OutputDirectory,
    OutputTail, Problem, Progress, ScarceResource, SetupTask, Shortage, SignInRequest,
    SignInResponse, StorageKind, SyncRequest, SyncResponse, Toolkit, Variable,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::path::Path;

const RELEASE: &str = "release_0_1";

#[test]
fn sign_ins_of_an_earlier_release() {
    check("sign_in_request", &SignInRequest { address: "10.0.0.4".into() });
    let node = |token: Option<&str>| SignInResponse::Node {
        node_id: "tvm-1".into(),
        token: token.map(str::to_owned),
    };
    check("sign_in_response_node", &node(None));
    check("sign_in_response_token", &node(Some("secret")));
    check("sign_in_response_leave", &SignInResponse::Leave);
}

#[test]
fn reports_of_an_earlier_release() {
    let phases = [
        ("preparing", NodePhase::Preparing),
        ("ready", NodePhase::Ready),
        ("failed", NodePhase::Failed { problem: problem() }),
        ("left", NodePhase::Left),
    ];
    for (name, phase) in phases {
        check(&format!("sync_request_{name}"), &report(phase, None));
    }
    let progress = [
        ("preparing", Progress::Preparing),
        ("prepared", Progress::Prepared),
        ("running", Progress::Running),
    ];
    let ended = ends().map(|(name, end)| (name, Progress::Ended { end }));
    for (name, progress) in progress.into_iter().chain(ended) {
        let needs_assignment = name == "running";
        let attempt = AttemptReport { needs_assignment, ..AttemptReport::new(key(), progress) };
        check(&format!("sync_request_attempt_{name}"), &report(NodePhase::Ready, Some(attempt)));
    }
    let exited = Progress::Ended { end: End::Exited { exit_code: 137 } };
    let end_details = Some(Box::new(end_details()));
    let failed = AttemptReport { end_details, ..AttemptReport::new(key(), exited) };
    check("sync_request_end_details", &report(NodePhase::Ready, Some(failed)));
    let mut interrupted = report(NodePhase::Ready, None);
    interrupted.interruption_notice_seconds = Some(118);
    check("sync_request_interrupted", &interrupted);
    let mut measured = report(NodePhase::Ready, None);
    let gpu = GpuMetrics {
        utilization_percent: Some(87),
        memory_used_mib: Some(12_345),
        memory_total_mib: Some(81_559),
    };
    measured.metrics = Some(Metrics {
        load_percent: 125,
        memory_used_mib: 4111,
        memory_total_mib: 24_111,
        gpus: vec![gpu, GpuMetrics::default()],
    });
    check("sync_request_metrics", &measured);
    let mut reported = report(NodePhase::Ready, None);
    let point = |step, value| CurvePoint { step, value, minimum: value, maximum: 2.5 };
    let points = vec![point(0, 2.5), point(10, 0.25)];
    reported.job_metrics = vec![JobMetric { name: "loss".into(), points }];
    check("sync_request_job_metrics", &reported);
}

#[test]
fn desired_states_of_an_earlier_release() {
    let run = |start, assignment| Desired::Run { key: key(), start, assignment };
    let desired = [
        ("prepare", Desired::Prepare { setup: Box::new(setup()) }),
        ("idle", Desired::Idle),
        ("run", run(false, Some(Box::new(assignment())))),
        ("start", run(true, None)),
        ("stop", Desired::Stop { key: key(), grace_seconds: 10 }),
        ("leave", Desired::Leave { grace_seconds: 0 }),
    ];
    for (name, desired) in desired {
        let response = SyncResponse { desired, ask_again_millis: 1000 };
        check(&format!("sync_response_{name}"), &response);
    }
}

/// The recorded text is what this release writes; it is read as `value`, also with fields that a later
/// release may add, in any object.
fn check<Message>(name: &str, value: &Message)
where
    Message: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(RELEASE);
    let text = std::fs::read_to_string(directory.join(name).with_extension("json"));
    let text = text.unwrap_or_else(|error| panic!("{name}: {error}"));
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let read: Message = serde_json::from_value(recorded.clone()).unwrap();
    assert_eq!(read, *value, "{name}");
    assert_eq!(serde_json::to_value(value).unwrap(), recorded, "{name}");
    let later: Message = serde_json::from_value(with_unknown_fields(recorded))
        .unwrap_or_else(|error| panic!("{name} with unknown fields: {error}"));
    assert_eq!(later, *value, "{name} with unknown fields");
}

fn with_unknown_fields(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, with_unknown_fields(value)));
            let unknown = ("ofALaterRelease".to_owned(), json!({"kind": "unknown", "list": [1]}));
            fields.chain([unknown]).collect()
        }
        Value::Array(values) => values.into_iter().map(with_unknown_fields).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn report(phase: NodePhase, attempt: Option<AttemptReport>) -> SyncRequest {
    SyncRequest {
        instance: "i-0123456789abcdef0".into(),
        address: "10.0.0.4".into(),
        phase,
        attempt,
        interruption_notice_seconds: None,
        login_port: None,
        metrics: None,
        job_metrics: Vec::new(),
    }
}

fn ends() -> impl Iterator<Item = (&'static str, End)> {
    let ends = [
        ("exited", End::Exited { exit_code: 137 }),
        ("preparation_failed", End::PreparationFailed { exit_code: 1 }),
        ("not_provided", End::NotProvided { problem: problem() }),
        ("node_failed", End::NodeFailed { problem: problem() }),
        ("wall_clock_exceeded", End::WallClockExceeded),
        ("stopped", End::Stopped),
        ("interrupted", End::Interrupted),
        ("lost", End::Lost { reason: "killed".into() }),
    ];
    ends.into_iter()
}

fn end_details() -> EndDetails {
    let evidence = "/mnt/jobs: 0 of 64 inodes are left".into();
    EndDetails {
        shortage: Some(Shortage { resource: ScarceResource::Disk, evidence }),
        output: vec![OutputTail {
            name: "stderr.txt".into(),
            text: "Traceback\n".into(),
            length: 12_000,
        }],
    }
}

fn key() -> AttemptKey {
    AttemptKey {
        experiment_uid: "11111111-1111-4111-8111-111111111111".into(),
        job_name: "train".into(),
        job_uid: "22222222-2222-4222-8222-222222222222".into(),
        number: 3,
    }
}

fn problem() -> Problem {
    Problem {
        code: "NFSMountError".into(),
        message: "The file server could not be mounted".into(),
        details: vec![("MountPath".into(), "nfs".into())],
    }
}

fn mounts() -> Vec<Mount> {
    let mount = |at: &str, source| Mount { relative_mount_path: at.into(), source };
    vec![
        mount(
            "nfs",
            MountSource::Directory {
                root: "/srv/nfs".into(),
                sub_directory: "data".into(),
                of: StorageKind::FileServer,
            },
        ),
        mount("custom", MountSource::Command { command: "mount -t x".into() }),
    ]
}

fn variable(name: &str, value: &str) -> Variable {
    Variable { name: name.into(), value: value.into() }
}

fn setup() -> NodeSetup {
    NodeSetup {
        node_id: "tvm-1".into(),
        mounts: mounts(),
        setup_task: Some(SetupTask {
            command_line: "pip install x".into(),
            environment: vec![variable("A", "1")],
            secrets: vec![variable("S", "secret")],
            std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
            std_out_err_path_suffix: "sub/rg/cluster/uuid".into(),
        }),
        administrator: None,
    }
}

fn assignment() -> Assignment {
    Assignment {
        key: key(),
        node_id: "tvm-1".into(),
        workspace: "ws".into(),
        experiment: "exp".into(),
        job: "train".into(),
        hosts: vec!["10.0.0.4".into(), "10.0.0.5".into()],
        rank: 1,
        output_path_segment: "sub/rg/workspaces/ws/experiments/exp/jobs/train/uuid".into(),
        std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
        command_line: "python train.py".into(),
        toolkit: Toolkit::Custom,
        ends_with_every_node: false,
        preparation_command_line: Some("true".into()),
        container: None,
        mounts: mounts(),
        input_directories: vec![InputDirectory { id: "DATA".into(), path: "/data".into() }],
        output_directories: vec![OutputDirectory {
            id: "MODEL".into(),
            path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
            path_suffix: Some("models".into()),
        }],
        environment: vec![variable("A", "1")],
        secrets: vec![variable("S", "secret")],
        ssh_seed: None,
        max_wall_clock_seconds: 604_800,
        stop_grace_seconds: 10,
        output_tail_bytes: None,
    }
}
