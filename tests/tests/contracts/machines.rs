//! The port for instances: processes of this machine, and the fake fleet of the tests, which must not
//! give guarantees that a real provider does not have.

use control::ports::{Ids, LaunchOutcome, LaunchRequest, Machines};
use control::system::RandomIds;
use local::{MachineOptions, ProcessMachines};
use model::{ClusterRef, NodeId, Placement, VmPriority};
use scheduler::recovery::FoundInstance;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::fleet::machines::FakeMachines;

const MAX_NODES: u32 = 3;

/// The timeout for what takes milliseconds on an idle machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A provider, with functions to inspect and end its instances.
trait Cloud {
    fn machines(&self) -> &dyn Machines;

    /// The numbers of running agents and of other processes of a node.
    fn running(&self, node: &NodeId) -> (usize, usize);

    /// Ends the instance of a node without a request.
    fn lose(&self, node: &NodeId);
}

struct Simulated(FakeMachines);

impl Cloud for Simulated {
    fn machines(&self) -> &dyn Machines {
        &self.0
    }

    fn running(&self, node: &NodeId) -> (usize, usize) {
        let instances = self.0.running();
        let count = instances.iter().filter(|it| it.ends_with(node.as_str())).count();
        (count, count)
    }

    fn lose(&self, node: &NodeId) {
        self.0.lose(&format!("i-{node}"));
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

impl Cloud for Processes {
    fn machines(&self) -> &dyn Machines {
        &*self.machines
    }

    fn running(&self, node: &NodeId) -> (usize, usize) {
        (agents_of(node), jobs_of(node))
    }

    fn lose(&self, node: &NodeId) {
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
    let machines = FakeMachines::new(1, MAX_NODES);
    check(&Simulated(machines)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_as_processes() {
    let directory = tempfile::tempdir().unwrap();
    let machines = ProcessMachines::adopt(options(directory.path())).unwrap();
    check(&Processes { machines, directory }).await;
}

/// Each check terminates its instances.
async fn check(cloud: &dyn Cloud) {
    a_repeated_launch_returns_the_same_instances(cloud).await;
    instances_are_listed_by_cluster(cloud).await;
    launches_beyond_the_quota_are_refused(cloud).await;
    an_ended_instance_is_listed_as_ended(cloud).await;
    termination_may_be_repeated(cloud).await;
}

fn cluster() -> ClusterRef {
    ClusterRef { workspace: RandomIds.uid(), name: "c".to_owned(), uid: RandomIds.uid() }
}

fn request(cluster: &ClusterRef, count: usize) -> LaunchRequest {
    LaunchRequest {
        cluster: cluster.clone(),
        launch: RandomIds.uid(),
        nodes: (0..count).map(|_| NodeId::new(&RandomIds.uid(), true)).collect(),
        vm_size: "STANDARD_NC6".to_owned(),
        alternate_vm_sizes: Vec::new(),
        priority: VmPriority::LowPriority,
        placement: Placement::default(),
    }
}

async fn launch(cloud: &dyn Cloud, request: &LaunchRequest) -> LaunchOutcome {
    cloud.machines().launch(request).await.expect("there are no faults")
}

fn instances(outcome: &LaunchOutcome) -> Vec<String> {
    outcome.launched.iter().map(|machine| machine.id.clone()).collect()
}

async fn terminate(cloud: &dyn Cloud, cluster: &ClusterRef, instances: &[String]) -> Vec<String> {
    cloud.machines().terminate(cluster, instances).await.expect("there are no faults")
}

/// The running instances with the launch ids of their tags.
async fn found(cloud: &dyn Cloud, cluster: &ClusterRef) -> BTreeSet<(String, String)> {
    let machines = cloud.machines().find(cluster).await.expect("there are no faults");
    let running = machines.into_iter().filter(|machine| machine.running);
    running.map(|FoundInstance { id, launch, .. }| (id, launch.to_string())).collect()
}

fn tagged(outcome: &LaunchOutcome, request: &LaunchRequest) -> BTreeSet<(String, String)> {
    instances(outcome).into_iter().map(|it| (it, request.launch.to_string())).collect()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < until, "timed out after {TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_until_running(cloud: &dyn Cloud, nodes: &[NodeId]) {
    for node in nodes {
        eventually("the instance runs once", || cloud.running(node) == (1, 1)).await;
    }
}

async fn a_repeated_launch_returns_the_same_instances(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(&cluster, 2);
    let first = launch(cloud, &request).await;
    assert!(first.refused.is_none(), "{:?}", first.refused);
    let nodes: Vec<&NodeId> = first.launched.iter().filter_map(|it| it.node.as_ref()).collect();
    assert_eq!(nodes, request.nodes.iter().collect::<Vec<_>>(), "one machine per node");
    let addresses: BTreeSet<_> = first.launched.iter().map(|it| &it.address).collect();
    assert_eq!(addresses.len(), 2, "each has an address of its own");

    let at_once = launch(cloud, &request).await;
    assert_eq!(at_once.launched, first.launched, "repeated at once");
    wait_until_running(cloud, &request.nodes).await;
    let later = launch(cloud, &request).await;
    assert_eq!(later.launched, first.launched, "repeated while they run");
    tokio::time::sleep(Duration::from_millis(200)).await;
    wait_until_running(cloud, &request.nodes).await;
    assert_eq!(found(cloud, &cluster).await, tagged(&first, &request));
    terminate(cloud, &cluster, &instances(&first)).await;
}

async fn instances_are_listed_by_cluster(cloud: &dyn Cloud) {
    let (one, other) = (cluster(), cluster());
    let (of_one, of_other) = (request(&one, 1), request(&other, 2));
    let (in_one, in_other) = (launch(cloud, &of_one).await, launch(cloud, &of_other).await);
    assert_eq!(found(cloud, &one).await, tagged(&in_one, &of_one));
    assert_eq!(found(cloud, &other).await, tagged(&in_other, &of_other));
    assert_eq!(found(cloud, &cluster()).await, BTreeSet::new(), "a cluster without machines");
    terminate(cloud, &one, &instances(&in_one)).await;
    assert_eq!(found(cloud, &other).await, tagged(&in_other, &of_other), "the other one stays");
    terminate(cloud, &other, &instances(&in_other)).await;
}

async fn launches_beyond_the_quota_are_refused(cloud: &dyn Cloud) {
    let cluster = cluster();
    let (request, another) = (request(&cluster, MAX_NODES as usize + 2), request(&cluster, 2));
    let outcome = launch(cloud, &request).await;
    assert_eq!(outcome.launched.len(), MAX_NODES as usize, "as many as the quota allows");
    let refused = outcome.refused.as_ref().expect("the rest is refused");
    assert!(!refused.code.is_empty() && !refused.message.is_empty(), "{refused:?}");
    let again = launch(cloud, &request).await;
    assert_eq!(again.launched, outcome.launched, "the same ones");
    assert!(again.refused.is_some(), "the quota is still used up");
    assert_eq!(found(cloud, &cluster).await, tagged(&outcome, &request));

    terminate(cloud, &cluster, &instances(&outcome)[..1]).await;
    let more = launch(cloud, &another).await;
    assert_eq!(more.launched.len(), 1, "replaces the terminated one");
    assert!(more.refused.is_some());
    let all = [instances(&outcome), instances(&more)].concat();
    terminate(cloud, &cluster, &all).await;
    assert_eq!(found(cloud, &cluster).await, BTreeSet::new());
}

async fn an_ended_instance_is_listed_as_ended(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(&cluster, 2);
    let outcome = launch(cloud, &request).await;
    wait_until_running(cloud, &request.nodes).await;
    let (lost, instance) = (&request.nodes[0], &instances(&outcome)[0]);
    cloud.lose(lost);
    eventually("none of its processes is left", || cloud.running(lost) == (0, 0)).await;
    let until = Instant::now() + TIMEOUT;
    loop {
        let machines = cloud.machines().find(&cluster).await.expect("there are no faults");
        let state = machines.iter().find(|it| it.id == *instance).map(|it| it.running);
        if state == Some(false) {
            break;
        }
        assert!(Instant::now() < until, "{instance} is not listed as ended: {machines:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_until_running(cloud, &request.nodes[1..]).await;
    terminate(cloud, &cluster, &instances(&outcome)).await;
}

async fn termination_may_be_repeated(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(&cluster, 2);
    let outcome = launch(cloud, &request).await;
    wait_until_running(cloud, &request.nodes).await;
    let mut all = instances(&outcome);
    all.push("i-never-launched".to_owned());
    for time in ["at first", "again"] {
        let gone = terminate(cloud, &cluster, &all).await;
        assert_eq!(gone, all, "none of them has processes ({time})");
        for node in &request.nodes {
            assert_eq!(cloud.running(node), (0, 0), "{node} has processes ({time})");
        }
        assert_eq!(found(cloud, &cluster).await, BTreeSet::new(), "{time}");
    }
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
            machines.launch(&request(&cluster(), 2)).await.unwrap().launched
        });
    }
    let launched = launches.join_all().await.concat();
    let nodes: Vec<NodeId> = launched.into_iter().filter_map(|it| it.node).collect();
    wait_until_running(&cloud, &nodes).await;
    assert_eq!(nodes.len(), MAX_NODES as usize);
}

/// The service is killed; its instances continue, and the next service adopts them.
#[test]
fn instances_continue_after_the_service_and_are_adopted() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path());
    let adopt = || ProcessMachines::adopt(options.clone()).unwrap();
    let cluster = cluster();
    let request = request(&cluster, 2);

    let first_service = tokio::runtime::Runtime::new().unwrap();
    let cloud = first_service.block_on(async { Processes { machines: adopt(), directory: home } });
    let before = first_service.block_on(async {
        let outcome = launch(&cloud, &request).await;
        wait_until_running(&cloud, &request.nodes).await;
        outcome
    });
    first_service.shutdown_background();

    let second_service = tokio::runtime::Runtime::new().unwrap();
    second_service.block_on(async {
        let adopted = Adopted { machines: adopt(), cloud: &cloud };
        wait_until_running(&adopted, &request.nodes).await;
        assert_eq!(found(&adopted, &cluster).await, tagged(&before, &request));
        let again = launch(&adopted, &request).await;
        assert_eq!(again.launched, before.launched, "known by their launch id");
        tokio::time::sleep(Duration::from_millis(200)).await;
        wait_until_running(&adopted, &request.nodes).await;
        let all = instances(&before);
        assert_eq!(terminate(&adopted, &cluster, &all).await, all);
        for node in &request.nodes {
            assert_eq!(adopted.running(node), (0, 0), "{node} has processes");
        }
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

impl Cloud for Adopted<'_> {
    fn machines(&self) -> &dyn Machines {
        &*self.machines
    }

    fn running(&self, node: &NodeId) -> (usize, usize) {
        self.cloud.running(node)
    }

    fn lose(&self, node: &NodeId) {
        self.cloud.lose(node);
    }
}
