//! Jobs that are ended: by a stop, by the clock, by a fence. Whatever a process does to hide, it is
//! ended before the end is reported.

use std::fs;
use std::time::{Duration, Instant};

use protocol::{Desired, End, Mount, MountSource, Progress};
use rustix::process::Signal;

use crate::support::node::{is_alive, signal};
use crate::support::{ControlPlane, Job, Node, wait_until};

/// Starts processes that ignore SIGTERM, each hidden better than the one before, and prints when they all run.
const TREE: &str = r#"
    hide() { trap '' TERM; echo $BASHPID >> pids; while :; do sleep 0.05; done; }
    export -f hide
    hide &
    setsid bash -c 'hide' &
    (setsid bash -c 'hide & disown; exit' &)
    env -i setsid bash -c "cd $PWD; trap '' TERM; "'echo $$ >> pids; while :; do sleep 0.05; done' &
    while [ $(wc -l < pids) != 4 ]; do sleep 0.01; done
    echo ready; hide"#;

fn pids(node: &Node) -> Vec<i32> {
    let file = node.root().join("jobs/workspace/experiment/job/pids");
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn begin_tree(node: &mut Node, control: &ControlPlane) -> (Job, Vec<i32>) {
    let job = Job::new(TREE);
    node.begin(control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    wait_until("the last process", || pids(node).len() == 5);
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
    let pids = pids(node);
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    (job, pids)
}

fn assert_ended(node: &Node, job: &Job, pids: &[i32]) {
    let left: Vec<_> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(left.is_empty(), "{left:?} of {pids:?} still run");
    assert_eq!(node.processes(job), Vec::<i32>::new());
}

#[test]
fn a_stop_ends_every_process_however_well_it_hides() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let (job, pids) = begin_tree(&mut node, &control);
    let asked = Instant::now();
    assert_eq!(node.stop(&control, &job, 1), End::Stopped);
    assert!(asked.elapsed() >= Duration::from_secs(1), "the grace is given");
    assert_ended(&node, &job, &pids);
    let log = node.read(&job, "execution.log");
    assert!(log.contains("Sending SIGTERM to every process of the command: it was asked to stop"));
    assert!(log.contains("Sending SIGKILL to every process of the command: it was asked to stop"));
    control.wait_until_idle(&node.id);
}

#[test]
fn what_a_command_leaves_behind_is_killed_when_it_ends() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(&TREE.replace("echo ready; hide", "exit 5"));
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 5 });
    assert_ended(&node, &job, &pids(&node));
}

#[test]
fn the_last_lines_of_a_background_process_are_not_cut_off() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("exec > >(sleep 0.05; cat); echo last words");
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout.txt"), "last words\n");
}

#[test]
fn the_grace_is_for_the_whole_tree_and_a_quick_end_cuts_it_short() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    // The shell in front dies of SIGTERM at once; the training behind it needs a moment.
    let training =
        "trap 'sleep 0.3; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let job = Job::new(&format!("bash -c \"{training}\"; echo never"));
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    let asked = Instant::now();
    assert_eq!(node.stop(&control, &job, 20), End::Stopped);
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(node.read(&job, "stdout.txt"), "ready\nsaved\n");
}

#[test]
fn a_repeated_stop_does_not_start_the_grace_again() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("trap '' TERM; echo ready; while :; do sleep 0.02; done");
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    let asked = Instant::now();
    control.desire(&node.id, job.stop(1));
    for _ in 0..3 {
        // Each is another answer to the agent, with another grace counted from now.
        std::thread::sleep(Duration::from_millis(300));
        control.desire(&node.id, job.stop(1));
    }
    assert_eq!(control.end_of(&node.id, &job.key()), End::Stopped);
    assert!(asked.elapsed() < Duration::from_millis(1800), "{:?}", asked.elapsed());

    let job = Job::new("trap '' TERM; echo ready; while :; do sleep 0.02; done");
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    control.desire(&node.id, job.stop(3600));
    node.wait_for_output(&job, "execution.log", "SIGTERM");
    assert_eq!(node.stop(&control, &job, 0), End::Stopped);
}

#[test]
fn a_stop_of_something_that_never_ran_is_answered_at_once() {
    let control = ControlPlane::start();
    let node = Node::ready(&control);
    assert_eq!(node.stop(&control, &Job::new("true"), 3600), End::Stopped);
    control.wait_until_idle(&node.id);
}

