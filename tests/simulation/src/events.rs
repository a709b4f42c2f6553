//! Applies the events of the script, handles answers to users, and ends the history: faults stop, and
//! the environment is checked until it has settled.

use crate::event_queue::SimEvent;
use crate::executor::{AgentCall, Notice, Purpose, SyncCall, TaskResult};
use crate::faults::Rates;
use crate::history::History;
use crate::requests::Answer;
use crate::scenario::Mode;
use crate::script::{Disturbance, EventKind, InstanceFault, UserRequest};
use crate::sim::State;
use control::{ApiErrorKind as ErrorKind, Error};
use std::sync::Arc;

/// How often a user's client sends a request.
const MAX_TRIES: u32 = 6;

impl History {
    pub fn apply_event(&mut self, index: usize) {
        let scenario = Arc::clone(&self.scenario);
        match &scenario.events[index].kind {
            EventKind::Request(request) => self.send_from_user(request),
            EventKind::Disturbance(disturbance) => self.disturb(*disturbance),
            EventKind::Calm { seconds } => {
                self.outage(*seconds, SimEvent::CalmEnds, |state| {
                    state.rates = Rates::default();
                    let checked_at = state.now + i64::from(*seconds) * 1000 - 10_000;
                    state.event_queue.add(checked_at, SimEvent::CalmChecked);
                });
            }
        }
    }

    fn send_from_user(&mut self, request: &UserRequest) {
        let times = if let UserRequest::Terminate { times, .. } = request { *times } else { 1 };
        for _ in 0..times {
            self.request(request.clone());
        }
    }

    pub fn request(&mut self, request: UserRequest) {
        self.requests.push((request, 0));
        let mut state = self.sim.state();
        let now = state.now;
        state.event_queue.add(now, SimEvent::Request(self.requests.len() - 1));
    }

    fn disturb(&mut self, disturbance: Disturbance) {
        match disturbance {
            Disturbance::Crash { process } => self.crash(process as usize % self.controls.len()),
            Disturbance::StorageOutage { seconds } => {
                self.outage(seconds, SimEvent::StorageRestored, |state| state.storage_down = true);
            }
            Disturbance::CloudOutage { seconds } => {
                self.outage(seconds, SimEvent::CloudRestored, |state| state.cloud.down = true);
            }
            Disturbance::Freeze { seconds } => self.freeze(seconds),
            Disturbance::Suspend { seconds } => self.jump(i64::from(seconds) * 1000),
            Disturbance::ClockJump { millis } => self.jump(millis),
            Disturbance::Instance { instance, fault } => self.disturb_instance(instance, fault),
        }
    }

    /// Changes the state now and schedules the event that ends the change.
    fn outage(&mut self, seconds: u32, end: SimEvent, start: impl FnOnce(&mut State)) {
        self.note(|| format!("until {end:?}: {seconds} s"));
        let mut state = self.sim.state();
        start(&mut state);
        let at = state.now + i64::from(seconds) * 1000;
        state.event_queue.add(at, end);
    }

    fn crash(&mut self, process: usize) {
        self.note(|| format!("process {process} crashes"));
        let dropped = self.tasks.crash(process);
        let mut state = self.sim.state();
        let now = state.now;
        for purpose in dropped {
            match purpose {
                Purpose::Request(request) => {
                    state.event_queue.add(now + 1000, SimEvent::Request(request))
                }
                Purpose::Sync(instance) => {
                    let instance = &mut state.cloud.instances[instance];
                    instance.in_flight = None;
                    instance.next_request_at = now + 1000;
                }
                Purpose::Other => {}
            }
        }
        if self.scenario.mode == Mode::OneProcess {
            state.queues.clear();
            state.held.clear();
            for number in 0..state.cloud.instances.len() {
                state.event_queue.add(now + 1000, SimEvent::Agent(number));
            }
        }
        drop(state);
        self.controls[process] = self.start_process(process);
    }

    /// The service does nothing for a while; everything else continues.
    fn freeze(&mut self, seconds: u32) {
        self.note(|| format!("the service is frozen for {seconds} s"));
        let mut state = self.sim.state();
        let millis = i64::from(seconds) * 1000;
        self.frozen_until = self.frozen_until.max(state.now + millis);
        // The service extends leases by the time it was down. It does not detect short pauses.
        if seconds >= 20 && self.scenario.mode == Mode::OneProcess {
            state.cloud.instances.iter_mut().for_each(|it| it.last_heard_at += millis);
        }
    }

    /// The clock of the service jumps: it was set, or everything was suspended.
    fn jump(&mut self, millis: i64) {
        self.note(|| format!("the clock jumps by {millis} ms"));
        let mut state = self.sim.state();
        state.clock_offset += millis;
        self.sim.set_clock(&state);
    }

