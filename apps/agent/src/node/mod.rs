//! The node: reports what it observes, receives what is desired, and converges on it.
//!
//! One loop owns all state. At most one request is in flight; an event on the node cancels it and a new one is
//! sent, so that a response always refers to the current state.

mod current_attempt;
mod departure;
mod inbox;
mod pace;
mod steps;

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use protocol::{NodePhase, Problem, Progress, SyncRequest};
use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::attempt::{AttemptEvent, AttemptStep, Journal, Origin, Outcome};
use crate::clock::{Countdown, Uptime};
use crate::ec2::Metadata;
use crate::host::Host;
use crate::link::{Backoff, Link, LinkError, Patience};
use crate::login;
use crate::mounts;
use crate::options::{AgentOptions, Identity};
use crate::runtime;
use crate::setup;
use crate::sign_in::{SignedIn, sign_in};
use crate::system::run_control::RunControl;
use crate::system::supervised::Supervisors;
use current_attempt::{AttemptState, CurrentAttempt};
use departure::{Departure, DepartureStage, LAST_TRY, Reason};
pub use inbox::SHUTDOWN_NOTICE_SECONDS;
use inbox::{Event, Inbox};
use pace::Pace;

/// How long to wait whether something that was just started ends at once. A request that is sent only then
/// spares a short job the cost of one that would be cancelled.
const SETTLE: Duration = Duration::from_millis(30);
/// How long the lock of an agent that was just killed may still be held.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// Runs the agent. See [`crate::run`].
pub async fn run(options: AgentOptions) -> anyhow::Result<()> {
    let Some(signed_in) = sign_in(&options).await? else {
        tracing::info!(instance = options.instance, "the instance is not needed");
        return Ok(());
    };
    let id = signed_in.node.clone();
    let mut node = Node::open(&options, signed_in).await?;
    tracing::info!(node = id, root = %node.host.root.display(), "the agent has started");
    node.converge().await;
    tracing::info!(node = id, "the agent ends");
    Ok(())
}

struct Node {
    host: Arc<Host>,
    instance: String,
    address: String,
    unwanted_after: Duration,
    login_port: Option<u16>,
    link: Link,
    inbox: Inbox,
    pace: Pace,
    setup: Setup,
    /// A GPU has failed: no further job is taken.
    gpu_failure: Option<Problem>,
    attempt: Option<CurrentAttempt>,
    departure: Option<Departure>,
    /// Runs while every response of the control plane is that there is no such node.
    unwanted: Option<Countdown>,
    /// Something was started that may end in a moment.
    settling: bool,
    /// Held until the agent ends.
    _lock: File,
}

/// How far the setup of the node is.
enum Setup {
    NotBegun,
    Busy(Arc<RunControl>),
    Done,
    Failed(Problem),
}

impl Node {
    async fn open(options: &AgentOptions, signed_in: SignedIn) -> anyhow::Result<Self> {
        let SignedIn { cluster, node, link } = signed_in;
        let show = || format!("the root directory {} cannot be used", options.root.display());
        fs::create_dir_all(&options.root).with_context(show)?;
        let host = Arc::new(Host {
            root: fs::canonicalize(&options.root).with_context(show)?,
            node_id: node,
            cluster_uid: cluster.uid,
            drivers: options.identity.driver_check().cloned(),
            gpu_share: options.gpu_share.clone(),
            keeper: options.keeper,
            disk_patience: options.disk_patience,
            containers: options.containers.clone(),
            inherited: options.inherited.clone(),
            supervisors: Supervisors::default(),
            workers: Arc::default(),
            known: Mutex::default(),
        });
        for path in [host.mounts(), host.jobs()] {
            fs::create_dir_all(path).with_context(show)?;
        }
        let private = DirBuilder::new().recursive(true).mode(0o700).create(host.private());
        private.with_context(show)?;
        // First the signals: an interruption must not kill an agent that is just starting.
        let inbox = Inbox::open(host.interruption())?;
        let lock = lock(&host).await?;
        if let Identity::Instance { metadata, .. } = &options.identity {
            inbox.watch_for_interruption(Metadata::new(metadata)?);
        }
        let login_port = login::listen(&host, &options.address, options.login_port).await;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let setup = if setup::is_complete(&host) { Setup::Done } else { Setup::NotBegun };
        let mut node = Self {
            host,
            instance: options.instance.clone(),
            address: options.address.clone(),
            unwanted_after: options.unwanted_after,
            login_port,
            link,
            inbox,
            pace: Pace::new(),
            setup,
            gpu_failure: None,
            attempt: None,
            departure: None,
            unwanted: None,
            settling: false,
            _lock: lock,
        };
        node.resume().await.with_context(show)?;
        node.inbox.watch_health(Arc::clone(&node.host), options.gpu_check);
        Ok(node)
    }

