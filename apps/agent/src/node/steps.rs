//! Carrying out what the plan says. Nothing is decided here.

use std::sync::Arc;

use protocol::{Assignment, AttemptKey, Desired, End, NodeSetup, Progress};

use super::departure::Departure;
use super::inbox::Event;
use super::present::{Condition, Present};
use super::{Node, Setup};
use crate::attempt::{Attempt, Begin, Journal};
use crate::clock::Uptime;
use crate::plan::{self, Situation, Step};
use crate::problem::{Fault, NotProvided};
use crate::setup;
use crate::system::orders::{Cause, Ending};

impl Node {
    pub(super) fn carry_out(&mut self, desired: Desired) {
        let situation = Situation {
            setup: match self.setup {
                Setup::NotBegun => plan::Setup::NotBegun,
                Setup::Busy(_) => plan::Setup::Busy,
                Setup::Done => plan::Setup::Done,
                Setup::Failed(_) => plan::Setup::Failed,
            },
            attempt: self.attempt.as_ref().map(|it| (&it.key, it.standing())),
            needs_assignment: self.attempt.as_ref().is_some_and(Present::needs_assignment),
            departing: self.departure.is_some(),
        };
        let steps = plan::plan(situation, desired);
        let begins = steps.iter().any(|step| matches!(step, Step::Begin { .. }));
        for step in steps {
            match step {
                Step::BeginSetup(setup) => self.begin_setup(*setup),
                Step::Begin { assignment, start } => self.begin(assignment, start),
                Step::Supply(assignment) => self.supply(assignment),
                Step::Start => self.with_live(Attempt::start),
                Step::Stop { grace_seconds } => {
                    self.end_attempt(Cause::Stopped, Uptime::now().after_seconds(grace_seconds));
                }
                Step::Fence => self.fence(),
                // What begins now is written over it. Were the agent killed before that, the next one
                // would report the end once more and be told again that it is known.
                Step::Forget if begins => self.attempt = None,
                Step::Forget => self.forget(),
                Step::ReportStopped(key) => {
                    self.attempt = Some(Present { key, condition: Condition::Ended(End::Stopped) });
                }
                Step::Leave { grace_seconds } => self.depart(Departure::told(grace_seconds)),
            }
        }
    }

    pub(super) fn begin_setup(&mut self, setup: NodeSetup) {
        let sender = self.inbox.sender();
        let tell = move |outcome| drop(sender.send(Event::SetupOver(outcome)));
        self.settling = true;
        match setup::spawn(Arc::clone(&self.host), setup, tell) {
            Ok(orders) => self.setup = Setup::Busy(orders),
            // Tried again with the next answer.
            Err(error) => tracing::error!(%error, "the setup cannot be started"),
        }
    }

    pub(super) fn begin(&mut self, assignment: Box<Assignment>, start: bool) {
        let key = assignment.key.clone();
        tracing::debug!(job = key.job_name, attempt = key.number, "beginning an attempt");
        self.settling = true;
        self.spawn(key, Begin::Fresh(assignment), start, Progress::Preparing);
    }

    pub(super) fn spawn(&mut self, key: AttemptKey, begin: Begin, start: bool, progress: Progress) {
        let (sender, own_key) = (self.inbox.sender(), key.clone());
        let tell = move |news| drop(sender.send(Event::Attempt { key: own_key.clone(), news }));
        let needs_assignment = match &begin {
            Begin::Fresh(_) => false,
            Begin::Again(state) => state.needs_assignment(),
        };
        let condition =
            match Attempt::spawn(Arc::clone(&self.host), key.clone(), begin, start, tell) {
                Ok(attempt) => Condition::Live { attempt, progress, needs_assignment },
                Err(error) => {
                    let reason = format!("the agent could not start a thread: {error}");
                    let fault = Fault::Node;
                    let problem = NotProvided::Start { what: "job", reason, fault }.into();
                    Condition::Ended(End::NodeFailed { problem })
                }
            };
        self.attempt = Some(Present { key, condition });
    }

    fn supply(&mut self, assignment: Box<Assignment>) {
        if let Some(Present { condition, .. }) = &mut self.attempt
            && let Condition::Live { attempt, needs_assignment, .. } = condition
        {
            attempt.supply(assignment);
            *needs_assignment = false;
        }
    }

    pub(super) fn with_live(&mut self, act: impl FnOnce(&Attempt)) {
        if let Some(Present { condition: Condition::Live { attempt, .. }, .. }) = &self.attempt {
            act(attempt);
            self.settling = true;
        }
    }

    pub(super) fn end_attempt(&mut self, cause: Cause, kill_at: Uptime) {
        self.with_live(|attempt| attempt.end(Ending { cause, kill_at }));
    }

    pub(super) fn fence(&mut self) {
        self.end_attempt(Cause::Fenced, Uptime::now());
        if let Some(Present { key, condition }) = &mut self.attempt
            && let Condition::Live { progress, .. } = condition
        {
            tracing::warn!(job = key.job_name, attempt = key.number, "killing a stale attempt");
            *condition = Condition::Fenced { progress: progress.clone() };
        }
    }

    /// The end of the attempt is acknowledged, or never to be reported.
    pub(super) fn forget(&mut self) {
        self.attempt = None;
        Journal::new(&self.host).clear();
    }
}
