//! Simulated instances behind the port: partial launches, lost answers, delayed listings, slow
//! terminations, surplus instances. The guarantees of the cloud hold: a launch id is idempotent, and an
//! instance that is listed as ended has ended. An instance that is not visible yet cannot be terminated.
//!
//! There are two kinds of cloud. One starts an instance for each node, as `batchai local` does. The other
//! is a fleet: its instances are alike and sign in, a repeated launch gets the answer of the first one, and
//! a repetition with other parameters is a violation. A fleet has pools (see `pools`), launches a gang
//! whole or not at all, and an on-demand instance that switches itself off is stopped.

use crate::agent::Agent;
use crate::event_queue::SimEvent;
use crate::pools::{DryPools, no_capacity, offering, price, subnets, zone_of};
use crate::sim::{Call, Fault, Sim, State};
use async_trait::async_trait;
use control::nodes::AgentIdentity;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError, Termination};
use model::{
    Cluster, ClusterRef, LaunchId, LaunchedInstance, NodeId, Offering, Placement, Price,
    ResourceError, Timestamp, VmPriority,
};
use protocol::SyncRequest;
use scheduler::recovery::{FoundInstance, InstanceState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Cloud {
    pub instances: Vec<Instance>,
    by_node: BTreeMap<NodeId, usize>,
    launches: BTreeMap<LaunchId, Launched>,
    /// Whether instances do not know their node.
    pub is_fleet: bool,
    pub down: bool,
    /// The pools without capacity.
    pub dry_pools: DryPools,
    /// The maximum number of running instances.
    pub limit: usize,
}

/// A launch as it was first requested, and what the fleet answered.
#[derive(Debug)]
struct Launched {
    request: LaunchRequest,
    instances: Vec<usize>,
    refused: Option<ResourceError>,
    pools: Vec<model::PoolRefusal>,
    /// Whether the answer has addresses.
    described: bool,
    /// Whether the answer has zones.
    located: bool,
}

#[derive(Debug)]
pub struct Instance {
    pub cluster: ClusterRef,
    /// Its node, after it has signed in.
    pub node: Option<NodeId>,
    /// Whether its agent knows the node.
    pub signed_in: bool,
    /// Its agent signed in, is not needed, and has exited.
    pub is_dismissed: bool,
    pub launch: LaunchId,
    pub name: String,
    pub address: String,
    /// What it is, and where.
    pub offering: Offering,
    pub running: bool,
    /// It switched itself off, and has to be terminated.
    pub stopped: bool,
    /// On-demand: it is stopped instead of terminated when it switches itself off.
    pub is_on_demand: bool,
    /// UserRequests to end.
    pub ending: bool,
    /// Listings do not show it before this time.
    visible_at: i64,
    /// How long listings show it as running after its end.
    lag: i64,
    ended_at: i64,
    pub agent: Agent,
    /// When the process of the agent is started again.
    pub agent_dead_until: i64,
    pub partitioned_until: i64,
    /// The pending request: its number and its timeout.
    pub in_flight: Option<(u64, i64)>,
    /// The handler of the pending request.
    pub task: Option<u64>,
    pub requests: u64,
    pub next_request_at: i64,
    /// When the service last handled a request of this agent.
    pub last_heard_at: i64,
    /// Earlier reports: a late repetition must have no effect.
    pub reported: Vec<SyncRequest>,
    /// When the timer of the agent expires.
    pub timer: i64,
}

impl Cloud {
    pub fn number(name: &str) -> Option<usize> {
        name.strip_prefix("i-")?.parse().ok()
    }

    pub fn get(&self, name: &str) -> Option<&Instance> {
        self.instances.get(Self::number(name)?)
    }

    pub fn running(&self) -> impl Iterator<Item = (usize, &Instance)> {
        self.instances.iter().enumerate().filter(|(_, it)| it.running)
    }
}

/// An instance that has ended is forgotten after an hour.
const HOUR: i64 = 3_600_000;

impl Instance {
    /// As listings show it.
    fn listed_state(&self, now: i64) -> InstanceState {
        if self.running || now < self.ended_at + self.lag {
            InstanceState::Running
        } else if self.stopped {
            InstanceState::Stopped
        } else {
            InstanceState::Ended
        }
    }

    /// As the service knows the sender of its requests.
    pub fn identity(&self, is_fleet: bool) -> AgentIdentity {
        match is_fleet {
            true => AgentIdentity::Instance(self.name.clone()),
            false => AgentIdentity::Node,
        }
    }
}

impl State {
    /// Ends an instance with all its processes.
    pub fn end_instance(&mut self, number: usize) {
        let Some(instance) = self.cloud.instances.get_mut(number) else { return };
        if !instance.running {
            return;
        }
        (instance.running, instance.ended_at) = (false, self.now);
        if let Some(attempt) = &instance.agent.attempt {
            self.oracle.member_ended(&attempt.key, number);
        }
        if self.trace.on() {
            let line = format!("i-{number} ends");
            self.note(line);
        }
    }

    /// The instance switches itself off.
    pub fn switch_off(&mut self, number: usize) {
        self.end_instance(number);
        if let Some(instance) = self.cloud.instances.get_mut(number) {
            instance.stopped = instance.is_on_demand;
        }
    }

    fn launch_one(&mut self, request: &LaunchRequest, node: &NodeId) -> LaunchedInstance {
        let number = match self.cloud.by_node.get(node) {
            Some(number) => *number,
            None => {
                let number = self.new_instance(request, Some(node), Offering::Single);
                self.cloud.by_node.insert(node.clone(), number);
                number
            }
        };
        self.launched(number, true, true)
    }

    fn launched(&self, number: usize, described: bool, located: bool) -> LaunchedInstance {
        let instance = &self.cloud.instances[number];
        LaunchedInstance {
            id: instance.name.clone(),
            address: described.then(|| instance.address.clone()),
            node: instance.node.clone().filter(|_| !self.cloud.is_fleet),
            offering: match located {
                true => instance.offering.clone(),
                false => Offering::Unknown,
            },
        }
    }

    /// The token of a launch must come with the same parameters each time.
    fn check_request(&mut self, request: &LaunchRequest) {
        let known = self.cloud.launches.get(&request.launch);
        if known.is_some_and(|known| known.request != *request) {
            let launch = &request.launch;
            self.report_violation(format!("launch {launch} is repeated with other parameters"));
        }
        let intended = |node: &&NodeId| self.watch.was_intended(&request.launch, node);
        if let Some(node) = request.nodes.iter().find(|node| !intended(node)) {
            self.report_violation(format!("{node} is launched without a recorded intent"));
        }
    }

    fn refuses(&mut self) -> bool {
        let full = self.cloud.running().count() >= self.cloud.limit;
        let refused = self.rates.refused;
        full || self.choices.chance(refused)
    }

    /// One instance for each node that has none.
    fn launch_named(&mut self, request: &LaunchRequest) -> LaunchOutcome {
        let mut outcome = LaunchOutcome::default();
        for node in &request.nodes {
            if !self.cloud.by_node.contains_key(node) && self.refuses() {
                outcome.refused = Some(no_capacity());
                continue;
            }
            outcome.launched.push(self.launch_one(request, node));
        }
        let (request, instances) = (request.clone(), Vec::new());
        let pools = Vec::new();
        let known =
            Launched { request, instances, refused: None, pools, described: true, located: true };
        self.cloud.launches.entry(known.request.launch.clone()).or_insert(known);
        outcome
    }

    /// As many instances as there are nodes, or fewer, or one more; the same ones when it is repeated.
    fn launch_fleet(&mut self, request: &LaunchRequest) -> LaunchOutcome {
        if !self.cloud.launches.contains_key(&request.launch) {
            let launched = self.first_launch(request);
            self.cloud.launches.insert(request.launch.clone(), launched);
        }
        let known = &self.cloud.launches[&request.launch];
        let launched = |number: &usize| self.launched(*number, known.described, known.located);
        LaunchOutcome {
            launched: known.instances.iter().map(launched).collect(),
            refused: known.refused.clone(),
            pools: known.pools.clone(),
        }
    }

    fn first_launch(&mut self, request: &LaunchRequest) -> Launched {
        let described = self.choices.below(2) == 0;
        let located = described && self.choices.below(4) > 0;
        let (open, pools) = self.pools_of(request);
        let count = request.nodes.len();
        let room = self.cloud.limit.saturating_sub(self.cloud.running().count());
        let mut numbers = Vec::new();
        if !open.is_empty() && (!request.is_gang || count <= room) {
            let first = self.choices.below(open.len() as u32) as usize;
            for number in 0..count {
                if request.is_gang || !self.refuses() {
                    let number = if request.is_gang { first } else { first + number };
                    let offering = offering(&open[number % open.len()]);
                    numbers.push(self.new_instance(request, None, offering));
                }
            }
            let surplus = self.rates.refused / 3;
            if self.choices.chance(surplus) {
                let offering = offering(&open[first]);
                numbers.push(self.new_instance(request, None, offering));
            }
        }
        // A fleet may say nothing about an instance that it did not launch.
        let is_silent = self.choices.chance(300);
        let refused = (numbers.len() < count && !is_silent).then(no_capacity);
        Launched {
            request: request.clone(),
            instances: numbers,
            refused,
            pools,
            described,
            located,
        }
    }

    fn terminate(&mut self, name: &str) -> Result<Termination, PortError> {
        let (rate, error_rate) = (self.rates.not_yet, self.rates.cloud_error / 4);
        // One that fails does not keep the others.
        if self.choices.chance(error_rate) {
            return Err(failed("this instance cannot be terminated"));
        }
        let now = self.now;
        let known = Cloud::number(name).and_then(|number| Some((number, self.cloud.get(name)?)));
        let Some((number, instance)) = known else { return Ok(Termination::Unknown) };
        let is_forgotten = !instance.running && !instance.stopped && now > instance.ended_at + HOUR;
        if now < instance.visible_at || is_forgotten {
            return Ok(Termination::Unknown);
        }
        if instance.running && self.choices.chance(rate) {
            let delay = 1000 + i64::from(self.choices.below(60)) * 1000;
            self.cloud.instances[number].ending = true;
            self.event_queue.add(now + delay, SimEvent::InstanceEnds(number));
            return Ok(Termination::Ending);
        }
        self.end_instance(number);
        self.cloud.instances[number].stopped = false;
        Ok(Termination::Ended)
    }

    fn new_instance(
        &mut self,
        request: &LaunchRequest,
        node: Option<&NodeId>,
        offering: Offering,
    ) -> usize {
        let number = self.cloud.instances.len();
        let now = self.now;
        let boot = 500 + i64::from(self.choices.below(20)) * 1000;
        let lag = if self.choices.chance(self.rates.listing) { 40_000 } else { 0 };
        let prepare_millis = [200, 2000, 15_000][self.choices.below(3) as usize];
        let setup_fails = self.watch.setup_fails(&request.cluster.uid) && self.choices.chance(500);
        let bad = self.bad_nodes && self.choices.chance(250);
        self.cloud.instances.push(Instance {
            cluster: request.cluster.clone(),
            node: node.cloned(),
            signed_in: node.is_some(),
            is_dismissed: false,
            launch: request.launch.clone(),
            name: format!("i-{number}"),
            address: format!("10.0.{}.{}", number / 250, number % 250),
            offering,
            running: true,
            stopped: false,
            is_on_demand: node.is_none() && request.priority == VmPriority::Dedicated,
            ending: false,
            visible_at: now + lag,
            lag,
            ended_at: -lag,
            agent: Agent::new(prepare_millis, setup_fails, bad),
            agent_dead_until: now + boot,
            partitioned_until: 0,
            in_flight: None,
            task: None,
            requests: 0,
            next_request_at: now + boot,
            last_heard_at: now,
            reported: Vec::new(),
            timer: now + boot,
        });
        self.event_queue.add(now + boot, SimEvent::Agent(number));
        number
    }
}

#[derive(Debug)]
pub struct SimMachines(pub Arc<Sim>);

fn failed(message: &'static str) -> PortError {
    PortError::other(message)
}

#[async_trait]
impl Machines for SimMachines {
    fn placement(
        &self,
        _cluster: &Cluster,
        zone: Option<&str>,
    ) -> Result<Placement, ResourceError> {
        let mut subnets = if self.0.state().cloud.is_fleet { subnets() } else { Vec::new() };
        subnets.retain(|subnet| zone.is_none_or(|zone| zone_of(subnet) == zone));
        let zones = zone.map(str::to_owned).into_iter().collect();
        Ok(Placement { zones, subnets, ..Placement::default() })
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        let fault = self.0.call(Call::Cloud).await;
        if let Some(error) = refusal(fault) {
            return Err(error);
        }
        let outcome = {
            let mut state = self.0.state();
            state.check_request(request);
            let outcome = match state.cloud.is_fleet {
                true => state.launch_fleet(request),
                false => state.launch_named(request),
            };
            if state.trace.on() {
                let line =
                    format!("launched {:?}, refused {:?}", outcome.launched, outcome.refused);
                state.note(line);
            }
            outcome
        };
        self.0.delay_call().await;
        match fault {
            Fault::AnswerLost => Err(failed("the answer was lost")),
            Fault::None | Fault::Throttled | Fault::Conflict | Fault::Down => Ok(outcome),
        }
    }

    async fn prices(&self, offerings: &[Offering], _now: Timestamp) -> Vec<Price> {
        match self.0.call(Call::Cloud).await {
            Fault::None => offerings.iter().map(price).collect(),
            Fault::AnswerLost | Fault::Throttled | Fault::Conflict | Fault::Down => {
                vec![Price::NotAsked; offerings.len()]
            }
        }
    }

    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError> {
        let fault = self.0.call(Call::Cloud).await;
        if let Some(error) = refusal(fault) {
            return Err(error);
        }
        let mut state = self.0.state();
        let (now, rate) = (state.now, state.rates.listing);
        let mut found = Vec::new();
        for number in 0..state.cloud.instances.len() {
            let instance = &state.cloud.instances[number];
            if instance.cluster != *cluster || now < instance.visible_at {
                continue;
            }
            let machine = FoundInstance {
                id: instance.name.clone(),
                launch: instance.launch.clone(),
                state: instance.listed_state(now),
                address: Some(instance.address.clone()),
                node: instance.node.clone().filter(|_| !state.cloud.is_fleet),
                offering: instance.offering.clone(),
            };
            if state.choices.chance(rate) {
                // Listed twice, or not at all.
                if state.choices.chance(300) {
                    found.push(machine.clone());
                    found.push(machine);
                }
                continue;
            }
            found.push(machine);
        }
        Ok(found)
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, PortError> {
        let fault = self.0.call(Call::Cloud).await;
        if let Some(error) = refusal(fault) {
            return Err(error);
        }
        let mut state = self.0.state();
        let (now, rate) = (state.now, state.rates.listing);
        let mut clusters = BTreeSet::new();
        for number in 0..state.cloud.instances.len() {
            if state.choices.chance(rate) {
                continue;
            }
            let instance = &state.cloud.instances[number];
            let exists = instance.listed_state(now) != InstanceState::Ended;
            if exists && now >= instance.visible_at {
                clusters.insert(instance.cluster.clone());
            }
        }
        Ok(clusters.into_iter().collect())
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<Result<Termination, PortError>>, PortError> {
        let fault = self.0.call(Call::Cloud).await;
        if let Some(error) = refusal(fault) {
            return Err(error);
        }
        let outcomes = {
            let mut state = self.0.state();
            instances.iter().map(|name| state.terminate(name)).collect()
        };
        self.0.delay_call().await;
        match fault {
            Fault::AnswerLost => Err(failed("the answer was lost")),
            Fault::None | Fault::Throttled | Fault::Conflict | Fault::Down => Ok(outcomes),
        }
    }
}

fn refusal(fault: Fault) -> Option<PortError> {
    match fault {
        Fault::None | Fault::AnswerLost => None,
        Fault::Throttled => Some(PortError::Throttled("too many requests".into())),
        Fault::Conflict | Fault::Down => Some(failed("the call failed")),
    }
}
