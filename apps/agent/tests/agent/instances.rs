//! The agent of an EC2 instance: signed requests, what it learns from the metadata service, its
//! drivers, and the keeper as the unit of the instance runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use processes::keeper::AGENT_FAILED;
use protocol::{End, NodePhase, SignInResponse};
use rustix::process::Signal;

use crate::support::ec2::Instance;
use crate::support::node::{is_alive, signal};
use crate::support::{ControlPlane, Job, Node, wait_for, wait_until};

const LAUNCH: &str = "launch-id";
const CHECKPOINTING: &str =
    "trap 'sleep 0.2; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done";

/// A control plane, an instance of a launch of its cluster, and a node that it is bound to.
struct Fixture {
    instance: Instance,
    control: ControlPlane,
    node: Node,
}

impl Fixture {
    /// The clock of the control plane is so many seconds ahead.
    fn new(ahead_seconds: i64) -> Self {
        let instance = Instance::start();
        let control = ControlPlane::start_on_aws(&instance, ahead_seconds);
        let node = Node::new(&control, "node", |_| {});
        let answer = SignInResponse::Node { node_id: "node".into(), token: None };
        control.answer_sign_ins(answer);
        // As a function on Lambda.
        control.change("node", |script| script.never_holds = true);
        let fixture = Self { instance, control, node };
        fixture.tag();
        fixture
    }

    fn tag(&self) {
        let cluster = format!("workspace-uid/cluster/{}", self.control.cluster_uid);
        self.instance.change(|metadata| {
            metadata.tags.insert("batchai:cluster".into(), cluster);
            metadata.tags.insert("batchai:launch".into(), LAUNCH.into());
        });
    }

    fn start(&mut self) {
        self.node.start_agent_on(&self.control, &self.instance);
    }

    /// With a job that runs.
    fn running() -> (Self, Job) {
        let mut fixture = Self::new(0);
        fixture.start();
        let job = Job::new(CHECKPOINTING);
        fixture.node.begin(&fixture.control, &job);
        fixture.node.wait_for_output(&job, "stdout.txt", "ready");
        (fixture, job)
    }

    /// The node has left, and its job was stopped in time.
    fn expect_left(mut self, job: &Job) {
        assert!(self.node.agent_exit().success());
        assert_eq!(self.node.read(job, "stdout.txt"), "ready\nsaved\n");
        self.control.change("node", |script| {
            assert!(script.requests.iter().any(|request| request.phase == NodePhase::Left));
        });
    }
}

#[test]
fn a_node_signs_its_requests_and_runs_a_job() {
    let mut fixture = Fixture::new(0);
    fixture.start();
    let job = Job::new("echo done");
    let end = fixture.node.run(&fixture.control, &job);
    assert_eq!(end, End::Exited { exit_code: 0 });
    assert_eq!(fixture.node.read(&job, "stdout.txt"), "done\n");
    fixture.node.leave(&fixture.control, 0);
    assert!(fixture.node.agent_exit().success());
    assert_eq!(fixture.control.refused(), Vec::<&str>::new());
    assert_eq!(fixture.instance.issued(), 1, "credentials are read once");
}

#[test]
fn a_wrong_clock_costs_one_request() {
    for ahead_seconds in [3600, -3600] {
        let mut fixture = Fixture::new(ahead_seconds);
        fixture.start();
        fixture.control.wait_until_idle("node");
        fixture.node.leave(&fixture.control, 0);
        assert!(fixture.node.agent_exit().success());
        assert_eq!(fixture.control.refused(), ["Signature expired"]);
    }
}

#[test]
fn credentials_are_renewed_when_they_expire() {
    let mut fixture = Fixture::new(0);
    fixture.instance.change(|metadata| metadata.lifetime_seconds = 2);
    fixture.start();
    fixture.control.wait_until_idle("node");
    wait_until("new credentials", || fixture.instance.issued() >= 3);
    fixture.control.change("node", |script| script.requests.clear());
    fixture.control.wait_until_idle("node");
    assert_eq!(fixture.control.refused(), Vec::<&str>::new());
}

#[test]
fn an_instance_waits_for_its_tags() {
    let mut fixture = Fixture::new(0);
    fixture.instance.change(|metadata| {
        metadata.tags.clear();
        metadata.is_down = true;
    });
    fixture.start();
    wait_until("a try", || fixture.node.log().contains("answered 503"));
    fixture.instance.change(|metadata| metadata.is_down = false);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!fixture.node.log().contains("the agent has started"));
    fixture.tag();
    fixture.control.wait_until_idle("node");
}

#[test]
fn a_server_that_nobody_has_certified_is_not_trusted() {
    let mut fixture = Fixture::new(0);
    let other = tempfile::tempdir().unwrap();
    let other = crate::support::ec2::Certificate::new(other.path()).authority;
    let (control, instance) = (&fixture.control, &fixture.instance);
    fixture.node.start_agent_on_as(control, instance, |agent| {
        agent.env("SSL_CERT_FILE", other);
    });
    wait_until("a try", || fixture.node.log().contains("invalid peer certificate"));
    assert_eq!(fixture.control.wait_for_sign_ins(0), 0);
}

