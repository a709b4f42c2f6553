//! Carries out the steps of the plan. Nothing is decided here.

use std::sync::Arc;

use protocol::{Assignment, AttemptKey, Desired, End, NodeSetup, Progress};

use super::current_attempt::{AttemptState, CurrentAttempt};
use super::departure::Departure;
use super::inbox::Event;
use super::{Node, Setup};
use crate::attempt::{Attempt, Journal, Origin};
use crate::clock::Uptime;
use crate::fault::Fault;
use crate::plan::{self, Situation, Step};
use crate::problem::NotProvided;
use crate::setup;
use crate::system::run_control::{StopCause, StopRequest};

impl Node {
    pub(super) fn apply(&mut self, desired: Desired) {
        let situation = Situation {
            setup: match self.setup {
                Setup::NotBegun => plan::Setup::NotBegun,
                Setup::Busy(_) => plan::Setup::Busy,
                Setup::Done => plan::Setup::Done,
                Setup::Failed(_) => plan::Setup::Failed,
            },
            attempt: self.attempt.as_ref().map(|it| (&it.key, it.phase())),
            needs_assignment: self.attempt.as_ref().is_some_and(CurrentAttempt::needs_assignment),
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
                    self.stop_attempt(
                        StopCause::Stopped,
                        Uptime::now().after_seconds(grace_seconds),
                    );
                }
                Step::Fence => self.fence(),
                // The new attempt overwrites it. If the agent is killed before that, the next one reports the
                // end once more, which is acknowledged again.
                Step::Forget if begins => self.attempt = None,
                Step::Forget => self.forget(),
                Step::ReportStopped(key) => {
                    let state = AttemptState::Ended(End::Stopped, None);
                    self.attempt = Some(CurrentAttempt { key, state, metrics: Arc::default() });
                }
                Step::Leave { grace_seconds } => self.depart(Departure::requested(grace_seconds)),
            }
        }
    }

    pub(super) fn begin_setup(&mut self, setup: NodeSetup) {
        let sender = self.inbox.sender();
        let notify = move |outcome| drop(sender.send(Event::SetupOver(outcome)));
        self.settling = true;
        match setup::spawn(Arc::clone(&self.host), setup, notify) {
            Ok(control) => self.setup = Setup::Busy(control),
            // The next response tries again.
            Err(error) => tracing::error!(%error, "the setup cannot be started"),
        }
    }

    pub(super) fn begin(&mut self, assignment: Box<Assignment>, start: bool) {
        let key = assignment.key.clone();
        tracing::debug!(job = key.job_name, attempt = key.number, "beginning an attempt");
        self.settling = true;
        self.spawn(key, Origin::New(assignment), start, Progress::Preparing);
    }

    pub(super) fn spawn(
        &mut self,
        key: AttemptKey,
        begin: Origin,
        start: bool,
        progress: Progress,
    ) {
        let (sender, own_key) = (self.inbox.sender(), key.clone());
        let notify = move |news| drop(sender.send(Event::Attempt { key: own_key.clone(), news }));
        let needs_assignment = match &begin {
            Origin::New(_) => false,
            Origin::Resumed(state) => state.needs_assignment(),
        };
        let metrics = Arc::default();
        let (host, attempt, own) = (Arc::clone(&self.host), key.clone(), Arc::clone(&metrics));
        let state = match Attempt::spawn(host, attempt, begin, start, own, notify) {
            Ok(attempt) => AttemptState::Live { attempt, progress, needs_assignment },
            Err(error) => {
                let reason = format!("the agent could not start a thread: {error}");
                let fault = Fault::Node;
                let problem = NotProvided::Start { what: "job", reason, fault }.into();
                AttemptState::Ended(End::NodeFailed { problem }, None)
            }
        };
        self.attempt = Some(CurrentAttempt { key, state, metrics });
    }

    fn supply(&mut self, assignment: Box<Assignment>) {
        if let Some(CurrentAttempt { state, .. }) = &mut self.attempt
            && let AttemptState::Live { attempt, needs_assignment, .. } = state
        {
            attempt.supply(assignment);
            *needs_assignment = false;
        }
    }

    pub(super) fn with_live(&mut self, act: impl FnOnce(&Attempt)) {
        if let Some(CurrentAttempt { state: AttemptState::Live { attempt, .. }, .. }) =
            &self.attempt
        {
            act(attempt);
            self.settling = true;
        }
    }

    pub(super) fn stop_attempt(&mut self, cause: StopCause, kill_at: Uptime) {
        self.with_live(|attempt| attempt.stop(StopRequest { cause, kill_at }));
    }

    pub(super) fn fence(&mut self) {
        self.stop_attempt(StopCause::Fenced, Uptime::now());
        if let Some(CurrentAttempt { key, state, .. }) = &mut self.attempt
            && let AttemptState::Live { progress, .. } = state
        {
            tracing::warn!(
                job = key.job_name,
                attempt = key.number,
                "killing an attempt that the control plane no longer knows"
            );
            *state = AttemptState::Fenced { progress: progress.clone() };
        }
    }

    /// The end of the attempt is acknowledged, or must not be reported.
    pub(super) fn forget(&mut self) {
        self.attempt = None;
        Journal::new(&self.host).clear();
    }
}
