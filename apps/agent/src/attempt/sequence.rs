//! The steps of an attempt: provide, prepare, wait for the gang, run, clean up.
//!
//! Every step may end the attempt, hence `Result<_, Outcome>`. A restarted agent resumes at the step in its
//! journal. Requests to stop are checked between the steps, and while a process runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::{Assignment, End, EndDetails, Progress};

use super::early_end::{EarlyEnd, cannot_store, lost, not_started};
use super::end_details;
use super::journal::{AttemptStep, Journal, State};
use super::layout::{AttemptLayout, output_file};
use super::messages::{describe, stop_notice, summary, text_of};
use super::{Origin, Outcome};
use crate::clock::{Countdown, Uptime};
use crate::execution_log::{ExecutionLog, heading};
use crate::fault::{Fault, Owner};
use crate::gpus::health;
use crate::host::Host;
use crate::job_metrics::{self, JobMetrics};
use crate::launch::Process;
use crate::problem::NotProvided;
use crate::runtime::{ContainerEnded, Inside, Runtime};
use crate::shortage::OomKills;
use crate::supervisor::{EndRule, Leftovers, Program, Request};
use crate::system::leftovers;
use crate::system::run_control::{RunControl, StopCause, StopRequest};
use crate::system::slot::{Record, unique_id};
use crate::system::supervised::{CommandOutcome, Found, Supervised};
use crate::system::watchdog::{Event, Limit, Signal, Watchdog};

/// Within this time a shutdown has signalled all processes, in any order.
const SHUTDOWN_SPREAD: Duration = Duration::from_millis(100);

/// Less than the node waits for something that ends at once.
const AT_ONCE: Duration = Duration::from_millis(20);

const PREPARATION: &str = "preparation";
const COMMAND: &str = "command";

const CONTAINER_ENDED: &str = "the container of the job ended, perhaps with its engine";

pub struct Sequence<'a> {
    host: &'a Host,
    control: &'a RunControl,
    metrics: &'a JobMetrics,
    report: &'a dyn Fn(Progress),
    journal: Journal,
    state: State,
    /// Decided before the first signal is sent, perhaps by an earlier agent process.
    stop: Option<StopRequest>,
    layout: AttemptLayout,
    runtime: Runtime,
    log: ExecutionLog,
}

