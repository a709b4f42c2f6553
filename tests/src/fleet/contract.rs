//! The contract of the port for instances. It runs on processes, on the fake fleet of both kinds, and on
//! EC2 with the emulator moto (`shared/ec2/tests`), which says in [`Cloud`] what it does not do.

use async_trait::async_trait;
use control::ports::{Ids, LaunchOutcome, LaunchRequest, Machines, Termination};
use control::system::RandomIds;
use model::{ClusterRef, NodeId, Offering, Placement, VmPriority, Zone};
use scheduler::recovery::{FoundInstance, InstanceState};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The timeout for what takes milliseconds on an idle machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The most instances of a cloud that has a limit.
pub const MAX_NODES: u32 = 3;

/// A provider, with functions to inspect and end its instances.
#[async_trait]
pub trait Cloud: Sync {
    fn machines(&self) -> &dyn Machines;

    /// Whether a repeated launch gets the same instances. moto ignores idempotency tokens.
    fn repeats_launches(&self) -> bool {
        true
    }

    /// Whether an instance is launched for each node; otherwise all instances of a launch are alike.
    fn names_nodes(&self) -> bool {
        false
    }

    /// Whether it has at most [`MAX_NODES`] instances.
    fn is_limited(&self) -> bool {
        true
    }

    /// Whether the processes of an instance run, each of them once.
    fn runs(&self, instance: &str) -> bool;

    /// Whether any process of an instance runs.
    fn is_gone(&self, instance: &str) -> bool;

    /// Ends an instance without a request.
    async fn lose(&self, instance: &str);

    /// Where its launches go.
    fn placement(&self) -> Placement {
        Placement::default()
    }

    /// Its zones, each with the placement of a launch there; none where it has a single one.
    fn zones(&self) -> Vec<(String, Placement)> {
        Vec::new()
    }
}

/// Each check terminates its instances.
pub async fn check(cloud: &dyn Cloud) {
    a_repeated_launch_returns_the_same_instances(cloud).await;
    instances_are_listed_by_cluster(cloud).await;
    the_zone_of_an_instance_is_described(cloud).await;
    launches_beyond_the_limit_are_refused(cloud).await;
    an_ended_instance_is_listed_as_ended(cloud).await;
    termination_may_be_repeated(cloud).await;
    an_unknown_instance_does_not_keep_the_others(cloud).await;
}

pub fn cluster() -> ClusterRef {
    ClusterRef { workspace: RandomIds.uid(), name: "c".to_owned(), uid: RandomIds.uid() }
}

pub fn request(cloud: &dyn Cloud, cluster: &ClusterRef, count: usize) -> LaunchRequest {
    LaunchRequest {
        cluster: cluster.clone(),
        launch: RandomIds.uid(),
        nodes: (0..count).map(|_| NodeId::new(&RandomIds.uid(), true)).collect(),
        vm_size: "STANDARD_NC6".to_owned(),
        alternate_vm_sizes: Vec::new(),
        priority: VmPriority::LowPriority,
        is_gang: false,
        placement: cloud.placement(),
    }
}

pub async fn launch(cloud: &dyn Cloud, request: &LaunchRequest) -> LaunchOutcome {
    cloud.machines().launch(request).await.expect("there are no faults")
}

pub fn instances(outcome: &LaunchOutcome) -> Vec<String> {
    outcome.launched.iter().map(|machine| machine.id.clone()).collect()
}

