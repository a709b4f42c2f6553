//! The port for instances: processes of this machine, and the fake fleet of the tests, which must not
//! give guarantees that a real provider does not have.

use async_trait::async_trait;
use control::ports::{LaunchRequest, Machines, PortError, Termination};
use local::{MachineOptions, ProcessMachines};
use model::{NodeId, Placement, Pool, PoolProblem, VmPriority};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tests::fleet::contract::{
    Cloud, MAX_NODES, check, cluster, found, instances, launch, request, tagged, terminate,
    wait_until_running,
};
use tests::fleet::machines::FakeMachines;

struct Simulated {
    machines: FakeMachines,
    is_fleet: bool,
}

fn simulated(is_fleet: bool) -> Simulated {
    let machines = FakeMachines::new(1, MAX_NODES);
    machines.state().is_fleet = is_fleet;
    Simulated { machines, is_fleet }
}

#[async_trait]
impl Cloud for Simulated {
    fn machines(&self) -> &dyn Machines {
        &self.machines
    }

    fn names_nodes(&self) -> bool {
        !self.is_fleet
    }

    fn runs(&self, instance: &str) -> bool {
        self.machines.running().iter().filter(|it| *it == instance).count() == 1
    }

    fn is_gone(&self, instance: &str) -> bool {
        !self.machines.running().iter().any(|it| it == instance)
    }

    async fn lose(&self, instance: &str) {
        self.machines.lose(instance);
    }

    fn placement(&self) -> Placement {
        let subnets = if self.is_fleet { subnets() } else { vec![] };
        Placement { subnets, ..Placement::default() }
    }

    fn zones(&self) -> Vec<(String, Placement)> {
        let placement = |subnet| Placement { subnets: vec![subnet], ..Placement::default() };
        let subnets = if self.is_fleet { subnets() } else { vec![] };
        let zone = |subnet: &str| tests::fleet::machines::zone_of(subnet);
        subnets.into_iter().map(|subnet| (zone(&subnet), placement(subnet))).collect()
    }
}

struct Processes {
    machines: Arc<ProcessMachines>,
    directory: tempfile::TempDir,
}

/// A fake agent: starts a process in another session, like a job may, and exits when a file exists,
/// like an agent that has left.
const AGENT: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in --root) root="$2" ;; --node) node="$2" ;; esac
    shift
done
AZ_BATCHAI_NODE_ID="$node" setsid sleep 600 &
while [ ! -e "$root/left" ]; do sleep 0.05; done
"#;

/// What makes this test executable a keeper.
const KEEPER_SWITCH: &str = "BATCHAI_TEST_KEEPER";

/// No test: what [`options`] starts as a keeper.
#[test]
fn keeper_process() {
    if std::env::var_os(KEEPER_SWITCH).is_some() {
        std::process::exit(processes::keeper::run().into());
    }
}

fn options(directory: &Path) -> MachineOptions {
    let agent = directory.join("agent.sh");
    if !agent.exists() {
        std::fs::write(&agent, AGENT).unwrap();
        std::fs::set_permissions(&agent, PermissionsExt::from_mode(0o755)).unwrap();
    }
    MachineOptions {
        directory: directory.join("nodes"),
        keeper_command: vec![
            "/usr/bin/env".into(),
            format!("{KEEPER_SWITCH}=").into(),
            std::env::current_exe().unwrap().into(),
            "--exact".into(),
            "--nocapture".into(),
            "machines::keeper_process".into(),
        ],
        agent_command: vec!["/bin/sh".into(), agent.into()],
        endpoint_file: directory.join("endpoint"),
        max_nodes: MAX_NODES,
        gpus: Vec::new(),
        user: None,
    }
}

fn agents_of(node: &NodeId) -> usize {
    let is_agent = |process: &&processes::Process| {
        let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        arguments.windows(2).any(|pair| pair == [&b"--node"[..], node.as_str().as_bytes()])
    };
    let all = processes::all();
    all.iter().filter(|process| process.is_alive()).filter(is_agent).count()
}

