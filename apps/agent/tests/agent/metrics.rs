//! Metrics of jobs in the reports of the agent.

use std::fs;

use protocol::{OutputDirectory, Progress, SyncRequest};

use crate::support::{ControlPlane, Job, Node};

/// Waits until `go` appears in the working directory.
const WAIT: &str = "while [ ! -e go ]; do sleep 0.01; done";

fn go(node: &Node) {
    fs::write(node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
}

/// The steps of the loss in a request.
fn steps(request: &SyncRequest) -> Vec<u64> {
    let loss = request.job_metrics.iter().find(|metric| metric.name == "loss");
    loss.map(|it| it.points.iter().map(|point| point.step).collect()).unwrap_or_default()
}

fn is_of(request: &SyncRequest, job: &Job) -> bool {
    request.attempt.as_ref().is_some_and(|report| report.key == job.key())
}

/// The steps in the report of the end of a job.
fn last_steps(control: &ControlPlane, node: &Node, job: &Job) -> Vec<u64> {
    control.wait("the end", &node.id, |script| {
        let mut requests = script.requests.iter().filter(|request| is_of(request, job));
        let last = requests.find(|request| {
            let progress = request.attempt.as_ref().map(|report| &report.progress);
            matches!(progress, Some(Progress::Ended { .. }))
        });
        last.map(steps)
    })
}

#[test]
fn metrics_come_with_heartbeats_and_with_the_end() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    control.change(&node.id, |script| script.never_holds = true);
    let first = r#"echo '{"step": 1, "loss": 2}'"#;
    let job = Job::new(&format!(r#"{first}; {WAIT}; printf '{{"step": 2, "loss": 1}}'"#));
    node.begin(&control, &job);
    let has_metrics = |request: &SyncRequest| !request.job_metrics.is_empty();
    let position = control.wait("metrics", &node.id, |script| {
        let position = script.requests.iter().position(has_metrics)?;
        (script.requests.len() > position + 3).then_some(position)
    });
    let known = control.wait("requests", &node.id, |script| Some(script.requests.clone()));
    assert_eq!(steps(&known[position]), [1]);
    assert!(!known[position + 1..].iter().any(has_metrics), "they were acknowledged");
    go(&node);
    assert_eq!(last_steps(&control, &node, &job), [1, 2], "all, also the line that does not end");
    control.wait_until_idle(&node.id);
    let silent = Job::new("true");
    node.run(&control, &silent);
    assert_eq!(last_steps(&control, &node, &silent), [0; 0]);
}

#[test]
fn a_restarted_agent_reads_what_its_attempt_has_written() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let output = || OutputDirectory {
        id: "OUT".into(),
        path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
        path_suffix: None,
    };
    let line = "echo '{\"loss\": 1}' >> $AZ_BATCHAI_OUTPUT_OUT/metrics.jsonl";
    let with_output = |job: Job| job.with(|it| it.output_directories = vec![output()]);
    let first = with_output(Job::new(&format!("{line}; {line}")));
    node.run(&control, &first);
    assert_eq!(last_steps(&control, &node, &first), [1, 2], "the numbers of the lines");
    let mut second = first.clone().attempt(2);
    second.assignment.command_line = format!("{line}; echo ready; {WAIT}; {line}");
    control.wait_until_idle(&node.id);
    node.begin(&control, &second);
    node.wait_for_output(&second, "stdout.txt", "ready");
    control.wait_for_progress(&node.id, &second.key(), &Progress::Running);
    node.kill_agent();
    node.start_agent(&control);
    node.wait_for_output(&second, "execution.log", "the attempt continues");
    go(&node);
    assert_eq!(last_steps(&control, &node, &second), [3, 4], "none of the attempt before");
}
