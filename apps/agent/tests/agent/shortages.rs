//! What a node reports beside the end of an attempt: what it had run out of, and the end of the output.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::{End, EndDetails, OutputTail, ScarceResource, Shortage};

use crate::support::job::variable;
use crate::support::{ControlPlane, Job, Node, SmallDisk, wait_until};

/// The end of the job, and what is reported beside it.
fn run(node: &mut Node, control: &ControlPlane, job: &Job) -> (End, EndDetails) {
    let end = node.run(control, job);
    (end, control.end_details_of(&node.id, &job.key()))
}

fn shortage(node: &mut Node, control: &ControlPlane, command: &str) -> (End, Option<Shortage>) {
    let (end, details) = run(node, control, &Job::new(command));
    assert_eq!(details.output, [], "the service can read it");
    (end, details.shortage)
}

#[test]
fn a_disk_that_is_full_explains_a_failure_and_no_success() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |_| {});
    let Some(_disk) = SmallDisk::at(node.root()) else { return };
    node.start_agent(&control);
    control.wait_until_idle(&node.id);
    let failed = |exit_code| End::Exited { exit_code };
    for (command, exit_code, expected) in [
        ("cat /dev/zero > fill", 1, " of 1048576 bytes are left"),
        ("for i in {1..99}; do : > $i || exit 7; done", 7, ": 0 of 64 inodes are left"),
    ] {
        let (end, shortage) = shortage(&mut node, &control, command);
        let Shortage { resource, evidence } = shortage.expect("the disk is full");
        assert_eq!((end, resource), (failed(exit_code), ScarceResource::Disk));
        let temp = node.root().join("jobs/workspace/experiment/job");
        assert!(evidence.starts_with(temp.to_str().unwrap()), "{evidence}");
        assert!(evidence.contains(expected), "{evidence}");
    }
    let succeeds = "cat /dev/zero > fill; true";
    assert_eq!(shortage(&mut node, &control, succeeds), (failed(0), None));
    assert_eq!(shortage(&mut node, &control, "exit 3"), (failed(3), None));
    // The preparation is a command of the job, too.
    let prepares = Job::new("true")
        .with(|job| job.preparation_command_line = Some("cat /dev/zero > fill".into()));
    let (end, details) = run(&mut node, &control, &prepares);
    assert_eq!(end, End::PreparationFailed { exit_code: 1 });
    assert_eq!(details.shortage.map(|it| it.resource), Some(ScarceResource::Disk));
}

/// A control group with 32 MiB; `None` where there is no memory controller, or only root may make one.
struct SmallMemory(PathBuf);

impl SmallMemory {
    fn new() -> Option<Self> {
        let name = format!("batchai-test-{}", std::process::id());
        let versions =
            [("memory", "memory.limit_in_bytes"), ("unified", "memory.max"), (".", "memory.max")];
        versions.iter().find_map(|(hierarchy, limit)| {
            let group = Self(Path::new("/sys/fs/cgroup").join(hierarchy).join(&name));
            fs::create_dir(&group.0).ok()?;
            // A group without the controller has no such file, and none can be created.
            fs::write(group.0.join(limit), "33554432").ok()?;
            Some(group)
        })
    }
}

impl Drop for SmallMemory {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_job_that_was_killed_for_lack_of_memory_is_told_from_one_that_was_killed() {
    let Some(memory) = SmallMemory::new() else {
        return eprintln!("skipped: there is no memory controller that this user may use");
    };
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let enter = format!("echo $$ > {}/cgroup.procs", memory.0.display());
    let command = format!("{enter} && tail /dev/zero; exit $?");
    let job = Job::new(&command);
    let (end, details) = run(&mut node, &control, &job);
    assert_eq!(end, End::Exited { exit_code: 137 });
    let Shortage { resource, evidence } = details.shortage.expect("memory ran out");
    assert_eq!(resource, ScarceResource::Memory);
    let is_named = evidence.contains("(tail)");
    assert!(is_named || evidence.contains("/proc/vmstat counted"), "{evidence}");
    let log = node.read(&job, "execution.log");
    assert!(log.contains("The node ran out of memory: "), "{log}");
    assert_eq!(shortage(&mut node, &control, "kill -9 $$"), (End::Exited { exit_code: 137 }, None));
}

/// Before the agent and whatever else runs on the machine.
#[test]
fn processes_of_a_job_are_killed_first_when_memory_runs_out() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let own: i32 = fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    let job = Job::new("cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj");
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    let expected = format!("{}\n{own}\n", own.max(500));
    assert_eq!(node.read(&job, "stdout.txt"), expected);
}

fn with_output_on_the_node(command: &str) -> Job {
    Job::new(command).with(|job| {
        job.std_out_err_path_prefix = "$AZ_BATCHAI_SHARED_JOB_TEMP".into();
        job.output_tail_bytes = Some(1024);
    })
}

fn tail(name: &str, text: &str, length: u64) -> OutputTail {
    OutputTail { name: name.into(), text: text.into(), length }
}

#[test]
fn the_end_of_the_output_is_reported_where_the_service_cannot_read_it() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = with_output_on_the_node("seq 1000; echo wrong $TOKEN >&2; exit 3")
        .with(|job| job.secrets = vec![variable("TOKEN", "hunter2")]);
    let (end, details) = run(&mut node, &control, &job);
    assert_eq!(end, End::Exited { exit_code: 3 });
    let [stdout, stderr] = &details.output[..] else { panic!("{details:?}") };
    assert_eq!((stdout.name.as_str(), stdout.length), ("stdout.txt", 3893));
    assert!(stdout.text.ends_with("\n999\n1000\n") && !stdout.text.starts_with('\n'));
    let json = serde_json::to_string(&stdout.text).unwrap().len() - 2;
    assert!((1000..=1024).contains(&json), "{json} bytes");
    assert_eq!(*stderr, tail("stderr.txt", "wrong ***\n", 14));

    let prepares = with_output_on_the_node("true")
        .with(|job| job.preparation_command_line = Some("echo no >&2; false".into()));
    let (_, details) = run(&mut node, &control, &prepares);
    assert_eq!(details.output, [tail("stderr-job_prep.txt", "no\n", 3)]);

    let stopped = with_output_on_the_node("echo begun; sleep 1000");
    node.begin(&control, &stopped);
    let temp = node.root().join("jobs/workspace/experiment/job/shared");
    let stdout = stopped.stdouterr(&temp).join("stdout.txt");
    wait_until("output", || fs::read_to_string(&stdout).is_ok_and(|text| text == "begun\n"));
    control.desire(&node.id, stopped.stop(1));
    assert_eq!(control.end_of(&node.id, &stopped.key()), End::Stopped);
    let details = control.end_details_of(&node.id, &stopped.key());
    assert_eq!(details.output, [tail("stdout.txt", "begun\n", 6)]);
}
