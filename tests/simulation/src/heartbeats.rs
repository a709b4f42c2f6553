//! The timers of agents: when each sends a report, and how it handles the answer.

use crate::agent::NEVER;
use crate::event_queue::SimEvent;
use crate::executor::{AgentCall, SignInCall, SyncCall};
use crate::history::History;
use crate::scenario::Mode;
use crate::sim::State;
use control::{ApiErrorKind as ErrorKind, Error};
use model::NodeId;
use protocol::SyncResponse;

/// The timeout of a request.
const REQUEST_MILLIS: i64 = 15_000;
const HOLD_MILLIS: i64 = 8_000;

impl History {
    pub fn agent_timer(&mut self, number: usize) {
        let Some((request_number, call, dropped)) = self.next_request(number) else { return };
        let mut state = self.sim.state();
        let now = state.now;
        let rate = state.rates.network;
        let cut = now < state.cloud.instances[number].partitioned_until;
        if cut || state.choices.chance(rate) {
            return;
        }
        let delay = if rate > 0 { i64::from(state.choices.below(400)) } else { 2 };
        // The connection of the previous request is closed: its handler may be dropped at any call.
        let ends = dropped.filter(|_| state.choices.chance(400));
        drop(state);
        if let Some(task) = ends {
            self.tasks.drop_task(task);
        }
        let task = self.send_call(number, request_number, call, delay);
        self.sim.state().cloud.instances[number].task = Some(task);
    }

    /// The number and content of the request that the agent sends now, if any, and the task of the
    /// request that it replaces. Sets the timer.
    fn next_request(&mut self, number: usize) -> Option<(u64, AgentCall, Option<u64>)> {
        let mut state = self.sim.state();
        let state = &mut *state;
        let (now, holds) = (state.now, state.holds && !self.quiet);
        let State { cloud, oracle, event_queue, .. } = &mut *state;
        let is_fleet = cloud.is_fleet;
        let it = &mut cloud.instances[number];
        if !it.running || it.is_dismissed {
            return None;
        }
        it.agent.pass_time(now, number, oracle);
        if now < it.agent_dead_until {
            // Changes that are due already wait for the agent.
            let next = it.agent.next_change();
            let at = if next > now { next.min(it.agent_dead_until) } else { it.agent_dead_until };
            event_queue.add(at, SimEvent::Agent(number));
            return None;
        }
        if it.agent.exits(now) {
            if self.scenario.mode == Mode::OneProcess || !it.ending {
                state.end_instance(number);
            }
            return None;
        }
        if it.in_flight.is_some_and(|(_, until)| now >= until) {
            it.in_flight = None;
            it.next_request_at = now;
        }
        if !it.agent.has_update && (it.in_flight.is_some() || now < it.next_request_at) {
            let next = it.in_flight.map_or(it.next_request_at, |(_, until)| until);
            let at = next.min(it.agent.next_change());
            if at != it.timer || at <= now {
                it.timer = at.max(now + 1);
                let at = it.timer;
                event_queue.add(at, SimEvent::Agent(number));
            }
            return None;
        }
        let dropped = it.in_flight.and_then(|_| it.task.take());
        it.agent.has_update = false;
        it.requests += 1;
        let until = now + REQUEST_MILLIS;
        it.in_flight = Some((it.requests, until));
        it.timer = until.min(it.agent.next_change()).max(now + 1);
        let (at, request_number, cluster) = (it.timer, it.requests, it.cluster.clone());
        event_queue.add(at, SimEvent::Agent(number));
        let Some(node) = it.node.clone().filter(|_| it.signed_in) else {
            let instance = model::Instance { id: it.name.clone(), address: it.address.clone() };
            let call = SignInCall { cluster, launch: it.launch.clone(), instance };
            return Some((request_number, AgentCall::SignIn(call), dropped));
        };
        let request = it.agent.observe(&it.name, &it.address, now);
        match it.reported.len() {
            0..12 => it.reported.push(request.clone()),
            _ => it.reported[it.requests as usize % 12] = request.clone(),
        }
        let hold_until = holds.then_some(now + HOLD_MILLIS);
        let agent = it.identity(is_fleet);
        let call = SyncCall { cluster, node, agent, request, hold_until };
        Some((request_number, AgentCall::Sync(Box::new(call)), dropped))
    }

    /// Every sign-in of an instance is answered with the same node, or that it is not needed.
    pub fn handle_sign_in_answer(
        &mut self,
        number: usize,
        request: u64,
        sent_at: i64,
        outcome: Result<Option<NodeId>, Error>,
    ) {
        let mut state = self.sim.state();
        let state = &mut *state;
        let (now, rate) = (state.now, state.rates.network);
        let lost = state.choices.chance(rate);
        if state.trace.on() {
            let answer = match &outcome {
                Ok(node) => format!("{node:?}"),
                Err(error) => error.chain(),
            };
            state.note(format!("i-{number} sign-in {request} answered: {answer}; lost {lost}"));
        }
        let it = &mut state.cloud.instances[number];
        if let Ok(node) = &outcome {
            it.last_heard_at = it.last_heard_at.max(sent_at);
            if let (Some(known), Some(node)) = (&it.node, node)
                && known != node
            {
                let violation = format!("i-{number} signed in as {known}, and now as {node}");
                state.violation.get_or_insert(violation);
                return;
            }
            it.node = it.node.take().or_else(|| node.clone());
        }
        let current = it.in_flight.is_some_and(|(known, _)| known == request);
        let unheard = lost || now < it.partitioned_until || now < it.agent_dead_until;
        if !it.running || !current || unheard {
            return;
        }
        it.in_flight = None;
        match outcome {
            Ok(Some(_)) => (it.signed_in, it.agent.has_update) = (true, true),
            Ok(None) => it.is_dismissed = true,
            Err(_) => it.next_request_at = now + 3000,
        }
        it.timer = NEVER;
        state.event_queue.add(now, SimEvent::Agent(number));
    }

    pub fn handle_sync_answer(
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
            let answer = match &outcome {
                Ok(response) => crate::describe::desired(&response.desired),
                Err(error) => error.chain(),
            };
            let current = it.in_flight.map(|(known, _)| known) == Some(request);
            let report = it.reported.last().map(crate::describe::request).unwrap_or_default();
            let line = format!(
                "i-{number} {:?} request {request} (now {report}) answered: {answer}; in time {current}, lost {lost}",
                it.node
            );
            state.note(line);
        }
        let State { cloud, oracle, .. } = &mut *state;
        let it = &mut cloud.instances[number];
        if outcome.is_ok() {
            it.last_heard_at = it.last_heard_at.max(sent_at);
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
                // A held request is answered at the end of its hold time.
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
                if is_node_unknown(&error) {
                    it.agent.node_unknown(now, oracle);
                }
            }
        }
        it.timer = NEVER;
        state.event_queue.add(now, SimEvent::Agent(number));
    }

    fn heartbeat_millis(&self) -> i64 {
        match self.scenario.mode {
            Mode::OneProcess => 0,
            Mode::Functions => self.scenario.heartbeat_millis,
        }
    }
}

fn is_node_unknown(error: &Error) -> bool {
    matches!(error, Error::Api(error) if error.kind == ErrorKind::Gone)
}
