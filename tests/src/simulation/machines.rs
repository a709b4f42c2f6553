//! Simulated machines behind the real port: launches that come in part, or whose answer is lost;
//! machines that end; listings that lag.

use super::agent::SimAgent;
use super::truth::Truth;
use crate::faults::{Fault, Faults};
use async_trait::async_trait;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError};
use model::{ClusterRef, LaunchId, Machine, NodeId, ResourceError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scheduler::recovery::FoundMachine;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

pub struct SimMachines {
    state: Mutex<State>,
    faults: Arc<Faults>,
    max_nodes: u32,
}

pub struct State {
    pub machines: BTreeMap<String, SimMachine>,
    pub truth: Truth,
    dice: StdRng,
    /// Chance that a launch is refused in part or in whole, in thousandths.
    pub refuse_per_mille: u32,
    /// More machines ran at a time than the account allows.
    pub most_running: usize,
}

pub struct SimMachine {
    pub cluster: ClusterRef,
    pub node: NodeId,
    pub launch: LaunchId,
    pub address: String,
    pub running: bool,
    pub agent: SimAgent,
}

impl SimMachines {
    pub fn new(seed: u64, max_nodes: u32, faults: Arc<Faults>) -> Self {
        let state = State {
            machines: BTreeMap::new(),
            truth: Truth::default(),
            dice: StdRng::seed_from_u64(seed ^ 0x3ac41e5),
            refuse_per_mille: 0,
            most_running: 0,
        };
        Self { state: Mutex::new(state), faults, max_nodes }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    pub fn running(&self) -> Vec<String> {
        let state = self.state();
        let running = state.machines.iter().filter(|(_, machine)| machine.running);
        running.map(|(instance, _)| instance.clone()).collect()
    }

    /// Power is cut.
    pub fn lose(&self, instance: &str) {
        self.state().end(instance);
    }
}

impl State {
    fn end(&mut self, instance: &str) {
        if let Some(machine) = self.machines.get_mut(instance) {
            machine.running = false;
        }
        self.truth.machine_ended(instance);
    }

    fn launch_one(&mut self, request: &LaunchRequest, node: &NodeId) -> Machine {
        let instance = format!("i-{node}");
        let number = self.machines.len() + 1;
        let machine = self.machines.entry(instance.clone()).or_insert_with(|| SimMachine {
            cluster: request.cluster.clone(),
            node: node.clone(),
            launch: request.launch.clone(),
            address: format!("10.0.{}.{}", number / 250, number % 250),
            running: true,
            agent: SimAgent::default(),
        });
        Machine { instance, address: machine.address.clone() }
    }

    fn count_running(&self) -> usize {
        self.machines.values().filter(|machine| machine.running).count()
    }
}

fn failed() -> PortError {
    PortError::other("the call failed")
}

#[async_trait]
impl Machines for SimMachines {
    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        let fault = self.faults.draw();
        if matches!(fault, Fault::Throttled | Fault::Met | Fault::CrashedBefore) {
            return Err(failed());
        }
        let mut state = self.state();
        let mut outcome = LaunchOutcome { launched: Vec::new(), refused: None };
        for node in &request.nodes {
            let known = state.machines.contains_key(&format!("i-{node}"));
            let full = state.count_running() >= self.max_nodes as usize;
            let refuse = state.refuse_per_mille;
            if !known && (full || state.dice.random_range(0..1000) < refuse) {
                outcome.refused = Some(ResourceError::new("NoCapacity", "there are no machines"));
                continue;
            }
            outcome.launched.push((node.clone(), state.launch_one(request, node)));
        }
        state.most_running = state.most_running.max(state.count_running());
        match fault {
            Fault::AnswerLost | Fault::CrashedAfter => Err(failed()),
            _ => Ok(outcome),
        }
    }

    /// Sometimes leaves out what has just come up, as EC2 does.
    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundMachine>, PortError> {
        if self.faults.draw() != Fault::None {
            return Err(failed());
        }
        let state = self.state();
        let of_cluster = state.machines.iter().filter(|(_, machine)| machine.cluster == *cluster);
        let found = of_cluster.map(|(instance, machine)| FoundMachine {
            instance: instance.clone(),
            launch: machine.launch.clone(),
            running: machine.running,
        });
        Ok(found.collect())
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<String>, PortError> {
        let fault = self.faults.draw();
        if matches!(fault, Fault::Throttled | Fault::Met | Fault::CrashedBefore) {
            return Err(failed());
        }
        let mut state = self.state();
        for instance in instances {
            state.end(instance);
        }
        match fault {
            Fault::AnswerLost | Fault::CrashedAfter => Err(failed()),
            _ => Ok(instances.to_vec()),
        }
    }
}
