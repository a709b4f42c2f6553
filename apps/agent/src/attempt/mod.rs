//! One attempt of a job on this node: a thread that works through it, and the node's handle to it.

mod earlier;
mod journal;
mod memory;
mod provide;
mod sequence;
mod wipe;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use protocol::{Assignment, AttemptKey, End, Progress};

use crate::host::Host;
use crate::system::leftovers;
use crate::system::orders::{Cause, Ending, Orders};

pub use journal::{Journal, Stage, State};
pub use memory::{Frame, Mark};
use sequence::Sequence;

/// From where an attempt goes on.
pub enum Begin {
    Fresh(Box<Assignment>),
    /// An earlier life of this agent had begun it.
    Again(Box<State>),
}

/// How an attempt left this node.
#[derive(Debug)]
pub enum Outcome {
    Ended(End),
    /// Nobody asks for it any more, or it never began: nothing is to be reported.
    Dropped,
}

impl From<Cause> for Outcome {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Stopped => Outcome::Ended(End::Stopped),
            Cause::Interrupted => Outcome::Ended(End::Interrupted),
            Cause::WallClockExceeded => Outcome::Ended(End::WallClockExceeded),
            Cause::Fenced => Outcome::Dropped,
        }
    }
}

/// News of an attempt.
#[derive(Debug)]
pub enum News {
    Progress(Progress),
    Over(Outcome),
}

/// The node's handle to a running attempt.
pub struct Attempt {
    orders: Arc<Orders>,
}

impl Attempt {
    /// Begins, or goes on. `tell` is called with each piece of news, the last one `Over`.
    pub fn spawn(
        host: Arc<Host>,
        key: AttemptKey,
        begin: Begin,
        start: bool,
        tell: impl Fn(News) + Send + 'static,
    ) -> std::io::Result<Self> {
        let orders = Arc::new(Orders::new(start)?);
        let own = Self { orders: Arc::clone(&orders) };
        let workers = Arc::clone(&host.workers);
        workers.run(move |worker| {
            let marker = host.attempt_marker(&key);
            let work = || Sequence::run(&host, begin, &orders, &|news| tell(News::Progress(news)));
            // A fault of ours must not leave a job running that nobody watches.
            let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                leftovers::kill(&host, &marker, None);
                Outcome::Ended(End::Lost { reason: "the agent had an internal error".into() })
            });
            // First, as the next attempt begins as soon as the end of this one is reported.
            worker.release();
            tell(News::Over(outcome));
        })?;
        Ok(own)
    }

    pub fn start(&self) {
        self.orders.start();
    }

    /// Hands the assignment to an attempt that an earlier life of this agent began.
    pub fn supply(&self, assignment: Box<Assignment>) {
        self.orders.supply(assignment);
    }

    pub fn end(&self, ending: Ending) {
        self.orders.end(ending);
    }
}