    /// Resumes the attempt that an earlier agent process had started.
    async fn resume(&mut self) -> std::io::Result<()> {
        let state = Journal::new(&self.host).load()?;
        let marker = state.as_ref().map(|it| self.host.attempt_marker(&it.assignment.key));
        let (host, nothing_resumed) = (Arc::clone(&self.host), state.is_none());
        tokio::task::spawn_blocking(move || {
            runtime::remove_abandoned(&host, marker.as_deref());
            if nothing_resumed {
                mounts::clear_left_over(&host);
            }
        })
        .await?;
        let Some(state) = state else { return Ok(()) };
        let key = state.assignment.key.clone();
        tracing::info!(job = key.job_name, attempt = key.number, "resuming an attempt");
        let progress = match state.stage {
            AttemptStep::Preparation => Progress::Preparing,
            AttemptStep::Command | AttemptStep::Member => Progress::Running,
        };
        self.spawn(key, Origin::Resumed(Box::new(state)), false, progress);
        Ok(())
    }

    async fn converge(&mut self) {
        while !self.is_abandoned() {
            if self.has_left() {
                return self.send_final_report().await;
            }
            self.settle().await;
            let mut request = self.observe();
            let not_before = self.pace.not_before(&request);
            let refreshed = self.attempt.as_ref().filter(|_| self.pace.is_repetition(&request));
            let exchange = async {
                // A timer, even one that is due, takes a millisecond.
                if not_before > Instant::now() {
                    sleep_until(not_before).await;
                }
                // News is reported at once, with what is known.
                if let Some(attempt) = refreshed {
                    attempt.metrics.refresh(&self.host.workers).await;
                    request.job_metrics = attempt.metrics();
                }
                let sent = Instant::now();
                (sent, self.link.exchange(&request, Patience::Hold).await)
            };
            let (sent, answer) = tokio::select! {
                biased;
                event = self.inbox.next() => {
                    self.handle(event);
                    continue;
                }
                answer = exchange => answer,
            };
            match answer {
                Ok(answer) => {
                    self.unwanted = None;
                    if let Some(attempt) = &self.attempt {
                        attempt.metrics.acknowledge(&request.job_metrics);
                    }
                    let ask_again = Duration::from_millis(answer.ask_again_millis);
                    self.pace.answered(request, sent, ask_again);
                    self.apply(answer.desired);
                }
                Err(error) => {
                    self.pace.failed(request, &error);
                    self.handle_refusal(&error);
                }
            }
        }
    }

    /// Waits a moment for what was just started to end.
    async fn settle(&mut self) {
        let until = Instant::now() + SETTLE;
        while self.settling {
            match timeout_at(until, self.inbox.next()).await {
                Ok(event) => self.handle(event),
                Err(_) => self.settling = false,
            }
        }
    }

    fn observe(&self) -> SyncRequest {
        let left = self.has_left() && self.attempt.as_ref().is_none_or(CurrentAttempt::has_ended);
        let phase = match &self.setup {
            _ if left => NodePhase::Left,
            Setup::NotBegun | Setup::Busy(_) => NodePhase::Preparing,
            Setup::Done => match self.gpu_failure.clone() {
                Some(problem) => NodePhase::Failed { problem },
                None => NodePhase::Ready,
            },
            Setup::Failed(problem) => NodePhase::Failed { problem: problem.clone() },
        };
        SyncRequest {
            instance: self.instance.clone(),
            address: self.address.clone(),
            phase,
            attempt: self.attempt.as_ref().map(CurrentAttempt::report),
            interruption_notice_seconds: self.departure.and_then(|it| it.notice_seconds()),
            login_port: self.login_port,
            metrics: self.host.known().metrics.clone(),
            job_metrics: self.attempt.as_ref().map(CurrentAttempt::metrics).unwrap_or_default(),
        }
    }

