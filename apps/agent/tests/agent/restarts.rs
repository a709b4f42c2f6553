//! The agent dies, the supervisor dies: nothing is lost, nothing is left, nothing runs twice.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use protocol::{End, Progress};
use rustix::process::Signal;

use crate::support::node::{is_alive, signal};
use crate::support::{ControlPlane, Job, Node, wait_until};

/// Runs until `go` appears in its working directory.
const WAITING: &str = "echo ready; while [ ! -e go ]; do sleep 0.01; done; echo done; exit 4";

fn begin(node: &mut Node, control: &ControlPlane, job: &Job) {
    node.begin(control, job);
    node.wait_for_output(job, "stdout.txt", "ready");
    control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
}

fn go(node: &Node) {
    fs::write(node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
}

#[test]
fn a_restarted_agent_resumes_what_runs() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(WAITING);
    begin(&mut node, &control, &job);
    let supervisor = node.supervisor(&job);
    node.kill_agent();
    node.start_agent(&control);
    node.wait_for_output(&job, "execution.log", "the attempt continues");
    assert!(is_alive(supervisor));
    go(&node);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 4 });
    assert_eq!(node.read(&job, "stdout.txt"), "ready\ndone\n");
    control.wait_until_idle(&node.id);
    assert_eq!(node.run(&control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn a_command_that_ends_while_there_is_no_agent_keeps_its_exit_code() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(WAITING);
    begin(&mut node, &control, &job);
    node.kill_agent();
    go(&node);
    wait_until("the end of the command", || node.processes(&job).is_empty());
    node.start_agent(&control);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 4 });
}

#[test]
fn an_end_that_was_not_acknowledged_is_reported_again_after_a_restart() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("exit 6");
    control.change(&node.id, |script| script.deaf = true);
    node.begin(&control, &job);
    control.end_of(&node.id, &job.key());
    node.kill_agent();
    control.change(&node.id, |script| {
        script.ends.clear();
        script.deaf = false;
    });
    node.start_agent(&control);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 6 });
    assert_eq!(node.list(&job, "").len(), 3, "it did not run again");
}

#[test]
fn a_stop_and_the_wall_clock_reach_what_an_earlier_agent_began() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(WAITING);
    begin(&mut node, &control, &job);
    node.kill_agent();
    node.start_agent(&control);
    assert_eq!(node.stop(&control, &job, 20), End::Stopped);
    control.wait_until_idle(&node.id);

    let job = Job::new(WAITING).with(|assignment| assignment.max_wall_clock_seconds = 1);
    begin(&mut node, &control, &job);
    node.kill_agent();
    node.start_agent(&control);
    assert_eq!(control.end_of(&node.id, &job.key()), End::WallClockExceeded);
}

#[test]
fn a_stop_continues_after_a_restart_with_the_grace_that_is_left() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("trap '' TERM; echo ready; while :; do sleep 0.02; done");
    begin(&mut node, &control, &job);
    control.desire(&node.id, job.stop(1));
    node.wait_for_output(&job, "execution.log", "SIGTERM");
    node.kill_agent();
    // Not desired a second time: the agent remembers.
    control.desire(&node.id, job.run());
    node.start_agent(&control);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Stopped);
}

#[test]
fn a_preparation_is_not_run_twice_and_the_secrets_are_still_there() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("echo secret $SECRET").with(|assignment| {
        let preparation = "echo ready; while [ ! -e go ]; do sleep 0.01; done; echo once";
        assignment.preparation_command_line = Some(preparation.into());
        assignment.secrets = vec![crate::support::job::variable("SECRET", "s3cret")];
    });
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout-job_prep.txt", "ready");
    node.kill_agent();
    go(&node);
    node.start_agent(&control);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout-job_prep.txt"), "ready\nonce\n");
    assert_eq!(node.read(&job, "stdout.txt"), "secret s3cret\n");
}

#[test]
fn secrets_lie_on_no_disk_while_the_command_runs() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(WAITING).with(|assignment| {
        assignment.secrets = vec![crate::support::job::variable("SECRET", "s3cret")];
    });
    begin(&mut node, &control, &job);
    let mut seen = 0;
    let mut pending = vec![node.root()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            seen += 1;
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains("s3cret") && !text.contains("token-of"), "{}", path.display());
        }
    }
    assert!(seen > 3);
    assert!(!node.log().contains("s3cret") && !node.log().contains("token-of"));
    let supervisor = fs::read(format!("/proc/{}/environ", node.supervisor(&job))).unwrap();
    assert!(supervisor.is_empty(), "{}", String::from_utf8_lossy(&supervisor));
    let mode = fs::metadata(node.root().join("agent")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    go(&node);
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 4 });
}

