//! The node: says what it observes, hears what is desired, converges, and does it again.
//!
//! One loop owns all state. At most one request is under way; whatever happens on the node meanwhile
//! takes it back and sends a fresh one, so that an answer always speaks of the present.

mod departure;
mod inbox;
mod pace;
mod present;
mod steps;

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use protocol::{NodePhase, Problem, Progress, SyncRequest};
use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::attempt::{Begin, Journal, News, Outcome, Stage as AttemptStage};
use crate::clock::{Countdown, Uptime};
use crate::host::Host;
use crate::link::{Backoff, Link, LinkError, Patience};
use crate::options::AgentOptions;
use crate::setup;
use crate::system::orders::Orders;
use crate::system::supervised::Supervisors;
use departure::{Departure, LAST_TRY, Reason, Stage};
use inbox::{Event, Inbox};
use pace::Pace;
use present::{Condition, Present};

/// How long to see whether something that was just begun is over at once. Asking only then spares a
/// short job the cost of a request that would be taken back.
const SETTLE: Duration = Duration::from_millis(30);
/// How long the lock of an agent that was just killed may linger.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// Runs the agent. See [`crate::run`].
pub async fn run(options: AgentOptions) -> anyhow::Result<()> {
    let mut node = Node::open(&options).await?;
    tracing::info!(node = options.node_id, root = %node.host.root.display(), "the agent is up");
    node.converge().await;
    tracing::info!(node = options.node_id, "the agent ends");
    Ok(())
}

struct Node {
    host: Arc<Host>,
    instance: String,
    address: String,
    unwanted_after: Duration,
    link: Link,
    inbox: Inbox,
    pace: Pace,
    setup: Setup,
    attempt: Option<Present>,
    departure: Option<Departure>,
    /// Runs while the control plane says that there is no such node, and nothing else.
    unwanted: Option<Countdown>,
    /// Something was begun that may be over in a moment.
    settling: bool,
    /// Held for as long as the agent lives.
    _lock: File,
}

/// How far the setup of the node is.
enum Setup {
    NotBegun,
    Busy(Arc<Orders>),
    Done,
    Failed(Problem),
}