    fn disturb_instance(&mut self, instance: u32, fault: InstanceFault) {
        let mut state = self.sim.state();
        let running: Vec<usize> = state.cloud.running().map(|(number, _)| number).collect();
        if running.is_empty() {
            return;
        }
        let number = running[instance as usize % running.len()];
        if state.trace.on() {
            state.note(format!("i-{number}: {fault:?}"));
        }
        let now = state.now;
        let until = |seconds: u32| now + i64::from(seconds) * 1000;
        match fault {
            InstanceFault::Lose => state.switch_off(number),
            InstanceFault::RestartAgent { seconds } => {
                let is_fleet = state.cloud.is_fleet;
                let instance = &mut state.cloud.instances[number];
                instance.agent_dead_until = instance.agent_dead_until.max(until(seconds));
                (instance.in_flight, instance.next_request_at) = (None, until(seconds));
                instance.signed_in = !is_fleet;
                instance.agent.restarted();
                state.event_queue.add(until(seconds), SimEvent::Agent(number));
            }
            InstanceFault::Partition { seconds } => {
                state.cloud.instances[number].partitioned_until = until(seconds);
            }
            InstanceFault::Interrupt { seconds, event, agent } => {
                state.event_queue.add(until(seconds), SimEvent::InstanceEnds(number));
                if agent {
                    let State { cloud, oracle, .. } = &mut *state;
                    cloud.instances[number].agent.interrupt(now, until(seconds), oracle);
                    state.event_queue.add(now, SimEvent::Agent(number));
                }
                drop(state);
                if event {
                    self.notice(number, Notice::Interruption(u64::from(seconds)), 0, 0);
                }
            }
            InstanceFault::Recommend { delays } => {
                drop(state);
                for seconds in delays {
                    self.notice(number, Notice::Rebalance, 0, i64::from(seconds) * 1000);
                }
            }
            InstanceFault::OldReport { which } => {
                let it = &state.cloud.instances[number];
                if it.reported.is_empty() {
                    return;
                }
                let request = it.reported[which as usize % it.reported.len()].clone();
                let Some(node) = it.node.clone() else { return };
                let (cluster, agent) = (it.cluster.clone(), it.identity(state.cloud.is_fleet));
                drop(state);
                let call = SyncCall { cluster, node, agent, request, hold_until: None };
                self.send_call(number, 0, AgentCall::Sync(Box::new(call)), 0);
            }
        }
    }

    /// The cloud announces a spot interruption, or recommends to replace an instance.
    pub fn notice(&mut self, instance: usize, notice: Notice, tries: u32, delay: i64) {
        let process = self.api();
        let control = Arc::clone(&self.controls[process]);
        let name = format!("i-{instance}");
        let handler = Box::pin(async move {
            let handled = match notice {
                Notice::Interruption(seconds) => control.handle_interruption(&name, seconds).await,
                Notice::Rebalance => control.handle_rebalance_recommendation(&name).await,
            };
            TaskResult::Notice { instance, notice, tries, failed: handled.is_err() }
        });
        let at = self.sim.state().now + delay;
        self.spawn(process, Purpose::Other, at, handler);
    }

    pub fn handle_answer(&mut self, number: usize, outcome: Result<Answer, Error>) {
        let (request, tries) = self.requests[number].clone();
        let mut state = self.sim.state();
        if state.trace.on() {
            let answer = match &outcome {
                Ok(answer) => format!("{answer:?}"),
                Err(error) => error.chain(),
            };
            state.note(format!("user: {request:?} is answered with {answer}"));
        }
        match outcome {
            Ok(answer) => {
                let checked = state.watch.check_answer(&self.scenario.layout, &request, &answer);
                if let Err(violation) = checked {
                    state.report_violation(violation);
                }
            }
            Err(error) => {
                let is_retried = if let Error::Api(error) = &error {
                    matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound)
                        && is_creation(&request)
                } else {
                    true
                };
                if is_retried && (tries < MAX_TRIES || self.quiet && tries < 200) {
                    let at = state.now + 4000;
                    state.event_queue.add(at, SimEvent::Request(number));
                }
            }
        }
    }

    /// Stops all faults for the rest of the history.
    pub fn end_faults(&mut self) {
        self.note(|| "faults end".to_owned());
        self.quiet = true;
        self.frozen_until = 0;
        let mut state = self.sim.state();
        let now = state.now;
        state.rates = Rates::default();
        state.directories.unblock();
        state.choices.use_mildest();
        (state.storage_down, state.cloud.down, state.bad_nodes) = (false, false, false);
        for number in 0..state.cloud.instances.len() {
            let it = &mut state.cloud.instances[number];
            it.partitioned_until = 0;
            it.agent_dead_until = it.agent_dead_until.min(now + 5000);
            state.event_queue.add(now, SimEvent::Agent(number));
        }
        state.event_queue.add(now + 5_000, SimEvent::CheckSettled);
        // In half of the histories, all hints are lost from here on.
        state.queues.off = self.scenario.seed.is_multiple_of(2);
        drop(state);
        if self.scenario.deletes_all {
            for workspace in 0..self.scenario.layout.workspaces.len() {
                self.request(UserRequest::DeleteGroup(workspace));
            }
        }
    }

    /// Ends the history if the environment has settled; else records why not.
    pub fn check_settled(&mut self) {
        // The schedule runs less often than the service expects; the process was up all the time.
        let context = &self.controls[0].context;
        context.uptime.reachable_since(context.now());
        let mut state = self.sim.state();
        let now = state.now;
        if self.tasks.has_others() {
            self.unsettled = Some("handlers are running".to_owned());
            return state.event_queue.add(now + 100, SimEvent::CheckSettled);
        }
        let unsettled = state.watch.unsettled(&state.cloud, &self.scenario);
        let leftover = || state.watch.leftover(&self.memory.items());
        let servers = state.watch.file_servers.values().map(|record| &**record);
        let directories = || state.directories.inconsistency(servers);
        self.unsettled = unsettled.or_else(leftover).or_else(directories);
        self.over = self.unsettled.is_none();
        state.event_queue.add(now + 5_000, SimEvent::CheckSettled);
    }
}

/// Creations are sent in any order, so that the parent of a resource may not exist yet.
fn is_creation(request: &UserRequest) -> bool {
    matches!(
        request,
        UserRequest::PutWorkspace(_)
            | UserRequest::PutExperiment(_)
            | UserRequest::PutFileServer(_)
            | UserRequest::PutCluster(..)
    )
}
