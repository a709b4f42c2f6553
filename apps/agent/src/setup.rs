//! Preparing the node for its cluster: the cluster's mounts, then the setup task; and undoing it.
//!
//! Runs on a thread of its own. What is done is remembered in `agent/setup.json`, so that a restarted
//! agent neither repeats a setup that was completed nor loses sight of one that is under way. A setup
//! task may start services: they stay until the node leaves.

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
use crate::host::{Host, MARKER};
use crate::mounts::MountRoot;
use crate::paths::{absolute, plain, relative};
use crate::problem::{Fault, NotProvided, Owner, detail};
use crate::supervisor::{Leftovers, Request, append};
use crate::system::leftovers;
use crate::system::minder::Minder;
use crate::system::orders::Orders;
use crate::system::slot::{Slot, unique_id};
use crate::system::supervised::{Found, Supervised, Verdict};
use processes::boot_id;

/// A setup task whose result is unknown because its supervisor was killed is run again. As often as
/// this: it may be the task itself that kills it.
const LOST_TASKS: u32 = 2;

/// What a restarted agent finds of a setup. Without secrets and commands.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    mount_paths: Vec<String>,
    /// Id under which the setup task was begun.
    task: Option<String>,
    /// How often its result was lost with its supervisor.
    #[serde(default)]
    lost_tasks: u32,
    /// Set when all is done, to the boot for which it was: a restarted machine has lost its mounts
    /// and services, and the setup task is to run "when allocated or rebooted".
    complete_for: Option<String>,
}

/// True when an earlier life of the agent has completed the setup.
pub fn is_complete(host: &Host) -> bool {
    recall(host).complete_for == Some(boot_id())
}

/// Starts the setup; `tell` is called once, with the outcome. The orders end it early.
pub fn spawn(
    host: Arc<Host>,
    setup: NodeSetup,
    tell: impl FnOnce(Result<(), Problem>) + Send + 'static,
) -> io::Result<Arc<Orders>> {
    let orders = Arc::new(Orders::new(true)?);
    let own = Arc::clone(&orders);
    std::thread::Builder::new().name("setup".into()).spawn(move || {
        tell(run(&host, &setup, &orders));
    })?;
    Ok(own)
}

/// Starts undoing everything: services of the setup task, the cluster's mounts.
pub fn spawn_undo(host: Arc<Host>, tell: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let undo = move || {
        leftovers::kill(&host, &host.setup_marker(), None);
        for path in recall(&host).mount_paths.iter().rev() {
            if let Err(error) = mount_root(&host, BTreeMap::new()).unmount(path) {
                tracing::warn!(path, %error, "a mount of the cluster stays");
            }
        }
        let _ = fs::remove_file(memory(&host));
        leftovers::reap_all();
        tell();
    };
    std::thread::Builder::new().name("undo".into()).spawn(undo).map(drop)
}

