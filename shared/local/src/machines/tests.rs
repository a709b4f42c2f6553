//! Machines whose agent is a shell script that starts a job and waits for it.

use super::*;
use model::{LaunchId, Placement, Uid, VmPriority};
use processes::ControlGroup;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

/// What takes milliseconds on an idle computer.
const PATIENCE: Duration = Duration::from_secs(20);

/// It has a job that leaves the session and carries the mark of the node, and a daemon that has shed everything. If
/// the job ends while the agent lives, the agent reports that in a file.
const AGENT: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in --root) root="$2" ;; --node) node="$2" ;; esac
    shift
done
env -i setsid sh -c 'cd "$1"; while :; do sleep 1; done' "daemon-$node" "${BATCHAI_TEST_CWD-/}" &
AZ_BATCHAI_NODE_ID="$node" setsid sleep 600 &
wait $!
echo "$node" >> "$root/../../../reported"
"#;

/// What is needed to make this test executable a keeper.
const KEEPER_SWITCH: &str = "BATCHAI_TEST_KEEPER";

/// No test: what [`Fixture::adopt`] starts as a keeper.
#[test]
fn keeper_process() {
    if std::env::var_os(KEEPER_SWITCH).is_some() {
        std::process::exit(processes::keeper::run().into());
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    request: LaunchRequest,
}

impl Fixture {
    fn new(nodes: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let agent = directory.path().join("agent.sh");
        std::fs::write(&agent, AGENT).unwrap();
        std::fs::set_permissions(&agent, PermissionsExt::from_mode(0o755)).unwrap();
        let uid = Uid::from_bytes;
        // Of this test alone: processes are found by it.
        let node =
            |number| NodeId::new(&uid(rand::random::<[u8; 16]>().map(|it| it ^ number)), true);
        let request = LaunchRequest {
            cluster: ClusterRef { workspace: uid([1; 16]), name: "c".into(), uid: uid([2; 16]) },
            launch: LaunchId::from_bytes([3; 16]),
            nodes: (0..nodes).map(node).collect(),
            vm_size: "STANDARD_D1".into(),
            alternate_vm_sizes: Vec::new(),
            priority: VmPriority::Dedicated,
            is_gang: false,
            placement: Placement::default(),
        };
        Self { directory, request }
    }

    /// One life of the service.
    fn adopt(&self) -> Arc<ProcessMachines> {
        let machines = ProcessMachines::adopt(MachineOptions {
            directory: self.machines(),
            keeper_command: vec![
                "/usr/bin/env".into(),
                format!("{KEEPER_SWITCH}=").into(),
                std::env::current_exe().unwrap().into(),
                "--exact".into(),
                "--nocapture".into(),
                "machines::tests::keeper_process".into(),
            ],
            agent_command: vec!["/bin/sh".into(), self.directory.path().join("agent.sh").into()],
            endpoint_file: self.directory.path().join("endpoint"),
            max_nodes: 16,
            gpus: Vec::new(),
            user: None,
        })
        .unwrap();
        machines.watch_all();
        machines
    }

    fn machines(&self) -> PathBuf {
        self.directory.path().join("machines")
    }

    fn home(&self, node: usize) -> PathBuf {
        self.machines().join(self.request.nodes[node].as_str())
    }

    async fn launch(&self) -> Arc<ProcessMachines> {
        let machines = self.adopt();
        machines.launch(&self.request).await.unwrap();
        let nodes = self.request.nodes.len();
        eventually("every node has a keeper, an agent, a job and a daemon", || {
            self.counts() == [nodes; 4]
        })
        .await;
        machines
    }

    fn instances(&self) -> Vec<String> {
        self.request.nodes.iter().map(|node| format!("local-{node}")).collect()
    }

    async fn terminate(&self, machines: &ProcessMachines) -> Vec<String> {
        let instances = self.instances();
        let outcomes = machines.terminate(&self.request.cluster, &instances).await.unwrap();
        let ended = instances.into_iter().zip(outcomes);
        ended.filter(|(_, it)| matches!(it, Ok(Termination::Ended))).map(|(id, _)| id).collect()
    }

    fn agents(&self) -> Vec<i32> {
        alive_where(|process| {
            let root = processes::option_of(process.pid, "--root").map(PathBuf::from);
            root.is_some_and(|root| root.starts_with(self.directory.path()))
        })
    }

    fn jobs(&self) -> Vec<i32> {
        alive_where(|process| {
            let node = processes::variable_of(process.pid, "AZ_BATCHAI_NODE_ID");
            node.is_some_and(|node| self.request.nodes.iter().any(|own| own.as_str() == node))
        })
    }

    fn daemons(&self) -> Vec<i32> {
        alive_where(|process| {
            let mut names = self.request.nodes.iter().map(|node| format!("daemon-{node}"));
            names.any(|name| processes::has_argument(process.pid, name.as_ref()))
        })
    }

    fn keepers(&self) -> Vec<i32> {
        let file = |node| record::keeper_file(&self.machines(), node);
        let keeper = |node| match KeeperFile::read(&file(node)) {
            Keeper::Running(keeper) => Some(keeper.pid),
            Keeper::NeverStarted | Keeper::Ended => None,
        };
        self.request.nodes.iter().filter_map(keeper).collect()
    }

    fn counts(&self) -> [usize; 4] {
        [self.keepers(), self.agents(), self.jobs(), self.daemons()].map(|found| found.len())
    }

    /// Everything of all machines that runs.
    fn count(&self) -> usize {
        self.counts().iter().sum()
    }

    async fn found_running(&self, machines: &ProcessMachines) -> usize {
        let found = machines.find(&self.request.cluster).await.unwrap();
        found.iter().filter(|machine| machine.may_run()).count()
    }

    fn reported(&self) -> bool {
        self.directory.path().join("reported").exists()
    }
}

/// Nothing stays behind, also when a check failed.
impl Drop for Fixture {
    fn drop(&mut self) {
        for node in &self.request.nodes {
            let mut end = end::MachineEnd::new(&self.machines(), node, None);
            while !end.pass() && end.pace().elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.daemons().into_iter().for_each(kill);
    }
}

fn kill(pid: i32) {
    processes::Process::read(pid).unwrap().signal(rustix::process::Signal::KILL);
}

/// A child of a chosen process is left out: until it executes another program, it looks like its parent.
fn alive_where(chosen: impl Fn(&processes::Process) -> bool) -> Vec<i32> {
    let all = processes::all().into_iter().filter(processes::Process::is_alive);
    let found: Vec<_> = all.filter(chosen).collect();
    let is_child = |of: &processes::Process| found.iter().any(|other| other.pid == of.parent);
    found.iter().filter(|process| !is_child(process)).map(|process| process.pid).collect()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The service is killed and started again: what it had not written to a file is lost.
fn two_lives<T>(fixture: &Fixture, second: impl AsyncFnOnce(Arc<ProcessMachines>) -> T) -> T {
    let first_life = tokio::runtime::Runtime::new().unwrap();
    first_life.block_on(fixture.launch());
    first_life.shutdown_background();
    let second_life = tokio::runtime::Runtime::new().unwrap();
    second_life.block_on(async { second(fixture.adopt()).await })
}

#[test]
fn the_next_service_finds_the_machines_and_starts_none_twice() {
    let fixture = Fixture::new(2);
    two_lives(&fixture, async |machines| {
        let (keepers, agents) = (fixture.keepers(), fixture.agents());
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!((fixture.keepers(), fixture.agents()), (keepers, agents));
        assert_eq!(fixture.count(), 8);
        machines.stop(Duration::ZERO, std::future::pending()).await;
        assert_eq!(fixture.count(), 0);
        assert!(!fixture.reported(), "a job was killed under a live agent");
    });
}

#[test]
fn a_keeper_starts_a_killed_agent_again_without_the_service() {
    let fixture = Fixture::new(1);
    let first_life = tokio::runtime::Runtime::new().unwrap();
    first_life.block_on(fixture.launch());
    first_life.shutdown_background();
    let (keepers, agents) = (fixture.keepers(), fixture.agents());
    kill(agents[0]);
    let until = Instant::now() + PATIENCE;
    while fixture.agents() == agents || fixture.agents().is_empty() {
        assert!(Instant::now() < until, "the agent was not started again");
    }
    assert_eq!(fixture.keepers(), keepers);
}

#[tokio::test]
async fn an_agent_dies_before_its_job() {
    let fixture = Fixture::new(4);
    let machines = fixture.launch().await;
    assert_eq!(fixture.terminate(&machines).await, fixture.instances());
    assert_eq!(fixture.count(), 0);
    assert!(!fixture.reported(), "a job was killed under a live agent");
}

/// Keeper and agent are killed at the same time, and with them everything that leads to the daemon.
#[tokio::test]
async fn a_machine_without_its_keeper_has_ended_when_its_daemon_has() {
    let fixture = Fixture::new(2);
    let machines = fixture.launch().await;
    if machines.records().iter().any(|record| record.group.is_none()) {
        return eprintln!("skipped: there is no cgroup v2 that this user may change");
    }
    fixture.keepers().into_iter().chain(fixture.agents()).for_each(kill);
    let until = Instant::now() + PATIENCE;
    while fixture.found_running(&machines).await > 0 {
        assert!(Instant::now() < until, "the machines do not end");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(fixture.count(), 0, "reported as ended");
}

#[test]
fn the_next_service_ends_what_its_killed_keepers_left() {
    let fixture = Fixture::new(2);
    let first_life = tokio::runtime::Runtime::new().unwrap();
    let machines = first_life.block_on(fixture.launch());
    first_life.shutdown_background();
    if machines.records().iter().any(|record| record.group.is_none()) {
        return eprintln!("skipped: there is no cgroup v2 that this user may change");
    }
    drop(machines);
    fixture.keepers().into_iter().chain(fixture.agents()).for_each(kill);
    assert_eq!(fixture.daemons().len(), 2);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let machines = fixture.adopt();
        assert_eq!(fixture.terminate(&machines).await, fixture.instances());
        assert_eq!(fixture.count(), 0);
    });
}

#[tokio::test]
async fn without_a_control_group_processes_are_found_by_the_root() {
    let fixture = Fixture::new(1);
    let root = fixture.home(0).join("root");
    let agent = AGENT.replace("\"${BATCHAI_TEST_CWD-/}\"", "\"$root\"");
    std::fs::write(fixture.directory.path().join("agent.sh"), agent).unwrap();
    let machines = fixture.adopt();
    machines.launch(&fixture.request).await.unwrap();
    for record in machines.known().values_mut() {
        record.group.take().inspect(ControlGroup::remove);
    }
    eventually("the machine is complete", || fixture.count() == 4).await;
    // Somebody looks at the directory from a shell without a terminal: not distinguishable, and not below it.
    assert!(root.is_dir());
    fixture.keepers().into_iter().chain(fixture.agents()).for_each(kill);
    assert_eq!(fixture.terminate(&machines).await, fixture.instances());
    assert_eq!(fixture.count(), 0);
}

/// A process in a frozen group (cgroup v1) is not killed before it is thawed, like one that waits for a file
/// server that does not answer.
#[tokio::test]
async fn a_machine_with_a_process_that_cannot_be_killed_has_not_ended() {
    let freezer = PathBuf::from("/sys/fs/cgroup/freezer")
        .join(format!("batchai-test-{}", rand::random::<u64>()));
    if std::fs::create_dir(&freezer).is_err() || !freezer.join("freezer.state").exists() {
        return eprintln!("skipped: there is no freezer (cgroup v1) that this user may change");
    }
    let fixture = Fixture::new(1);
    let machines = fixture.launch().await;
    let daemon = fixture.daemons()[0];
    std::fs::write(freezer.join("cgroup.procs"), daemon.to_string()).unwrap();
    std::fs::write(freezer.join("freezer.state"), "FROZEN").unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        assert_eq!(fixture.terminate(&machines).await, Vec::<String>::new());
        assert_eq!(fixture.found_running(&machines).await, 1);
    }
    assert_eq!(fixture.daemons(), [daemon]);
    assert_eq!((fixture.agents().len(), fixture.jobs().len()), (0, 0), "the others are killed");
    std::fs::write(freezer.join("freezer.state"), "THAWED").unwrap();
    assert_eq!(fixture.terminate(&machines).await, fixture.instances());
    assert_eq!(fixture.count(), 0);
    std::fs::remove_dir(freezer).unwrap();
}

#[tokio::test]
async fn nothing_is_written_for_a_machine_that_has_ended() {
    let fixture = Fixture::new(1);
    let machines = fixture.launch().await;
    let record = machines.records().remove(0);
    assert_eq!(fixture.terminate(&machines).await, fixture.instances());
    // The task of the machine notices its end late.
    machines.end_and_report(&record).await;
    assert!(machines.start_keeper(&record).await.unwrap().is_none());
    assert!(!fixture.home(0).exists());
}

/// An earlier service was killed after it had started the keeper, and before that had the lock.
#[tokio::test]
async fn a_keeper_that_is_too_late_starts_nothing() {
    let fixture = Fixture::new(1);
    let machines = fixture.launch().await;
    let record = machines.records().remove(0);
    let late = || start::keeper(&machines.options, &record, "").unwrap();
    let status = late().wait().await.unwrap();
    assert_eq!(status.code(), Some(processes::keeper::ANOTHER_KEEPER.into()));
    assert!(machines.end(&record.instance, &record.node, None).await);
    // The task of the machine may end it once more at the same time: it has the lock, or kills the late keeper.
    let until = Instant::now() + PATIENCE;
    while !tokio::time::timeout(PATIENCE, late().wait()).await.unwrap().unwrap().success() {
        assert!(Instant::now() < until, "a late keeper fails");
    }
    assert_eq!(fixture.count(), 0);
}

#[tokio::test]
async fn a_directory_without_a_record_is_swept() {
    let fixture = Fixture::new(1);
    std::fs::create_dir_all(fixture.home(0)).unwrap();
    std::fs::write(fixture.home(0).join("agent.log"), "").unwrap();
    std::fs::create_dir(fixture.machines().join("not a node")).unwrap();
    let machines = fixture.adopt();
    machines.sweep().await;
    assert!(!fixture.home(0).exists());
    assert!(fixture.machines().join("not a node").exists());
}

#[test]
fn a_machine_whose_record_a_job_removed_can_be_terminated() {
    let fixture = Fixture::new(2);
    let spoil = async || {
        let machines = fixture.launch().await;
        std::fs::remove_file(fixture.home(0).join("machine.json")).unwrap();
        std::fs::write(fixture.home(1).join("machine.json"), "{").unwrap();
        drop(machines);
    };
    let first_life = tokio::runtime::Runtime::new().unwrap();
    first_life.block_on(spoil());
    first_life.shutdown_background();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let machines = fixture.adopt();
        machines.sweep().await;
        assert_eq!(fixture.count(), 8, "the control plane may still know them");
        assert_eq!(fixture.terminate(&machines).await, fixture.instances());
        assert_eq!(fixture.count(), 0);
        assert!(!fixture.home(0).exists() && !fixture.home(1).exists());
    });
}

/// Immutable files exist where this is run by root, and where the file system has them.
#[tokio::test]
async fn a_machine_has_ended_even_if_that_cannot_be_written() {
    let fixture = Fixture::new(1);
    let machines = fixture.launch().await;
    let change = |attribute| {
        let mut command = std::process::Command::new("chattr");
        command.arg(attribute).arg(fixture.home(0)).output().is_ok_and(|it| it.status.success())
    };
    if !change("+i") {
        return;
    }
    let ended = fixture.terminate(&machines).await;
    assert!(change("-i"));
    assert_eq!(ended, fixture.instances());
    assert_eq!(fixture.count(), 0);
    machines.sweep().await;
    assert!(!fixture.home(0).exists());
}
