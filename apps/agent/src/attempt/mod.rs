//! One attempt of a job on this node: a thread that works through it, and the node's handle to it.

mod cleanup;
mod directory_cache;
mod earlier_logs;
mod early_end;
mod end_details;
mod journal;
mod layout;
mod messages;
mod output_tail;
mod sequence;
mod shared_temp;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use protocol::{Assignment, AttemptKey, End, EndDetails, Progress};

use crate::host::Host;
use crate::job_metrics::JobMetrics;
use crate::system::leftovers;
use crate::system::run_control::{RunControl, StopCause, StopRequest};

pub use directory_cache::{DirectoryCache, FileStamp};
pub use journal::{AttemptStep, Journal, State};
pub use layout::AttemptLayout;
use sequence::Sequence;

/// How an attempt starts on this agent.
pub enum Origin {
    New(Box<Assignment>),
    /// An earlier agent process had started it.
    Resumed(Box<State>),
}

/// How an attempt left this node.
#[derive(Debug)]
pub enum Outcome {
    Ended(End),
    /// The control plane no longer knows it, or it never started: nothing is reported.
    Dropped,
}

impl From<StopCause> for Outcome {
    fn from(cause: StopCause) -> Self {
        match cause {
            StopCause::Stopped => Outcome::Ended(End::Stopped),
            StopCause::Interrupted => Outcome::Ended(End::Interrupted),
            StopCause::WallClockExceeded => Outcome::Ended(End::WallClockExceeded),
            StopCause::Fenced => Outcome::Dropped,
        }
    }
}

/// What an attempt reports to its node.
#[derive(Debug)]
pub enum AttemptEvent {
    Progress(Progress),
    Over(Outcome, Option<Box<EndDetails>>),
}

/// The node's handle to a running attempt.
pub struct Attempt {
    control: Arc<RunControl>,
}

impl Attempt {
    /// Starts or resumes the attempt. `notify` is called with each event; `Over` is the last one.
    pub fn spawn(
        host: Arc<Host>,
        key: AttemptKey,
        begin: Origin,
        start: bool,
        metrics: Arc<JobMetrics>,
        notify: impl Fn(AttemptEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        let control = Arc::new(RunControl::new(start)?);
        let own = Self { control: Arc::clone(&control) };
        let workers = Arc::clone(&host.workers);
        workers.run(move |worker| {
            let marker = host.attempt_marker(&key);
            let work = || {
                let report = |progress| notify(AttemptEvent::Progress(progress));
                Sequence::run(&host, begin, &control, &metrics, &report)
            };
            // A bug of the agent must not leave a job running without supervision.
            let (outcome, details) = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                leftovers::kill(&host, &marker, None);
                let reason = "the agent had an internal error".into();
                (Outcome::Ended(End::Lost { reason }), None)
            });
            // First, as the next attempt begins as soon as the end of this one is reported.
            worker.release();
            notify(AttemptEvent::Over(outcome, details));
        })?;
        Ok(own)
    }

    pub fn start(&self) {
        self.control.start();
    }

    /// Gives the assignment to an attempt that an earlier agent process had started.
    pub fn supply(&self, assignment: Box<Assignment>) {
        self.control.supply(assignment);
    }

    pub fn stop(&self, stop: StopRequest) {
        self.control.stop(stop);
    }
}
