//! The steps of an attempt, in their order: provide, prepare, wait for the gang, run, clean up.
//!
//! Every step may end the attempt, hence `Result<_, Outcome>`. A returning agent enters at the step
//! that its journal names. The order to end is looked for between the steps, and while a process runs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use protocol::{Assignment, End, Progress};

use super::journal::{Journal, Stage, State};
use super::provide::Site;
use super::words::{describe, summary};
use super::{Begin, Outcome};
use crate::clock::{Countdown, Uptime};
use crate::execution_log::{ExecutionLog, heading};
use crate::host::Host;
use crate::problem::{Fault, NotProvided, Owner};
use crate::supervisor::{Leftovers, Request};
use crate::system::leftovers;
use crate::system::minder::{Limit, Minder};
use crate::system::orders::{Cause, Ending, Orders};
use crate::system::slot::{Record, unique_id};
use crate::system::supervised::{Found, Supervised, Verdict};

/// Within this time a shutdown has signalled all processes, in whatever order.
const SHUTDOWN_SPREAD: Duration = Duration::from_millis(100);

/// Less than the node waits for something that is over at once.
const AT_ONCE: Duration = Duration::from_millis(20);

const PREPARATION: &str = "preparation";
const COMMAND: &str = "command";

pub struct Sequence<'a> {
    host: &'a Host,
    orders: &'a Orders,
    report: &'a dyn Fn(Progress),
    journal: Journal,
    state: State,
    /// Decided before the first signal is sent, perhaps in an earlier life of the agent.
    ending: Option<Ending>,
    site: Site,
    log: ExecutionLog,
}

impl<'a> Sequence<'a> {
    /// Works through the attempt; when it returns, nothing of the attempt is left on this node.
    pub fn run(
        host: &'a Host,
        begin: Begin,
        orders: &'a Orders,
        report: &'a dyn Fn(Progress),
    ) -> Outcome {
        let journal = Journal::new(host);
        let (planned, state, entry) = match begin {
            Begin::Fresh(assignment) => {
                (Site::plan(host, &assignment), State::fresh(*assignment), None)
            }
            Begin::Again(state) => {
                let stage = state.stage;
                (Site::plan(host, &state.assignment), *state, Some(stage))
            }
        };
        let ending = entry.and_then(|_| journal.recall_ending(&state.assignment.key));
        let site = match planned {
            Ok(site) => site,
            Err(error) => return error.into(),
        };
        let log = ExecutionLog::default();
        let mut sequence = Self { host, orders, report, journal, state, ending, site, log };
        let outcome = match sequence.steps(entry) {
            Ok(exit_code) => Outcome::Ended(End::Exited { exit_code }),
            Err(stop) => stop.into(),
        };
        sequence.clean_up(&outcome);
        outcome
    }

    /// The exit code of the command, if it came so far and ended by itself.
    fn steps(&mut self, entry: Option<Stage>) -> Result<i32, Stop> {
        match entry {
            None => {
                let Assignment { key, job, node_id, .. } = &self.state.assignment;
                self.log.line(heading(key.number, job, node_id));
                self.patiently(false, |it, _| it.provide())?;
            }
            Some(_) => self.reopen(),
        }
        if matches!(entry, None | Some(Stage::Preparation)) {
            self.patiently(entry.is_some(), Self::prepare)?;
            self.wait_for_start()?;
            if entry.is_some() && self.state.needs_assignment() {
                self.wait_for_assignment()?;
            }
        }
        if self.state.assignment.rank == 0 {
            self.patiently(entry == Some(Stage::Command), Self::command)
        } else {
            Err(self.sit_by().into())
        }
    }

    /// Takes a step, and again for some time while a disk takes nothing: it may be full on every node,
    /// and jobs do not fail for what passes. `begun`: an earlier life of the agent began it.
    fn patiently<T>(
        &mut self,
        mut begun: bool,
        step: impl Fn(&mut Self, bool) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let mut patience = Countdown::new(self.host.disk_patience);
        loop {
            match step(self, begun) {
                Err(Stop::NotProvided(error)) if error.fault() == Fault::Disk => {
                    self.unless_ended()?;
                    if patience.is_over() {
                        return Err(error.into());
                    }
                    tracing::warn!(%error, "a disk takes nothing: this is tried again");
                }
                taken => return taken,
            }
            begun = false;
            self.orders.wait(None, Some(Uptime::now().after(patience.next_step())));
        }
    }

    fn provide(&mut self) -> Result<(), Stop> {
        let orders = self.orders;
        let give_up = || orders.wanted().ending.is_some();
        let provided =
            self.site.provide(self.host, &self.state.assignment, &mut self.log, &give_up);
        // Asked to end, a mount that was given up is no failure of the node.
        self.unless_ended()?;
        Ok(provided?)
    }

    /// After a restart of the agent. A job does not end because its log cannot be opened.
    fn reopen(&mut self) {
        let path = self.site.file(&self.state.assignment, "execution", ".log");
        if let Err(error) = self.log.open(&path) {
            tracing::warn!(%error, path = %path.display(), "the execution log cannot be reopened");
        }
        self.log.line("The node's agent was restarted; the attempt goes on");
    }