fn jobs_of(node: &NodeId) -> usize {
    let variable = "AZ_BATCHAI_NODE_ID";
    let all = processes::all();
    let alive = all.iter().filter(|process| process.is_alive());
    alive
        .filter(|it| processes::variable_of(it.pid, variable).as_deref() == Some(node.as_str()))
        .count()
}

/// The node of an instance of [`Processes`].
fn node_of(instance: &str) -> NodeId {
    NodeId::parse(instance.strip_prefix("local-").unwrap()).unwrap()
}

/// The numbers of running agents and of other processes of an instance.
fn running(instance: &str) -> (usize, usize) {
    let node = node_of(instance);
    (agents_of(&node), jobs_of(&node))
}

#[async_trait]
impl Cloud for Processes {
    fn machines(&self) -> &dyn Machines {
        &*self.machines
    }

    fn names_nodes(&self) -> bool {
        true
    }

    fn runs(&self, instance: &str) -> bool {
        running(instance) == (1, 1)
    }

    fn is_gone(&self, instance: &str) -> bool {
        running(instance) == (0, 0)
    }

    async fn lose(&self, instance: &str) {
        let node = node_of(instance);
        let root = self.directory.path().join("nodes").join(node.as_str()).join("root");
        std::fs::write(root.join("left"), "").unwrap();
    }
}

/// Ends all processes, also after a failed check.
impl Drop for Processes {
    fn drop(&mut self) {
        let home = self.directory.path().as_os_str().as_encoded_bytes();
        let is_agent = |process: &processes::Process| {
            let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            line.windows(home.len()).any(|part| part == home)
        };
        // Without the script, no agent can be started again.
        let _ = std::fs::remove_file(self.directory.path().join("agent.sh"));
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let left = processes::with_descendants(&processes::all(), is_agent);
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|process| process.signal(rustix::process::Signal::KILL));
        }
    }
}

#[tokio::test]
async fn machines_in_memory() {
    check(&simulated(false)).await;
}

#[tokio::test]
async fn a_fleet_in_memory() {
    check(&simulated(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_as_processes() {
    let directory = tempfile::tempdir().unwrap();
    let machines = ProcessMachines::adopt(options(directory.path())).unwrap();
    check(&Processes { machines, directory }).await;
}

/// Handlers of several clusters launch instances at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn launches_at_the_same_time_keep_the_quota() {
    let directory = tempfile::tempdir().unwrap();
    let machines = ProcessMachines::adopt(options(directory.path())).unwrap();
    let cloud = Processes { machines, directory };
    let start = Arc::new(tokio::sync::Barrier::new(8));
    let mut launches = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (machines, start) = (Arc::clone(&cloud.machines), Arc::clone(&start));
        launches.spawn(async move {
            start.wait().await;
            machines.launch(&of(2)).await.unwrap().launched
        });
    }
    let launched = launches.join_all().await.concat();
    let launched: Vec<String> = launched.into_iter().map(|it| it.id).collect();
    wait_until_running(&cloud, &launched).await;
    assert_eq!(launched.len(), MAX_NODES as usize);
}

/// The service is killed; its instances continue, and the next service adopts them.
#[test]
fn instances_continue_after_the_service_and_are_adopted() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path());
    let adopt = || ProcessMachines::adopt(options.clone()).unwrap();
    let request = of(2);
    let cluster = request.cluster.clone();

    let first_service = tokio::runtime::Runtime::new().unwrap();
    let cloud = first_service.block_on(async { Processes { machines: adopt(), directory: home } });
    let before = first_service.block_on(async {
        let outcome = launch(&cloud, &request).await;
        wait_until_running(&cloud, &instances(&outcome)).await;
        outcome
    });
    first_service.shutdown_background();

    let second_service = tokio::runtime::Runtime::new().unwrap();
    second_service.block_on(async {
        let adopted = Adopted { machines: adopt(), cloud: &cloud };
        wait_until_running(&adopted, &instances(&before)).await;
        assert_eq!(found(&adopted, &cluster).await, tagged(&before, &request));
        let again = launch(&adopted, &request).await;
        assert_eq!(again.launched, before.launched, "known by their launch id");
        tokio::time::sleep(Duration::from_millis(200)).await;
        wait_until_running(&adopted, &instances(&before)).await;
        let mut all = instances(&before);
        all.sort();
        assert_eq!(terminate(&adopted, &cluster, &all).await, all);
        assert!(all.iter().all(|it| adopted.is_gone(it)), "an instance has processes");
        assert!(
            adopt().find(&cluster).await.unwrap().is_empty(),
            "a third service finds no instances"
        );
    });
}

