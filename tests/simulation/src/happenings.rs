//! What happens from outside: the events of the script, the timers of agents, the answers to users,
//! and the end of all faults.

use crate::agenda::Due;
use crate::executor::{Done, Purpose, SyncCall};
use crate::faults::Rates;
use crate::history::History;
use crate::requests::Answer;
use crate::scenario::Mode;
use crate::script::What;
use crate::sim::State;
use control::{ApiErrorKind as ErrorKind, Error};
use std::sync::Arc;

/// How often a user's client sends a request again.
const MAX_TRIES: u32 = 6;

impl History {
    pub fn happen(&mut self, index: usize) {
        let scenario = Arc::clone(&self.scenario);
        let what = &scenario.events[index].what;
        match what {
            What::Crash { process } => self.crash(*process as usize % self.controls.len()),
            What::StorageOutage { seconds } => {
                self.outage(*seconds, Due::StorageIsBack, |state| state.storage_down = true);
            }
            What::CloudOutage { seconds } => {
                self.outage(*seconds, Due::CloudIsBack, |state| state.cloud.down = true);
            }
            What::Calm { seconds } => {
                self.outage(*seconds, Due::CalmEnds, |state| {
                    state.rates = Rates::default();
                    let checked_at = state.now + i64::from(*seconds) * 1000 - 10_000;
                    state.agenda.add(checked_at, Due::CalmChecked);
                });
            }
            What::Freeze { seconds } => self.freeze(*seconds),
            What::Suspend { seconds } => self.jump(i64::from(*seconds) * 1000),
            What::Jump { millis } => self.jump(*millis),
            What::Interrupt { .. }
            | What::Lose { .. }
            | What::RestartAgent { .. }
            | What::Partition { .. }
            | What::OldReport { .. } => self.happen_to_instance(what),
            What::Terminate { times, .. } => {
                for _ in 0..*times {
                    self.request(what.clone());
                }
            }
            _ => self.request(what.clone()),
        }
    }

    pub fn request(&mut self, what: What) {
        self.requests.push((what, 0));
        let mut state = self.sim.state();
        let now = state.now;
        state.agenda.add(now, Due::Request(self.requests.len() - 1));
    }

    fn outage(&mut self, seconds: u32, end: Due, begin: impl FnOnce(&mut State)) {
        self.note(|| format!("until {end:?}: {seconds} s"));
        let mut state = self.sim.state();
        begin(&mut state);
        let at = state.now + i64::from(seconds) * 1000;
        state.agenda.add(at, end);
    }

    fn crash(&mut self, process: usize) {
        self.note(|| format!("process {process} crashes"));
        let dropped = self.tasks.crash(process);
        let mut state = self.sim.state();
        let now = state.now;
        for purpose in dropped {
            match purpose {
                Purpose::Request(request) => state.agenda.add(now + 1000, Due::Request(request)),
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
                state.agenda.add(now + 1000, Due::Agent(number));
            }
        }
        drop(state);
        self.controls[process] = self.start_process(process);
    }

    /// The service does nothing for a while; everything else goes on.
    fn freeze(&mut self, seconds: u32) {
        self.note(|| format!("the service stands still for {seconds} s"));
        let mut state = self.sim.state();
        let millis = i64::from(seconds) * 1000;
        self.frozen_until = self.frozen_until.max(state.now + millis);
        // A lease does not run while nobody listens; a short pause is not told from a slow service.
        if seconds >= 20 && self.scenario.mode == Mode::OneProcess {
            state.cloud.instances.iter_mut().for_each(|it| it.heard_at += millis);
        }
    }

    /// The clock of the service shows another time than before: it was set, or everything was
    /// suspended.
    fn jump(&mut self, millis: i64) {
        self.note(|| format!("the clock jumps by {millis} ms"));
        let mut state = self.sim.state();
        state.clock_offset += millis;
        self.sim.set_clock(&state);
    }