    /// Updates the state after an event on the node.
    fn handle(&mut self, event: Event) {
        match event {
            Event::Attempt { key, news } => {
                if self.attempt.as_ref().is_some_and(|current| current.key == key) {
                    self.handle_attempt_event(news);
                }
            }
            Event::SetupOver(outcome) => {
                self.settling = false;
                self.setup = match outcome {
                    Ok(()) => Setup::Done,
                    // It did not fail, it was ended.
                    Err(_) if self.departure.is_some() => Setup::NotBegun,
                    Err(problem) => {
                        tracing::warn!(code = problem.code, "the setup failed");
                        Setup::Failed(problem)
                    }
                };
            }
            Event::SetupUndone => self.undone(),
            Event::GpuFailed(problem) => {
                tracing::warn!(code = problem.code, details = ?problem.details, "a GPU has failed");
                self.gpu_failure = Some(problem);
            }
            Event::Interrupted { notice_seconds } => {
                tracing::warn!(notice_seconds, "this machine is being interrupted");
                self.depart(Departure::interrupted(notice_seconds));
            }
            Event::DeadlineReached => {
                // Something could not be killed or unmounted in time. The machine ends all the same.
                if let Some(departure) = &mut self.departure {
                    departure.stage = DepartureStage::Left { report_until: Uptime::now() };
                }
            }
        }
        self.continue_departure();
    }

    fn handle_attempt_event(&mut self, news: AttemptEvent) {
        let Some(current) = &mut self.attempt else { return };
        match (news, &mut current.state) {
            (AttemptEvent::Progress(new), AttemptState::Live { progress, .. }) => {
                // That the command runs needs no request of its own if its end follows at once.
                self.settling &= new == Progress::Running;
                *progress = new;
            }
            (AttemptEvent::Progress(_), AttemptState::Fenced { .. } | AttemptState::Ended(..)) => {}
            (AttemptEvent::Over(Outcome::Ended(end), details), AttemptState::Live { .. }) => {
                let key = &current.key;
                tracing::info!(job = key.job_name, attempt = key.number, ?end, "an attempt ended");
                self.settling = false;
                current.state = AttemptState::Ended(end, details);
            }
            (
                AttemptEvent::Over(Outcome::Dropped, _),
                AttemptState::Live { .. } | AttemptState::Fenced { .. } | AttemptState::Ended(..),
            )
            | (
                AttemptEvent::Over(Outcome::Ended(_), _),
                AttemptState::Fenced { .. } | AttemptState::Ended(..),
            ) => {
                self.settling = false;
                self.forget();
            }
        }
    }

    /// Leaves when the control plane has not known this node for long enough.
    fn handle_refusal(&mut self, error: &LinkError) {
        if !error.is_unwanted() {
            self.unwanted = None;
            return;
        }
        let limit = self.unwanted_after;
        let countdown =
            self.unwanted.get_or_insert_with(|| Countdown::in_steps_of(limit, limit / 8));
        if countdown.is_over() && self.departure.is_none() {
            tracing::warn!("the control plane does not know this node: leaving");
            self.depart(Departure::unwanted());
        }
    }

    fn has_left(&self) -> bool {
        self.departure
            .is_some_and(|departure| matches!(departure.stage, DepartureStage::Left { .. }))
    }

    /// True when there is no control plane to report to.
    fn is_abandoned(&self) -> bool {
        self.has_left() && self.departure.is_some_and(|it| it.reason == Reason::Unwanted)
    }

    /// Sends the final report until it is delivered or there is no time left.
    async fn send_final_report(&mut self) {
        let Some(DepartureStage::Left { report_until }) = self.departure.map(|it| it.stage) else {
            return;
        };
        let mut countdown = Countdown::new(report_until.remaining().max(LAST_TRY));
        let request = self.observe();
        let link = &mut self.link;
        let delivery = async {
            let mut backoff = Backoff::default();
            loop {
                match link.exchange(&request, Patience::AtOnce).await {
                    Ok(_) => return true,
                    Err(error) if error.is_unwanted() => return false,
                    Err(error) => sleep(backoff.failed(&error)).await,
                }
            }
        };
        let delivered = tokio::select! {
            biased;
            delivered = delivery => delivered,
            () = countdown.run_down() => {
                return tracing::warn!("the last report was not delivered");
            }
        };
        if delivered {
            self.forget();
        }
    }
}

/// Two agents on one root would run the same attempt twice.
async fn lock(host: &Host) -> anyhow::Result<File> {
    let path = host.private().join("lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut countdown = Countdown::new(LOCK_LIMIT);
    while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if countdown.is_over() {
            return Err(error).with_context(|| format!("another agent uses {}", path.display()));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(file)
}
