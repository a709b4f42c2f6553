//! Nodes that cannot do their own part: that is their failure and not the job's, and they go on when
//! the cause has ended.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::{End, Problem};

use crate::support::job::variable;
use crate::support::{ControlPlane, Job, Node, SmallDisk};

const NOBODY: u32 = 65534;

fn node_failed(end: End) -> Problem {
    match end {
        End::NodeFailed { problem } => problem,
        other => panic!("{other:?}"),
    }
}

fn reason(problem: &Problem) -> &str {
    &problem.details.iter().find(|(name, _)| name == "Reason").unwrap().1
}

fn assert_runs(node: &mut Node, control: &ControlPlane) {
    assert_eq!(node.run(control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn a_job_directory_that_is_none_is_the_node_s_failure_until_it_is_one_again() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    assert_runs(&mut node, &control);
    let jobs = node.root().join("jobs");
    fs::remove_dir_all(&jobs).unwrap();
    fs::write(&jobs, "").unwrap();
    for _ in 0..2 {
        let problem = node_failed(node.run(&control, &Job::new("true")));
        assert_eq!(problem.code, "NodeStorageError");
        assert_eq!(problem.details[0], ("Path".to_owned(), jobs.display().to_string()));
    }
    fs::remove_file(&jobs).unwrap();
    assert_runs(&mut node, &control);
}

#[test]
fn a_node_that_cannot_remember_what_it_runs_does_not_run_it() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let memory = node.root().join("agent/attempt.json");
    let _ = fs::remove_file(&memory);
    fs::create_dir(&memory).unwrap();
    let job = Job::new("echo ran");
    assert_eq!(node_failed(node.run(&control, &job)).code, "NodeStorageError");
    assert!(!job.stdouterr(&node.file_server).join("stdout.txt").exists());
    fs::remove_dir(&memory).unwrap();
    assert_runs(&mut node, &control);
}

#[test]
fn a_full_disk_is_the_node_s_failure_whosever_it_is() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |_| {});
    let Some(disk) = SmallDisk::at(node.root()) else { return };
    node.start_agent(&control);
    control.wait_until_idle(&node.id);
    disk.fill();
    let begun = Instant::now();
    let problem = node_failed(node.run(&control, &Job::new("true")));
    assert!(reason(&problem).contains("No space left"), "{problem:?}");
    assert!(begun.elapsed() > Duration::from_millis(900), "not at once: {:?}", begun.elapsed());
    // The same below a prefix of the job that leads into its directory on the node.
    disk.make_room();
    assert_runs(&mut node, &control);
    disk.fill();
    let local = Job::new("true")
        .with(|job| job.std_out_err_path_prefix = "$AZ_BATCHAI_SHARED_JOB_TEMP".into());
    assert!(reason(&node_failed(node.run(&control, &local))).contains("No space left"));
    disk.make_room();
    assert_runs(&mut node, &control);

    let Some(server) = SmallDisk::at(node.file_server.clone()) else { return };
    server.fill();
    let problem = node_failed(node.run(&control, &Job::new("true")));
    assert!(reason(&problem).contains("No space left"), "{problem:?}");
    server.make_room();
    assert_runs(&mut node, &control);
}

/// What the agent stores while the disk is full has its place: the end of the job is reported, and the next job runs.
#[test]
fn a_job_that_fills_the_disk_of_its_node_ends_and_leaves_the_node_usable() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |_| {});
    let Some(_disk) = SmallDisk::at(node.root()) else { return };
    node.start_agent(&control);
    control.wait_until_idle(&node.id);
    let no_room = ("cat /dev/zero > fill", 1);
    let no_file = ("for i in {1..99}; do : > $i || exit 7; done", 7);
    for (fill, exit_code) in [no_room, no_file] {
        assert_eq!(node.run(&control, &Job::new(fill)), End::Exited { exit_code });
        assert_runs(&mut node, &control);
    }
}