    fn prepare(&mut self, begun: bool) -> Result<(), Stop> {
        let Some(command_line) = self.state.assignment.preparation_command_line.clone() else {
            return Ok(());
        };
        let supervised = if begun {
            self.find(PREPARATION)?
        } else {
            self.log.line("Job preparation started");
            let output = ["stdout-job_prep", "stderr-job_prep"]
                .map(|name| self.site.file(&self.state.assignment, name, ".txt"));
            self.begin(Stage::Preparation, PREPARATION, &command_line, output)?
        };
        let exit_code = self.outlast(supervised, "job preparation")?;
        self.log.line(format_args!("Job preparation ended with exit code {exit_code}"));
        match exit_code {
            0 => Ok(()),
            exit_code => Err(Outcome::Ended(End::PreparationFailed { exit_code }).into()),
        }
    }

    /// Until the gang is complete. For a job of one node that is at once, and not even told.
    fn wait_for_start(&mut self) -> Result<(), Outcome> {
        let mut told = false;
        loop {
            self.unless_ended()?;
            if self.orders.wanted().start {
                return Ok(());
            }
            if !told {
                (self.report)(Progress::Prepared);
                told = true;
            }
            self.wait_within_limit()?;
        }
    }

    /// The secrets of the job, which an earlier life of this agent took with it.
    fn wait_for_assignment(&mut self) -> Result<(), Stop> {
        loop {
            self.unless_ended()?;
            if let Some(assignment) = self.orders.take_assignment() {
                self.site = Site::plan(self.host, &assignment)?;
                return Ok(());
            }
            self.wait_within_limit()?;
        }
    }

    fn wait_within_limit(&self) -> Result<(), Outcome> {
        let limit = self.limit();
        if limit.is_some_and(|limit| limit.at <= Uptime::now()) {
            return Err(Outcome::Ended(End::WallClockExceeded));
        }
        self.orders.wait(None, limit.map(|limit| limit.at));
        Ok(())
    }

    fn command(&mut self, begun: bool) -> Result<i32, Stop> {
        let supervised = if begun {
            self.find(COMMAND)?
        } else {
            let stdouterr = &self.site.environment.stdouterr;
            let earlier = self.site.earlier(&self.state.assignment);
            earlier.set_strangers_aside().map_err(NotProvided::storage(
                "set the logs of earlier attempts aside",
                self.site.paths.owner(stdouterr),
                stdouterr,
            ))?;
            let output = ["stdout.txt", "stderr.txt"].map(|name| stdouterr.join(name));
            let command_line = self.state.assignment.command_line.clone();
            self.log.line("Command started");
            self.begin(Stage::Command, COMMAND, &command_line, output)?
        };
        // That it runs is news only if it is not over at once.
        let is_over = matches!(&supervised, Found::Running(it) if it.is_over_within(AT_ONCE));
        if !is_over {
            (self.report)(Progress::Running);
        }
        let exit_code = self.outlast(supervised, "command")?;
        self.log.line_to_come(format_args!("Command ended with exit code {exit_code}"));
        Ok(exit_code)
    }

    /// The command runs on the master; this node is there for it until it is told otherwise.
    fn sit_by(&mut self) -> Outcome {
        self.state.stage = Stage::Member;
        if let Err(error) = self.journal.save(&self.state).map_err(cannot_remember) {
            return error.into();
        }
        self.log.line("The command runs on the first node of the job");
        (self.report)(Progress::Running);
        loop {
            if let Err(outcome) = self.unless_ended() {
                return outcome;
            }
            self.orders.wait(None, None);
        }
    }

    /// Starts a command line under a supervisor; what is needed to find it again comes first.
    fn begin(
        &mut self,
        stage: Stage,
        slot: &str,
        command_line: &str,
        output: [PathBuf; 2],
    ) -> Result<Found, NotProvided> {
        self.state.stage = stage;
        self.state.slot_id = unique_id();
        self.state.first_process_at.get_or_insert_with(Uptime::now);
        self.journal.save(&self.state).map_err(cannot_remember)?;
        let [stdout, stderr] = output;
        let request = Request {
            slot: self.journal.slot(slot, &self.state.slot_id),
            command_line: command_line.to_owned(),
            environment: self.site.environment.variables.clone(),
            directory: self.site.paths.temp.clone(),
            stdout,
            stderr,
            output_owner: self.site.paths.owner(&self.site.environment.stdouterr),
            leftovers: Leftovers::Kill,
        };
        match self.host.supervisors.start(&request) {
            Ok(supervised) => Ok(Found::Running(supervised)),
            // It never came to the command.
            Err(error) => Err(not_started(error.to_string(), Owner::Node.fault(&error))),
        }
    }

    fn find(&self, slot: &str) -> Result<Found, Outcome> {
        Supervised::find(self.journal.slot(slot, &self.state.slot_id))
            .map_err(|error| self.lost_track(&error))
    }

