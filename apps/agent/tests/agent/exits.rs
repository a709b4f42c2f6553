//! Commands that end by themselves while the node is to stop them, or nobody is there to see it:
//! their own end is reported.

use std::fs;
use std::time::Duration;

use protocol::{Desired, End, Progress};
use rustix::process::Signal;

use crate::support::node::signal;
use crate::support::{ControlPlane, Job, Node, wait_for, wait_until};

const WAITING: &str = "echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 0";
const EXITED: End = End::Exited { exit_code: 0 };

fn begin(node: &mut Node, control: &ControlPlane, command_line: &str) -> Job {
    let job = Job::new(command_line);
    node.begin(control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
    job
}

/// Lets the command run to its end.
fn finish(node: &Node, job: &Job) {
    fs::write(node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
    wait_until("the end of the command", || node.processes(job).is_empty());
}

type Act = fn(&ControlPlane, &Node, &Job);

/// What is done to a node whose command has just ended.
fn endings() -> [(&'static str, Act); 5] {
    let notice: Act = |_, node, _| {
        fs::write(node.root().join("interruption"), r#"{"noticeSeconds":60}"#).unwrap();
        node.signal_agent(Signal::USR2);
    };
    [
        ("stop", |control, node, job| control.desire(&node.id, job.stop(60))),
        ("stop at once", |control, node, job| control.desire(&node.id, job.stop(0))),
        ("leave", |control, node, _| control.desire(&node.id, Desired::Leave { grace_seconds: 9 })),
        ("notice", notice),
        ("shutdown", |_, node, _| node.signal_agent(Signal::TERM)),
    ]
}

#[test]
fn what_ended_while_the_service_was_down_is_not_stopped_afterwards() {
    for (name, end) in endings() {
        let mut control = ControlPlane::start();
        let mut node = Node::ready(&control);
        let job = begin(&mut node, &control, WAITING);
        control.go_away();
        finish(&node, &job);
        end(&control, &node, &job);
        control.come_back();
        assert_eq!(control.end_of(&node.id, &job.key()), EXITED, "{name}");
    }
}

#[test]
fn what_ended_while_there_was_no_agent_is_not_stopped_afterwards() {
    for (name, end) in endings() {
        let control = ControlPlane::start();
        let mut node = Node::ready(&control);
        let job = begin(&mut node, &control, WAITING);
        node.kill_agent();
        finish(&node, &job);
        if name.starts_with("stop") || name == "leave" {
            end(&control, &node, &job);
            node.start_agent(&control);
        } else {
            node.start_agent(&control);
            wait_until("the new agent", || node.log().contains("resuming an attempt"));
            end(&control, &node, &job);
        }
        assert_eq!(control.end_of(&node.id, &job.key()), EXITED, "{name}");
    }
}

#[test]
fn what_ended_before_its_supervisor_heard_of_the_notice_has_exited() {
    for (name, end) in endings() {
        let control = ControlPlane::start();
        let mut node = Node::ready(&control);
        let job = begin(&mut node, &control, WAITING);
        let supervisor = node.supervisor(&job);
        signal(supervisor, Signal::STOP);
        finish(&node, &job);
        end(&control, &node, &job);
        node.wait_for_output(&job, "execution.log", "Sending SIG");
        signal(supervisor, Signal::CONT);
        assert_eq!(control.end_of(&node.id, &job.key()), EXITED, "{name}");
    }
}

#[test]
fn a_limit_that_passes_after_the_end_changes_nothing() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(WAITING).with(|job| job.max_wall_clock_seconds = 1);
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    node.kill_agent();
    finish(&node, &job);
    std::thread::sleep(Duration::from_millis(1100));
    node.start_agent(&control);
    assert_eq!(control.end_of(&node.id, &job.key()), EXITED);
}

/// Kills the supervisor as soon as the command has ended, while it gives a background process its
/// moment. False when it was faster, which a busy machine makes possible.
fn loses_its_supervisor_late(agent_is_there: bool) -> bool {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = begin(&mut node, &control, &format!("sleep 1000 & {WAITING}"));
    let supervisor = node.supervisor(&job);
    if !agent_is_there {
        node.kill_agent();
    }
    fs::write(node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
    let slot = node.root().join("agent/command.slot");
    let text = wait_for("the end of the command", || {
        Some(fs::read_to_string(&slot).unwrap()).filter(|text| text.contains("exit_code"))
    });
    signal(supervisor, Signal::KILL);
    if !agent_is_there {
        node.start_agent(&control);
    }
    assert_eq!(control.end_of(&node.id, &job.key()), EXITED);
    assert_eq!(node.processes(&job), Vec::<i32>::new());
    text.contains(r#""ended""#)
}

#[test]
fn an_exit_code_is_safe_while_what_the_command_left_behind_is_killed() {
    for agent_is_there in [true, false] {
        assert!((0..5).any(|_| loses_its_supervisor_late(agent_is_there)));
    }
}

#[test]
fn a_node_that_leaves_waits_for_a_service_that_restarts_to_report_an_end() {
    let mut control = ControlPlane::start();
    let mut node = Node::ready(&control);
    // It ends when the service is away.
    let slow = "trap 'sleep 2; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let job = begin(&mut node, &control, slow);
    node.leave(&control, 60);
    node.wait_for_output(&job, "execution.log", "SIGTERM");
    control.go_away();
    std::thread::sleep(Duration::from_secs(8));
    control.come_back();
    assert_eq!(control.end_of(&node.id, &job.key()), End::Stopped);
    assert!(node.agent_exit().success());
}

#[test]
fn a_shutdown_that_signals_every_process_is_not_an_end_of_the_command() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = begin(&mut node, &control, "echo ready; sleep 1000; exit 0");
    let supervisor = node.supervisor(&job);
    for pid in node.processes(&job) {
        signal(pid, Signal::TERM);
    }
    signal(supervisor, Signal::TERM);
    node.signal_agent(Signal::TERM);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Interrupted);

    let mut node = Node::ready(&control);
    let job = Job::new("kill -TERM $$; sleep 1000");
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 143 }, "its own doing");
}
