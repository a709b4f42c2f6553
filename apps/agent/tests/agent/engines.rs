//! What agents ask of container engines, by engines that record it; and what becomes of jobs whose container cannot
//! be had.

use std::fs;

use protocol::{End, Problem, RegistryCredentials};

use crate::support::containers::{Recorder, contained_in, use_engine, with_container};
use crate::support::job::variable;
use crate::support::{ControlPlane, Job, Node};

const SUCCESS: End = End::Exited { exit_code: 0 };

/// An engine whose images are not there before they are pulled.
fn pulling(script: &str) -> Recorder {
    Recorder::new(&format!(
        r#"here=$(dirname $0)
case "$*" in
    "image inspect"*) test -e $here/pulled || {{ echo "No such image"; exit 1; }} ;;
    *pull*) {script}
        touch $here/pulled ;;
esac"#
    ))
}

fn problem(end: End) -> (bool, Problem) {
    match end {
        End::NotProvided { problem } => (true, problem),
        End::NodeFailed { problem } => (false, problem),
        other => panic!("{other:?}"),
    }
}

fn run_on(recorder: &Recorder, job: &Job) -> (ControlPlane, Node, End) {
    let control = ControlPlane::start();
    let mut node = recorder.node(&control);
    node.begin(&control, job);
    let end = control.end_of(&node.id, &job.key());
    control.wait_until_idle(&node.id);
    (control, node, end)
}

#[test]
fn secrets_of_a_job_are_not_given_to_the_engine() {
    let recorder = Recorder::new("");
    let job = contained_in("image", "echo $SECRET $FROM_IMAGE")
        .with(|job| job.secrets = vec![variable("SECRET", "s3cret")]);
    let (_control, node, end) = run_on(&recorder, &job);
    assert_eq!(end, SUCCESS, "{}", node.log());
    assert_eq!(node.read(&job, "stdout.txt"), "s3cret yes\n");
    let calls = recorder.calls("");
    assert!(!calls.concat().contains("s3cret"), "{calls:?}");
    let [run] = &recorder.calls("run")[..] else { panic!("{calls:?}") };
    let root = node.root();
    for path in
        [root.join("mounts"), root.join("jobs/workspace/experiment/job"), node.file_server.clone()]
    {
        let path =
            fs::canonicalize(path.parent().unwrap()).unwrap().join(path.file_name().unwrap());
        let bind = format!("--mount type=bind,source={0},target={0} ", path.display());
        assert!(run.contains(&bind), "{bind}: {run}");
    }
    assert_eq!(recorder.calls("pull"), Vec::<String>::new(), "the image is there");
    assert_eq!(recorder.calls("rm").len(), 1);
    assert!(!root.join("agent/container.json").exists());
}

#[test]
fn credentials_are_in_a_file_that_is_gone_after_the_pull() {
    let recorder = pulling(r#"cp "$2/config.json" $here/seen; echo "layer 1: done""#);
    let job = with_container(contained_in("r.io/team/image:1", "echo $SECRET"), |container| {
        let (username, password) = ("user".into(), "passw0rd".into());
        container.credentials = Some(RegistryCredentials { username, password });
    });
    let (_control, node, end) = run_on(&recorder, &job);
    assert_eq!(end, SUCCESS, "{}", node.log());
    let seen = fs::read_to_string(recorder.place().join("seen")).unwrap();
    assert_eq!(seen, r#"{"auths":{"r.io":{"auth":"dXNlcjpwYXNzdzByZA=="}}}"#);
    let private = node.root().join("agent");
    let directory = private.join("registry");
    let pull = format!("--config {} pull r.io/team/image:1", directory.display());
    assert_eq!(recorder.calls("--config"), [pull]);
    assert!(!directory.exists());
    for entry in fs::read_dir(private).unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains("passw0rd") && !text.contains("dXNlcjpwYXNzdzByZA"), "{text}");
    }
    let log = node.read(&job, "execution.log");
    assert!(log.contains("Pulling the image r.io/team/image:1"), "{log}");
    assert!(log.contains("Pulled the image r.io/team/image:1 in "), "{log}");
}

#[test]
fn an_image_that_does_not_exist_is_the_job_s_failure() {
    let recorder = pulling("echo 'manifest for r.io/none not found: manifest unknown' >&2; exit 1");
    let (_control, _node, end) = run_on(&recorder, &contained_in("r.io/none", "true"));
    let (is_of_job, problem) = problem(end);
    assert!(is_of_job, "{problem:?}");
    assert_eq!(problem.code, "FailedStartingContainer");
    assert_eq!(problem.message, "unable to start docker container");
    assert_eq!(problem.details[0], ("imageName".to_owned(), "r.io/none".to_owned()));
    assert!(problem.details[1].1.contains("manifest unknown"), "{problem:?}");
    assert_eq!(recorder.calls("pull").len(), 1, "it is not tried again");
    assert_eq!(recorder.calls("run").len(), 0);
}

