//! Jobs whose processes start on every node: where they run, what they see, and how their ends become one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use protocol::{End, Processes, Program, Progress, Python, TensorFlow, Toolkit};

use crate::support::{Gang, Job, Node, wait_until};

/// In place of Python: prints its arguments and the variables that tell processes apart, then runs its last argument.
const RECORDER: &str = r#"#!/bin/bash
echo "$AZ_BATCHAI_NODE_ID $@"
env | grep -E '^(AZ_BATCHAI_(TASK|PS|WORKER|PYTORCH)|TF_CONFIG|MASTER|RANK|LOCAL_RANK|WORLD_SIZE|CUDA)' | sort
exec bash -c "${!#}"
"#;

fn recorder(node: &Node) -> PathBuf {
    let path = node.place().join("recorder");
    fs::write(&path, RECORDER).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn python(gang: &Gang) -> Python {
    let interpreter = Some(recorder(&gang.master).display().to_string());
    Python { script: "train.py".to_owned(), interpreter }
}

fn tensorflow(gang: &Gang, master: &str, worker: &str) -> Job {
    let settings = TensorFlow {
        python: python(gang),
        master_arguments: format!("\"{master}\""),
        worker_arguments: format!("\"{worker}\""),
        parameter_server_arguments: "\"sleep 1000\"".to_owned(),
        worker_count: None,
        parameter_server_count: None,
    };
    Job::new("exit 99").with(|job| job.toolkit = Toolkit::TensorFlow(settings))
}

fn pytorch(gang: &Gang, process_count: u32, command: &str) -> Job {
    let program = Program::Python(python(gang));
    let arguments = format!("\"{command}\"");
    let processes = Processes { program, arguments, process_count: Some(process_count) };
    let backend = Some("gloo".to_owned());
    Job::new("exit 99").with(|job| {
        job.toolkit = Toolkit::PyTorch { processes, backend };
        job.ends_with_every_node = true;
    })
}

fn start(gang: &mut Gang, job: &Job) -> (Job, Job) {
    let jobs = gang.begin(job);
    gang.control.desire("b", jobs.1.run());
    gang.control.desire("a", jobs.0.run());
    jobs
}

#[test]
fn a_tensorflow_job_ends_with_its_master() {
    let mut gang = Gang::new();
    let job = tensorflow(&gang, "sleep 1; echo done", "true");
    let (_, on_member) = start(&mut gang, &job);
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 0 });
    // The worker has ended before, by itself.
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    // 127.0.1.1 and 127.0.1.2 have ports of their own: they share a machine.
    let hosts = "AZ_BATCHAI_PS_HOSTS=127.0.1.1:6591
AZ_BATCHAI_TASK_INDEX=";
    let workers = "AZ_BATCHAI_WORKER_HOSTS=127.0.1.1:6592,127.0.1.2:6608";
    let cluster =
        r#"{"cluster":{"ps":["127.0.1.1:6591"],"worker":["127.0.1.1:6592","127.0.1.2:6608"]}"#;
    let config = |kind: &str, index: u32| {
        format!(
            r#"TF_CONFIG={cluster},"task":{{"type":"{kind}","index":{index}}},"environment":"cloud"}}"#
        )
    };
    assert_eq!(
        gang.master.read(&job, "stdout-wk-0.txt"),
        format!(
            "a train.py sleep 1; echo done\n{hosts}0\n{workers}\n{}\ndone\n",
            config("master", 0)
        )
    );
    assert_eq!(
        gang.master.read(&job, "stdout-wk-1.txt"),
        format!("b train.py true\n{hosts}1\n{workers}\n{}\n", config("worker", 1))
    );
    assert_eq!(
        gang.master.read(&job, "stdout-ps-0.txt"),
        format!(
            "a train.py sleep 1000\n{hosts}0\n{workers}\nCUDA_VISIBLE_DEVICES=\n{}\n",
            config("ps", 0)
        )
    );
    let files = gang.master.list(&job, "");
    let outputs: Vec<&String> = files.iter().filter(|it| !it.starts_with("execution")).collect();
    let labels = ["ps-0", "wk-0", "wk-1"];
    let errors = labels.map(|label| format!("stderr-{label}.txt"));
    let expected = [errors, labels.map(|label| format!("stdout-{label}.txt"))].concat();
    assert_eq!(outputs, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_worker_that_fails_ends_the_job() {
    let mut gang = Gang::new();
    let job = tensorflow(&gang, "sleep 1000", "exit 7");
    let (on_master, _) = start(&mut gang, &job);
    assert_eq!(gang.control.end_of("b", &job.key()), End::Exited { exit_code: 7 });
    assert_eq!(gang.master.stop(&gang.control, &on_master, 10), End::Stopped);
    assert_eq!(gang.master.processes(&job), Vec::<i32>::new());
}

#[test]
fn a_parameter_server_that_fails_ends_the_job() {
    let mut gang = Gang::new();
    let mut job = tensorflow(&gang, "sleep 1000", "sleep 1000");
    if let Toolkit::TensorFlow(settings) = &mut job.assignment.toolkit {
        settings.parameter_server_arguments = "\"exit 3\"".to_owned();
    }
    let (_, on_member) = start(&mut gang, &job);
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 3 });
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
}