#[test]
fn a_supervisor_that_is_killed_leaves_no_process() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    // Nothing that leads from the job to it is left: no variable, no session, no parent.
    let hide = "(env -i setsid bash -c \"cd $PWD; echo \\$\\$ > hidden; exec sleep 1000\" &); ";
    let wait = "while [ ! -s hidden ]; do sleep 0.01; done; ";
    let hidden = |node: &Node| -> i32 {
        let path = node.root().join("jobs/workspace/experiment/job/hidden");
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    };
    let job = Job::new(&format!("{hide}{wait}{WAITING}"));
    begin(&mut node, &control, &job);
    let hidden = hidden(&node);
    signal(node.supervisor(&job), Signal::KILL);
    let end = control.end_of(&node.id, &job.key());
    assert!(matches!(&end, End::Lost { reason } if reason.contains("supervised")), "{end:?}");
    assert_eq!(node.processes(&job), Vec::<i32>::new());
    assert!(!is_alive(hidden), "what shed its marker is known by its descent");

    // The same when the agent was not there to see it: what has a marker is found.
    let job = Job::new(&format!("setsid sleep 1000 & {WAITING}"));
    begin(&mut node, &control, &job);
    node.kill_agent();
    signal(node.supervisor(&job), Signal::KILL);
    node.start_agent(&control);
    let end = control.end_of(&node.id, &job.key());
    assert!(matches!(end, End::Lost { .. }), "{end:?}");
    assert_eq!(node.processes(&job), Vec::<i32>::new());
    control.wait_until_idle(&node.id);
    assert_eq!(node.run(&control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn agent_and_supervisor_killed_together_leave_no_process() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |_| {});
    node.start_keeper(&control);
    control.wait_until_idle(&node.id);
    let hide = "(env -i setsid bash -c \"cd $PWD; echo \\$\\$ > hidden; exec sleep 1000\" &); ";
    let job = Job::new(&format!("{hide} while [ ! -s hidden ]; do sleep 0.01; done; {WAITING}"));
    begin(&mut node, &control, &job);
    let path = node.root().join("jobs/workspace/experiment/job/hidden");
    let hidden: i32 = fs::read_to_string(path).unwrap().trim().parse().unwrap();
    let agent = node.kept_agent();
    signal(agent, Signal::STOP);
    signal(node.supervisor(&job), Signal::KILL);
    signal(agent, Signal::KILL);
    let end = control.end_of(&node.id, &job.key());
    assert!(matches!(end, End::Lost { .. }), "{end:?}");
    assert!(!is_alive(hidden), "reported as ended");
    assert_eq!(node.processes(&job), Vec::<i32>::new());
    control.wait_until_idle(&node.id);
    assert_eq!(node.run(&control, &Job::new("true")), End::Exited { exit_code: 0 });
}

/// A process in a frozen group (cgroup v1) is not killed before it is thawed, like one that waits for a file
/// server that does not answer.
#[test]
fn an_attempt_has_not_ended_while_a_process_of_it_cannot_be_killed() {
    let freezer = format!("/sys/fs/cgroup/freezer/batchai-test-agent-{}", std::process::id());
    let freezer = std::path::Path::new(&freezer);
    if fs::create_dir(freezer).is_err() || !freezer.join("freezer.state").exists() {
        return eprintln!("skipped: there is no freezer (cgroup v1) that this user may change");
    }
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(WAITING);
    begin(&mut node, &control, &job);
    let supervisor = node.supervisor(&job);
    let is_command = |process: &processes::Process| process.parent == supervisor;
    let command = processes::all().into_iter().find(is_command).unwrap().pid;
    fs::write(freezer.join("cgroup.procs"), command.to_string()).unwrap();
    fs::write(freezer.join("freezer.state"), "FROZEN").unwrap();
    signal(supervisor, Signal::KILL);
    std::thread::sleep(std::time::Duration::from_secs(12));
    control.change(&node.id, |script| assert!(script.ends.is_empty(), "{:?}", script.ends));
    assert!(node.log().contains("processes cannot be killed"));
    fs::write(freezer.join("freezer.state"), "THAWED").unwrap();
    let end = control.end_of(&node.id, &job.key());
    assert!(matches!(end, End::Lost { .. }), "{end:?}");
    assert_eq!(node.processes(&job), Vec::<i32>::new());
    wait_until("the end of the group", || fs::remove_dir(freezer).is_ok());
}

#[test]
fn a_supervisor_that_is_killed_while_idle_is_replaced() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let first = Job::new(WAITING);
    begin(&mut node, &control, &first);
    let supervisor = node.supervisor(&first);
    go(&node);
    control.end_of(&node.id, &first.key());
    assert!(is_alive(supervisor), "it is kept for the next job");
    signal(supervisor, Signal::KILL);
    wait_until("its end", || !is_alive(supervisor));
    assert_eq!(node.run(&control, &Job::new("exit 3")), End::Exited { exit_code: 3 });
}

#[test]
fn an_idle_supervisor_ends_with_its_agent() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new(WAITING);
    begin(&mut node, &control, &job);
    let supervisor = node.supervisor(&job);
    go(&node);
    control.wait_until_idle(&node.id);
    node.kill_agent();
    wait_until("the end of the supervisor", || !is_alive(supervisor));
}

#[test]
fn a_job_survives_being_restarted_many_times() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    // Killed at moments that fall anywhere between the assignment and the end.
    for delay in 0..12 {
        let job = Job::new("echo ran; exit 2");
        node.begin(&control, &job);
        std::thread::sleep(std::time::Duration::from_millis(delay));
        node.kill_agent();
        node.start_agent(&control);
        assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 2 });
        assert_eq!(node.read(&job, "stdout.txt"), "ran\n", "once and only once");
        control.wait_until_idle(&node.id);
    }
}

#[test]
fn a_queue_of_jobs_survives_restarts_at_any_moment() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let jobs: Vec<Job> = (0..60).map(|_| Job::new("echo ran; exit 2")).collect();
    jobs.iter().for_each(|job| node.owns(job));
    control.change(&node.id, |script| script.queue = jobs.iter().skip(1).map(Job::run).collect());
    control.desire(&node.id, jobs[0].run());
    // Each answer to an end is the next job: the moment between the two is met as well.
    for delay in 0..12 {
        std::thread::sleep(std::time::Duration::from_millis(3 + 5 * (delay % 4)));
        node.kill_agent();
        node.start_agent(&control);
    }
    for job in &jobs {
        assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 2 });
        assert_eq!(node.read(job, "stdout.txt"), "ran\n", "once and only once");
    }
    control.wait_until_idle(&node.id);
    let remembered = fs::read_to_string(node.root().join("agent/attempt.json")).unwrap();
    assert_eq!(remembered, "null\n");
}