#[test]
fn a_stop_at_any_moment_leaves_nothing() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    for delay in 0..8 {
        let job = Job::new("sleep 1000 & sleep 1000");
        node.begin(&control, &job);
        std::thread::sleep(Duration::from_millis(delay));
        // One that is being born at this very moment may need the grace.
        assert_eq!(node.stop(&control, &job, 1), End::Stopped);
        assert_eq!(node.processes(&job), Vec::<i32>::new());
        control.wait_until_idle(&node.id);
    }
}

#[test]
fn a_stop_that_is_faster_than_the_start_is_not_lost() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let first = Job::new("sleep 0.2");
    node.begin(&control, &first);
    let supervisor = node.supervisor(&first);
    control.end_of(&node.id, &first.key());
    control.wait_until_idle(&node.id);
    signal(supervisor, Signal::STOP);
    let job = Job::new("exec sleep 1000");
    node.begin(&control, &job);
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
    control.desire(&node.id, job.stop(3600));
    node.wait_for_output(&job, "execution.log", "SIGTERM");
    signal(supervisor, Signal::CONT);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Stopped);
}

#[test]
fn a_process_that_ended_before_the_stop_keeps_its_end() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("exit 9");
    control.change(&node.id, |script| script.deaf = true);
    node.begin(&control, &job);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 9 });
    control.change(&node.id, |script| {
        script.ends.clear();
        script.deaf = false;
        script.desired = job.stop(5);
    });
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 9 });
}

#[test]
fn a_process_that_ends_just_before_the_signal_keeps_its_end() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 9");
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    // The supervisor learns of both at once, but the end came first.
    let supervisor = node.supervisor(&job);
    signal(supervisor, Signal::STOP);
    fs::write(node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
    wait_until("the end of the command", || node.processes(&job).is_empty());
    control.desire(&node.id, job.stop(20));
    node.wait_for_output(&job, "execution.log", "SIGTERM");
    signal(supervisor, Signal::CONT);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 9 });
    control.wait_until_idle(&node.id);
    // Nor does the signal hit the next job.
    assert_eq!(node.run(&control, &Job::new("sleep 0.1; exit 3")), End::Exited { exit_code: 3 });
}

#[test]
fn a_preparation_can_be_stopped_too() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("echo never").with(|assignment| {
        assignment.preparation_command_line = Some("echo ready; sleep 1000".into());
    });
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout-job_prep.txt", "ready");
    assert_eq!(node.stop(&control, &job, 20), End::Stopped);
    assert!(!job.stdouterr(&node.file_server).join("stdout.txt").exists());
}

#[test]
fn a_mount_that_hangs_is_given_up_when_the_job_is_stopped() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let source = MountSource::Command { command: "touch begun; sleep 1000 #".into() };
    let job = Job::new("echo never").with(|assignment| {
        assignment.mounts = vec![Mount { relative_mount_path: "x".into(), source }];
    });
    node.begin(&control, &job);
    let begun = node.root().join("jobs/workspace/experiment/job/mounts/begun");
    wait_until("the mount command", || begun.exists());
    assert_eq!(node.stop(&control, &job, 3600), End::Stopped);
}

#[test]
fn the_wall_clock_ends_what_runs_too_long() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done")
        .with(|assignment| assignment.max_wall_clock_seconds = 1);
    let begun = Instant::now();
    assert_eq!(node.run(&control, &job), End::WallClockExceeded);
    assert!(begun.elapsed() >= Duration::from_secs(2), "one second, and one of grace");
    assert_eq!(node.read(&job, "stdout.txt"), "ready\nasked\n");
    let log = node.read(&job, "execution.log");
    assert!(log.contains("it ran longer than maxWallClockTime allows"), "{log}");
}

#[test]
fn an_attempt_that_is_no_longer_desired_is_killed_without_a_report() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let (job, pids) = begin_tree(&mut node, &control);
    control.desire(&node.id, Desired::Idle);
    control.wait_until_idle(&node.id);
    assert_ended(&node, &job, &pids);
    control.change(&node.id, |script| assert!(script.ends.is_empty()));

    let (stale, pids) = begin_tree(&mut node, &control);
    let next = Job::new("echo next");
    assert_eq!(node.run(&control, &next), End::Exited { exit_code: 0 });
    assert_ended(&node, &stale, &pids);
    assert_eq!(node.read(&next, "stdout.txt"), "next\n");
}
