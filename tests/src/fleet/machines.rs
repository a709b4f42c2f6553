//! Instances in memory behind the real port, with partial launches and instances that end. By default
//! each instance is made for one node; as a fleet, its instances are alike and sign in, and a launch gets
//! the same answer each time.

use super::agent::FakeAgent;
use super::oracle::Oracle;
use async_trait::async_trait;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PoolRefusal, PortError, Termination};
use model::{
    Cluster, ClusterRef, LaunchId, LaunchedInstance, NodeId, Offering, Placement, Pool,
    PoolProblem, Price, ResourceError, Timestamp, VmPriority,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scheduler::recovery::{FoundInstance, InstanceState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

pub struct FakeMachines {
    state: Mutex<State>,
    max_nodes: u32,
}

pub struct State {
    pub machines: BTreeMap<String, FakeMachine>,
    pub oracle: Oracle,
    rng: StdRng,
    /// Instances that cannot be terminated.
    pub stuck: BTreeSet<String>,
    /// The probability that the launch of a node is refused, in thousandths.
    pub refuse_per_mille: u32,
    /// Whether instances do not know their node.
    pub is_fleet: bool,
    /// Instances that a fleet launches beyond those requested.
    pub surplus: usize,
    /// Launches are carried out, but their answers are lost.
    pub loses_answers: bool,
    /// The pools of a fleet that have no capacity.
    pub dry_pools: BTreeSet<Pool>,
    /// The subnets of a fleet, each in a zone of its own.
    pub subnets: Vec<String>,
    /// What an hour costs in a zone, where it is not the price of everywhere.
    pub prices: BTreeMap<String, Price>,
    /// Instances of a fleet are neither described nor terminated.
    pub hides_new_instances: bool,
    launches: BTreeMap<LaunchId, (LaunchRequest, LaunchOutcome)>,
}

pub struct FakeMachine {
    pub cluster: ClusterRef,
    /// Its node, once its agent knows it.
    pub node: Option<NodeId>,
    pub launch: LaunchId,
    pub address: String,
    pub offering: Offering,
    pub running: bool,
    pub agent: FakeAgent,
}

impl FakeMachines {
    pub fn new(seed: u64, max_nodes: u32) -> Self {
        let state = State {
            machines: BTreeMap::new(),
            oracle: Oracle::default(),
            rng: StdRng::seed_from_u64(seed ^ 0x3ac41e5),
            stuck: BTreeSet::new(),
            refuse_per_mille: 0,
            is_fleet: false,
            surplus: 0,
            loses_answers: false,
            dry_pools: BTreeSet::new(),
            subnets: Vec::new(),
            prices: BTreeMap::new(),
            hides_new_instances: false,
            launches: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), max_nodes }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    pub fn running(&self) -> Vec<String> {
        let state = self.state();
        let running = state.machines.iter().filter(|(_, machine)| machine.running);
        running.map(|(instance, _)| instance.clone()).collect()
    }

    /// Ends an instance with all its processes.
    pub fn lose(&self, instance: &str) {
        self.state().end(instance);
    }
}

impl State {
    fn end(&mut self, instance: &str) {
        if let Some(machine) = self.machines.get_mut(instance) {
            machine.running = false;
        }
        self.oracle.machine_ended(instance);
    }

    fn launch_one(
        &mut self,
        request: &LaunchRequest,
        node: Option<&NodeId>,
        offering: Offering,
    ) -> LaunchedInstance {
        let number = self.machines.len() + 1;
        let instance = node.map_or(format!("i-{number:017}"), |node| format!("i-{node}"));
        let machine = self.machines.entry(instance.clone()).or_insert_with(|| FakeMachine {
            cluster: request.cluster.clone(),
            node: node.cloned(),
            launch: request.launch.clone(),
            address: format!("10.0.{}.{}", number / 250, number % 250),
            offering,
            running: true,
            agent: FakeAgent::default(),
        });
        let address = Some(machine.address.clone());
        let offering = machine.offering.clone();
        LaunchedInstance { id: instance, address, node: node.cloned(), offering }
    }

    /// Whether one more instance is refused.
    fn refuses(&mut self, max_nodes: u32) -> bool {
        let full = self.count_running() >= max_nodes as usize;
        let refuse = self.refuse_per_mille;
        full || self.rng.random_range(0..1000) < refuse
    }

    /// # Errors
    /// When the id is known with other parameters.
    fn launch(
        &mut self,
        request: &LaunchRequest,
        max_nodes: u32,
    ) -> Result<LaunchOutcome, PortError> {
        if let Some((known, outcome)) = self.launches.get(&request.launch) {
            let (known, outcome) = (known.clone(), outcome.clone());
            if known != *request {
                let launch = &request.launch;
                let violation = format!("launch {launch} is repeated with other parameters");
                self.oracle.report_violation(violation);
                return Err(PortError::other("the id is in use with other parameters"));
            }
            if self.is_fleet {
                return Ok(outcome);
            }
        }
        let outcome = match self.is_fleet {
            true => self.launch_fleet(request, max_nodes),
            false => self.launch_named(request, max_nodes),
        };
        self.launches.insert(request.launch.clone(), (request.clone(), outcome.clone()));
        Ok(outcome)
    }

    fn launch_named(&mut self, request: &LaunchRequest, max_nodes: u32) -> LaunchOutcome {
        let mut outcome = LaunchOutcome::default();
        for node in &request.nodes {
            let known = self.machines.contains_key(&format!("i-{node}"));
            if !known && self.refuses(max_nodes) {
                outcome.refused = Some(no_capacity());
                continue;
            }
            outcome.launched.push(self.launch_one(request, Some(node), Offering::Single));
        }
        outcome
    }

    fn launch_fleet(&mut self, request: &LaunchRequest, max_nodes: u32) -> LaunchOutcome {
        let is_dry = |pool: &Pool| self.dry_pools.contains(pool);
        let (dry, open): (Vec<Pool>, Vec<Pool>) = pools(request).into_iter().partition(is_dry);
        let problem = PoolProblem::NoCapacity;
        let pools = dry.into_iter().map(|pool| PoolRefusal { pool, problem }).collect();
        let mut outcome = LaunchOutcome { pools, ..LaunchOutcome::default() };
        let room = (max_nodes as usize).saturating_sub(self.count_running());
        let is_whole = !request.is_gang || request.nodes.len() <= room;
        // The nodes of a gang are in one zone, others in any.
        let offering = |number: usize| {
            let pool = open.get(if request.is_gang { 0 } else { number % open.len().max(1) });
            pool.map_or(Offering::Unknown, offering)
        };
        for number in 0..request.nodes.len() {
            if is_whole && !open.is_empty() && !self.refuses(max_nodes) {
                outcome.launched.push(self.launch_one(request, None, offering(number)));
            }
        }
        outcome.refused = (outcome.launched.len() < request.nodes.len()).then(no_capacity);
        for _ in 0..self.surplus {
            outcome.launched.push(self.launch_one(request, None, offering(0)));
        }
        outcome
    }

    fn count_running(&self) -> usize {
        self.machines.values().filter(|machine| machine.running).count()
    }
}

/// The pools that a request may use. One that it avoids is not used.
fn pools(request: &LaunchRequest) -> Vec<Pool> {
    let subnets = match request.placement.subnets.as_slice() {
        [] => vec!["subnet".to_owned()],
        subnets => subnets.to_vec(),
    };
    let pool =
        |subnet| Pool { vm_size: request.vm_size.clone(), subnet, priority: request.priority };
    let avoided = |pool: &Pool| request.placement.avoid.contains(pool);
    subnets.into_iter().map(pool).filter(|pool| !avoided(pool)).collect()
}

/// The zone of a subnet.
pub fn zone_of(subnet: &str) -> String {
    format!("zone-of-{subnet}")
}

fn offering(pool: &Pool) -> Offering {
    let (zone, vm_size) = (zone_of(&pool.subnet), pool.vm_size.clone());
    Offering::Described { zone, vm_size, priority: pool.priority }
}

fn no_capacity() -> ResourceError {
    ResourceError::new("NoCapacity", "there are no machines")
}

#[async_trait]
impl Machines for FakeMachines {
    fn placement(
        &self,
        _cluster: &Cluster,
        zone: Option<&str>,
    ) -> Result<Placement, ResourceError> {
        let is_in = |subnet: &&String| zone.is_none_or(|zone| zone_of(subnet) == zone);
        let subnets = self.state().subnets.iter().filter(is_in).cloned().collect();
        let zones = zone.map(str::to_owned).into_iter().collect();
        Ok(Placement { zones, subnets, ..Placement::default() })
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        let mut state = self.state();
        let outcome = state.launch(request, self.max_nodes)?;
        match state.loses_answers {
            true => Err(PortError::other("the answer was lost")),
            false => Ok(outcome),
        }
    }

    async fn prices(&self, offerings: &[Offering], _now: Timestamp) -> Vec<Price> {
        let state = self.state();
        let price = |offering: &Offering| match offering {
            Offering::Described { zone, .. } if state.prices.contains_key(zone) => {
                state.prices[zone]
            }
            Offering::Described { priority: VmPriority::LowPriority, .. } => {
                Price::MicroUsdPerHour(160_000)
            }
            Offering::Described { .. } | Offering::Single | Offering::Unknown => {
                Price::MicroUsdPerHour(526_000)
            }
        };
        offerings.iter().map(price).collect()
    }

    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError> {
        let state = self.state();
        if state.hides_new_instances {
            return Ok(Vec::new());
        }
        let of_cluster = state.machines.iter().filter(|(_, machine)| machine.cluster == *cluster);
        let found = of_cluster.map(|(instance, machine)| FoundInstance {
            id: instance.clone(),
            launch: machine.launch.clone(),
            state: match machine.running {
                true => InstanceState::Running,
                false => InstanceState::Ended,
            },
            address: Some(machine.address.clone()),
            node: machine.node.clone().filter(|_| !state.is_fleet),
            offering: machine.offering.clone(),
        });
        Ok(found.collect())
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, PortError> {
        let state = self.state();
        let running = state.machines.values().filter(|machine| machine.running);
        let clusters: BTreeSet<ClusterRef> = running.map(|it| it.cluster.clone()).collect();
        Ok(clusters.into_iter().collect())
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<Result<Termination, PortError>>, PortError> {
        let mut state = self.state();
        let end = |instance: &String| {
            if state.stuck.contains(instance) {
                return Err(PortError::other(format!("{instance} cannot be terminated")));
            }
            if state.hides_new_instances || !state.machines.contains_key(instance) {
                return Ok(Termination::Unknown);
            }
            state.end(instance);
            Ok(Termination::Ended)
        };
        Ok(instances.iter().map(end).collect())
    }
}
