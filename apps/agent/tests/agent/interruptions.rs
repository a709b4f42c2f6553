//! The machine is being interrupted: the job gets the time that is left, and the node sends its final report.

use std::fs;
use std::time::{Duration, Instant};

use protocol::{End, NodePhase, Progress};
use rustix::process::Signal;

use crate::support::{ControlPlane, Job, Node};

const CHECKPOINTING: &str =
    "trap 'sleep 0.2; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done";

fn interrupt(node: &Node, notice_seconds: u64) {
    fs::write(
        node.root().join("interruption"),
        serde_json::json!({ "noticeSeconds": notice_seconds }).to_string(),
    )
    .unwrap();
    node.signal_agent(Signal::USR2);
}

fn begin(node: &mut Node, control: &ControlPlane, command_line: &str) -> Job {
    let job = Job::new(command_line);
    node.begin(control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
    job
}

fn assert_left(node: &mut Node, control: &ControlPlane) {
    assert!(node.agent_exit().success());
    control.change(&node.id, |script| {
        // Not the last in order, perhaps: a request that was taken back may be heard late.
        assert!(script.requests.iter().any(|request| request.phase == NodePhase::Left));
    });
    assert!(!node.root().join("mounts/nfs").exists(), "unmounted");
}

#[test]
fn a_job_knows_how_much_time_it_has_left() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let line = "trap 'source $BATCHAI_STOP_FILE; \
        echo $BATCHAI_STOP_CAUSE $BATCHAI_SECONDS_LEFT $((BATCHAI_STOP_AT - EPOCHSECONDS)); exit' TERM; \
        [ -e $BATCHAI_STOP_FILE ] || echo ready; while :; do sleep 0.02; done";
    let job = begin(&mut node, &control, line);
    interrupt(&node, 120);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Interrupted);
    let output = node.read(&job, "stdout.txt");
    let words: Vec<&str> = output.split_whitespace().collect();
    let ["ready", "interrupted", left, computed] = words[..] else { panic!("{output}") };
    for seconds in [left, computed] {
        assert!((110..=118).contains(&seconds.parse::<i32>().unwrap()), "{output}");
    }
}

#[test]
fn a_job_writes_its_checkpoint_and_the_node_leaves() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = begin(&mut node, &control, CHECKPOINTING);
    let noticed = Instant::now();
    interrupt(&node, 120);
    control.wait("the notice", &node.id, |script| {
        let notified =
            script.requests.iter().find(|request| request.interruption_notice_seconds.is_some())?;
        assert_eq!(
            notified.attempt.as_ref().unwrap().progress,
            Progress::Running,
            "notified at once"
        );
        assert!((118..=120).contains(&notified.interruption_notice_seconds.unwrap()));
        Some(())
    });
    assert_eq!(control.end_of(&node.id, &job.key()), End::Interrupted);
    assert_eq!(node.read(&job, "stdout.txt"), "ready\nsaved\n");
    let log = node.read(&job, "execution.log");
    assert!(log.contains("SIGTERM") && log.contains("this machine is being interrupted"), "{log}");
    assert_left(&mut node, &control);
    assert!(noticed.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_job_that_does_not_listen_is_killed_before_the_notice_is_over() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = begin(&mut node, &control, "trap '' TERM; echo ready; while :; do sleep 0.02; done");
    let noticed = Instant::now();
    // The last fifth is for the report, also on a busy machine.
    interrupt(&node, 5);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Interrupted);
    assert!(noticed.elapsed() >= Duration::from_millis(3800), "{:?}", noticed.elapsed());
    assert_left(&mut node, &control);
    assert_eq!(node.processes(&job), Vec::<i32>::new());
}

#[test]
fn a_shutdown_is_an_interruption_too() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = begin(&mut node, &control, CHECKPOINTING);
    node.signal_agent(Signal::TERM);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Interrupted);
    assert_left(&mut node, &control);
}

#[test]
fn an_interruption_without_a_control_plane_ends_in_time() {
    let mut control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = begin(&mut node, &control, CHECKPOINTING);
    control.go_away();
    let noticed = Instant::now();
    interrupt(&node, 2);
    assert!(node.agent_exit().success());
    assert!(noticed.elapsed() < Duration::from_secs(10), "{:?}", noticed.elapsed());
    assert_eq!(node.read(&job, "stdout.txt"), "ready\nsaved\n");
}

#[test]
fn a_node_that_is_asked_to_leave_stops_what_runs_and_leaves() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = begin(&mut node, &control, CHECKPOINTING);
    node.leave(&control, 20);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Stopped);
    assert_eq!(node.read(&job, "stdout.txt"), "ready\nsaved\n");
    assert_left(&mut node, &control);

    let mut idle = Node::ready(&control);
    idle.leave(&control, 3600);
    assert_left(&mut idle, &control);
}
