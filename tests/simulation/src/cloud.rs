//! Simulated instances behind the port: partial launches, lost answers, delayed listings, slow
//! terminations. The guarantees of the cloud hold: a launch id is idempotent, and an instance that is
//! listed as ended has ended.

use crate::agent::Agent;
use crate::event_queue::SimEvent;
use crate::sim::{Call, Fault, Sim, State};
use async_trait::async_trait;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError};
use model::{ClusterRef, LaunchId, LaunchedInstance, NodeId, ResourceError};
use protocol::SyncRequest;
use scheduler::recovery::FoundInstance;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Cloud {
    pub instances: Vec<Instance>,
    by_node: BTreeMap<NodeId, usize>,
    pub down: bool,
    /// The maximum number of running instances.
    pub limit: usize,
}

#[derive(Debug)]
pub struct Instance {
    pub cluster: ClusterRef,
    pub node: NodeId,
    pub launch: LaunchId,
    pub name: String,
    pub address: String,
    pub running: bool,
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

    /// The instance of a node, if one was ever launched.
    pub fn of_node(&self, node: &NodeId) -> Option<usize> {
        self.by_node.get(node).copied()
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

    fn launch_one(&mut self, request: &LaunchRequest, node: &NodeId) -> LaunchedInstance {
        let number = match self.cloud.of_node(node) {
            Some(number) => number,
            None => self.new_instance(request, node),
        };
        let instance = &self.cloud.instances[number];
        LaunchedInstance {
            id: instance.name.clone(),
            address: Some(instance.address.clone()),
            node: Some(node.clone()),
        }
    }

    fn new_instance(&mut self, request: &LaunchRequest, node: &NodeId) -> usize {
        let number = self.cloud.instances.len();
        let now = self.now;
        let boot = 500 + i64::from(self.choices.below(20)) * 1000;
        let lag = if self.choices.chance(self.rates.listing) { 40_000 } else { 0 };
        let prepare_millis = [200, 2000, 15_000][self.choices.below(3) as usize];
        let setup_fails = self.watch.setup_fails(&request.cluster.uid) && self.choices.chance(500);
        let bad = self.bad_nodes && self.choices.chance(250);
        if !self.watch.was_intended(&request.launch, node) {
            self.report_violation(format!("{node} is launched without a recorded intent"));
        }
        self.cloud.by_node.insert(node.clone(), number);
        self.cloud.instances.push(Instance {
            cluster: request.cluster.clone(),
            node: node.clone(),
            launch: request.launch.clone(),
            name: format!("i-{number}"),
            address: format!("10.0.{}.{}", number / 250, number % 250),
            running: true,
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
    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        let fault = self.0.call(Call::Cloud).await;
        if let Some(error) = refusal(fault) {
            return Err(error);
        }
        let outcome = {
            let mut state = self.0.state();
            let mut outcome = LaunchOutcome { launched: Vec::new(), refused: None };
            for node in &request.nodes {
                let known = state.cloud.of_node(node).is_some();
                let full = state.cloud.running().count() >= state.cloud.limit;
                let refused = state.rates.refused;
                if !known && (full || state.choices.chance(refused)) {
                    outcome.refused = Some(ResourceError::new("NoCapacity", "none left"));
                    continue;
                }
                outcome.launched.push(state.launch_one(request, node));
            }
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
                running: instance.running || now < instance.ended_at + instance.lag,
                address: Some(instance.address.clone()),
                node: Some(instance.node.clone()),
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

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<String>, PortError> {
        let fault = self.0.call(Call::Cloud).await;
        if let Some(error) = refusal(fault) {
            return Err(error);
        }
        let mut ended = Vec::new();
        {
            let mut state = self.0.state();
            for name in instances {
                let Some(number) = Cloud::number(name) else { continue };
                let rate = state.rates.not_yet;
                if state.cloud.instances[number].running && state.choices.chance(rate) {
                    let delay = 1000 + i64::from(state.choices.below(60)) * 1000;
                    state.cloud.instances[number].ending = true;
                    let at = state.now + delay;
                    state.event_queue.add(at, SimEvent::InstanceEnds(number));
                    continue;
                }
                state.end_instance(number);
                ended.push(name.clone());
            }
        }
        self.0.delay_call().await;
        match fault {
            Fault::AnswerLost => Err(failed("the answer was lost")),
            Fault::None | Fault::Throttled | Fault::Conflict | Fault::Down => Ok(ended),
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
