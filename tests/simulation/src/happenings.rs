//! What happens from outside: the events of the script, the timers of agents, the answers to users,
//! and the end of all faults.

use crate::agenda::Due;
use crate::agent::NEVER;
use crate::executor::{Done, Purpose, SyncCall};
use crate::faults::Rates;
use crate::history::History;
use crate::scenario::Mode;
use crate::script::What;
use crate::sim::State;
use crate::users::Answer;
use control::{Error, Kind as ErrorKind};
use protocol::SyncResponse;
use std::sync::Arc;

/// How long an agent waits for an answer that is not held.
const REQUEST_MILLIS: i64 = 15_000;
const HOLD_MILLIS: i64 = 8_000;

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
        if seconds >= 20 {
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
            let failed = control.interruption(&name, seconds).await.is_err();
            Done::Notice { instance, seconds, tries, failed }
        });
        let at = self.sim.state().now + delay;
        self.spawn(process, Purpose::Other, at, handler);
    }

    pub fn agent_timer(&mut self, number: usize) {
        let mut dropped = None;
        let (call, delay, request_number) = {
            let mut state = self.sim.state();
            let state = &mut *state;
            let (now, holds) = (state.now, state.holds && !self.quiet);
            let State { cloud, oracle, .. } = &mut *state;
            let it = &mut cloud.instances[number];
            if !it.running {
                return;
            }
            it.agent.pass_time(now, number, oracle);
            if now < it.agent_dead_until {
                let at = it.agent_dead_until.min(it.agent.next_change()).max(now + 1);
                state.agenda.add(at, Due::Agent(number));
                return;
            }
            if it.agent.exits(now) {
                let shuts_down = self.scenario.mode == Mode::OneProcess || !it.ending;
                if shuts_down {
                    state.end_instance(number);
                }
                return;
            }
            if it.in_flight.is_some_and(|(_, until)| now >= until) {
                it.in_flight = None;
                it.next_request_at = now;
            }
            let sends = it.agent.news || (it.in_flight.is_none() && now >= it.next_request_at);
            if !sends {
                let next = match it.in_flight {
                    Some((_, until)) => until,
                    None => it.next_request_at,
                };
                let at = next.min(it.agent.next_change());
                if at != it.timer || at <= now {
                    it.timer = at.max(now + 1);
                    let at = it.timer;
                    state.agenda.add(at, Due::Agent(number));
                }
                return;
            }
            if it.in_flight.is_some() {
                dropped = it.task.take();
            }
            it.agent.news = false;
            it.requests += 1;
            let hold_until = holds.then_some(now + HOLD_MILLIS);
            let until = now + REQUEST_MILLIS;
            it.in_flight = Some((it.requests, until));
            let request = it.agent.observe(&it.name, &it.address, now);
            if it.reported.len() < 12 {
                it.reported.push(request.clone());
            } else {
                it.reported[it.requests as usize % 12] = request.clone();
            }
            let (cluster, node) = (it.cluster.clone(), it.node.clone());
            let request_number = it.requests;
            let cut = now < it.partitioned_until;
            let at = until.min(it.agent.next_change()).max(now + 1);
            it.timer = at;
            state.agenda.add(at, Due::Agent(number));
            let rate = state.rates.network;
            if cut || state.choices.chance(rate) {
                return;
            }
            let delay = if rate > 0 { i64::from(state.choices.below(400)) } else { 2 };
            (SyncCall { cluster, node, request, hold_until }, delay, request_number)
        };
        if let Some(task) = dropped
            && self.sim.state().choices.chance(400)
        {
            // The connection is closed: the handler ends wherever it is.
            self.tasks.drop_task(task);
        }
        let task = self.send_sync(number, request_number, call, delay);
        self.sim.state().cloud.instances[number].task = Some(task);
    }

    pub fn agent_answered(
        &mut self,
        number: usize,
        request: u64,
        sent_at: i64,
        outcome: Result<SyncResponse, Error>,
    ) {
        let mut state = self.sim.state();
        let state = &mut *state;
        let (now, holds) = (state.now, state.holds);
        let rate = state.rates.network;
        let lost = state.choices.chance(rate);
        if state.trace.on() {
            let it = &state.cloud.instances[number];
            let heard = match &outcome {
                Ok(response) => crate::describe::desired(&response.desired),
                Err(error) => error.chain(),
            };
            let current = it.in_flight.map(|(known, _)| known) == Some(request);
            let report = it.reported.last().map(crate::describe::request).unwrap_or_default();
            let line = format!(
                "i-{number} {} request {request} (now {report}) answered: {heard}; in time {current}, lost {lost}",
                it.node
            );
            state.note(line);
        }
        let State { cloud, oracle, .. } = &mut *state;
        let it = &mut cloud.instances[number];
        if outcome.is_ok() {
            it.heard_at = it.heard_at.max(sent_at);
        }
        let current = it.in_flight.is_some_and(|(known, _)| known == request);
        if !it.running
            || !current
            || lost
            || now < it.partitioned_until
            || now < it.agent_dead_until
        {
            return;
        }
        it.in_flight = None;
        match outcome {
            Ok(response) => {
                // An answer that was held comes when its time is over.
                let held = holds && now - sent_at >= HOLD_MILLIS;
                let pause = if holds { 1500 } else { response.ask_again_millis as i64 };
                let pause = if held { 100 } else { pause.max(self.heartbeat_millis()) };
                it.next_request_at = now + if self.quiet { 18_000 } else { pause };
                let ended = it.agent.carry_out(response.desired, now, number, oracle);
                if let Some((key, end)) = ended {
                    oracle.acknowledged(&key, number, end);
                }
            }
            Err(error) => {
                it.next_request_at = now + 3000;
                if is_gone(&error) {
                    it.agent.unknown(now, oracle);
                }
            }
        }
        it.timer = NEVER;
        state.agenda.add(now, Due::Agent(number));
    }

    fn heartbeat_millis(&self) -> i64 {
        match self.scenario.mode {
            Mode::OneProcess => 0,
            Mode::Functions => self.scenario.heartbeat_millis,
        }
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
        state.queues.off = self.scenario.seed % 2 == 0;
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
        context.listening.since(context.now());
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

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(error) if error.kind == ErrorKind::Gone)
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
