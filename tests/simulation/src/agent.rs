//! A simulated agent: follows the node protocol as the real one does (its rules are those of the
//! agent's `plan`), with processes that last a time and end with a code.

use crate::attempt::{Present, Stage};
use crate::oracle::Oracle;
use protocol::{Assignment, AttemptKey, Desired, End, NodePhase, Problem, SyncRequest};

/// "Not before something else happens."
pub const NEVER: i64 = i64::MAX;

/// What a node that nobody knows gives its processes.
const UNWANTED_GRACE_MILLIS: i64 = 5_000;
const UNWANTED_AFTER_MILLIS: i64 = 30_000;
/// How long a node that was told to leave tries to report that it has.
const GOODBYE_MILLIS: i64 = 5_000;

#[derive(Clone, Debug)]
pub struct Agent {
    pub setup: Setup,
    pub attempt: Option<Present>,
    pub departure: Option<Departure>,
    unwanted_since: Option<i64>,
    /// It cannot run any job.
    pub bad: bool,
    /// How long set-up and the preparation of a job take.
    pub prepare_millis: i64,
    pub setup_fails: bool,
    /// Something changed since the last request.
    pub news: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Setup {
    NotBegun,
    Busy { until: i64 },
    Done,
    Failed,
}

#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// The machine is taken away then.
    pub interrupted: Option<i64>,
    /// When what runs is killed.
    pub kill_at: i64,
    /// Everything has ended; the agent exits at that time.
    pub left_until: Option<i64>,
}

impl Agent {
    pub fn new(prepare_millis: i64, setup_fails: bool, bad: bool) -> Self {
        Self {
            setup: Setup::NotBegun,
            attempt: None,
            departure: None,
            unwanted_since: None,
            bad,
            prepare_millis,
            setup_fails,
            news: true,
        }
    }

    /// When something happens here by itself.
    pub fn next_change(&self) -> i64 {
        let setup = match self.setup {
            Setup::Busy { until } => until,
            Setup::NotBegun | Setup::Done | Setup::Failed => NEVER,
        };
        let attempt = self.attempt.as_ref().map_or(NEVER, Present::next_change);
        let exit = self.departure.and_then(|it| it.left_until).unwrap_or(NEVER);
        setup.min(attempt).min(exit)
    }

    /// Whether the agent has nothing more to do here.
    pub fn exits(&self, now: i64) -> bool {
        self.departure.and_then(|it| it.left_until).is_some_and(|until| now >= until)
    }

    /// Time has passed for set-up and processes.
    pub fn pass_time(&mut self, now: i64, instance: usize, oracle: &mut Oracle) {
        if let Setup::Busy { until } = self.setup
            && now >= until
        {
            self.setup = if self.setup_fails { Setup::Failed } else { Setup::Done };
            self.news = true;
        }
        let (bad, departing) = (self.bad, self.departure.is_some());
        if let Some(present) = &mut self.attempt {
            while let Some(news) = present.advance(now, instance, bad, oracle) {
                self.news |= news;
            }
            if matches!(present.stage, Stage::Fenced { until, .. } if now >= until) {
                self.attempt = None;
                self.news = true;
            }
        }
        if departing {
            self.go_on_departing(now);
        }
    }

    fn go_on_departing(&mut self, now: i64) {
        let busy = matches!(self.setup, Setup::Busy { .. })
            || self.attempt.as_ref().is_some_and(|present| !present.has_ended());
        let Some(departure) = &mut self.departure else { return };
        if departure.left_until.is_some() || busy {
            return;
        }
        departure.left_until = Some(departure.interrupted.unwrap_or(now + GOODBYE_MILLIS));
        self.news = true;
    }

    pub fn observe(&self, instance: &str, address: &str, now: i64) -> SyncRequest {
        let phase = match &self.setup {
            _ if self.departure.is_some_and(|it| it.left_until.is_some()) => NodePhase::Left,
            Setup::NotBegun | Setup::Busy { .. } => NodePhase::Preparing,
            Setup::Done => NodePhase::Ready,
            Setup::Failed => NodePhase::Failed { problem: problem("SetupTaskFailed") },
        };
        let left = |until: i64| (until - now).max(0) as u64 / 1000;
        SyncRequest {
            instance: instance.to_owned(),
            address: address.to_owned(),
            phase,
            attempt: self.attempt.as_ref().map(Present::report),
            interruption_notice_seconds: self.departure.and_then(|it| it.interrupted).map(left),
        }
    }

