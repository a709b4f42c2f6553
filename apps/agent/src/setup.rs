//! Preparing the node for its cluster: the check of its drivers, the cluster's mounts, then the setup task; and undoing it.
//!
//! Runs on a thread of its own. The progress is stored in `agent/setup.json`, so that a restarted agent neither repeats a
//! completed setup nor loses one that is running. A setup task may start services: they stay until the node leaves.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{NodeSetup, Problem, SetupTask};
use serde::{Deserialize, Serialize};

use crate::environment::user_variables;
use crate::execution_log::ExecutionLog;
use crate::expand;
use crate::fault::{Fault, Owner};
use crate::gpus::drivers;
use crate::host::{Host, MARKER};
use crate::login;
use crate::mounts::{self, MountRoot};
use crate::paths::{absolute, plain, relative};
use crate::problem::{NotProvided, detail};
use crate::supervisor::{EndRule, Leftovers, Program, Request, append};
use crate::system::leftovers;
use crate::system::run_control::RunControl;
use crate::system::slot::{Slot, unique_id};
use crate::system::supervised::{CommandOutcome, Found, Supervised};
use crate::system::watchdog::{Event, Watchdog};
use processes::boot_id;

/// How often a setup task is run again whose result is unknown because its supervisor was killed: the task itself may be
/// what kills it.
const MOST_LOST_TASKS: u32 = 2;

/// The stored progress of a setup. Without secrets and commands.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetupState {
    mount_paths: Vec<String>,
    /// Id under which the setup task was started.
    task: Option<String>,
    /// How often its result was lost with its supervisor.
    #[serde(default)]
    lost_tasks: u32,
    /// Set when all is done, to the boot for which it was: a restarted machine has lost its mounts
    /// and services, and the setup task is to run "when allocated or rebooted".
    complete_for: Option<String>,
}

/// True when an earlier agent process has completed the setup.
pub fn is_complete(host: &Host) -> bool {
    load(host).complete_for == Some(boot_id())
}

/// Starts the setup. `notify` is called once, with the outcome. The control stops it early.
pub fn spawn(
    host: Arc<Host>,
    setup: NodeSetup,
    notify: impl FnOnce(Result<(), Problem>) + Send + 'static,
) -> io::Result<Arc<RunControl>> {
    let control = Arc::new(RunControl::new(true)?);
    let own = Arc::clone(&control);
    std::thread::Builder::new().name("setup".into()).spawn(move || {
        notify(run(&host, &setup, &control));
    })?;
    Ok(own)
}

/// Starts undoing everything: services of the setup task, the cluster's mounts.
pub fn spawn_undo(host: Arc<Host>, notify: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let undo = move || {
        leftovers::kill(&host, &host.setup_marker(), None);
        for path in load(&host).mount_paths.iter().rev() {
            if let Err(error) = mount_root(&host, BTreeMap::new()).unmount(path) {
                tracing::warn!(path, %error, "a mount of the cluster stays");
            }
        }
        // Of a job whose unmount has failed, and what the setup task has mounted.
        for directory in [host.jobs(), host.mounts()] {
            mounts::clear_all(&host, &directory);
        }
        let _ = fs::remove_file(state_file(&host));
        leftovers::reap_all();
        notify();
    };
    std::thread::Builder::new().name("undo".into()).spawn(undo).map(drop)
}

fn run(host: &Host, setup: &NodeSetup, control: &RunControl) -> Result<(), Problem> {
    let mut log = ExecutionLog::default();
    log.line(format_args!("Setup of node {}", host.node_id));
    let mut state = load(host);
    state.mount_paths =
        setup.mounts.iter().map(|mount| mount.relative_mount_path.clone()).collect();
    store(host, &state)?;
    login::store(host, setup.administrator.as_ref()).map_err(NotProvided::storage(
        "store who may log in",
        Owner::Agent,
        host.private(),
    ))?;
    let is_stopping = || control.requested().stop.is_some();
    if let Some(check) = &host.drivers {
        drivers::check(check, &is_stopping)?;
    }
    let environment = host.base_environment();
    let root = mount_root(host, environment.clone());
    for mount in &setup.mounts {
        let line = root.mount(mount, &is_stopping).map_err(NotProvided::from)?;
        log.line(line);
    }
    if let Some(task) = &setup.setup_task {
        Task::plan(host, task, environment)?.run(host, control, log, &mut state)?;
    }
    state.complete_for = Some(boot_id());
    Ok(store(host, &state)?)
}

