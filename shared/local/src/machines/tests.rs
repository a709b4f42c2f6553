//! Machines whose agent is a shell script that starts one job and waits for it.

use super::*;
use model::{LaunchId, Uid, VmPriority};
use std::os::unix::fs::PermissionsExt;

/// What takes milliseconds on an idle computer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Its job leaves the session, and carries the mark of the node. If the job ends while the agent lives,
/// the agent reports that in a file.
const AGENT: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in --root) root="$2" ;; --node) node="$2" ;; esac
    shift
done
AZ_BATCHAI_NODE_ID="$node" setsid sleep 600 &
wait $!
echo "$node" >> "$root/../../../reported"
"#;

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
        };
        Self { directory, request }
    }

    /// One life of the service.
    fn adopt(&self) -> Arc<ProcessMachines> {
        let machines = ProcessMachines::adopt(MachineOptions {
            directory: self.machines(),
            node_command: vec!["/bin/sh".into(), self.directory.path().join("agent.sh").into()],
            endpoint_file: self.directory.path().join("endpoint"),
            max_nodes: 16,
        })
        .unwrap();
        for record in machines.records() {
            tokio::spawn(Arc::clone(&machines).go_on(record));
        }
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
        eventually("every node has an agent and a job", || {
            self.agents().len() == self.request.nodes.len() && self.jobs() == self.agents().len()
        })
        .await;
        machines
    }

    fn instances(&self) -> Vec<String> {
        self.request.nodes.iter().map(|node| format!("local-{node}")).collect()
    }

    async fn terminate(&self, machines: &ProcessMachines) -> Vec<String> {
        machines.terminate(&self.request.cluster, &self.instances()).await.unwrap()
    }

    fn agents(&self) -> Vec<i32> {
        let is_agent = |process: &processes::Process| {
            let root = processes::option_of(process.pid, "--root").map(PathBuf::from);
            root.is_some_and(|root| root.starts_with(self.directory.path()))
        };
        alive().filter(is_agent).map(|process| process.pid).collect()
    }

    fn jobs(&self) -> usize {
        let is_job = |process: &processes::Process| {
            let node = processes::variable_of(process.pid, "AZ_BATCHAI_NODE_ID");
            node.is_some_and(|node| self.request.nodes.iter().any(|own| own.as_str() == node))
        };
        alive().filter(is_job).count()
    }

    fn reported(&self) -> bool {
        self.directory.path().join("reported").exists()
    }
}

/// Nothing stays behind, also when a check failed.
impl Drop for Fixture {
    fn drop(&mut self) {
        for (index, node) in self.request.nodes.iter().enumerate() {
            process::kill_node(&self.home(index).join("root"), node, None);
        }
    }
}

fn alive() -> impl Iterator<Item = processes::Process> {
    processes::all().into_iter().filter(processes::Process::is_alive)
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The service is killed and started again: what it knew but did not write down is gone.
fn two_lives<T>(fixture: &Fixture, second: impl AsyncFnOnce(Arc<ProcessMachines>) -> T) -> T {
    let first_life = tokio::runtime::Runtime::new().unwrap();
    first_life.block_on(fixture.launch());
    first_life.shutdown_background();
    let second_life = tokio::runtime::Runtime::new().unwrap();
    second_life.block_on(async { second(fixture.adopt()).await })
}

#[test]
fn the_next_service_finds_agents_that_were_never_written_down() {
    let fixture = Fixture::new(2);
    two_lives(&fixture, async |machines| {
        let agents = fixture.agents();
        assert_eq!(agents.len(), 2);
        tokio::time::sleep(2 * WATCH_EVERY).await;
        assert_eq!(fixture.agents(), agents, "no second one was started");
        machines.stop(Duration::ZERO, std::future::pending()).await;
        assert_eq!((fixture.agents().len(), fixture.jobs()), (0, 0));
        assert!(!fixture.reported(), "no job was killed under a live agent");
    });
}

#[tokio::test]
async fn an_agent_dies_before_its_job() {
    let fixture = Fixture::new(4);
    let machines = fixture.launch().await;
    for known in machines.known().values_mut() {
        known.agent = None;
    }
    assert_eq!(fixture.terminate(&machines).await, fixture.instances());
    assert_eq!((fixture.agents().len(), fixture.jobs()), (0, 0));
    assert!(!fixture.reported(), "no job was killed under a live agent");
}

/// An agent that holds the root may show itself late: the one that is started then cannot work.
#[tokio::test]
async fn an_agent_that_shows_up_later_is_left_alone() {
    let fixture = Fixture::new(1);
    let machines = fixture.launch().await;
    let mut other = std::process::Command::new("/bin/sh")
        .arg(fixture.directory.path().join("agent.sh"))
        .args(["--node", fixture.request.nodes[0].as_str(), "--root"])
        .arg(fixture.home(0).join("root"))
        .spawn()
        .unwrap();
    let own = machines.known().values().find_map(|known| known.agent).unwrap();
    eventually("two agents", || fixture.agents().len() == 2).await;
    processes::Process::read(own.pid).unwrap().signal(rustix::process::Signal::KILL);
    tokio::time::sleep(2 * RESTART_PAUSE).await;
    assert_eq!(fixture.agents(), [i32::try_from(other.id()).unwrap()]);
    fixture.terminate(&machines).await;
    other.wait().unwrap();
    assert_eq!(fixture.agents().len(), 0);
    other.wait().unwrap();
}

#[tokio::test]
async fn nothing_is_written_for_a_machine_that_has_ended() {
    let fixture = Fixture::new(1);
    let machines = fixture.launch().await;
    let record = machines.records().remove(0);
    assert!(machines.end(&record.instance, &record.node).await);
    std::fs::remove_dir_all(fixture.home(0)).unwrap();
    // The one that looks after the machine notices its end late.
    machines.has_ended(&record).await;
    assert!(machines.start_agent(&record).unwrap().is_none());
    assert!(!fixture.home(0).exists());
}

#[tokio::test]
async fn a_directory_without_a_record_is_swept() {
    let fixture = Fixture::new(1);
    std::fs::create_dir_all(fixture.home(0)).unwrap();
    std::fs::write(fixture.home(0).join("agent.log"), "").unwrap();
    std::fs::create_dir(fixture.machines().join("of the user")).unwrap();
    let machines = fixture.adopt();
    machines.sweep().await;
    assert!(!fixture.home(0).exists());
    assert!(fixture.machines().join("of the user").exists());
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
        assert_eq!(fixture.agents().len(), 2, "they may be needed");
        assert_eq!(fixture.terminate(&machines).await, fixture.instances());
        assert_eq!((fixture.agents().len(), fixture.jobs()), (0, 0));
        assert!(!fixture.home(0).exists() && !fixture.home(1).exists());
    });
}

/// Immutable files exist where this is run by root, and where the file system has them.
#[tokio::test]
async fn a_machine_has_ended_even_if_that_cannot_be_noted() {
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
    assert_eq!((fixture.agents().len(), fixture.jobs()), (0, 0));
    machines.sweep().await;
    assert!(!fixture.home(0).exists());
}