    /// The machine is about to be taken away.
    pub fn interrupt(&mut self, now: i64, until: i64, oracle: &mut Oracle) {
        let reserve = ((until - now) / 5).min(2000);
        self.depart(now, until - reserve, Some(until), End::Interrupted, oracle);
    }

    fn depart(
        &mut self,
        now: i64,
        kill_at: i64,
        interrupted: Option<i64>,
        end: End,
        oracle: &mut Oracle,
    ) {
        self.news |= interrupted.is_some();
        let first = self.departure;
        let departure = Departure {
            interrupted: match (first.and_then(|it| it.interrupted), interrupted) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            kill_at: first.map_or(kill_at, |it| it.kill_at.min(kill_at)),
            left_until: first.and_then(|it| it.left_until),
        };
        self.departure = Some(departure);
        if let Some(present) = &mut self.attempt {
            present.stop(now, departure.kill_at, end, oracle);
        }
        if let Setup::Busy { .. } = self.setup {
            self.setup = Setup::NotBegun;
        }
        self.go_on_departing(now);
    }

    /// The control plane does not know the node.
    pub fn unknown(&mut self, now: i64, oracle: &mut Oracle) {
        let since = *self.unwanted_since.get_or_insert(now);
        if now - since >= UNWANTED_AFTER_MILLIS {
            self.depart(now, now + UNWANTED_GRACE_MILLIS, None, End::Stopped, oracle);
        }
    }

    /// Converges on what is desired, as answered to the request that showed the present state.
    /// Returns the attempt whose end was acknowledged.
    pub fn carry_out(
        &mut self,
        desired: Desired,
        now: i64,
        instance: usize,
        oracle: &mut Oracle,
    ) -> Option<(AttemptKey, End)> {
        self.unwanted_since = None;
        let mentioned = match &desired {
            Desired::Run { key, .. } | Desired::Stop { key, .. } => Some(key),
            Desired::Prepare { .. } | Desired::Idle | Desired::Leave { .. } => None,
        };
        let leaves = matches!(desired, Desired::Leave { .. });
        let mut acknowledged = None;
        if let Some(present) = &mut self.attempt
            && mentioned != Some(&present.key)
        {
            if let Stage::Ended { end } = &present.stage {
                acknowledged = Some((present.key.clone(), end.clone()));
                self.attempt = None;
                self.news = true;
            } else if !leaves {
                present.fence(now, instance, oracle);
            }
        }
        if self.departure.is_none() {
            self.follow(desired, now, instance, oracle);
        }
        acknowledged
    }

    fn follow(&mut self, desired: Desired, now: i64, instance: usize, oracle: &mut Oracle) {
        match desired {
            Desired::Idle => {}
            Desired::Prepare { .. } => {
                if self.setup == Setup::NotBegun {
                    self.setup = Setup::Busy { until: now + self.prepare_millis };
                }
            }
            Desired::Run { key, start, assignment } => match &mut self.attempt {
                Some(present) if present.key == key && present.is_live() => {
                    present.needs_assignment &= assignment.is_none();
                    present.start |= start;
                }
                Some(_) => {}
                None => {
                    let fits = |it: &Assignment| it.key == key;
                    if let Some(assignment) = assignment.filter(|it| fits(it))
                        && self.setup == Setup::Done
                    {
                        oracle.begun(&key, instance);
                        let until = now + self.prepare_millis / 4;
                        self.attempt = Some(Present::begin(&assignment, start, now, until));
                    }
                }
            },
            Desired::Stop { key, grace_seconds } => match &mut self.attempt {
                Some(present) if present.key == key => {
                    let kill_at = now + grace_seconds as i64 * 1000;
                    present.stop(now, kill_at, End::Stopped, oracle);
                }
                Some(_) => {}
                None => {
                    self.attempt = Some(Present::never_ran(key));
                    self.news = true;
                }
            },
            Desired::Leave { grace_seconds } => {
                let kill_at = now + grace_seconds as i64 * 1000;
                self.depart(now, kill_at, None, End::Stopped, oracle);
            }
        }
    }

    /// The agent was killed and comes back; what it ran went on.
    pub fn restarted(&mut self) {
        self.news = true;
        self.unwanted_since = None;
        if let Some(present) = &mut self.attempt {
            present.needs_assignment = matches!(present.stage, Stage::Preparing { .. });
        }
        if self.setup != Setup::Done {
            self.setup = Setup::NotBegun;
        }
    }
}

pub fn problem(code: &str) -> Problem {
    Problem { code: code.to_owned(), message: "simulated".to_owned(), details: Vec::new() }
}