/// The setup task with everything that it needs.
struct Task<'a> {
    command_line: &'a str,
    environment: BTreeMap<String, String>,
    output: PathBuf,
}

impl<'a> Task<'a> {
    fn plan(
        host: &Host,
        task: &'a SetupTask,
        service: BTreeMap<String, String>,
    ) -> Result<Self, NotProvided> {
        plain(&host.node_id)?;
        let mut environment = service.clone();
        environment.extend(user_variables(&task.environment, &service));
        let prefix =
            expand::all(&task.std_out_err_path_prefix, |name| environment.get(name).cloned());
        let output = absolute(&prefix)?.join(relative(&task.std_out_err_path_suffix)?);
        environment.extend(user_variables(&task.secrets, &service));
        environment.insert(MARKER.into(), host.setup_marker());
        Ok(Self { command_line: &task.command_line, environment, output })
    }

    fn run(
        &self,
        host: &Host,
        control: &RunControl,
        mut log: ExecutionLog,
        state: &mut SetupState,
    ) -> Result<(), Problem> {
        fs::create_dir_all(&self.output).map_err(NotProvided::storage(
            "create a directory",
            Owner::User,
            &self.output,
        ))?;
        let path = self.file(host, "execution", ".log");
        log.open(&path).map_err(NotProvided::storage(
            "write the execution log",
            Owner::User,
            path,
        ))?;
        let outcome = loop {
            let command = self.run_command(host, control, &mut log, state)?;
            let outcome = self.evaluate(host, &command);
            let is_lost =
                outcome.is_err() && matches!(command, CommandOutcome::SupervisorLost { .. });
            let is_wanted = control.requested().stop.is_none();
            if !is_lost || !is_wanted || state.lost_tasks == MOST_LOST_TASKS {
                break outcome;
            }
            log.line(
                "The process that supervised the setup task was killed: the task is run again",
            );
            state.lost_tasks += 1;
            state.task = None;
        };
        match &outcome {
            Ok(()) => log.line("Setup task ended with exit code 0"),
            Err(problem) => log.line(format_args!("Setup task failed: {:?}", problem.details)),
        }
        // The next try does not use the result of a failed task.
        (state.task, state.lost_tasks) = (None, 0);
        store(host, state)?;
        outcome
    }

    /// Waits for the task, which is started unless an earlier agent process has.
    fn run_command(
        &self,
        host: &Host,
        control: &RunControl,
        log: &mut ExecutionLog,
        state: &mut SetupState,
    ) -> Result<CommandOutcome, NotProvided> {
        let supervised = match Self::begun(host, state) {
            Some(Found::Over(outcome)) => return Ok(outcome),
            Some(Found::Running(supervised)) => supervised,
            None => {
                log.line("Setup task started");
                self.start(host, state)?
            }
        };
        Watchdog::new(control, None, None)
            .wait_for_end(&host.supervisors, supervised, |event| match event {
                Event::Signal(..) => log.line("Stopping the setup task: the node leaves"),
                Event::Note(note) => log.line(note),
            })
            .map_err(NotProvided::storage("watch the setup task", Owner::Agent, &self.output))
    }

