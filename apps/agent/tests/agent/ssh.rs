//! SSH between the nodes of a job, with the ordinary OpenSSH client, and what uses it: `mpirun`. Skipped where one of
//! the two is not installed.

use std::fs;
use std::path::Path;

use protocol::{End, Progress, Toolkit};

use crate::support::{Gang, Job};

fn is_installed(program: &str) -> bool {
    let found =
        ["/usr/bin", "/usr/local/bin"].iter().any(|it| Path::new(it).join(program).exists());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn with_key(job: Job) -> Job {
    let seed = "4d".repeat(32);
    job.with(|it| it.ssh_seed = Some(seed))
}

/// Runs the job on both nodes. The member is stopped when the master has ended.
fn run(gang: &mut Gang, job: &Job) -> End {
    let (on_master, on_member) = gang.begin(job);
    gang.control.desire("b", on_member.run());
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    gang.control.desire("a", on_master.run());
    let end = gang.control.end_of("a", &job.key());
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    gang.control.wait_until_idle("a");
    gang.control.wait_until_idle("b");
    end
}

#[test]
fn a_command_runs_on_another_node_as_part_of_the_job() {
    if !is_installed("ssh") {
        return;
    }
    let mut gang = Gang::new();
    let job = with_key(Job::new(
        "ssh 127.0.1.2 'echo $AZ_BATCHAI_NODE_ID $PASSWORD in $(basename $PWD)' && ssh 127.0.1.2 exit 7; echo $?",
    ));
    let job = job.with(|it| it.secrets = vec![crate::support::job::variable("PASSWORD", "p")]);
    assert_eq!(run(&mut gang, &job), End::Exited { exit_code: 0 });
    let errors = gang.master.read(&job, "stderr.txt");
    assert_eq!(gang.master.read(&job, "stdout.txt"), "b p in job\n7\n", "{errors}");
    for node in [&gang.master, &gang.member] {
        let keys = node.root().join("jobs/workspace/experiment/job/ssh");
        assert!(!keys.exists(), "the key is gone with the attempt");
    }
}

#[test]
fn files_are_copied_between_nodes() {
    if !is_installed("ssh") {
        return;
    }
    let mut gang = Gang::new();
    let job = with_key(Job::new(
        "echo text > f && scp -q f 127.0.1.2:copied && scp -q 127.0.1.2:copied back && cat back && ssh 127.0.1.2 cat copied",
    ));
    assert_eq!(
        run(&mut gang, &job),
        End::Exited { exit_code: 0 },
        "{}",
        gang.master.read(&job, "stderr.txt")
    );
    assert_eq!(gang.master.read(&job, "stdout.txt"), "text\ntext\n");
}

#[test]
fn what_was_started_over_ssh_is_terminated_with_the_job() {
    if !is_installed("ssh") {
        return;
    }
    let mut gang = Gang::new();
    let remote =
        "trap \"sleep 0.3; echo saved | tee $HOME/saved; exit\" TERM; echo up; sleep 1000 & wait";
    let job = with_key(Job::new(&format!("ssh 127.0.1.2 '{remote}'")));
    let (on_master, on_member) = gang.begin(&job);
    gang.control.desire("b", on_member.run());
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    gang.control.desire("a", on_master.run());
    gang.master.wait_for_output(&job, "stdout.txt", "up");
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    let saved = fs::read_to_string(gang.member.home().join("saved"));
    assert_eq!(saved.unwrap_or_default(), "saved\n", "it had its time");
    gang.master.stop(&gang.control, &on_master, 10);
    let output = gang.master.read(&job, "stdout.txt");
    assert_eq!(output, "up\nsaved\n", "the server waits for what it has started");
    assert_eq!(gang.master.processes(&job), Vec::<i32>::new(), "of both nodes");
}

#[test]
fn a_session_survives_the_agents() {
    if !is_installed("ssh") {
        return;
    }
    let mut gang = Gang::new();
    let wait = "until test -e $HOME/go; do sleep 0.05; done; echo went on $AZ_BATCHAI_NODE_ID";
    let job = with_key(Job::new(&format!("ssh 127.0.1.2 'echo up; {wait}'")));
    let (on_master, on_member) = gang.begin(&job);
    gang.control.desire("b", on_member.run());
    gang.control.desire("a", on_master.run());
    gang.master.wait_for_output(&job, "stdout.txt", "up");
    for node in [&mut gang.master, &mut gang.member] {
        node.kill_agent();
        node.start_agent(&gang.control);
        gang.control.wait_for_progress(&node.id, &job.key(), &Progress::Running);
    }
    fs::write(gang.member.home().join("go"), "").unwrap();
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 0 });
    assert_eq!(gang.master.read(&job, "stdout.txt"), "up\nwent on b\n");
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
}

