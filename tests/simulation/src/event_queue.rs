//! The events of the simulation in the order of simulated time, which advances only between events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An event of the simulation. Numbers are indices into lists of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimEvent {
    /// A handler continues: the call that it awaited has been answered.
    Task(u64),
    /// An event of the script.
    Event(usize),
    /// A user's client sends a request, for the first time or as a retry.
    Request(usize),
    /// An agent's timer.
    Agent(usize),
    /// The end of an instance after its termination or interruption notice.
    InstanceEnds(usize),
    /// A message of a function may be deliverable.
    Deliver(usize),
    /// The visibility timeout of a delivered message expires.
    Visible {
        function: usize,
        receipt: u64,
    },
    /// The schedule of a function.
    Visit(usize),
    StorageRestored,
    CloudRestored,
    /// Shortly before the end of a calm time: records what could make progress.
    CalmChecked,
    CalmEnds,
    /// The end of all faults.
    FaultsEnd,
    /// A check whether the environment has settled.
    CheckSettled,
}

#[derive(Debug, Default)]
pub struct EventQueue {
    heap: BinaryHeap<Reverse<(i64, u64, SimEvent)>>,
    added: u64,
}

impl EventQueue {
    /// `at` is in milliseconds of simulated time. Events with the same time occur in the order in
    /// which they were added.
    pub fn add(&mut self, at: i64, event: SimEvent) {
        self.added += 1;
        self.heap.push(Reverse((at, self.added, event)));
    }

    pub fn next(&mut self) -> Option<(i64, SimEvent)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