#[test]
fn a_job_waits_on_its_node_for_room_on_a_full_file_server() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let Some(server) = SmallDisk::at(node.file_server.clone()) else { return };
    assert_runs(&mut node, &control);
    // Room for nothing; for its directories; for its execution log; for one of its outputs.
    for files in [0, 2, 3, 4] {
        server.fill();
        for number in 0..files {
            fs::remove_file(server.path().join(format!("filler/{number}"))).unwrap();
        }
        let job = Job::new("exit 3");
        node.begin(&control, &job);
        std::thread::sleep(Duration::from_millis(300));
        server.make_room();
        let end = control.end_of(&node.id, &job.key());
        assert_eq!(end, End::Exited { exit_code: 3 }, "room for {files}");
        control.wait_until_idle(&node.id);
        let log = node.read(&job, "execution.log");
        assert_eq!(log.matches("Attempt 1 of job").count(), 1, "{log}");
    }
}

#[test]
fn an_environment_that_no_process_can_have_is_the_job_s_failure() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("true")
        .with(|job| job.environment = vec![variable("LONG", &"x".repeat(256 * 1024))]);
    match node.run(&control, &job) {
        End::NotProvided { problem } => assert_eq!(problem.code, "NodeProcessError"),
        other => panic!("{other:?}"),
    }
    assert_runs(&mut node, &control);
}

/// A node whose agent may not do everything.
fn unprivileged(control: &ControlPlane) -> Node {
    let mut node = Node::new(control, "node", |_| {});
    if fs::metadata(node.place()).unwrap().uid() != 0 {
        node.start_agent(control); // It is run by a user as it is.
    } else {
        for path in [node.place(), &node.file_server, &node.home()] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let readable = control.endpoint_file.parent().unwrap();
        fs::set_permissions(readable, PermissionsExt::from_mode(0o755)).unwrap();
        node.use_own_program();
        node.start_agent_as(control, |agent| {
            agent.uid(NOBODY).gid(NOBODY);
        });
    }
    control.wait_until_idle(&node.id);
    node
}

#[test]
fn directories_that_a_job_has_locked_do_not_stop_the_next() {
    let control = ControlPlane::start();
    let mut node = unprivileged(&control);
    let lock = "mkdir -p a/b shared/c; touch a/b/c shared/c/d; chmod 555 a/b a shared/c shared; \
        chmod 000 mounts; chmod 555 . .. ../..";
    assert_eq!(node.run(&control, &Job::new(lock)), End::Exited { exit_code: 0 });
    assert_runs(&mut node, &control);
    let next = Job::new("ls -A . shared").with(|job| job.job = "another".into());
    assert_eq!(node.run(&control, &Job::new(lock)), End::Exited { exit_code: 0 });
    assert_eq!(node.run(&control, &next), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&next, "stdout.txt"), ".:\nhostfile\nmounts\nshared\n\nshared:\n");
}

/// Longer than a path may be, for the kernel.
#[test]
fn a_deep_tree_that_a_job_has_locked_does_not_stop_the_next() {
    let control = ControlPlane::start();
    let mut node = unprivileged(&control);
    let deep = "d=$(printf 'd%.0s' {1..100}); for i in {1..100}; do mkdir $d; cd -P $d; done; \
        chmod 555 . ..";
    assert_eq!(node.run(&control, &Job::new(deep)), End::Exited { exit_code: 0 });
    let next = Job::new("ls -A").with(|job| job.job = "another".into());
    assert_eq!(node.run(&control, &next), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&next, "stdout.txt"), "hostfile\nmounts\nshared\n");
}

#[test]
fn leftovers_that_cannot_be_removed_are_the_node_s_failure() {
    let control = ControlPlane::start();
    let mut node = unprivileged(&control);
    assert_runs(&mut node, &control);
    let stubborn = node.root().join("jobs/workspace/experiment/job/stubborn");
    fs::create_dir(&stubborn).unwrap();
    fs::write(stubborn.join("file"), "").unwrap();
    let belongs_to_root = |path: &Path| fs::metadata(path).unwrap().uid() == 0;
    if !belongs_to_root(&stubborn) {
        return; // Nobody but root can make what nobody else can remove.
    }
    let problem = node_failed(node.run(&control, &Job::new("true")));
    assert!(problem.message.contains("remove what former jobs left"), "{problem:?}");
    fs::remove_dir_all(&stubborn).unwrap();
    assert_runs(&mut node, &control);
}