#[test]
fn a_registry_that_cannot_be_reached_is_tried_again_and_then_the_node_s_failure() {
    let script = "echo 'dial tcp: lookup r.io: no such host' >&2; exit 1";
    let (_control, _node, end) = run_on(&pulling(script), &contained_in("r.io/a", "true"));
    let (is_of_job, failed) = problem(end);
    assert!(!is_of_job && failed.code == "FailedStartingContainer", "{failed:?}");
    assert!(failed.details[1].1.contains("no such host"), "{failed:?}");

    let once = "test -e $here/once || { touch $here/once; echo 'connection refused' >&2; exit 1; }";
    let recorder = pulling(once);
    let (_control, _node, end) = run_on(&recorder, &contained_in("r.io/a", "true"));
    assert_eq!(end, SUCCESS);
    assert_eq!(recorder.calls("pull").len(), 2);
}

#[test]
fn a_pull_is_ended_by_a_stop() {
    let recorder = pulling("touch $here/pulling; sleep 1000");
    let control = ControlPlane::start();
    let mut node = recorder.node(&control);
    let job = contained_in("r.io/a", "true");
    node.begin(&control, &job);
    crate::support::wait_until("the pull", || recorder.place().join("pulling").exists());
    assert_eq!(node.stop(&control, &job, 10), End::Stopped);
    assert_eq!(node.processes(&job), Vec::<i32>::new(), "the client of the engine, too");
}

#[test]
fn a_node_without_an_engine_has_failed() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |_| {});
    node.start_agent_as(&control, |agent| use_engine(agent, "/nowhere/docker --x"));
    control.wait_until_idle(&node.id);
    let job = contained_in("image", "true");
    node.begin(&control, &job);
    let (is_of_job, problem) = problem(control.end_of(&node.id, &job.key()));
    assert!(!is_of_job);
    assert_eq!(problem.code, "ContainerRuntimeMissing");
    let tried = ("/nowhere/docker --x".to_owned(), "it is not installed".to_owned());
    assert_eq!(problem.details, [tried]);
    // Other jobs run there all the same.
    assert_eq!(node.run(&control, &Job::new("true")), SUCCESS);
}

#[test]
fn an_engine_that_does_not_answer_is_named_with_its_words() {
    let recorder =
        Recorder::new("case $1 in ps) echo 'Cannot connect to the daemon' >&2; exit 1 ;; esac");
    let (_control, _node, end) = run_on(&recorder, &contained_in("image", "true"));
    let (is_of_job, problem) = problem(end);
    assert!(!is_of_job && problem.code == "ContainerRuntimeMissing", "{problem:?}");
    assert!(problem.details[0].1.contains("Cannot connect to the daemon"), "{problem:?}");
}

#[test]
fn an_image_without_bash_is_the_job_s_failure() {
    let script = r#"case $1 in run) echo 'exec: "/bin/bash": stat /bin/bash: no such file or directory' >&2; exit 127 ;; esac"#;
    let (_control, node, end) = run_on(&Recorder::new(script), &contained_in("image", "true"));
    let (is_of_job, problem) = problem(end);
    assert!(is_of_job && problem.code == "FailedStartingContainer", "{problem:?}");
    assert!(!node.root().join("agent/container.json").exists());
}

#[test]
fn a_container_whose_start_was_interrupted_is_removed() {
    let slow = r#"test "$1" != run || { touch $(dirname $0)/starting; sleep 1000; }"#;
    let recorder = Recorder::new(slow);
    let control = ControlPlane::start();
    let mut node = recorder.node(&control);
    let job = contained_in("image", "true");
    node.begin(&control, &job);
    crate::support::wait_until("the start", || recorder.place().join("starting").exists());
    node.kill_agent();
    // It may have been killed before it reported the attempt: then its last request was that of an idle node.
    control.change(&node.id, |script| script.requests.clear());
    control.desire(&node.id, protocol::Desired::Idle);
    let engine = recorder.program().display().to_string();
    node.start_agent_as(&control, |agent| use_engine(agent, &engine));
    control.wait_until_idle(&node.id);
    assert_eq!(node.processes(&job), Vec::<i32>::new(), "the client of the engine");
    let name = format!("batchai-{}-1-node", job.key().job_uid);
    assert_eq!(recorder.calls("rm"), [format!("rm --force --volumes {name}")]);
    assert!(!node.root().join("agent/container.json").exists());
}