#[test]
fn a_surplus_instance_ends_its_keeper_with_0() {
    let mut fixture = Fixture::new(0);
    fixture.control.answer_sign_ins(SignInResponse::Leave);
    fixture.node.start_keeper_on(&fixture.control, &fixture.instance);
    assert_eq!(fixture.node.agent_exit().code(), Some(0));
    fixture.control.change("node", |script| assert!(script.requests.is_empty()));
}

#[test]
fn a_node_that_is_asked_to_leave_ends_its_keeper_with_0() {
    let mut fixture = Fixture::new(0);
    fixture.node.start_keeper_on(&fixture.control, &fixture.instance);
    fixture.control.wait_until_idle("node");
    fixture.node.leave(&fixture.control, 0);
    assert_eq!(fixture.node.agent_exit().code(), Some(0));
}

#[test]
fn a_keeper_whose_agents_fail_ends_with_another_code() {
    let mut fixture = Fixture::new(0);
    fs::write(fixture.node.root(), "not a directory").unwrap();
    fixture.node.start_keeper_on(&fixture.control, &fixture.instance);
    assert_eq!(fixture.node.agent_exit().code(), Some(AGENT_FAILED.into()));
}

#[test]
fn a_new_keeper_finds_the_job_of_a_killed_one() {
    let mut fixture = Fixture::new(0);
    fixture.node.start_keeper_on(&fixture.control, &fixture.instance);
    let job = Job::new("echo begun; while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; echo ended");
    fixture.node.begin(&fixture.control, &job);
    fixture.node.wait_for_output(&job, "stdout.txt", "begun");
    let agent = fixture.node.kept_agent();
    fixture.node.kill_agent();
    wait_until("the end of the agent", || !is_alive(agent));
    fixture.node.start_keeper_on(&fixture.control, &fixture.instance);
    let new = fixture.node.kept_agent();
    assert_ne!(agent, new);
    fs::write(fixture.node.home().join("go"), "").unwrap();
    let end = fixture.control.end_of("node", &job.key());
    assert_eq!(end, End::Exited { exit_code: 0 });
    assert_eq!(fixture.node.read(&job, "stdout.txt"), "begun\nended\n");
    signal(new, Signal::KILL);
    let newest =
        wait_for("another agent", || Some(fixture.node.kept_agent()).filter(|pid| *pid != new));
    assert!(is_alive(newest));
}

#[test]
fn the_notice_of_the_metadata_service_interrupts_the_job() {
    let (fixture, job) = Fixture::running();
    let noticed = Instant::now();
    fixture.instance.interrupt(120);
    let seconds = fixture.control.wait("the notice", "node", |script| {
        script.requests.iter().find_map(|request| request.interruption_notice_seconds)
    });
    assert!((110..=120).contains(&seconds), "{seconds}");
    assert!(noticed.elapsed() < Duration::from_secs(10), "{:?}", noticed.elapsed());
    assert_eq!(fixture.control.end_of("node", &job.key()), End::Interrupted);
    fixture.expect_left(&job);
}

/// EventBridge was first: the control plane has stopped the attempt when the agent reads the notice.
#[test]
fn a_notice_after_that_of_the_control_plane_changes_nothing() {
    let (fixture, job) = Fixture::running();
    fixture.control.desire("node", job.stop(100));
    fixture.instance.interrupt(120);
    let end = fixture.control.end_of("node", &job.key());
    assert!(matches!(end, End::Stopped | End::Interrupted), "{end:?}");
    fixture.expect_left(&job);
}

/// Answers `nvidia-smi`, and lets the node have a device of NVIDIA.
fn provide_gpu(node: &Node, script: &str) -> String {
    let programs = node.place().join("programs");
    let device = node.place().join("devices/0000:00:1e.0");
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir_all(&device).unwrap();
    fs::write(device.join("vendor"), "0x10de\n").unwrap();
    let program = programs.join("nvidia-smi");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", programs.display())
}

fn phase_with_gpu(script: &str) -> (NodePhase, Fixture) {
    let mut fixture = Fixture::new(0);
    let path = provide_gpu(&fixture.node, script);
    let (control, instance) = (&fixture.control, &fixture.instance);
    fixture.node.start_agent_on_as(control, instance, |agent| {
        agent.env("PATH", path);
    });
    (fixture.control.wait_for_phase("node"), fixture)
}

#[test]
fn a_node_whose_driver_does_not_work_has_failed() {
    let (phase, _fixture) = phase_with_gpu("echo 'NVIDIA-SMI has failed'; exit 9");
    let NodePhase::Failed { problem } = phase else { panic!("{phase:?}") };
    assert_eq!(problem.code, "GpuDriverError");
    let reason = problem.details.iter().find(|(name, _)| name == "Reason").unwrap();
    assert_eq!(reason.1, "exit status: 9 NVIDIA-SMI has failed");
}

#[test]
fn a_driver_may_take_a_moment_to_load() {
    let script = "[ -e \"$HOME/loaded\" ] || { touch \"$HOME/loaded\"; exit 9; }";
    let (phase, fixture) = phase_with_gpu(script);
    assert_eq!(phase, NodePhase::Ready);
    assert!(Path::new(&fixture.node.home().join("loaded")).exists());
}