    /// The exit code of something that ended by itself; anything else ends the attempt.
    fn outlast(&mut self, found: Found, what: &str) -> Result<i32, Stop> {
        let mut minder = Minder::new(self.orders, self.limit(), self.ending);
        let (key, journal, log) = (&self.state.assignment.key, &self.journal, &mut self.log);
        let outlasted = match found {
            // An agent that came back found that it had never begun: as if nothing had been.
            Found::Over(Verdict::NeverBegan) => return Err(Outcome::Dropped.into()),
            Found::Over(verdict) => Ok(verdict),
            Found::Running(supervised) => {
                minder.outlast(&self.host.supervisors, supervised, |signal, ending| {
                    if let Err(error) = journal.save_ending(key, ending) {
                        tracing::warn!(%error, "the reason for ending an attempt is not written");
                    }
                    log.line(describe(signal, ending.cause, what));
                })
            }
        };
        self.ending = minder.ending();
        let verdict = outlasted.map_err(|error| self.lost_track(&error))?;
        if let Verdict::Vanished { claim, .. } = &verdict {
            let marker = self.host.attempt_marker(&self.state.assignment.key);
            leftovers::kill(self.host, &marker, Some(claim));
        }
        self.judge(verdict)
    }

    /// What ended by itself before it was signalled stays that, whatever was wanted of it meanwhile.
    fn judge(&mut self, verdict: Verdict) -> Result<i32, Stop> {
        if self.ending.is_some_and(|ending| ending.cause == Cause::Fenced) {
            return Err(Outcome::Dropped.into());
        }
        let asked = match verdict {
            Verdict::Exited { exit_code, asked: false }
            | Verdict::Vanished {
                ended: Some(Record::Exited { exit_code, asked: false }), ..
            } => return Ok(exit_code),
            Verdict::NotStarted { reason, fault } => return Err(not_started(reason, fault).into()),
            Verdict::Exited { .. } => true,
            Verdict::Vanished { .. } | Verdict::NeverBegan => false,
        };
        if asked && self.ending.is_none() {
            // Not by this thread. A machine that is shut down signals every process, this agent too.
            self.orders.wait(None, Some(Uptime::now().after(SHUTDOWN_SPREAD)));
            self.ending = self.orders.wanted().ending;
        }
        Err(Stop::Over(match self.ending {
            Some(ending) => ending.cause.into(),
            None if asked => lost("someone else told the job to end"),
            None => lost("the process that supervised the job was killed"),
        }))
    }

    /// What runs and cannot be looked after must not run on.
    fn lost_track(&self, error: &io::Error) -> Outcome {
        leftovers::kill(self.host, &self.host.attempt_marker(&self.state.assignment.key), None);
        lost(&format!("the agent lost track of the job: {error}"))
    }

    fn limit(&self) -> Option<Limit> {
        let assignment = &self.state.assignment;
        self.state.first_process_at.map(|first| Limit {
            at: first.after_seconds(assignment.max_wall_clock_seconds),
            grace_seconds: assignment.stop_grace_seconds,
        })
    }

    fn unless_ended(&self) -> Result<(), Outcome> {
        match self.ending.or(self.orders.wanted().ending) {
            Some(ending) => Err(ending.cause.into()),
            None => Ok(()),
        }
    }

    /// Every process is gone: leave nothing else behind either, and let go of the log last.
    fn clean_up(&mut self, outcome: &Outcome) {
        self.log.line(format_args!("Attempt ended: {}", summary(outcome)));
        if self.site.logs_are_on_a_mount_of_the_job() {
            self.log.close();
        }
        self.site.unmount(self.host, &self.state.assignment, &mut self.log);
        self.log.close();
        if !self.state.assignment.mounts.is_empty() {
            // The daemons of user-space file systems end when they are unmounted.
            leftovers::reap_all();
        }
    }
}

/// Why the steps end early.
enum Stop {
    Over(Outcome),
    NotProvided(NotProvided),
}

impl From<Outcome> for Stop {
    fn from(outcome: Outcome) -> Self {
        Stop::Over(outcome)
    }
}

impl From<NotProvided> for Stop {
    fn from(error: NotProvided) -> Self {
        Stop::NotProvided(error)
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Over(outcome) => outcome,
            Stop::NotProvided(error) => error.into(),
        }
    }
}

impl From<NotProvided> for Outcome {
    fn from(error: NotProvided) -> Self {
        Outcome::Ended(match error.fault() {
            Fault::Job => End::NotProvided { problem: error.into() },
            Fault::Node | Fault::Disk => End::NodeFailed { problem: error.into() },
        })
    }
}

fn cannot_remember(error: io::Error) -> NotProvided {
    NotProvided::storage("remember the attempt", Owner::Agent, "agent")(error)
}

fn not_started(reason: String, fault: Fault) -> NotProvided {
    NotProvided::Start { what: "job", reason, fault }
}

fn lost(reason: &str) -> Outcome {
    Outcome::Ended(End::Lost { reason: reason.to_owned() })
}