fn run(host: &Host, setup: &NodeSetup, orders: &Orders) -> Result<(), Problem> {
    let mut log = ExecutionLog::default();
    log.line(format_args!("Setup of node {}", host.node_id));
    let mut remembered = recall(host);
    remembered.mount_paths =
        setup.mounts.iter().map(|mount| mount.relative_mount_path.clone()).collect();
    remember(host, &remembered)?;
    let environment = host.base_environment();
    let root = mount_root(host, environment.clone());
    for mount in &setup.mounts {
        let line =
            root.mount(mount, &|| orders.wanted().ending.is_some()).map_err(NotProvided::from)?;
        log.line(line);
    }
    if let Some(task) = &setup.setup_task {
        Task::plan(host, task, environment)?.run(host, orders, log, &mut remembered)?;
    }
    remembered.complete_for = Some(boot_id());
    Ok(remember(host, &remembered)?)
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
        orders: &Orders,
        mut log: ExecutionLog,
        remembered: &mut Remembered,
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
            let verdict = self.verdict(host, orders, &mut log, remembered)?;
            let outcome = self.judge(host, &verdict);
            let is_lost = outcome.is_err() && matches!(verdict, Verdict::Vanished { .. });
            let is_wanted = orders.wanted().ending.is_none();
            if !is_lost || !is_wanted || remembered.lost_tasks == LOST_TASKS {
                break outcome;
            }
            log.line(
                "The process that supervised the setup task was killed: the task is run again",
            );
            remembered.lost_tasks += 1;
            remembered.task = None;
        };
        match &outcome {
            Ok(()) => log.line("Setup task ended with exit code 0"),
            Err(problem) => log.line(format_args!("Setup task failed: {:?}", problem.details)),
        }
        // The result of a task that failed is no result for the next try.
        (remembered.task, remembered.lost_tasks) = (None, 0);
        remember(host, remembered)?;
        outcome
    }

    /// How the task went that was begun, or is begun now.
    fn verdict(
        &self,
        host: &Host,
        orders: &Orders,
        log: &mut ExecutionLog,
        remembered: &mut Remembered,
    ) -> Result<Verdict, NotProvided> {
        let supervised = match Self::begun(host, remembered) {
            Some(Found::Over(verdict)) => return Ok(verdict),
            Some(Found::Running(supervised)) => supervised,
            None => {
                log.line("Setup task started");
                self.start(host, remembered)?
            }
        };
        Minder::new(orders, None, None)
            .outlast(&host.supervisors, supervised, |_, _| {
                log.line("Ending the setup task: the node leaves")
            })
            .map_err(NotProvided::storage("look after the setup task", Owner::Agent, &self.output))
    }

    fn judge(&self, host: &Host, verdict: &Verdict) -> Result<(), Problem> {
        let (exit_code, reason) = match verdict {
            Verdict::Exited { exit_code: 0, asked: false } => return Ok(()),
            Verdict::Exited { exit_code, asked: false } => {
                (Some(*exit_code), "it ended with a non-zero exit code")
            }
            Verdict::Exited { .. } | Verdict::NeverBegan => (None, "it was told to end"),
            Verdict::NotStarted { reason, .. } => (None, reason.as_str()),
            Verdict::Vanished { .. } => (None, "the process that supervised it was killed"),
        };
        let claim = match verdict {
            Verdict::Vanished { claim, .. } => Some(claim),
            _ => None,
        };
        leftovers::kill(host, &host.setup_marker(), claim);
        Err(self.failure(host, exit_code, reason))
    }

    /// The task as an earlier life of the agent had begun it.
    fn begun(host: &Host, remembered: &Remembered) -> Option<Found> {
        match Supervised::find(slot(host, remembered.task.as_deref()?)) {
            Ok(Found::Over(Verdict::NeverBegan)) | Err(_) => None,
            Ok(found) => Some(found),
        }
    }

    fn start(&self, host: &Host, remembered: &mut Remembered) -> Result<Supervised, NotProvided> {
        let id = unique_id();
        let slot = slot(host, &id);
        remembered.task = Some(id);
        remember(host, remembered)?;
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
            command_line: self.command_line.to_owned(),
            environment: self.environment.clone(),
            directory: host.root.clone(),
            stdout,
            stderr,
            output_owner: Owner::User,
            leftovers: Leftovers::Keep,
        };
        host.supervisors.start(&request).map_err(|error| NotProvided::Start {
            what: "setup task",
            reason: error.to_string(),
            fault: Fault::Node,
        })
    }

    fn file(&self, host: &Host, name: &str, ending: &str) -> PathBuf {
        self.output.join(format!("{name}-{}{ending}", host.node_id))
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
    MountRoot { path: host.mounts(), environment, scratch: host.scratch() }
}

fn slot(host: &Host, id: &str) -> Slot {
    Slot::new(&host.private().join("setup.slot"), id)
}

fn memory(host: &Host) -> PathBuf {
    host.private().join("setup.json")
}

fn recall(host: &Host) -> Remembered {
    let read = |path: &Path| serde_json::from_slice(&fs::read(path).ok()?).ok();
    read(&memory(host)).unwrap_or_default()
}

fn remember(host: &Host, remembered: &Remembered) -> Result<(), NotProvided> {
    let path = memory(host);
    let draft = path.with_extension("draft");
    serde_json::to_vec(remembered)
        .map_err(io::Error::from)
        .and_then(|text| fs::write(&draft, text))
        .and_then(|()| fs::rename(&draft, &path))
        .map_err(NotProvided::storage("remember its setup", Owner::Agent, path))
}
