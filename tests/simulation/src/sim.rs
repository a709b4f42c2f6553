//! The state of one simulated environment. Every call of storage or of a port yields to the executor,
//! which lets other tasks run in the meantime.

use crate::choices::Choices;
use crate::cloud::Cloud;
use crate::directories::Directories;
use crate::event_queue::{EventQueue, SimEvent};
use crate::faults::Rates;
use crate::hints::Queues;
use crate::oracle::Oracle;
use crate::trace::Trace;
use crate::watch::Watch;
use control::ports::{Clock, Ids};
use model::{NodeId, Timestamp, Uid};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// An arbitrary day in 2018.
const EPOCH: i64 = 1_530_000_000_000;

#[derive(Debug)]
pub struct Sim {
    /// The clock of the service: simulated time plus all jumps.
    service_clock: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug)]
pub struct State {
    /// Simulated time in milliseconds.
    pub now: i64,
    /// How far the clock of the service is ahead of simulated time.
    pub clock_offset: i64,
    pub choices: Choices,
    /// The current rates of faults; all 0 in calm times.
    pub rates: Rates,
    pub storage_down: bool,
    pub bad_nodes: bool,
    pub directories: Directories,
    /// Whether there was a commit since the last check for stalls.
    pub changed: bool,
    pub event_queue: EventQueue,
    pub cloud: Cloud,
    pub queues: Queues,
    pub oracle: Oracle,
    pub watch: Watch,
    pub trace: Trace,
    pub violation: Option<String>,
    /// When the polled task continues; set by the call that it awaits.
    pub resume_at: Option<i64>,
    /// The polled task, and the step at which it was started.
    pub task: u64,
    pub task_started: u64,
    /// The number of events handled so far.
    pub step: u64,
    /// The tasks of held requests of agents.
    pub held: BTreeMap<NodeId, u64>,
    /// Whether requests are held.
    pub holds: bool,
}

/// A call that a task awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Read,
    Commit,
    Cloud,
}

/// A fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    Throttled,
    /// A conflict without a visible cause.
    Conflict,
    /// Carried out, but the caller gets an error.
    AnswerLost,
    Down,
}

impl Sim {
    pub fn new(state: State) -> Arc<Self> {
        Arc::new(Self { service_clock: AtomicI64::new(EPOCH), state: Mutex::new(state) })
    }

    /// The guard must not be held across an await or while a handler is polled.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_clock(&self, state: &State) {
        let time = EPOCH + state.now + state.clock_offset;
        self.service_clock.store(time, Ordering::Relaxed);
    }

    pub fn service_time(&self) -> Timestamp {
        Timestamp(self.service_clock.load(Ordering::Relaxed))
    }

    /// The delay of a request; returns the fault of the call.
    pub fn call(&self, call: Call) -> CallDelay<'_> {
        CallDelay { sim: self, call: Some(call), sent: None }
    }

    /// The delay of an answer. The call was carried out and is visible to others; the caller may be
    /// dropped before it receives the answer.
    pub fn delay_call(&self) -> CallDelay<'_> {
        CallDelay { sim: self, call: None, sent: None }
    }

    /// Waits until a time, or until the node is notified.
    pub fn hold(&self, node: NodeId, until: i64) -> Hold<'_> {
        Hold { sim: self, node, until, held: false }
    }
}

/// Returns `Pending` once.
#[derive(Debug)]
pub struct CallDelay<'a> {
    sim: &'a Sim,
    call: Option<Call>,
    sent: Option<Fault>,
}

impl Future for CallDelay<'_> {
    type Output = Fault;

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Fault> {
        let call = self.call;
        let mut state = self.sim.state();
        match self.sent {
            None => {
                let fault = state.send(call);
                drop(state);
                self.sent = Some(fault);
                Poll::Pending
            }
            Some(_) if call.is_some_and(|call| state.is_down(call)) => Poll::Ready(Fault::Down),
            Some(fault) => Poll::Ready(fault),
        }
    }
}

#[derive(Debug)]
pub struct Hold<'a> {
    sim: &'a Sim,
    node: NodeId,
    until: i64,
    held: bool,
}

impl Future for Hold<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.sim.state();
        if self.held {
            return Poll::Ready(());
        }
        let task = state.task;
        state.held.insert(self.node.clone(), task);
        state.resume_at = Some(self.until);
        drop(state);
        self.held = true;
        Poll::Pending
    }
}

impl State {
    fn send(&mut self, call: Option<Call>) -> Fault {
        let drawn = self.choices.below(1_000_000);
        let (fault, delay) = (drawn / 1000, i64::from(drawn % 1000));
        let delay = match delay {
            0..700 => 1 + delay / 20,
            700..940 => 40 + (delay - 700) * 4,
            _ if !self.rates.slow => 1000,
            940..990 => 1000 + (delay - 940) * 160,
            _ => 10_000 + (delay - 990) * 5000,
        };
        self.resume_at = Some(self.now + delay);
        let rates = &self.rates;
        let chances = match call {
            None => return Fault::None,
            Some(Call::Read) => {
                [(rates.throttled, Fault::Throttled), (0, Fault::None), (0, Fault::None)]
            }
            Some(Call::Commit) => [
                (rates.throttled, Fault::Throttled),
                (rates.conflict, Fault::Conflict),
                (rates.lost_commit, Fault::AnswerLost),
            ],
            Some(Call::Cloud) => [
                (rates.cloud_error, Fault::Down),
                (rates.cloud_error / 4, Fault::Throttled),
                (rates.cloud_lost, Fault::AnswerLost),
            ],
        };
        let mut edge = 1000;
        for (chance, kind) in chances {
            edge -= chance;
            if fault >= edge && chance > 0 {
                return kind;
            }
        }
        Fault::None
    }

    fn is_down(&self, call: Call) -> bool {
        match call {
            Call::Read | Call::Commit => self.storage_down,
            Call::Cloud => self.cloud.down,
        }
    }

    pub fn report_violation(&mut self, violation: String) {
        self.violation.get_or_insert(violation);
    }

    /// Adds a line to the trace. Callers format the line only when the trace is on.
    pub fn note(&mut self, line: String) {
        let (now, task) = (self.now, self.task);
        self.trace.add(now, task, line);
    }

    /// Continues the held request of a node.
    pub fn notify(&mut self, node: &NodeId) {
        if !self.holds {
            return;
        }
        if let Some(task) = self.held.remove(node) {
            let at = self.now + 1;
            self.event_queue.add(at, SimEvent::Task(task));
        }
    }
}

/// The clock of one process.
#[derive(Debug)]
pub struct SimClock {
    pub sim: Arc<Sim>,
    pub skew_millis: i64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.sim.service_time().0 + self.skew_millis)
    }
}

#[derive(Debug)]
pub struct SeededIds(Mutex<StdRng>);

impl SeededIds {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Ids for SeededIds {
    fn uid(&self) -> Uid {
        Uid::from_bytes(self.0.lock().unwrap_or_else(PoisonError::into_inner).random())
    }
}