impl<'a> Sequence<'a> {
    /// Runs the attempt. When it returns, no process of the attempt is left on this node.
    pub fn run(
        host: &'a Host,
        begin: Origin,
        control: &'a RunControl,
        metrics: &'a JobMetrics,
        report: &'a dyn Fn(Progress),
    ) -> (Outcome, Option<Box<EndDetails>>) {
        let journal = Journal::new(host);
        let (prepared, state, entry) = match begin {
            Origin::New(assignment) => {
                (Prepared::new(host, &assignment), State::fresh(*assignment), None)
            }
            Origin::Resumed(state) => {
                let stage = state.stage;
                (Prepared::new(host, &state.assignment), *state, Some(stage))
            }
        };
        let stop = entry.and_then(|_| journal.load_stop(&state.assignment.key));
        let Prepared { layout, runtime } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return (error.into(), None),
        };
        let log = ExecutionLog::default();
        let mut sequence =
            Self { host, control, metrics, report, journal, state, stop, layout, runtime, log };
        let outcome = match sequence.steps(entry) {
            Ok(exit_code) => Outcome::Ended(End::Exited { exit_code }),
            Err(stop) => stop.into(),
        };
        let details = sequence.end_details(&outcome);
        sequence.clean_up(&outcome);
        (outcome, details)
    }

    /// The exit code of the command, if it was started and ended by itself.
    fn steps(&mut self, entry: Option<AttemptStep>) -> Result<i32, EarlyEnd> {
        match entry {
            None => {
                let Assignment { key, job, node_id, .. } = &self.state.assignment;
                self.log.line(heading(key.number, job, node_id));
                self.retry_while_disk_fails(false, |it, _| it.provide())?;
            }
            Some(_) => self.reopen(),
        }
        if matches!(entry, None | Some(AttemptStep::Preparation)) {
            self.retry_while_disk_fails(entry.is_some(), Self::prepare)?;
            self.wait_for_start()?;
            if entry.is_some() && self.state.needs_assignment() {
                self.wait_for_assignment()?;
            }
        }
        let Assignment { rank, ends_with_every_node, .. } = self.state.assignment;
        let starts_something =
            !self.layout.launch.processes.is_empty() || self.layout.ssh.is_some();
        let runs_something = starts_something || entry == Some(AttemptStep::Command);
        if runs_something && entry != Some(AttemptStep::Member) {
            let begun = entry == Some(AttemptStep::Command);
            let exit_code = self.retry_while_disk_fails(begun, Self::command)?;
            if rank == 0 || ends_with_every_node || exit_code != 0 {
                return Ok(exit_code);
            }
        } else if ends_with_every_node {
            return Ok(0);
        }
        Err(self.wait_as_member().into())
    }

    /// Runs a step, and repeats it for some time while a disk fails: it may be full on every node, and a job does
    /// not fail for a temporary error. `begun`: an earlier agent process started the step.
    fn retry_while_disk_fails<T>(
        &mut self,
        mut begun: bool,
        step: impl Fn(&mut Self, bool) -> Result<T, EarlyEnd>,
    ) -> Result<T, EarlyEnd> {
        let mut patience = Countdown::new(self.host.disk_patience);
        loop {
            match step(self, begun) {
                Err(EarlyEnd::NotProvided(error)) if error.fault() == Fault::Disk => {
                    self.unless_ended()?;
                    if patience.is_over() {
                        return Err(error.into());
                    }
                    tracing::warn!(%error, "a disk does not accept data; trying again");
                }
                taken => return taken,
            }
            begun = false;
            self.control.wait(None, Some(Uptime::now().after(patience.next_step())));
        }
    }

    fn provide(&mut self) -> Result<(), EarlyEnd> {
        let control = self.control;
        let is_cancelled = || control.requested().stop.is_some();
        let mut provided =
            self.layout.provide(self.host, &self.state.assignment, &mut self.log, &is_cancelled);
        if provided.is_ok() {
            let made = self.runtime.provide(self.host, &self.layout, &mut self.log, &is_cancelled);
            provided = made.map_err(NotProvided::from);
        }
        // A mount or a pull that was cancelled by a stop is no failure of the node.
        self.unless_ended()?;
        Ok(provided?)
    }

    /// After a restart of the agent. A job does not end because its log cannot be opened.
    fn reopen(&mut self) {
        let path = self.layout.file(&self.state.assignment, "execution", ".log");
        if let Err(error) = self.log.open(&path) {
            tracing::warn!(%error, path = %path.display(), "the execution log cannot be reopened");
        }
        self.log.line("The node's agent was restarted; the attempt continues");
    }

    fn prepare(&mut self, begun: bool) -> Result<(), EarlyEnd> {
        let Some(command_line) = self.state.assignment.preparation().map(str::to_owned) else {
            return Ok(());
        };
        let supervised = if begun {
            self.find(PREPARATION)?
        } else {
            self.log.line("Job preparation started");
            let output = ["stdout-job_prep", "stderr-job_prep"]
                .map(|name| self.layout.file(&self.state.assignment, name, ".txt"));
            let program = Program::shell(&command_line, output);
            let inside = self.open()?;
            let programs = vec![inside.program(program)];
            self.begin(AttemptStep::Preparation, PREPARATION, inside, programs)?
        };
        let exit_code = self.wait_for_end(supervised, "job preparation")?;
        self.log.line(format_args!("Job preparation ended with exit code {exit_code}"));
        match exit_code {
            0 => Ok(()),
            exit_code => Err(Outcome::Ended(End::PreparationFailed { exit_code }).into()),
        }
    }

    /// Waits until the gang is complete. A job of one node does not wait, and does not report that it is prepared.
    fn wait_for_start(&mut self) -> Result<(), Outcome> {
        let mut is_reported = false;
        loop {
            self.unless_ended()?;
            if self.control.requested().start {
                return Ok(());
            }
            if !is_reported {
                if self.state.assignment.hosts.len() > 1 {
                    self.log.line("Waiting for the other nodes of the job");
                }
                (self.report)(Progress::Prepared);
                is_reported = true;
            }
            self.wait_within_limit()?;
        }
    }

    /// Waits for the secrets of the job, which an earlier agent process had in memory.
    fn wait_for_assignment(&mut self) -> Result<(), EarlyEnd> {
        loop {
            self.unless_ended()?;
            if let Some(assignment) = self.control.take_assignment() {
                self.layout = AttemptLayout::plan(self.host, &assignment)?;
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
        self.control.wait(None, limit.map(|limit| limit.at));
        Ok(())
    }

    fn command(&mut self, begun: bool) -> Result<i32, EarlyEnd> {
        let supervised = if begun {
            self.find(COMMAND)?
        } else {
            let stdouterr = &self.layout.environment.stdouterr;
            let earlier = self.layout.earlier(&self.state.assignment);
            earlier.set_departed_members_aside().map_err(NotProvided::storage(
                "set the logs of earlier attempts aside",
                self.layout.paths.owner(stdouterr),
                stdouterr,
            ))?;
            if self.state.assignment.key.number > 1 {
                self.state.metrics_before = job_metrics::marks(&self.layout.environment.outputs);
            }
            let processes = &self.layout.launch.processes;
            let inside = self.open()?;
            let mut programs: Vec<Program> = processes
                .iter()
                .map(|process| inside.program(program(process, stdouterr)))
                .collect();
            match programs.len() {
                0 => self.log.line("The command runs on the first node of the job"),
                1 => self.log.line("Command started"),
                count => self.log.line(format_args!("{count} processes started")),
            }
            if let Some(ssh) = &self.layout.ssh {
                programs.push(ssh.server(&self.ssh_log()?, inside.entry.as_ref()));
            }
            self.begin(AttemptStep::Command, COMMAND, inside, programs)?
        };
        if self.state.assignment.rank == 0 {
            let stdout = self.layout.first_stdout();
            let outputs = &self.layout.environment.outputs;
            self.metrics.watch(outputs, &self.state.metrics_before, stdout.as_deref());
        }
        // Not reported when it ends at once.
        let is_over = matches!(&supervised, Found::Running(it) if it.is_over_within(AT_ONCE));
        if !is_over {
            (self.report)(Progress::Running);
        }
        let exit_code = self.wait_for_end(supervised, "command")?;
        self.log.line_to_come(format_args!("Command ended with exit code {exit_code}"));
        if exit_code != 0 {
            self.unless_gpu_has_failed()?;
        }
        Ok(exit_code)
    }

    /// A command that failed on a GPU that has failed is not to blame: the job runs on another node.
    fn unless_gpu_has_failed(&mut self) -> Result<(), Outcome> {
        let control = self.control;
        let is_cancelled = || control.requested().stop.is_some();
        let Err(problem) = health::check(self.host, &is_cancelled) else { return Ok(()) };
        self.log.line(format_args!("{}: the job runs on another node", problem.message));
        Err(Outcome::Ended(End::NodeFailed { problem }))
    }

    /// The command runs on the master, or goes on there; this node waits until it is asked to stop.
    fn wait_as_member(&mut self) -> Outcome {
        self.state.stage = AttemptStep::Member;
        if let Err(error) = self.journal.save(&self.state).map_err(cannot_store) {
            return error.into();
        }
        self.log.line("The job goes on until its first node has ended");
        (self.report)(Progress::Running);
        loop {
            if let Err(outcome) = self.unless_ended() {
                return outcome;
            }
            self.control.wait(None, None);
        }
    }

    /// What programs are started with.
    fn open(&self) -> Result<Inside, EarlyEnd> {
        let opened = self.runtime.open(self.host, &self.layout);
        opened.map_err(|ContainerEnded| lost(CONTAINER_ENDED).into())
    }

    /// Starts a command line under a supervisor. Stores first what is needed to find it again.
    fn begin(
        &mut self,
        stage: AttemptStep,
        slot: &str,
        inside: Inside,
        programs: Vec<Program>,
    ) -> Result<Found, NotProvided> {
        self.state.stage = stage;
        self.state.slot_id = unique_id();
        if self.state.first_process_at.is_none() {
            self.state.first_process_at = Some(Uptime::now());
            self.state.oom_kills = OomKills::count();
        }
        self.journal.save(&self.state).map_err(cannot_store)?;
        let Assignment { rank, ends_with_every_node, .. } = self.state.assignment;
        let is_decided_by_first = rank == 0 && !ends_with_every_node;
        let request = Request {
            slot: self.journal.slot(slot, &self.state.slot_id),
            programs,
            end: if is_decided_by_first { EndRule::WithFirst } else { EndRule::WithAll },
            container: inside.process(),
            environment: inside.variables,
            directory: self.layout.paths.temp.clone(),
            output_owner: self.layout.paths.owner(&self.layout.environment.stdouterr),
            leftovers: Leftovers::Kill,
        };
        match self.host.supervisors.start(&request) {
            Ok(supervised) => Ok(Found::Running(supervised)),
            // The command was not started.
            Err(error) => Err(not_started(error.to_string(), Owner::Node.fault(&error))),
        }
    }

    fn find(&self, slot: &str) -> Result<Found, Outcome> {
        Supervised::find(self.journal.slot(slot, &self.state.slot_id))
            .map_err(|error| self.lose_track(&error))
    }

    /// Waits for the end of a command. The exit code if it ended by itself; anything else ends the attempt.
    fn wait_for_end(&mut self, found: Found, what: &str) -> Result<i32, EarlyEnd> {
        let mut watchdog = Watchdog::new(self.control, self.limit(), self.stop);
        let (key, journal, log) = (&self.state.assignment.key, &self.journal, &mut self.log);
        let stop_file = &self.layout.paths.stop_file;
        let ended = match found {
            // It was never started, so there is nothing to report.
            Found::Over(CommandOutcome::NeverStarted) => return Err(Outcome::Dropped.into()),
            Found::Over(outcome) => Ok(outcome),
            Found::Running(supervised) => {
                watchdog.wait_for_end(&self.host.supervisors, supervised, |event| {
                    let (signal, stop) = match event {
                        Event::Signal(signal, stop) => (signal, stop),
                        Event::Note(note) => return log.line(note),
                    };
                    if let Err(error) = journal.save_stop(key, stop) {
                        tracing::warn!(%error, "the reason for stopping an attempt was not written");
                    }
                    if signal == Signal::Terminate
                        && let Err(error) = fs::write(stop_file, stop_notice(stop))
                    {
                        tracing::warn!(%error, "the time that a job has left was not written");
                    }
                    log.line(describe(signal, stop.cause, what));
                })
            }
        };
        self.stop = watchdog.stop();
        let outcome = ended.map_err(|error| self.lose_track(&error))?;
        if let CommandOutcome::SupervisorLost { claim, .. } = &outcome {
            let marker = self.host.attempt_marker(&self.state.assignment.key);
            leftovers::kill(self.host, &marker, Some(claim));
        }
        self.evaluate(outcome)
    }

    /// A command that ended by itself before it was signalled keeps its exit code, whatever was requested meanwhile.
    fn evaluate(&mut self, outcome: CommandOutcome) -> Result<i32, EarlyEnd> {
        if self.stop.is_some_and(|stop| stop.cause == StopCause::Fenced) {
            return Err(Outcome::Dropped.into());
        }
        let is_in_container = matches!(outcome, CommandOutcome::ContainerEnded);
        let asked = match outcome {
            CommandOutcome::Exited { exit_code, asked: false }
            | CommandOutcome::SupervisorLost {
                ended: Some(Record::Exited { exit_code, asked: false }),
                ..
            } => return Ok(exit_code),
            CommandOutcome::NotStarted { reason, fault } => {
                return Err(not_started(reason, fault).into());
            }
            // An engine that shuts down ends containers before processes.
            CommandOutcome::Exited { .. } | CommandOutcome::ContainerEnded => true,
            CommandOutcome::SupervisorLost { .. } | CommandOutcome::NeverStarted => false,
        };
        if asked && self.stop.is_none() {
            // Not by this thread. A machine that shuts down signals every process, this agent included.
            self.control.wait(None, Some(Uptime::now().after(SHUTDOWN_SPREAD)));
            self.stop = self.control.requested().stop;
        }
        Err(EarlyEnd::Over(match self.stop {
            Some(stop) => stop.cause.into(),
            None if is_in_container => lost(CONTAINER_ENDED),
            None if asked => lost("another process asked the job to stop"),
            None => lost("the process that supervised the job was killed"),
        }))
    }

    /// Kills a command that can no longer be watched.
    fn lose_track(&self, error: &io::Error) -> Outcome {
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
        match self.stop.or(self.control.requested().stop) {
            Some(stop) => Err(stop.cause.into()),
            None => Ok(()),
        }
    }

    /// The log of the attempt's SSH server, emptied.
    fn ssh_log(&self) -> Result<PathBuf, NotProvided> {
        let path = self.host.private().join("ssh-server.log");
        let made = File::create(&path);
        made.map_err(NotProvided::storage("write a log", Owner::Agent, &path)).map(|_| path)
    }

    fn end_details(&mut self, outcome: &Outcome) -> Option<Box<EndDetails>> {
        let Outcome::Ended(end) = outcome else { return None };
        let details = end_details::gather(&self.state, &self.layout, end)?;
        if let Some(shortage) = &details.shortage {
            self.log.line_to_come(format_args!("The node ran out of {}", text_of(shortage)));
        }
        Some(details)
    }

    /// Every process has ended: unmounts, and closes the log last.
    fn clean_up(&mut self, outcome: &Outcome) {
        self.metrics.read_rest();
        self.log.line(format_args!("Attempt ended: {}", summary(outcome)));
        self.layout.forget_gang(&self.state.assignment);
        if self.layout.logs_are_on_a_mount_of_the_job() {
            self.log.close();
        }
        self.runtime.remove(self.host, &mut self.log);
        self.layout.unmount(self.host, &self.state.assignment, &mut self.log);
        self.log.close();
        if !self.state.assignment.mounts.is_empty() || self.runtime.leaves_children() {
            // The daemons of user-space file systems end when they are unmounted, the monitors of containers
            // when these are removed.
            leftovers::reap_all();
        }
    }
}

/// What follows from an assignment with its secrets.
struct Prepared {
    layout: AttemptLayout,
    runtime: Runtime,
}

impl Prepared {
    fn new(host: &Host, assignment: &Assignment) -> Result<Self, NotProvided> {
        let layout = AttemptLayout::plan(host, assignment)?;
        Ok(Self { layout, runtime: Runtime::of(host, assignment) })
    }
}

fn program(process: &Process, stdouterr: &Path) -> Program {
    let Process { command_line, variables, label } = process;
    let output = ["stdout", "stderr"].map(|name| output_file(stdouterr, name, label));
    Program { variables: variables.clone(), ..Program::shell(command_line, output) }
}
