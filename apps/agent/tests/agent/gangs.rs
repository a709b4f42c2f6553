//! Several nodes, one job: they begin together, share directories, and end together.

use std::fs;

use protocol::{End, Progress};

use crate::support::{Gang, Job};

fn job() -> Job {
    let report = "echo $AZ_BATCHAI_NODE_ID of $AZ_BATCH_HOST_LIST from $AZ_BATCHAI_MPI_MASTER_NODE";
    Job::new(report).with(|assignment| {
        assignment.preparation_command_line = Some("echo prepared $AZ_BATCHAI_NODE_ID".into());
    })
}

#[test]
fn the_command_runs_on_the_master_when_all_are_prepared() {
    let mut gang = Gang::new();
    let job = job();
    let (on_master, _) = gang.begin(&job);
    let before = gang.master.list(&job, "");
    assert!(!before.contains(&"stdout.txt".to_owned()), "{before:?}");
    gang.control.desire("a", on_master.run());
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 0 });
    let line = "a of 127.0.1.1,127.0.1.2 from 127.0.1.1\n";
    assert_eq!(gang.master.read(&job, "stdout.txt"), line);
    assert_eq!(
        gang.master.list(&job, ""),
        [
            "execution-a.log",
            "execution-b.log",
            "stderr-job_prep-a.txt",
            "stderr-job_prep-b.txt",
            "stderr.txt",
            "stdout-job_prep-a.txt",
            "stdout-job_prep-b.txt",
            "stdout.txt"
        ]
    );
    assert_eq!(gang.master.read(&job, "stdout-job_prep-b.txt"), "prepared b\n");
    // The member never got its start; the control plane ends it nevertheless.
    assert_eq!(gang.member.stop(&gang.control, &job, 10), End::Stopped);
}

#[test]
fn the_nodes_of_a_job_share_a_directory_until_the_last_has_ended() {
    let mut gang = Gang::new();
    let job = Job::new("cat $AZ_BATCHAI_JOB_TEMP/shared/*; rm $AZ_BATCHAI_SHARED_JOB_TEMP/b");
    let job = job.with(|it| {
        let line =
            "echo from $AZ_BATCHAI_NODE_ID > $AZ_BATCHAI_SHARED_JOB_TEMP/$AZ_BATCHAI_NODE_ID";
        it.preparation_command_line = Some(line.into());
    });
    let (on_master, on_member) = gang.begin(&job);
    gang.control.desire("a", on_master.run());
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 0 });
    assert_eq!(gang.master.read(&job, "stdout.txt"), "from a\nfrom b\n");
    let shared = job.stdouterr(&gang.master.file_server).with_file_name("shared-1");
    let left = |path: &std::path::Path| fs::read_dir(path).unwrap().count();
    assert_eq!(left(&shared), 2, "the member uses it still");
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    assert!(!shared.exists());
}

#[test]
fn a_member_of_a_running_gang_waits_and_survives_its_agent() {
    let mut gang = Gang::new();
    let job = job();
    let (_, on_member) = gang.begin(&job);
    gang.control.desire("b", on_member.run());
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    gang.member.kill_agent();
    gang.control.change("b", |script| script.requests.clear());
    gang.member.start_agent(&gang.control);
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    gang.control.change("b", |script| {
        let progress = |request: &protocol::SyncRequest| request.attempt.clone().unwrap().progress;
        assert!(script.requests.iter().all(|request| progress(request) == Progress::Running));
    });
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
}

#[test]
fn an_interrupted_wait_for_the_gang_begins_anew() {
    let mut gang = Gang::new();
    let job = job().with(|assignment| assignment.preparation_command_line = None);
    let (on_master, _) = gang.begin(&job);
    gang.master.kill_agent();
    gang.master.start_agent(&gang.control);
    gang.control.wait_for_progress("a", &job.key(), &Progress::Prepared);
    gang.control.desire("a", on_master.run());
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 0 });
}

#[test]
fn a_second_attempt_of_a_gang_keeps_the_logs_of_all_nodes_apart() {
    let mut gang = Gang::new();
    let first = job();
    assert_eq!(gang.run(&first), (End::Exited { exit_code: 0 }, End::Stopped));
    let files = gang.master.list(&first, "");
    // A node that took part in the first attempt only.
    let stdouterr = first.stdouterr(&gang.master.file_server);
    for name in ["execution-gone.log", "stdout-job_prep-gone.txt"] {
        fs::write(stdouterr.join(name), "2018-12-23T19:46:26Z Attempt 1 of job job\n").unwrap();
    }
    let second = first.clone().attempt(2);
    assert_eq!(gang.run(&second), (End::Exited { exit_code: 0 }, End::Stopped));
    assert_eq!(gang.master.list(&second, ""), [&["attempt-1".to_owned()], &files[..]].concat());
    let mut moved = files;
    moved.extend(["execution-gone.log".into(), "stdout-job_prep-gone.txt".into()]);
    moved.sort();
    assert_eq!(gang.master.list(&second, "attempt-1"), moved);
    let log = gang.master.read(&second, "execution-b.log");
    assert!(log.lines().next().unwrap().ends_with("Attempt 2 of job job on node b"), "{log}");
}
