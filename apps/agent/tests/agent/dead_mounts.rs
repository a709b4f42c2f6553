//! Mounts whose agent was killed, and mounts that have failed.
//!
//! A user-space file system that never answers: its daemon opens `/dev/fuse`, mounts, and reads no request.

use std::fs;
use std::path::Path;

use protocol::{End, Mount, MountSource, NodePhase, Progress};
use rustix::process::Signal;

use crate::support::mounting::{MountingNode, can_mount};
use crate::support::node::signal;
use crate::support::{Job, wait_until};

/// Mounts a file system that does not answer at its last argument, and writes its process id to the first.
const SILENT: &str = r#"
import ctypes, os, sys
device = os.open("/dev/fuse", os.O_RDWR)
os.set_inheritable(device, True)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"silent", sys.argv[2].encode(), b"fuse", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
if os.fork():
    os._exit(0)
os.setsid()
with open(sys.argv[1], "w") as file:
    file.write(str(os.getpid()))
import time
time.sleep(600)
"#;

fn command(command: String, at: &str) -> Mount {
    Mount { relative_mount_path: at.into(), source: MountSource::Command { command } }
}

fn bind(data: &Path, at: &str) -> Mount {
    command(format!("mount --bind {}", data.display()), at)
}

fn can_use_fuse() -> bool {
    can_mount() && fs::File::options().read(true).write(true).open("/dev/fuse").is_ok()
}

/// A silent file system; `at` is below the mount root.
fn silent(place: &Path, at: &str) -> Mount {
    let script = place.join("silent.py");
    fs::write(&script, SILENT).unwrap();
    command(format!("python3 {} {}", script.display(), place.join("daemon").display()), at)
}

/// The process id of the daemon of a silent file system.
fn daemon(place: &Path) -> i32 {
    let path = place.join("daemon");
    let read = || fs::read_to_string(&path).ok()?.parse().ok();
    crate::support::wait_for("the daemon", read)
}

#[test]
fn mounts_of_a_job_are_gone_although_the_agent_was_killed() {
    if !can_mount() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("file"), "").unwrap();
    let mut host = MountingNode::new(&[]);
    host.start();
    host.control.wait_until_idle("node");
    let job = Job::new("echo ready; while [ ! -e go ]; do sleep 0.01; done")
        .with(|assignment| assignment.mounts = vec![bind(data.path(), "bound")]);
    host.node.begin(&host.control, &job);
    host.node.wait_for_output(&job, "stdout.txt", "ready");
    host.control.wait_for_progress("node", &job.key(), &Progress::Running);
    host.node.kill_agent();
    assert!(host.mounted("jobs"));
    host.start();
    host.node.wait_for_output(&job, "execution.log", "the attempt continues");
    fs::write(host.node.root().join("jobs/workspace/experiment/job/go"), "").unwrap();
    assert_eq!(host.control.end_of("node", &job.key()), End::Exited { exit_code: 0 });
    assert!(!host.mounted("jobs"));
    assert!(data.path().join("file").exists());
}

#[test]
fn a_mount_that_was_being_made_when_the_agent_was_killed_is_gone() {
    if !can_mount() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("file"), "").unwrap();
    let mut host = MountingNode::new(&[]);
    host.start();
    host.control.wait_until_idle("node");
    let slow = command("sleep 1000 #".into(), "slow");
    let job = Job::new("true")
        .with(|assignment| assignment.mounts = vec![bind(data.path(), "bound"), slow]);
    host.node.begin(&host.control, &job);
    wait_until("the first mount", || host.mounted("jobs"));
    fs::write(host.node.root().join("agent/mount-credentials.conf"), "password=x").unwrap();
    host.node.kill_agent();
    // The control plane does not ask for the job again.
    host.control.desire("node", protocol::Desired::Idle);
    host.start();
    wait_until("the unmount", || !host.mounted("jobs"));
    assert!(data.path().join("file").exists());
    assert!(!host.node.root().join("agent/mount-credentials.conf").exists());
}