impl Node {
    async fn open(options: &AgentOptions) -> anyhow::Result<Self> {
        let show = || format!("the root directory {} cannot be used", options.root.display());
        fs::create_dir_all(&options.root).with_context(show)?;
        let host = Arc::new(Host {
            root: fs::canonicalize(&options.root).with_context(show)?,
            node_id: options.node_id.clone(),
            cluster_uid: options.cluster_uid.clone(),
            keeper: options.keeper,
            disk_patience: options.disk_patience,
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
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let setup = if setup::is_complete(&host) { Setup::Done } else { Setup::NotBegun };
        let mut node = Self {
            host,
            instance: options.instance.clone(),
            address: options.address.clone(),
            unwanted_after: options.unwanted_after,
            link: Link::new(options)?,
            inbox,
            pace: Pace::new(),
            setup,
            attempt: None,
            departure: None,
            unwanted: None,
            settling: false,
            _lock: lock,
        };
        node.go_on().with_context(show)?;
        Ok(node)
    }

    /// Picks up what an earlier life of the agent had begun.
    fn go_on(&mut self) -> std::io::Result<()> {
        let Some(state) = Journal::new(&self.host).recall()? else { return Ok(()) };
        let key = state.assignment.key.clone();
        tracing::info!(job = key.job_name, attempt = key.number, "going on with an attempt");
        let progress = match state.stage {
            AttemptStage::Preparation => Progress::Preparing,
            AttemptStage::Command | AttemptStage::Member => Progress::Running,
        };
        self.spawn(key, Begin::Again(Box::new(state)), false, progress);
        Ok(())
    }

    async fn converge(&mut self) {
        while !self.is_gone() {
            if self.has_left() {
                return self.say_goodbye().await;
            }
            self.settle().await;
            let request = self.observe();
            let not_before = self.pace.not_before(&request);
            let exchange = async {
                // A timer, even one that is due, takes a millisecond.
                if not_before > Instant::now() {
                    sleep_until(not_before).await;
                }
                let sent = Instant::now();
                (sent, self.link.exchange(&request, Patience::Hold).await)
            };
            let (sent, answer) = tokio::select! {
                biased;
                event = self.inbox.next() => {
                    self.take_in(event);
                    continue;
                }
                answer = exchange => answer,
            };
            match answer {
                Ok(answer) => {
                    self.unwanted = None;
                    let ask_again = Duration::from_millis(answer.ask_again_millis);
                    self.pace.answered(request, sent, ask_again);
                    self.carry_out(answer.desired);
                }
                Err(error) => {
                    self.pace.failed(request, &error);
                    self.weigh(&error);
                }
            }
        }
    }

    /// Gives what was just begun a moment to be over.
    async fn settle(&mut self) {
        let until = Instant::now() + SETTLE;
        while self.settling {
            match timeout_at(until, self.inbox.next()).await {
                Ok(event) => self.take_in(event),
                Err(_) => self.settling = false,
            }
        }
    }

    fn observe(&self) -> SyncRequest {
        let left = self.has_left() && self.attempt.as_ref().is_none_or(Present::has_ended);
        let phase = match &self.setup {
            _ if left => NodePhase::Left,
            Setup::NotBegun | Setup::Busy(_) => NodePhase::Preparing,
            Setup::Done => NodePhase::Ready,
            Setup::Failed(problem) => NodePhase::Failed { problem: problem.clone() },
        };
        SyncRequest {
            instance: self.instance.clone(),
            address: self.address.clone(),
            phase,
            attempt: self.attempt.as_ref().map(Present::report),
            interruption_notice_seconds: self.departure.and_then(|it| it.notice_seconds()),
        }
    }

    /// Takes note of something that happened on the node.
    fn take_in(&mut self, event: Event) {
        match event {
            Event::Attempt { key, news } => {
                if self.attempt.as_ref().is_some_and(|present| present.key == key) {
                    self.take_in_news(news);
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
            Event::Undone => self.undone(),
            Event::Interrupted { notice_seconds } => {
                tracing::warn!(notice_seconds, "this machine is being taken away");
                self.depart(Departure::interrupted(notice_seconds));
            }
            Event::TimeIsUp => {
                // Something could not be killed or unmounted. The machine goes all the same.
                if let Some(departure) = &mut self.departure {
                    departure.stage = Stage::Left { give_up_at: Uptime::now() };
                }
            }
        }
        self.go_on_departing();
    }

    fn take_in_news(&mut self, news: News) {
        let Some(present) = &mut self.attempt else { return };
        match (news, &mut present.condition) {
            (News::Progress(new), Condition::Live { progress, .. }) => {
                // That it runs can wait for the request that says it is over.
                self.settling &= new == Progress::Running;
                *progress = new;
            }
            (News::Progress(_), Condition::Fenced { .. } | Condition::Ended(_)) => {}
            (News::Over(Outcome::Ended(end)), Condition::Live { .. }) => {
                let key = &present.key;
                tracing::info!(job = key.job_name, attempt = key.number, ?end, "an attempt ended");
                self.settling = false;
                present.condition = Condition::Ended(end);
            }
            (News::Over(_), _) => {
                self.settling = false;
                self.forget();
            }
        }
    }

    /// Decides whether a refusal is the last word.
    fn weigh(&mut self, error: &LinkError) {
        if !error.is_unwanted() {
            self.unwanted = None;
            return;
        }
        let limit = self.unwanted_after;
        let countdown =
            self.unwanted.get_or_insert_with(|| Countdown::in_steps_of(limit, limit / 8));
        if countdown.is_over() && self.departure.is_none() {
            tracing::warn!("the control plane knows no such node: going away");
            self.depart(Departure::unwanted());
        }
    }

    fn has_left(&self) -> bool {
        self.departure.is_some_and(|departure| matches!(departure.stage, Stage::Left { .. }))
    }

    /// Nobody is left to say goodbye to.
    fn is_gone(&self) -> bool {
        self.has_left() && self.departure.is_some_and(|it| it.reason == Reason::Unwanted)
    }

    /// The agent's last word, until it is heard or there is no time left.
    async fn say_goodbye(&mut self) {
        let Some(Stage::Left { give_up_at }) = self.departure.map(|it| it.stage) else { return };
        let mut countdown = Countdown::new(give_up_at.remaining().max(LAST_TRY));
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

/// Two agents on one root would both look after the same attempt.
async fn lock(host: &Host) -> anyhow::Result<File> {
    let path = host.private().join("lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut countdown = Countdown::new(LOCK_LIMIT);
    while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if countdown.is_over() {
            return Err(error)
                .with_context(|| format!("another agent works in {}", path.display()));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(file)
}