/// The instances that have ended, after all of them are asked to.
pub async fn terminate(
    cloud: &dyn Cloud,
    cluster: &ClusterRef,
    instances: &[String],
) -> Vec<String> {
    let mut ended = Vec::new();
    let until = Instant::now() + TIMEOUT;
    loop {
        let left: Vec<String> =
            instances.iter().filter(|it| !ended.contains(*it)).cloned().collect();
        let outcomes = cloud.machines().terminate(cluster, &left).await;
        let outcomes = outcomes.expect("there are no faults");
        assert_eq!(outcomes.len(), left.len(), "one outcome for each");
        let mut is_ending = false;
        for (id, outcome) in left.into_iter().zip(outcomes) {
            match outcome.expect("there are no faults") {
                Termination::Ended => ended.push(id),
                Termination::Ending => is_ending = true,
                Termination::Unknown => {}
            }
        }
        if !is_ending || Instant::now() > until {
            ended.sort();
            return ended;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The existing instances with the launch ids of their tags.
pub async fn found(cloud: &dyn Cloud, cluster: &ClusterRef) -> BTreeSet<(String, String)> {
    let machines = cloud.machines().find(cluster).await.expect("there are no faults");
    let existing = machines.into_iter().filter(FoundInstance::exists);
    existing.map(|FoundInstance { id, launch, .. }| (id, launch.to_string())).collect()
}

pub fn tagged(outcome: &LaunchOutcome, request: &LaunchRequest) -> BTreeSet<(String, String)> {
    instances(outcome).into_iter().map(|it| (it, request.launch.to_string())).collect()
}

pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < until, "timed out after {TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn wait_until_running(cloud: &dyn Cloud, instances: &[String]) {
    for instance in instances {
        eventually("the instance runs once", || cloud.runs(instance)).await;
    }
}

async fn a_repeated_launch_returns_the_same_instances(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(cloud, &cluster, 2);
    let first = launch(cloud, &request).await;
    assert!(first.refused.is_none(), "{:?}", first.refused);
    let nodes: Vec<&NodeId> = first.launched.iter().filter_map(|it| it.node.as_ref()).collect();
    let expected = if cloud.names_nodes() { request.nodes.iter().collect() } else { Vec::new() };
    assert_eq!(nodes, expected, "one machine per node");
    let addresses: BTreeSet<_> = first.launched.iter().map(|it| &it.address).collect();
    assert_eq!(addresses.len(), 2, "each has an address of its own");
    if cloud.repeats_launches() {
        let at_once = launch(cloud, &request).await;
        assert_eq!(at_once.launched, first.launched, "repeated at once");
        wait_until_running(cloud, &instances(&first)).await;
        let later = launch(cloud, &request).await;
        assert_eq!(later.launched, first.launched, "repeated while they run");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    wait_until_running(cloud, &instances(&first)).await;
    assert_eq!(found(cloud, &cluster).await, tagged(&first, &request));
    terminate(cloud, &cluster, &instances(&first)).await;
}

async fn instances_are_listed_by_cluster(cloud: &dyn Cloud) {
    let (one, other) = (cluster(), cluster());
    let (of_one, of_other) = (request(cloud, &one, 1), request(cloud, &other, 2));
    let (in_one, in_other) = (launch(cloud, &of_one).await, launch(cloud, &of_other).await);
    assert_eq!(found(cloud, &one).await, tagged(&in_one, &of_one));
    assert_eq!(found(cloud, &other).await, tagged(&in_other, &of_other));
    assert_eq!(found(cloud, &cluster()).await, BTreeSet::new(), "a cluster without machines");
    let clusters = cloud.machines().clusters().await.expect("there are no faults");
    assert!(clusters.contains(&one) && clusters.contains(&other), "{clusters:?}");
    terminate(cloud, &one, &instances(&in_one)).await;
    assert_eq!(found(cloud, &other).await, tagged(&in_other, &of_other), "the other one stays");
    let clusters = cloud.machines().clusters().await.expect("there are no faults");
    assert!(!clusters.contains(&one) && clusters.contains(&other), "{clusters:?}");
    terminate(cloud, &other, &instances(&in_other)).await;
}

/// A launch goes to the zones of its placement, and its answer and the list say which one that is.
async fn the_zone_of_an_instance_is_described(cloud: &dyn Cloud) {
    let zones = cloud.zones();
    if zones.is_empty() {
        let cluster = cluster();
        let launched = launch(cloud, &request(cloud, &cluster, 1)).await.launched;
        assert!(launched.iter().all(|it| it.offering == Offering::Single), "{launched:?}");
        let ids: Vec<String> = launched.into_iter().map(|it| it.id).collect();
        terminate(cloud, &cluster, &ids).await;
    }
    for (zone, placement) in zones {
        let cluster = cluster();
        let request = LaunchRequest { is_gang: true, placement, ..request(cloud, &cluster, 2) };
        let outcome = launch(cloud, &request).await;
        let zones = |offerings: Vec<&Offering>| -> Vec<Zone> {
            offerings.into_iter().map(Offering::zone).collect()
        };
        let expected = vec![Zone::Named(zone); 2];
        assert_eq!(zones(outcome.launched.iter().map(|it| &it.offering).collect()), expected);
        let found = cloud.machines().find(&cluster).await.expect("there are no faults");
        assert_eq!(zones(found.iter().map(|it| &it.offering).collect()), expected);
        let offerings: Vec<Offering> = found.into_iter().map(|it| it.offering).collect();
        let now = model::Timestamp(1_792_000_000_000);
        let prices = cloud.machines().prices(&offerings, now).await;
        assert_eq!(prices.len(), 2, "one for each");
        assert!(prices.iter().all(|it| it.micro_usd_per_hour() > Some(0)), "{prices:?}");
        terminate(cloud, &cluster, &instances(&outcome)).await;
    }
}

async fn launches_beyond_the_limit_are_refused(cloud: &dyn Cloud) {
    if !cloud.is_limited() {
        return;
    }
    let cluster = cluster();
    let first = request(cloud, &cluster, MAX_NODES as usize + 2);
    let another = request(cloud, &cluster, 2);
    let outcome = launch(cloud, &first).await;
    assert_eq!(outcome.launched.len(), MAX_NODES as usize, "as many as the limit allows");
    let refused = outcome.refused.as_ref().expect("the rest is refused");
    assert!(!refused.code.is_empty() && !refused.message.is_empty(), "{refused:?}");
    let again = launch(cloud, &first).await;
    assert_eq!(again.launched, outcome.launched, "the same ones");
    assert!(again.refused.is_some(), "the limit is still reached");
    assert_eq!(found(cloud, &cluster).await, tagged(&outcome, &first));

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
    let request = request(cloud, &cluster, 2);
    let outcome = launch(cloud, &request).await;
    let all = instances(&outcome);
    wait_until_running(cloud, &all).await;
    let lost = &all[0];
    cloud.lose(lost).await;
    eventually("none of its processes is left", || cloud.is_gone(lost)).await;
    let until = Instant::now() + TIMEOUT;
    loop {
        let machines = cloud.machines().find(&cluster).await.expect("there are no faults");
        let state = machines.iter().find(|it| it.id == *lost).map(|it| it.state);
        if state == Some(InstanceState::Ended) {
            break;
        }
        assert!(Instant::now() < until, "{lost} is not listed as ended: {machines:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_until_running(cloud, &all[1..]).await;
    terminate(cloud, &cluster, &all).await;
}

async fn termination_may_be_repeated(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(cloud, &cluster, 2);
    let mut all = instances(&launch(cloud, &request).await);
    wait_until_running(cloud, &all).await;
    all.sort();
    for time in ["at first", "again"] {
        assert_eq!(terminate(cloud, &cluster, &all).await, all, "all have ended ({time})");
        assert!(all.iter().all(|it| cloud.is_gone(it)), "none has processes ({time})");
        assert_eq!(found(cloud, &cluster).await, BTreeSet::new(), "{time}");
    }
}

/// An instance that the provider does not know may exist: it is not said to run, and the others are
/// terminated.
async fn an_unknown_instance_does_not_keep_the_others(cloud: &dyn Cloud) {
    let cluster = cluster();
    let request = request(cloud, &cluster, 2);
    let all = instances(&launch(cloud, &request).await);
    wait_until_running(cloud, &all).await;
    let unknown = "i-0123456789abcdef0".to_owned();
    let ids = [all[0].clone(), unknown, all[1].clone()];
    let outcomes = cloud.machines().terminate(&cluster, &ids).await.expect("there are no faults");
    let unknown = outcomes[1].as_ref().expect("there are no faults");
    assert!(matches!(unknown, Termination::Unknown | Termination::Ended), "{unknown:?}");
    for instance in &all {
        eventually("it is terminated", || cloud.is_gone(instance)).await;
    }
    terminate(cloud, &cluster, &all).await;
    assert_eq!(found(cloud, &cluster).await, BTreeSet::new());
}