/// A later service that adopted the same instances.
struct Adopted<'a> {
    machines: Arc<ProcessMachines>,
    cloud: &'a Processes,
}

#[async_trait]
impl Cloud for Adopted<'_> {
    fn machines(&self) -> &dyn Machines {
        &*self.machines
    }

    fn runs(&self, instance: &str) -> bool {
        self.cloud.runs(instance)
    }

    fn is_gone(&self, instance: &str) -> bool {
        self.cloud.is_gone(instance)
    }

    async fn lose(&self, instance: &str) {
        self.cloud.lose(instance).await;
    }
}

/// A request for processes.
fn of(count: usize) -> LaunchRequest {
    request(&simulated(false), &cluster(), count)
}

fn subnets() -> Vec<String> {
    vec!["subnet-a".to_owned(), "subnet-b".to_owned()]
}

fn pool(subnet: &str) -> Pool {
    let priority = VmPriority::LowPriority;
    Pool { vm_size: "STANDARD_NC6".to_owned(), subnet: subnet.to_owned(), priority }
}

/// What EC2 does, and moto does not: a token with other parameters is an error.
#[tokio::test]
async fn a_fleet_refuses_a_changed_request_under_a_known_id() {
    let cloud = simulated(true);
    let first = request(&cloud, &cluster(), 1);
    launch(&cloud, &first).await;
    let changed = LaunchRequest { is_gang: true, ..first.clone() };
    let refused = cloud.machines().launch(&changed).await.unwrap_err();
    assert!(matches!(refused, PortError::Other(_)), "{refused}");
    assert!(cloud.machines.state().oracle.violation.take().is_some());
    assert_eq!(launch(&cloud, &first).await.launched.len(), 1);
    assert_eq!(cloud.machines.running().len(), 1);
}

#[tokio::test]
async fn a_fleet_has_pools_and_launches_a_gang_whole_or_not_at_all() {
    let cloud = simulated(true);
    let cluster = cluster();
    cloud.machines.state().dry_pools.insert(pool("subnet-a"));
    let partial = launch(&cloud, &request(&cloud, &cluster, 1)).await;
    assert_eq!(partial.launched.len(), 1, "from the other pool");
    assert_eq!(partial.pools.len(), 1);
    assert_eq!(partial.pools[0].pool, pool("subnet-a"));
    assert_eq!(partial.pools[0].problem, PoolProblem::NoCapacity);

    let gang = |count| LaunchRequest { is_gang: true, ..request(&cloud, &cluster, count) };
    let none = launch(&cloud, &gang(3)).await;
    assert!(none.launched.is_empty() && none.refused.is_some(), "there is room for two: {none:?}");
    assert_eq!(launch(&cloud, &gang(2)).await.launched.len(), 2);

    let mut avoiding = request(&cloud, &cluster, 1);
    avoiding.placement.avoid = vec![pool("subnet-a")];
    let refused = launch(&cloud, &avoiding).await;
    assert!(refused.pools.is_empty(), "the pool was not tried: {refused:?}");
}

/// New instances appear late in descriptions, and cannot be terminated before.
#[tokio::test]
async fn a_fleet_is_eventually_consistent() {
    let cloud = simulated(true);
    let request = request(&cloud, &cluster(), 2);
    cloud.machines.state().hides_new_instances = true;
    let all = instances(&launch(&cloud, &request).await);
    assert!(found(&cloud, &request.cluster).await.is_empty());
    let outcomes = cloud.machines().terminate(&request.cluster, &all).await.unwrap();
    assert!(outcomes.iter().all(|it| matches!(it, Ok(Termination::Unknown))), "{outcomes:?}");
    cloud.machines.state().hides_new_instances = false;
    assert_eq!(found(&cloud, &request.cluster).await.len(), 2);
    assert_eq!(terminate(&cloud, &request.cluster, &all).await.len(), 2);
}
