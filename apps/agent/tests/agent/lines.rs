//! The line to the control plane: broken, moved, refused, quiet.

use std::time::{Duration, Instant};

use protocol::{End, Progress};

use crate::support::{ControlPlane, Job, Node};

#[test]
fn a_control_plane_that_is_gone_for_a_while_misses_nothing() {
    let mut control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("echo ready; sleep 0.3; exit 8");
    node.begin(&control, &job);
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
    control.go_away();
    node.wait_for_output(&job, "execution.log", "Attempt ended: exit code 8");
    control.change(&node.id, |script| assert!(script.ends.is_empty()));
    control.come_back();
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 8 });
    control.wait_until_idle(&node.id);
    assert_eq!(node.run(&control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn an_agent_may_be_started_before_its_control_plane_and_before_its_node_is_known() {
    let mut control = ControlPlane::start();
    control.go_away();
    std::fs::remove_file(&control.endpoint_file).unwrap();
    let mut node = Node::new(&control, "node", |_| {});
    control.change("node", |script| script.refusal = Some((409, "NodeNotRegistered")));
    node.start_agent(&control);
    control.come_back();
    control.wait("the first request", "node", |script| script.said.first().map(drop));
    control.change("node", |script| script.refusal = None);
    control.wait_until_idle("node");
}

#[test]
fn a_node_that_nobody_knows_for_long_ends_everything_and_goes() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("echo ready; sleep 1000");
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    // Something else that goes wrong is no reason.
    control.change(&node.id, |script| script.refusal = Some((404, "SomethingElse")));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(node.processes(&job).len(), 1);
    control.change(&node.id, |script| script.refusal = Some((404, "NodeNotFound")));
    let begun = Instant::now();
    assert!(node.agent_exit().success());
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(node.processes(&job), Vec::<i32>::new());
}

#[test]
fn an_idle_node_is_quiet() {
    let control = ControlPlane::start();
    let node = Node::ready(&control);
    let count = |said: &mut usize| control.change(&node.id, |script| *said = script.said.len());
    let (mut before, mut after) = (0, 0);
    count(&mut before);
    std::thread::sleep(Duration::from_millis(700));
    count(&mut after);
    assert!(after - before <= 1, "{before} requests became {after} while nothing happened");
}

#[test]
fn an_answer_that_is_not_held_says_when_to_ask_again() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    control.change(&node.id, |script| {
        script.never_holds = true;
        script.said.clear();
    });
    let job = Job::new("echo ready; sleep 1");
    node.begin(&control, &job);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 0 });
    // Idle, running, then about every 300 ms, and the end at once.
    control.change(&node.id, |script| {
        let count = script.said.len();
        assert!((4..=8).contains(&count), "{count} requests: {:#?}", script.said);
    });
}

#[test]
fn a_second_agent_does_not_touch_the_root_of_the_first() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let mut other = Node::new(&control, "other", |_| {});
    other.use_root_of(&node);
    other.start_agent(&control);
    assert!(!other.agent_exit().success());
    assert!(other.log().contains("another agent uses"), "{}", other.log());
    assert_eq!(node.run(&control, &Job::new("true")), End::Exited { exit_code: 0 });
}
