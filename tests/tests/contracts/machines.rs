//! Instances: processes of this machine, and the fake fleet of the tests, which so cannot promise the
//! control plane something that a real provider does not keep.

use control::ports::{Ids, LaunchOutcome, LaunchRequest, Machines};
use control::system::RandomIds;
use local::{MachineOptions, ProcessMachines};
use model::{ClusterRef, NodeId, VmPriority};
use scheduler::recovery::FoundInstance;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::fleet::machines::FakeMachines;

const MAX_NODES: u32 = 3;

/// What takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A provider, seen from both sides.
trait Cloud {
    fn machines(&self) -> &dyn Machines;

    /// How often the machine's agent runs, and whatever else of the machine.
    fn running(&self, node: &NodeId) -> (usize, usize);

    /// The machine ends by itself.
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

/// Stands for an agent: starts a process that leaves its session, as a job may, and ends when a
/// file says so, as an agent that left does.
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

/// Nothing stays behind, also when a check failed.
impl Drop for Processes {
    fn drop(&mut self) {
        let home = self.directory.path().as_os_str().as_encoded_bytes();
        let is_agent = |process: &processes::Process| {
            let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            line.windows(home.len()).any(|part| part == home)
        };
        // What is started or restarted from now on ends by itself.
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

/// Each of these leaves nothing running.
async fn check(cloud: &dyn Cloud) {
    a_repeated_launch_finds_what_the_first_one_brought_up(cloud).await;
    machines_are_found_by_their_cluster(cloud).await;
    what_the_quota_does_not_allow_is_refused(cloud).await;
    a_machine_that_ended_is_found_as_such(cloud).await;
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
    }
}

async fn launch(cloud: &dyn Cloud, request: &LaunchRequest) -> LaunchOutcome {
    cloud.machines().launch(request).await.expect("no faults are planted")
}

fn instances(outcome: &LaunchOutcome) -> Vec<String> {
    outcome.launched.iter().map(|(_, machine)| machine.id.clone()).collect()
}

async fn terminate(cloud: &dyn Cloud, cluster: &ClusterRef, instances: &[String]) -> Vec<String> {
    cloud.machines().terminate(cluster, instances).await.expect("no faults are planted")
}

/// Instances that run, with the launch they are tagged with.
async fn found(cloud: &dyn Cloud, cluster: &ClusterRef) -> BTreeSet<(String, String)> {
    let machines = cloud.machines().find(cluster).await.expect("no faults are planted");
    let running = machines.into_iter().filter(|machine| machine.running);
    running.map(|FoundInstance { id, launch, .. }| (id, launch.to_string())).collect()
}

fn tagged(outcome: &LaunchOutcome, request: &LaunchRequest) -> BTreeSet<(String, String)> {
    instances(outcome).into_iter().map(|it| (it, request.launch.to_string())).collect()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn comes_up(cloud: &dyn Cloud, nodes: &[NodeId]) {
    for node in nodes {
        eventually("the machine comes up once", || cloud.running(node) == (1, 1)).await;
    }
}

async fn a_repeated_launch_finds_what_the_first_one_brought_up(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(&cluster, 2);
    let first = launch(cloud, &request).await;
    assert!(first.refused.is_none(), "{:?}", first.refused);
    let nodes: Vec<&NodeId> = first.launched.iter().map(|(node, _)| node).collect();
    assert_eq!(nodes, request.nodes.iter().collect::<Vec<_>>(), "one machine per node");
    let addresses: BTreeSet<_> = first.launched.iter().map(|(_, it)| &it.address).collect();
    assert_eq!(addresses.len(), 2, "each has an address of its own");

    let at_once = launch(cloud, &request).await;
    assert_eq!(at_once.launched, first.launched, "asked again at once");
    comes_up(cloud, &request.nodes).await;
    let later = launch(cloud, &request).await;
    assert_eq!(later.launched, first.launched, "asked again while they run");
    tokio::time::sleep(Duration::from_millis(200)).await;
    comes_up(cloud, &request.nodes).await;
    assert_eq!(found(cloud, &cluster).await, tagged(&first, &request));
    terminate(cloud, &cluster, &instances(&first)).await;
}

async fn machines_are_found_by_their_cluster(cloud: &dyn Cloud) {
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

async fn what_the_quota_does_not_allow_is_refused(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(&cluster, MAX_NODES as usize + 2);
    let outcome = launch(cloud, &request).await;
    assert_eq!(outcome.launched.len(), MAX_NODES as usize, "as many as there may be");
    let refused = outcome.refused.as_ref().expect("the rest is refused");
    assert!(!refused.code.is_empty() && !refused.message.is_empty(), "{refused:?}");
    let again = launch(cloud, &request).await;
    assert_eq!(again.launched, outcome.launched, "the same ones");
    assert!(again.refused.is_some(), "there is still no room for the rest");
    assert_eq!(found(cloud, &cluster).await, tagged(&outcome, &request));

    terminate(cloud, &cluster, &instances(&outcome)[..1]).await;
    let missing = LaunchRequest { nodes: request.nodes[MAX_NODES as usize..].to_vec(), ..request };
    let more = launch(cloud, &missing).await;
    assert_eq!(more.launched.len(), 1, "in the place of the one that is gone");
    assert!(more.refused.is_some());
    let all = [instances(&outcome), instances(&more)].concat();
    terminate(cloud, &cluster, &all).await;
    assert_eq!(found(cloud, &cluster).await, BTreeSet::new());
}

async fn a_machine_that_ended_is_found_as_such(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(&cluster, 2);
    let outcome = launch(cloud, &request).await;
    comes_up(cloud, &request.nodes).await;
    let (lost, instance) = (&request.nodes[0], &instances(&outcome)[0]);
    cloud.lose(lost);
    eventually("nothing of it is left", || cloud.running(lost) == (0, 0)).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let machines = cloud.machines().find(&cluster).await.expect("no faults are planted");
        let state = machines.iter().find(|it| it.id == *instance).map(|it| it.running);
        if state == Some(false) {
            break;
        }
        assert!(Instant::now() < until, "the end of {instance} is not seen: {machines:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    comes_up(cloud, &request.nodes[1..]).await;
    terminate(cloud, &cluster, &instances(&outcome)).await;
}

async fn termination_may_be_repeated(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(&cluster, 2);
    let outcome = launch(cloud, &request).await;
    comes_up(cloud, &request.nodes).await;
    let mut all = instances(&outcome);
    all.push("i-nobody-ever-launched".to_owned());
    for time in ["at first", "again"] {
        let gone = terminate(cloud, &cluster, &all).await;
        assert_eq!(gone, all, "of none of them anything runs ({time})");
        for node in &request.nodes {
            assert_eq!(cloud.running(node), (0, 0), "{node} still runs ({time})");
        }
        assert_eq!(found(cloud, &cluster).await, BTreeSet::new(), "{time}");
    }
}

/// Handlers of several clusters launch at the same time.
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
    let nodes: Vec<NodeId> = launched.into_iter().map(|(node, _)| node).collect();
    comes_up(&cloud, &nodes).await;
    assert_eq!(nodes.len(), MAX_NODES as usize);
}

/// The service ends without a word; its machines run on, and the next one finds them.
#[test]
fn machines_outlive_the_service_and_are_adopted() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path());
    let adopt = || ProcessMachines::adopt(options.clone()).unwrap();
    let cluster = cluster();
    let request = request(&cluster, 2);

    let first_life = tokio::runtime::Runtime::new().unwrap();
    let cloud = first_life.block_on(async { Processes { machines: adopt(), directory: home } });
    let before = first_life.block_on(async {
        let outcome = launch(&cloud, &request).await;
        comes_up(&cloud, &request.nodes).await;
        outcome
    });
    first_life.shutdown_background();

    let second_life = tokio::runtime::Runtime::new().unwrap();
    second_life.block_on(async {
        let adopted = Adopted { machines: adopt(), cloud: &cloud };
        comes_up(&adopted, &request.nodes).await;
        assert_eq!(found(&adopted, &cluster).await, tagged(&before, &request));
        let again = launch(&adopted, &request).await;
        assert_eq!(again.launched, before.launched, "known by the launch that brought them up");
        tokio::time::sleep(Duration::from_millis(200)).await;
        comes_up(&adopted, &request.nodes).await;
        let all = instances(&before);
        assert_eq!(terminate(&adopted, &cluster, &all).await, all);
        for node in &request.nodes {
            assert_eq!(adopted.running(node), (0, 0), "{node} still runs");
        }
        assert!(adopt().find(&cluster).await.unwrap().is_empty(), "a third life finds nothing");
    });
}

/// A later life of the service, over the same machines.
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
