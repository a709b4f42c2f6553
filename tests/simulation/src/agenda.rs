//! What is due, in the order of simulated time. The executor takes one thing after the other; time
//! passes only in between.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens at a time. Indices refer to lists of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A handler goes on: the call that it waited for has been answered.
    Task(u64),
    /// An event of the script.
    Event(usize),
    /// A user's client sends a request, for the first time or again.
    Request(usize),
    /// An agent's timer.
    Agent(usize),
    /// An instance that was asked to end, or whose notice is over, ends.
    InstanceEnds(usize),
    /// Messages of a function may be deliverable.
    Deliver(usize),
    /// A message that was handed out and not acknowledged becomes visible again.
    Visible {
        function: usize,
        receipt: u64,
    },
    /// The schedule of a function.
    Visit(usize),
    /// An outage ends.
    StorageIsBack,
    CloudIsBack,
    /// Shortly before the end of a calm time: what could make progress is noted.
    CalmChecked,
    /// A calm time ends.
    CalmEnds,
    /// Faults stop for good.
    Quiet,
    /// Time to see whether everything has come to its rest.
    Rest,
}

#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(i64, u64, Due)>>,
    added: u64,
}

impl Agenda {
    /// `at` is in milliseconds of simulated time. What is due at one time happens in the order in
    /// which it was added.
    pub fn add(&mut self, at: i64, due: Due) {
        self.added += 1;
        self.heap.push(Reverse((at, self.added, due)));
    }

    pub fn next(&mut self) -> Option<(i64, Due)> {
        self.heap.pop().map(|Reverse((at, _, due))| (at, due))
    }
}