#[test]
fn a_mount_whose_daemon_has_died_is_cleared() {
    if !can_use_fuse() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut host = MountingNode::new(&[]);
    host.start();
    host.control.wait_until_idle("node");
    let kill =
        format!("kill -9 $(cat {}); echo ready; sleep 0.2", place.path().join("daemon").display());
    let job =
        Job::new(&kill).with(|assignment| assignment.mounts = vec![silent(place.path(), "dead")]);
    assert_eq!(host.node.run(&host.control, &job), End::Exited { exit_code: 0 });
    assert!(!host.mounted("jobs"), "{}", host.node.read(&job, "execution.log"));
    assert_eq!(host.node.run(&host.control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn a_mount_that_hangs_neither_keeps_its_job_nor_its_node() {
    if !can_use_fuse() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut host = MountingNode::new(&[]);
    host.start();
    host.control.wait_until_idle("node");
    let job = Job::new("ls $AZ_BATCHAI_JOB_MOUNT_ROOT/silent")
        .with(|assignment| assignment.mounts = vec![silent(place.path(), "silent")]);
    host.node.begin(&host.control, &job);
    host.control.wait_for_progress("node", &job.key(), &Progress::Running);
    host.control.desire("node", job.stop(1));
    let end = host.control.end_of("node", &job.key());
    assert_eq!(end, End::Stopped);
    assert!(!host.mounted("jobs"));
    signal(daemon(place.path()), Signal::KILL);
    host.control.wait_until_idle("node");
    assert_eq!(host.node.run(&host.control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn a_mount_of_the_cluster_that_has_died_is_made_again_by_the_next_agent() {
    if !can_use_fuse() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    // The first time it dies; after it there is a task that fails, so that the setup is not complete.
    let script = place.path().join("mount.sh");
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("file"), "").unwrap();
    let dead = silent(place.path(), "x");
    let MountSource::Command { command: first } = dead.source else { panic!() };
    let text = format!(
        "if [ -e {0}/daemon ]; then mount --bind {1} \"$1\"; else {first} \"$1\"; sleep 0.3; kill -9 $(cat {0}/daemon); fi",
        place.path().display(),
        data.path().display()
    );
    fs::write(&script, text).unwrap();
    let mounts = [
        command(format!("bash {}", script.display()), "x"),
        command(format!("test -e {} #", place.path().join("go").display()), "y"),
    ];
    let mut host = MountingNode::new(&mounts);
    host.start();
    let NodePhase::Failed { problem } = host.control.wait_for_phase("node") else { panic!() };
    assert_eq!(problem.details[0].1, "y");
    fs::write(place.path().join("go"), "").unwrap();
    host.node.kill_agent();
    host.start();
    host.control.wait_until_idle("node");
    let job = Job::new("ls $AZ_BATCHAI_MOUNT_ROOT/x");
    assert_eq!(host.node.run(&host.control, &job), End::Exited { exit_code: 0 });
    assert_eq!(host.node.read(&job, "stdout.txt"), "file\n");
    host.node.leave(&host.control, 5);
    assert!(host.node.agent_exit().success());
}

#[test]
fn a_mount_of_the_cluster_that_does_not_answer_is_the_failure_of_its_node() {
    if !can_use_fuse() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut host = MountingNode::new(&[silent(place.path(), "silent")]);
    host.start();
    host.control.wait_until_idle("node");
    for (state, expected) in
        [("silent", "it does not answer"), ("dead", "its daemon or its server has gone")]
    {
        if state == "dead" {
            signal(daemon(place.path()), Signal::KILL);
        }
        let job = Job::new("true");
        let End::NodeFailed { problem } = host.node.run(&host.control, &job) else { panic!() };
        assert_eq!(problem.message, "The node could not use a mount of its cluster");
        assert_eq!(problem.details[1].1, expected, "{problem:?}");
    }
    host.node.leave(&host.control, 5);
    assert!(host.node.agent_exit().success());
    assert!(!host.mounted(""));
}
