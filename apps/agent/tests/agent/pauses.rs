//! The agent, the supervisor and the job are stopped together, as when a laptop is closed, and continue later: the pause
//! itself ends nothing.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use protocol::{Desired, End, Progress};
use rustix::process::Signal;

use crate::support::{ControlPlane, Job, Node, wait_until};

/// Longer than every grace below.
const PAUSE: Duration = Duration::from_secs(3);

/// Writes its checkpoint when it is asked to stop, and has finished it when there is a file `go`.
const CHECKPOINTING: &str = "save() { while [ ! -e go ]; do sleep 0.02; done; echo saved; exit 0; }; \
    trap 'echo asked; save' TERM; echo ready; while :; do sleep 0.02; done";

/// After a pause, long enough for an agent to kill a command whose grace period the pause has used up.
const REACTION: Duration = Duration::from_millis(300);

fn begin(
    command_line: &str,
    change: impl FnOnce(&mut protocol::Assignment),
) -> (ControlPlane, Node, Job) {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(command_line).with(change);
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
    (control, node, job)
}

fn pause(node: &Node) {
    let stopped = node.pause();
    assert!(stopped.len() >= 3, "agent, supervisor, shell: {stopped:?}");
    sleep(PAUSE);
    node.resume(&stopped);
}

fn finish_checkpoint(node: &Node) {
    sleep(REACTION);
    fs::write(node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
}

#[test]
fn a_job_goes_on_after_a_pause() {
    let (control, mut node, job) =
        begin("echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 3", |_| {});
    pause(&node);
    sleep(Duration::from_millis(100));
    fs::write(node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 3 });
    assert_eq!(node.read(&job, "stdout.txt"), "ready\n", "it ran once");
    control.wait_until_idle(&node.id);
    assert_eq!(node.run(&control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn a_grace_is_not_used_up_by_a_pause() {
    type Act = fn(&ControlPlane, &Node, &Job);
    let interrupt: Act = |_, node, _| {
        fs::write(node.root().join("interruption"), r#"{"noticeSeconds":3}"#).unwrap();
        node.signal_agent(Signal::USR2);
    };
    let ends: [(Act, End); 3] = [
        (|control, node, job| control.desire(&node.id, job.stop(2)), End::Stopped),
        (
            |control, node, _| control.desire(&node.id, Desired::Leave { grace_seconds: 2 }),
            End::Stopped,
        ),
        (interrupt, End::Interrupted),
    ];
    for (act, end) in ends {
        let (control, node, job) = begin(CHECKPOINTING, |_| {});
        act(&control, &node, &job);
        node.wait_for_output(&job, "stdout.txt", "asked");
        pause(&node);
        finish_checkpoint(&node);
        assert_eq!(control.end_of(&node.id, &job.key()), end);
        assert_eq!(node.read(&job, "stdout.txt"), "ready\nasked\nsaved\n");
    }
}

#[test]
fn a_limit_that_passes_during_a_pause_still_gives_its_grace() {
    let (control, node, job) = begin(CHECKPOINTING, |job| {
        job.max_wall_clock_seconds = 2;
        job.stop_grace_seconds = 5;
    });
    pause(&node);
    finish_checkpoint(&node);
    assert_eq!(control.end_of(&node.id, &job.key()), End::WallClockExceeded);
    assert_eq!(node.read(&job, "stdout.txt"), "ready\nasked\nsaved\n");
}

#[test]
fn the_last_lines_of_a_background_process_are_written_after_a_pause() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let slow = "for i in {1..3}; do sleep 0.02; done; echo last";
    let job = Job::new(&format!("echo ready; ({slow}) & exit 0"));
    node.begin(&control, &job);
    let slot = node.root().join("agent/command.slot");
    wait_until("the end of the command", || {
        fs::read_to_string(&slot).is_ok_and(|text| text.contains("exit_code"))
    });
    let stopped = node.pause();
    sleep(PAUSE);
    node.resume(&stopped);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout.txt"), "ready\nlast\n");
}

#[test]
fn a_node_that_was_unknown_before_a_pause_does_not_leave_for_it() {
    let (control, node, job) = begin("echo ready; sleep 1000", |_| {});
    control.change(&node.id, |script| {
        script.requests.clear();
        script.refusal = Some((404, "NodeNotFound"));
    });
    control.wait("the refusal", &node.id, |script| script.requests.first().map(drop));
    pause(&node);
    control.change(&node.id, |script| script.refusal = None);
    control.change(&node.id, |script| script.requests.clear());
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
}
