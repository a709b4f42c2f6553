//! GPUs, with a program in place of `nvidia-smi`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use protocol::{End, GpuMetrics, NodePhase, Problem};

use crate::support::control_plane::Script;
use crate::support::{ControlPlane, Job, Node};

/// Prints the file `gpus` beside it, and ends with the code in the file `code`.
const NVIDIA_SMI: &str = r#"#!/bin/bash
here=$(dirname "$0")
echo "$*" >> "$here/calls"
cat "$here/gpus"
exit "$(cat "$here/code")"
"#;

/// A node with the GPUs `GPU-a` and `GPU-b`.
fn node(control: &ControlPlane) -> Node {
    let mut node = Node::new(control, "node", |_| {});
    let program = node.place().join("nvidia-smi");
    fs::write(&program, NVIDIA_SMI).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    state(&node, "GPU-a, 0, 87, 12345, 81559\nGPU-b, [N/A], [N/A], 1, 16384\n", 0);
    let path = format!("{}:/usr/bin:/bin", node.place().display());
    node.start_agent_as(control, |agent: &mut Command| {
        agent.args(["--gpus", "GPU-a,GPU-b", "--gpu-check", "1"]).env("PATH", path);
    });
    control.wait_until_idle("node");
    node
}

fn state(node: &Node, gpus: &str, code: u8) {
    fs::write(node.place().join("gpus"), gpus).unwrap();
    fs::write(node.place().join("code"), code.to_string()).unwrap();
}

#[test]
fn a_job_sees_the_gpus_of_its_node_only() {
    let control = ControlPlane::start();
    let mut node = node(&control);
    let job = Job::new("echo $CUDA_VISIBLE_DEVICES $AZ_BATCHAI_NUM_GPUS; exit 3");
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 3 });
    assert_eq!(node.read(&job, "stdout.txt"), "GPU-a,GPU-b 2\n");
    let calls = fs::read_to_string(node.place().join("calls")).unwrap();
    assert!(calls.contains("--id=GPU-a,GPU-b"), "the check after a failure: {calls}");
}

#[test]
fn a_job_that_fails_on_a_failed_gpu_is_not_to_blame() {
    let control = ControlPlane::start();
    let mut node = node(&control);
    let job = Job::new("echo lost > $STATE/gpus; echo 15 > $STATE/code; exit 3");
    let place = node.place().display().to_string();
    let job = job.with(|it| it.environment.push(crate::support::job::variable("STATE", &place)));
    let End::NodeFailed { problem } = node.run(&control, &job) else { panic!("the node failed") };
    assert_eq!(problem.code, "GpuLost");
    assert_eq!(problem.details, [("Reason".into(), "exit status: 15 lost".into())]);
}

#[test]
fn an_idle_node_with_a_failed_gpu_takes_no_job() {
    let control = ControlPlane::start();
    let node = node(&control);
    state(&node, "GPU-a, 0\nGPU-b, 2\n", 0);
    let Problem { code, details, .. } =
        control.wait("the failure", "node", |script| match &script.requests.last()?.phase {
            NodePhase::Failed { problem } => Some(problem.clone()),
            NodePhase::Preparing | NodePhase::Ready | NodePhase::Left => None,
        });
    assert_eq!(code, "GpuMemoryError");
    assert!(details[0].1.ends_with("GPU-b, 2"), "{details:?}");
}

#[test]
fn what_the_gpus_do_is_reported_with_the_next_request_and_no_longer_when_one_has_failed() {
    let control = ControlPlane::start();
    let node = node(&control);
    let gpus = |script: &Script| Some(script.requests.last()?.metrics.clone()?.gpus);
    let measured =
        control.wait("the metrics", "node", |script| gpus(script).filter(|gpus| !gpus.is_empty()));
    let gpu = |utilization_percent, memory_used_mib, memory_total_mib| GpuMetrics {
        utilization_percent,
        memory_used_mib: Some(memory_used_mib),
        memory_total_mib: Some(memory_total_mib),
    };
    assert_eq!(measured, [gpu(Some(87), 12_345, 81_559), gpu(None, 1, 16_384)]);
    state(&node, "GPU-a, 0, 5, 6, 7\nGPU-b, 0, 0, 0, 0\n", 0);
    control.wait("the next ones", "node", |script| {
        gpus(script).filter(|gpus| gpus[0] == gpu(Some(5), 6, 7))
    });
    let calls = fs::read_to_string(node.place().join("calls")).unwrap();
    assert!(
        calls.lines().all(|call| call.contains("ecc") && call.contains("memory.used")),
        "{calls}"
    );
    state(&node, "lost\n", 15);
    control.wait("the failure", "node", |script| {
        let last = script.requests.last()?;
        (last.metrics.is_none() && matches!(last.phase, NodePhase::Failed { .. })).then_some(())
    });
}
