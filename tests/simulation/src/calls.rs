//! Starts the handlers: for a hint, the schedule, an agent, or a user.

use crate::event_queue::SimEvent;
use crate::executor::{AgentCall, Handler, Purpose, SignInCall, TaskResult};
use crate::hints::FUNCTIONS;
use crate::history::History;
use crate::requests;
use control::Control;
use model::Timestamp;
use std::sync::Arc;

impl History {
    /// A process of the API.
    pub fn api(&self) -> usize {
        let chosen = self.sim.state().choices.below(2) as usize;
        chosen.min(self.controls.len() - 1)
    }

    /// A process of a function.
    fn process_of(&self, function: usize) -> usize {
        let chosen = self.sim.state().choices.below(2) as usize;
        (2 + 2 * function + chosen) % self.controls.len()
    }

    pub fn deliver(&mut self, function: usize) {
        loop {
            let mut state = self.sim.state();
            let Some((target, receipt)) = state.take_hint(function) else { return };
            let now = state.now;
            if state.trace.on() {
                state.note(format!(
                    "deliver {:?} {}",
                    FUNCTIONS[function],
                    crate::describe::target(&target)
                ));
            }
            drop(state);
            let process = self.process_of(function);
            let control = Arc::clone(&self.controls[process]);
            let handler = Box::pin(async move {
                let name = FUNCTIONS[function];
                // Some invocations have no time for more than one action.
                let outcome = match now % 8 {
                    0 => control.reconcile_until(name, &target, Timestamp(now)).await,
                    _ => control.reconcile(name, &target).await,
                };
                TaskResult::Hint { function, target, receipt, outcome }
            });
            self.spawn(process, Purpose::Other, now, handler);
        }
    }

    pub fn visit(&mut self, function: usize) {
        let now = {
            let mut state = self.sim.state();
            let now = state.now;
            let interval = if self.quiet { 20_000 } else { self.scenario.schedule_millis };
            state.event_queue.add(now + interval, SimEvent::Visit(function));
            now
        };
        let process = self.process_of(function);
        let control = Arc::clone(&self.controls[process]);
        let handler: Handler = match self.quiet && self.sim.state().queues.off {
            // All hints are lost: the schedule reconciles the targets itself.
            true => Box::pin(async move {
                let _ = reconcile_scheduled(&control, function).await;
                TaskResult::Visit
            }),
            false => Box::pin(async move {
                let visited = control::schedule::visit(&control.context, FUNCTIONS[function]);
                let _ = visited.await;
                TaskResult::Visit
            }),
        };
        self.spawn(process, Purpose::Other, now, handler);
    }

    pub fn send_call(&mut self, instance: usize, number: u64, call: AgentCall, delay: i64) -> u64 {
        let process = self.api();
        let (control, sim) = (Arc::clone(&self.controls[process]), Arc::clone(&self.sim));
        let handler = Box::pin(async move {
            let sent_at = sim.state().now;
            match call {
                AgentCall::SignIn(SignInCall { cluster, launch, instance: signs_in }) => {
                    let outcome = control.nodes.sign_in(&cluster, &launch, &signs_in).await;
                    TaskResult::SignIn { instance, number, sent_at, outcome }
                }
                AgentCall::Sync(call) => {
                    let outcome = call.send(&control, &sim).await;
                    match number {
                        0 => TaskResult::Repetition,
                        _ => TaskResult::Sync { instance, number, sent_at, outcome },
                    }
                }
            }
        });
        let at = self.sim.state().now + delay;
        self.spawn(process, Purpose::Sync(instance), at, handler)
    }

    pub fn send_request(&mut self, request: usize) {
        let process = self.api();
        let (user_request, tries) = &mut self.requests[request];
        *tries += 1;
        let user_request = user_request.clone();
        let (control, scenario) = (Arc::clone(&self.controls[process]), Arc::clone(&self.scenario));
        let now = {
            let mut state = self.sim.state();
            state.watch.user_requests.record(&scenario.layout, &user_request);
            if state.trace.on() {
                state.note(format!("user: {user_request:?}"));
            }
            state.now
        };
        let handler = Box::pin(async move {
            let outcome = requests::carry_out(&control, &scenario.layout, &user_request).await;
            TaskResult::Request { request, outcome }
        });
        self.spawn(process, Purpose::Request(request), now, handler);
    }
}

/// Like the schedule, but reconciles each target instead of sending a hint.
async fn reconcile_scheduled(control: &Control, function: usize) -> Result<(), control::Error> {
    let context = &control.context;
    context.uptime.reachable_since(context.now());
    for target in control::schedule::targets(context, FUNCTIONS[function]).await? {
        control.reconcile(FUNCTIONS[function], &target).await?;
    }
    Ok(())
}
