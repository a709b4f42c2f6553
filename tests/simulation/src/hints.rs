//! Hints with the rules of a FIFO queue: one message per target at a time, in order. A message that is
//! not acknowledged in time is delivered again. Some messages are lost, repeated or delayed.

use crate::event_queue::SimEvent;
use crate::sim::{Sim, State};
use async_trait::async_trait;
use control::Function;
use control::ports::{Hints, PortError};
use model::{NodeId, Target, Uid};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The visibility timeout: after it, a message is delivered again.
const VISIBILITY_MILLIS: i64 = 30_000;

/// How often a message is delivered before it is dropped.
const MAX_RECEIVES: u32 = 4;

pub const FUNCTIONS: [Function; 4] = Function::ALL;

pub fn index(function: Function) -> usize {
    FUNCTIONS.iter().position(|it| *it == function).unwrap_or(0)
}

#[derive(Clone, Debug)]
struct Message {
    target: Target,
    receives: u32,
    not_before: i64,
}

#[derive(Debug, Default)]
pub struct Queues {
    queues: [Queue; FUNCTIONS.len()],
    receipts: u64,
    /// Whether all hints are lost.
    pub off: bool,
}

#[derive(Debug, Default)]
struct Queue {
    pending: VecDeque<Message>,
    /// The delivered messages, by group.
    locked: BTreeMap<Uid, (u64, Message)>,
}

impl Queues {
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(|it| it.pending.is_empty() && it.locked.is_empty())
    }

    /// Drops all messages, as at the end of a process.
    pub fn clear(&mut self) {
        self.queues = Default::default();
    }
}

impl State {
    fn add_hint(&mut self, function: Function, target: &Target, delay: i64) {
        let queue = &mut self.queues.queues[index(function)];
        let not_before = self.now + delay;
        if queue.pending.iter().any(|it| it.target == *target) {
            return;
        }
        queue.pending.push_back(Message { target: target.clone(), receives: 0, not_before });
        self.event_queue.add(not_before, SimEvent::Deliver(index(function)));
    }

    /// Takes the next deliverable message and locks its group.
    pub fn take_hint(&mut self, function: usize) -> Option<(Target, u64)> {
        let now = self.now;
        let queue = &mut self.queues.queues[function];
        let free =
            |it: &Message| it.not_before <= now && !queue.locked.contains_key(it.target.uid());
        let position = queue.pending.iter().position(free)?;
        let mut message = queue.pending.remove(position)?;
        message.receives += 1;
        self.queues.receipts += 1;
        let receipt = self.queues.receipts;
        let target = message.target.clone();
        queue.locked.insert(target.uid().clone(), (receipt, message));
        self.event_queue.add(now + VISIBILITY_MILLIS, SimEvent::Visible { function, receipt });
        Some((target, receipt))
    }

    /// Acknowledges a message and unlocks its group.
    pub fn hint_done(&mut self, function: usize, target: &Target, receipt: u64) {
        let queue = &mut self.queues.queues[function];
        if queue.locked.get(target.uid()).is_some_and(|(known, _)| *known == receipt) {
            queue.locked.remove(target.uid());
            let now = self.now;
            self.event_queue.add(now, SimEvent::Deliver(function));
        }
    }

    /// Makes a message visible again that was not acknowledged. Its first handler may still run.
    pub fn hint_visible(&mut self, function: usize, receipt: u64) {
        let queue = &mut self.queues.queues[function];
        let found = queue.locked.iter().find(|(_, (known, _))| *known == receipt);
        let Some(uid) = found.map(|(uid, _)| uid.clone()) else { return };
        if let Some((_, message)) = queue.locked.remove(&uid)
            && message.receives < MAX_RECEIVES
        {
            queue.pending.push_front(message);
        }
        let now = self.now;
        self.event_queue.add(now, SimEvent::Deliver(function));
    }
}

#[derive(Debug)]
pub struct SimHints(pub Arc<Sim>);

#[async_trait]
impl Hints for SimHints {
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError> {
        if self.0.state().queues.off {
            return Ok(());
        }
        self.0.delay_call().await;
        let mut state = self.0.state();
        let (lost, repeated) = (state.rates.hint_lost, state.rates.hint_repeated);
        if state.choices.chance(lost) {
            let fails = state.choices.chance(300);
            return if fails { Err(PortError::other("not sent")) } else { Ok(()) };
        }
        let delay = if lost > 0 { i64::from(state.choices.below(3000)) } else { 5 };
        state.add_hint(function, target, delay);
        if state.choices.chance(repeated) {
            let later = i64::from(state.choices.below(60_000));
            let at = state.now + later;
            let (function, target) = (index(function), target.clone());
            state.queues.queues[function].pending.push_back(Message {
                target,
                receives: 0,
                not_before: at,
            });
            state.event_queue.add(at, SimEvent::Deliver(function));
        }
        Ok(())
    }

    fn notify_node(&self, node: &NodeId) {
        self.0.state().notify(node);
    }
}
