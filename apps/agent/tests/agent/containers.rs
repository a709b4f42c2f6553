//! Jobs in containers of a real engine. Skipped where Podman is not installed.

use std::fs;

use protocol::End;
use rustix::process::Signal;

use crate::support::containers::{
    contained, containers, has_podman, podman, podman_node, use_podman, with_container,
};
use crate::support::job::variable;
use crate::support::node::{is_alive, signal};
use crate::support::{ControlPlane, Job, Node, wait_until};

const SUCCESS: End = End::Exited { exit_code: 0 };

/// Nothing of the job is left: no process, no container, no record.
fn assert_gone(node: &Node, job: &Job) {
    assert_eq!(containers(node), Vec::<String>::new());
    assert_eq!(node.processes(job), Vec::<i32>::new());
    assert!(!node.root().join("agent/container.json").exists());
}

#[test]
fn preparation_and_command_run_in_the_same_container() {
    if !has_podman() {
        return;
    }
    let control = ControlPlane::start();
    let mut node = podman_node(&control);
    let job = contained(
        "cat /made-by-preparation; echo $FROM_IMAGE $FROM_BASHRC $SECRET $HOME; echo $PATH
        test $PWD = $AZ_BATCHAI_JOB_TEMP && echo in the directory of the job
        echo $(df --output=size /dev/shm | tail -1); echo kept > $AZ_BATCHAI_MOUNT_ROOT/nfs/file; exit 7",
    );
    let job = with_container(job, |container| {
        container.preparation_command_line = Some("echo made > /made-by-preparation".into());
        container.shm_size = Some("70m".into());
    })
    .with(|job| job.secrets = vec![variable("SECRET", "s3cret")]);
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 7 }, "{}", node.log());
    let errors = node.read(&job, "stderr.txt");
    assert_eq!(
        node.read(&job, "stdout.txt"),
        "made\nyes read s3cret /root\n/bin:/image/bin\nin the directory of the job\n71680\n",
        "{errors}"
    );
    assert_eq!(fs::read_to_string(node.file_server.join("file")).unwrap(), "kept\n");
    let log = node.read(&job, "execution.log");
    assert!(log.contains("Started a container of the image localhost/batchai-agent"), "{log}");
    assert!(log.contains("Removed the container"), "{log}");
    assert_gone(&node, &job);
    // The next job has a container of its own.
    let next = contained("test -e /made-by-preparation; echo $?");
    assert_eq!(node.run(&control, &next), SUCCESS);
    assert_eq!(node.read(&next, "stdout.txt"), "1\n");
}

#[test]
fn a_job_in_a_container_is_terminated_and_its_leftovers_are_killed() {
    if !has_podman() {
        return;
    }
    let control = ControlPlane::start();
    let mut node = podman_node(&control);
    let job = contained(
        "trap 'echo saved; exit 3' TERM; (trap '' TERM; setsid sleep 1000) & echo up; while :; do sleep 0.1; done",
    );
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "up");
    assert_eq!(node.stop(&control, &job, 1), End::Stopped);
    assert_eq!(node.read(&job, "stdout.txt"), "up\nsaved\n");
    assert_gone(&node, &job);
    control.wait_until_idle(&node.id);
    let daemon = contained("setsid sleep 1000 & echo done");
    assert_eq!(node.run(&control, &daemon), SUCCESS);
    assert_gone(&node, &daemon);
}

#[test]
fn a_job_in_a_container_survives_its_agent() {
    if !has_podman() {
        return;
    }
    let control = ControlPlane::start();
    let mut node = podman_node(&control);
    let job = with_container(
        contained("cat /made; echo up; until test -e go; do sleep 0.05; done; echo went on"),
        |container| {
            container.preparation_command_line = Some(
                "echo preparing; until test -e prepared; do sleep 0.05; done; echo made > /made"
                    .into(),
            );
        },
    );
    node.begin(&control, &job);
    let temp = node.root().join("jobs/workspace/experiment/job");
    let restart = |node: &mut Node| {
        node.kill_agent();
        node.start_agent_as(&control, use_podman);
    };
    node.wait_for_output(&job, "stdout-job_prep.txt", "preparing");
    restart(&mut node);
    fs::write(temp.join("prepared"), "").unwrap();
    node.wait_for_output(&job, "stdout.txt", "up");
    restart(&mut node);
    fs::write(temp.join("go"), "").unwrap();
    assert_eq!(control.end_of(&node.id, &job.key()), SUCCESS);
    assert_eq!(node.read(&job, "stdout.txt"), "made\nup\nwent on\n");
    control.wait_until_idle(&node.id);
    assert_gone(&node, &job);
}

#[test]
fn a_container_that_ends_from_outside_ends_the_attempt() {
    if !has_podman() {
        return;
    }
    let control = ControlPlane::start();
    let mut node = podman_node(&control);
    let job = contained("echo up; sleep 1000");
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "up");
    podman(&["kill", &containers(&node)[0]]).unwrap();
    let end = control.end_of(&node.id, &job.key());
    let reason = "the container of the job ended, perhaps with its engine".to_owned();
    assert_eq!(end, End::Lost { reason });
    control.wait_until_idle(&node.id);
    assert_gone(&node, &job);
}

#[test]
fn a_container_that_nobody_resumes_is_removed_by_the_next_agent() {
    if !has_podman() {
        return;
    }
    let control = ControlPlane::start();
    let mut node = podman_node(&control);
    let job = contained("echo up; sleep 1000");
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "up");
    let supervisor = node.supervisor(&job);
    node.kill_agent();
    // As if the agent had been killed before anything was started in the container.
    signal(supervisor, Signal::KILL);
    for pid in node.processes(&job) {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.contains("sleep") {
            signal(pid, Signal::KILL);
        }
    }
    wait_until("the end of the supervisor", || !is_alive(supervisor));
    fs::write(node.root().join("agent/attempt.json"), "").unwrap();
    assert_eq!(containers(&node).len(), 1);
    control.desire(&node.id, protocol::Desired::Idle);
    node.start_agent_as(&control, use_podman);
    control.wait_until_idle(&node.id);
    assert_gone(&node, &job);
}