    fn evaluate(&self, host: &Host, outcome: &CommandOutcome) -> Result<(), Problem> {
        let (exit_code, reason) = match outcome {
            CommandOutcome::Exited { exit_code: 0, asked: false } => return Ok(()),
            CommandOutcome::Exited { exit_code, asked: false } => {
                (Some(*exit_code), "it ended with a non-zero exit code")
            }
            CommandOutcome::Exited { .. }
            | CommandOutcome::ContainerEnded
            | CommandOutcome::NeverStarted => (None, "it was stopped"),
            CommandOutcome::NotStarted { reason, .. } => (None, reason.as_str()),
            CommandOutcome::SupervisorLost { .. } => {
                (None, "the process that supervised it was killed")
            }
        };
        let claim = match outcome {
            CommandOutcome::SupervisorLost { claim, .. } => Some(claim),
            CommandOutcome::Exited { .. }
            | CommandOutcome::NotStarted { .. }
            | CommandOutcome::ContainerEnded
            | CommandOutcome::NeverStarted => None,
        };
        leftovers::kill(host, &host.setup_marker(), claim);
        Err(self.failure(host, exit_code, reason))
    }

    /// The task that an earlier agent process had started.
    fn begun(host: &Host, state: &SetupState) -> Option<Found> {
        match Supervised::find(slot(host, state.task.as_deref()?)) {
            Ok(Found::Over(CommandOutcome::NeverStarted)) | Err(_) => None,
            Ok(found) => Some(found),
        }
    }

    fn start(&self, host: &Host, state: &mut SetupState) -> Result<Supervised, NotProvided> {
        let id = unique_id();
        let slot = slot(host, &id);
        state.task = Some(id);
        store(host, state)?;
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.file(host, name, ".txt"));
        for path in [&stdout, &stderr] {
            append(path).map_err(NotProvided::storage(
                "write the output of the setup task",
                Owner::User,
                path,
            ))?;
        }
        let request = Request {
            slot,
            programs: vec![Program::shell(self.command_line, [stdout, stderr])],
            end: EndRule::WithFirst,
            environment: self.environment.clone(),
            directory: host.root.clone(),
            output_owner: Owner::User,
            leftovers: Leftovers::Keep,
            container: None,
        };
        host.supervisors.start(&request).map_err(|error| NotProvided::Start {
            what: "setup task",
            reason: error.to_string(),
            fault: Fault::Node,
        })
    }

    fn file(&self, host: &Host, name: &str, stop: &str) -> PathBuf {
        self.output.join(format!("{name}-{}{stop}", host.node_id))
    }

    fn failure(&self, host: &Host, exit_code: Option<i32>, reason: &str) -> Problem {
        let mut details: Vec<_> =
            exit_code.iter().map(|exit_code| detail("ExitCode", exit_code)).collect();
        details.push(detail("Reason", reason));
        for (name, file) in [("StandardOutput", "stdout"), ("StandardError", "stderr")] {
            details.push(detail(name, self.file(host, file, ".txt").display()));
        }
        Problem {
            code: "SetupTaskFailed".into(),
            message: "The setup task of the node failed".into(),
            details,
        }
    }
}

fn mount_root(host: &Host, environment: BTreeMap<String, String>) -> MountRoot {
    MountRoot { path: host.mounts(), environment, private: host.private() }
}

fn slot(host: &Host, id: &str) -> Slot {
    Slot::new(&host.private().join("setup.slot"), id)
}

fn state_file(host: &Host) -> PathBuf {
    host.private().join("setup.json")
}

fn load(host: &Host) -> SetupState {
    let read = |path: &Path| serde_json::from_slice(&fs::read(path).ok()?).ok();
    read(&state_file(host)).unwrap_or_default()
}

fn store(host: &Host, state: &SetupState) -> Result<(), NotProvided> {
    let path = state_file(host);
    let draft = path.with_extension("draft");
    serde_json::to_vec(state)
        .map_err(io::Error::from)
        .and_then(|text| fs::write(&draft, text))
        .and_then(|()| fs::rename(&draft, &path))
        .map_err(NotProvided::storage("store the state of its setup", Owner::Agent, path))
}