    fn happen_to_instance(&mut self, what: &What) {
        let mut state = self.sim.state();
        let (What::Interrupt { instance, .. }
        | What::Lose { instance }
        | What::RestartAgent { instance, .. }
        | What::Partition { instance, .. }
        | What::OldReport { instance, .. }) = what
        else {
            return;
        };
        let running: Vec<usize> = state.cloud.running().map(|(number, _)| number).collect();
        if running.is_empty() {
            return;
        }
        let number = running[*instance as usize % running.len()];
        if state.trace.on() {
            state.note(format!("i-{number}: {what:?}"));
        }
        let now = state.now;
        let until = |seconds: u32| now + i64::from(seconds) * 1000;
        match what {
            What::Lose { .. } => state.end_instance(number),
            What::RestartAgent { seconds, .. } => {
                let instance = &mut state.cloud.instances[number];
                instance.agent_dead_until = instance.agent_dead_until.max(until(*seconds));
                (instance.in_flight, instance.next_request_at) = (None, until(*seconds));
                instance.agent.restarted();
                state.agenda.add(until(*seconds), Due::Agent(number));
            }
            What::Partition { seconds, .. } => {
                state.cloud.instances[number].partitioned_until = until(*seconds);
            }
            What::Interrupt { seconds, event, agent, .. } => {
                state.agenda.add(until(*seconds), Due::InstanceEnds(number));
                if *agent {
                    let State { cloud, oracle, .. } = &mut *state;
                    cloud.instances[number].agent.interrupt(now, until(*seconds), oracle);
                    state.agenda.add(now, Due::Agent(number));
                }
                drop(state);
                if *event {
                    self.notice(number, u64::from(*seconds), 0, 0);
                }
            }
            What::OldReport { which, .. } => {
                let it = &state.cloud.instances[number];
                if it.reported.is_empty() {
                    return;
                }
                let request = it.reported[*which as usize % it.reported.len()].clone();
                let (cluster, node) = (it.cluster.clone(), it.node.clone());
                drop(state);
                let call = SyncCall { cluster, node, request, hold_until: None };
                self.send_sync(number, 0, call, 0);
            }
            _ => {}
        }
    }

    /// The cloud announces that it takes an instance away.
    pub fn notice(&mut self, instance: usize, seconds: u64, tries: u32, delay: i64) {
        let process = self.api();
        let control = Arc::clone(&self.controls[process]);
        let name = format!("i-{instance}");
        let handler = Box::pin(async move {
            let failed = control.handle_interruption(&name, seconds).await.is_err();
            Done::Notice { instance, seconds, tries, failed }
        });
        let at = self.sim.state().now + delay;
        self.spawn(process, Purpose::Other, at, handler);
    }

    pub fn answered(&mut self, request: usize, outcome: Result<Answer, Error>) {
        let (what, tries) = self.requests[request].clone();
        let mut state = self.sim.state();
        if state.trace.on() {
            let answer = match &outcome {
                Ok(answer) => format!("{answer:?}"),
                Err(error) => error.chain(),
            };
            state.note(format!("user: {what:?} is answered {answer}"));
        }
        match outcome {
            Ok(answer) => {
                let checked = state.watch.check_answer(&self.scenario.place, &what, &answer);
                if let Err(violation) = checked {
                    state.violate(violation);
                }
            }
            Err(error) => {
                let again = match &error {
                    Error::Api(error) => {
                        matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound)
                            && is_creation(&what)
                    }
                    _ => true,
                };
                if again && (tries < MAX_TRIES || self.quiet && tries < 200) {
                    let at = state.now + 4000;
                    state.agenda.add(at, Due::Request(request));
                }
            }
        }
    }

    /// Faults stop for good: outages end, machines and agents that are there work.
    pub fn become_quiet(&mut self) {
        self.note(|| "quiet".to_owned());
        self.quiet = true;
        self.frozen_until = 0;
        let mut state = self.sim.state();
        let now = state.now;
        state.rates = Rates::default();
        state.directories.unblock();
        state.choices.become_mild();
        (state.storage_down, state.cloud.down, state.bad_nodes) = (false, false, false);
        for number in 0..state.cloud.instances.len() {
            let it = &mut state.cloud.instances[number];
            it.partitioned_until = 0;
            it.agent_dead_until = it.agent_dead_until.min(now + 5000);
            state.agenda.add(now, Due::Agent(number));
        }
        state.agenda.add(now + 5_000, Due::Rest);
        // In half of the histories every hint is lost from here on.
        state.queues.off = self.scenario.seed.is_multiple_of(2);
        drop(state);
        if self.scenario.deletes_all {
            for workspace in 0..self.scenario.place.workspaces.len() {
                self.request(What::DeleteGroup(workspace));
            }
        }
    }

    /// Ends the history if everything has come to its rest; remembers why not.
    pub fn come_to_rest(&mut self) {
        // The process runs, though its schedule is visited less often than it would be.
        let context = &self.controls[0].context;
        context.uptime.reachable_since(context.now());
        let mut state = self.sim.state();
        let now = state.now;
        if self.tasks.has_others() {
            self.unrest = Some("handlers are under way".to_owned());
            return state.agenda.add(now + 100, Due::Rest);
        }
        let unrest = state.watch.unrest(&state.cloud, &self.scenario);
        let leftover = || state.watch.leftover(&self.memory.items());
        let directories = || state.directories.unrest(&state.watch.ready_servers());
        self.unrest = unrest.or_else(leftover).or_else(directories);
        self.over = self.unrest.is_none();
        state.agenda.add(now + 5_000, Due::Rest);
    }
}

/// Made in any order: what it needs may not be there yet.
fn is_creation(what: &What) -> bool {
    matches!(
        what,
        What::PutWorkspace(_)
            | What::PutExperiment(_)
            | What::PutFileServer(_)
            | What::PutCluster(..)
    )
}