#[test]
fn each_node_of_a_pytorch_job_ends_with_its_last_rank() {
    let mut gang = Gang::new();
    let job = pytorch(&gang, 3, "sleep 0.$RANK");
    start(&mut gang, &job);
    for node in ["a", "b"] {
        assert_eq!(gang.control.end_of(node, &job.key()), End::Exited { exit_code: 0 });
    }
    let rank = |node: &str, rank: u32, local: u32| {
        format!(
            "{node} train.py sleep 0.{rank}
AZ_BATCHAI_PYTORCH_BACKEND=gloo
AZ_BATCHAI_PYTORCH_INIT_METHOD=tcp://127.0.1.1:6607
AZ_BATCHAI_TASK_INDEX={rank}
LOCAL_RANK={local}
MASTER_ADDR=127.0.1.1
MASTER_PORT=6607
RANK={rank}
WORLD_SIZE=3
"
        )
    };
    assert_eq!(gang.master.read(&job, "stdout-0.txt"), rank("a", 0, 0));
    assert_eq!(gang.master.read(&job, "stdout-1.txt"), rank("a", 1, 1));
    assert_eq!(gang.master.read(&job, "stdout-2.txt"), rank("b", 2, 0));
    let log = gang.master.read(&job, "execution-a.log");
    assert!(log.contains(" 2 processes started\n"), "{log}");
}

#[test]
fn a_rank_that_fails_ends_those_of_its_node() {
    let mut gang = Gang::new();
    let job = pytorch(&gang, 4, "test $RANK = 1 && exit 5; sleep 1000");
    let (_, on_member) = start(&mut gang, &job);
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 5 });
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    assert_eq!(gang.master.processes(&job), Vec::<i32>::new(), "of both nodes");
}

#[test]
fn a_node_without_a_rank_ends_at_once() {
    let mut gang = Gang::new();
    let job = pytorch(&gang, 1, "sleep 1");
    start(&mut gang, &job);
    assert_eq!(gang.control.end_of("b", &job.key()), End::Exited { exit_code: 0 });
    assert_eq!(gang.control.end_of("a", &job.key()), End::Exited { exit_code: 0 });
}

#[test]
fn all_processes_of_a_node_are_terminated_and_may_end_properly() {
    let mut gang = Gang::new();
    let job =
        pytorch(&gang, 4, "trap 'sleep 0.3; echo saved; exit' TERM; echo up; sleep 1000 & wait");
    let (on_master, on_member) = start(&mut gang, &job);
    for (node, ranks) in [(&gang.master, [0, 1]), (&gang.member, [2, 3])] {
        for rank in ranks {
            // On a line of its own: the recorder has printed the command before.
            node.wait_for_output(&job, &format!("stdout-{rank}.txt"), "\nup\n");
        }
    }
    assert_eq!(gang.master.stop(&gang.control, &on_master, 10), End::Stopped);
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    for rank in 0..4 {
        let output = gang.master.read(&job, &format!("stdout-{rank}.txt"));
        assert!(output.ends_with("up\nsaved\n"), "rank {rank}: {output}");
    }
}

#[test]
fn a_member_is_found_again_by_a_restarted_agent() {
    let mut gang = Gang::new();
    let secret =
        |job: Job| job.with(|it| it.secrets = vec![crate::support::job::variable("PASSWORD", "p")]);
    let job = secret(pytorch(&gang, 2, "until test -e $HOME/go; do sleep 0.05; done; exit 4"));
    start(&mut gang, &job);
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    gang.member.kill_agent();
    gang.member.start_agent(&gang.control);
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    fs::write(gang.member.home().join("go"), "").unwrap();
    assert_eq!(gang.control.end_of("b", &job.key()), End::Exited { exit_code: 4 });
}

#[test]
fn a_worker_that_has_ended_waits_for_the_master_also_after_a_restart() {
    let mut gang = Gang::new();
    let job = tensorflow(&gang, "sleep 1000", "true");
    let (on_master, on_member) = start(&mut gang, &job);
    wait_until("the end of the worker", || {
        gang.master.read(&job, "execution-b.log").contains("The job goes on")
    });
    gang.member.kill_agent();
    gang.member.start_agent(&gang.control);
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    let output = gang.master.read(&job, "stdout-wk-1.txt");
    assert_eq!(output.matches("train.py").count(), 1, "the worker ran once: {output}");
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    assert_eq!(gang.master.stop(&gang.control, &on_master, 10), End::Stopped);
}