#[test]
fn the_key_of_another_attempt_is_refused() {
    if !is_installed("ssh") {
        return;
    }
    let mut gang = Gang::new();
    let job = with_key(Job::new("cat $AZ_BATCHAI_JOB_TEMP/ssh/id_ed25519 > $HOME/key; sleep 1000"));
    let (on_master, on_member) = gang.begin(&job);
    gang.control.desire("b", on_member.run());
    gang.control.desire("a", on_master.run());
    let key = gang.master.home().join("key");
    crate::support::wait_until("the key", || {
        fs::read_to_string(&key).is_ok_and(|it| it.ends_with("--\n"))
    });
    gang.member.stop(&gang.control, &on_member, 10);
    gang.master.stop(&gang.control, &on_master, 10);
    gang.control.wait_until_idle("a");
    gang.control.wait_until_idle("b");
    // The next attempt, at the same port, with a key of its own.
    fs::copy(&key, gang.master.home().join("old")).unwrap();
    let command = "chmod 600 $HOME/old; ssh -o IdentityFile=$HOME/old -o BatchMode=yes -F none -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -p $(sed -n 's/ *Port //p' $AZ_BATCHAI_JOB_TEMP/ssh/config | head -1) 127.0.1.2 true; echo $?; ssh 127.0.1.2 true; echo $?";
    let next = Job::new(command).with(|it| {
        it.key = job.key();
        it.key.number = 2;
        it.ssh_seed = Some("5e".repeat(32));
        it.output_path_segment.clone_from(&job.assignment.output_path_segment);
    });
    assert_eq!(run(&mut gang, &next), End::Exited { exit_code: 0 });
    assert_eq!(gang.master.read(&next, "stdout.txt"), "255\n0\n");
    let log = fs::read_to_string(gang.member.root().join("agent/ssh-server.log")).unwrap();
    assert!(log.contains("refused"), "{log}");
}

#[test]
fn mpirun_starts_ranks_on_both_nodes() {
    if !is_installed("mpirun") || !is_installed("ssh") {
        return;
    }
    let mut gang = Gang::new();
    let command_line =
        "echo rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE on $AZ_BATCHAI_NODE_ID"
            .to_owned();
    let job = with_key(Job::new("exit 99")).with(|job| {
        job.toolkit = Toolkit::CustomMpi { command_line, process_count: Some(4) };
    });
    assert_eq!(
        run(&mut gang, &job),
        End::Exited { exit_code: 0 },
        "{}",
        gang.master.read(&job, "stderr.txt")
    );
    let output = gang.master.read(&job, "stdout.txt");
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    let expected = ["rank 0 of 4 on a", "rank 1 of 4 on a", "rank 2 of 4 on b", "rank 3 of 4 on b"];
    assert_eq!(lines, expected);
}

#[test]
fn a_rank_on_another_node_that_fails_ends_the_job_with_its_exit_code() {
    if !is_installed("mpirun") || !is_installed("ssh") {
        return;
    }
    let mut gang = Gang::new();
    let command_line =
        "test $OMPI_COMM_WORLD_RANK = 0 && exec sleep 1000; sleep 1; exit 6".to_owned();
    let job = with_key(Job::new("exit 99")).with(|job| {
        job.toolkit = Toolkit::CustomMpi { command_line, process_count: None };
    });
    assert_eq!(run(&mut gang, &job), End::Exited { exit_code: 6 });
    assert_eq!(gang.master.processes(&job), Vec::<i32>::new(), "of both nodes");
}
