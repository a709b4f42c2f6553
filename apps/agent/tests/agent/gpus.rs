//! GPUs, with a program in place of `nvidia-smi`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use protocol::{End, NodePhase, Problem};

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
    state(&node, "GPU-a, 0\nGPU-b, [N/A]\n", 0);
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
