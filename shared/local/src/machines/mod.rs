//! Machines as process trees: each is a keeper ([`processes::keeper`]), an agent with a loopback address and a root
//! of its own, and whatever that agent starts.
//!
//! A machine has a record, written before its keeper is started and removed after the last of its processes
//! has ended. The keeper runs on when the service ends. So a service that starts after a crash finds all machines, and
//! reports none as ended while one of its processes runs.

mod end;
mod launch;
mod record;
mod run;
mod start;

use async_trait::async_trait;
use control::Control;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError, Termination};
use model::{ClusterRef, LaunchedInstance, NodeId, Offering};
use processes::{Keeper, KeeperFile, User};
use record::{Record, State};
use scheduler::recovery::{FoundInstance, InstanceState};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// How machines are started.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// One directory per machine.
    pub directory: PathBuf,
    /// Program and arguments that become a keeper ([`processes::keeper::main`]).
    pub keeper_command: Vec<OsString>,
    /// How an agent is started: program and first arguments.
    pub agent_command: Vec<OsString>,
    /// Where agents find the address of the service.
    pub endpoint_file: PathBuf,
    /// The most machines, of all clusters together.
    pub max_nodes: u32,
    /// Ids of the GPUs of this machine, as `CUDA_VISIBLE_DEVICES` takes them.
    pub gpus: Vec<String>,
    /// The user that agents and jobs run as; the user of the service when there is none.
    pub user: Option<User>,
}

/// How long the control plane waits for the end of a machine before it continues and asks again later.
const TERMINATION_LIMIT: Duration = Duration::from_secs(5);

/// How long a service that stops waits for processes that cannot be killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The machines of one service.
pub struct ProcessMachines {
    /// For the tasks that watch machines.
    myself: Weak<Self>,
    options: MachineOptions,
    known: Mutex<BTreeMap<String, Record>>,
    /// Nodes that have a directory without a record.
    unrecorded: Mutex<Vec<NodeId>>,
    control: OnceLock<Control>,
    /// Set while the service stops: nothing is launched or started any more.
    stopping: AtomicBool,
}

impl ProcessMachines {
    /// Finds the machines of an earlier process of the service.
    ///
    /// # Errors
    /// When the directory of the machines cannot be created or read.
    pub fn adopt(options: MachineOptions) -> std::io::Result<Arc<Self>> {
        std::fs::create_dir_all(&options.directory)?;
        let (known, unrecorded) = Record::read_all(&options.directory)?;
        Ok(Arc::new_cyclic(|myself| Self {
            myself: myself.clone(),
            options,
            known: Mutex::new(known),
            unrecorded: Mutex::new(unrecorded),
            control: OnceLock::new(),
            stopping: AtomicBool::new(false),
        }))
    }

    /// Connects to the control plane that these machines serve, and watches the machines that were found.
    pub fn serve(self: &Arc<Self>, control: Control) {
        if self.control.set(control).is_ok() {
            self.watch_all();
        }
    }

    fn watch_all(self: &Arc<Self>) {
        for record in self.records() {
            let machines = Arc::clone(self);
            tokio::spawn(async move { machines.run(record).await });
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unrecorded(&self) -> MutexGuard<'_, Vec<NodeId>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> Vec<Record> {
        self.known().values().cloned().collect()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn keeper(&self, node: &NodeId) -> Keeper {
        KeeperFile::read(&record::keeper_file(&self.options.directory, node))
    }

    fn has_keeper(&self, node: &NodeId) -> bool {
        matches!(self.keeper(node), Keeper::Running(_))
    }

    /// Removes directories of machines that were terminated but could not be removed then, and those
    /// without a record, unless the machine runs: then the control plane is to terminate it.
    pub async fn sweep(&self) {
        let unrecorded = std::mem::take(&mut *self.unrecorded());
        for node in unrecorded {
            if self.has_keeper(&node) {
                self.unrecorded().push(node);
            } else {
                self.terminate_one(&instance_of(&node)).await;
            }
        }
        for record in self.records().into_iter().filter(|it| it.state == State::Terminated) {
            self.terminate_one(&record.instance).await;
        }
    }

    /// Interrupts a machine as EC2 interrupts a spot instance: a notice first, and the end when its time is
    /// over. False when there is no such node.
    pub async fn interrupt(self: &Arc<Self>, node: &NodeId, notice_seconds: u64) -> bool {
        let running = |it: &&Record| it.node == *node && it.state == State::Running;
        let found = self.known().values().find(running).cloned();
        let Some(record) = found else { return false };
        let Some(control) = self.control.get() else { return false };
        let machines = Arc::clone(self);
        if notice_seconds > 0 {
            start::give_notice(&self.options.directory, &record.node, notice_seconds);
            if let Err(error) = control.handle_interruption(&record.instance, notice_seconds).await
            {
                // As when EventBridge loses a notice: the agent was notified, too.
                tracing::warn!(%error, "the interruption notice was lost");
            }
        }
        let end = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(notice_seconds)).await;
            machines.end_and_report(&record).await;
        });
        if notice_seconds == 0 {
            let _ = tokio::time::timeout(TERMINATION_LIMIT, end).await;
        }
        true
    }

    /// Ends all machines: each agent gets SIGTERM and reports, and what is left after the grace is killed.
    pub async fn stop(&self, grace: Duration, hurry: impl Future<Output = ()>) {
        self.stopping.store(true, Ordering::Relaxed);
        let all = self.records();
        for record in &all {
            start::signal_keeper(
                &self.options.directory,
                &record.node,
                rustix::process::Signal::TERM,
            );
        }
        let all_ended = async {
            while all.iter().any(|record| self.has_keeper(&record.node)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(grace, all_ended) => {}
            () = hurry => {}
        }
        let mut ends = tokio::task::JoinSet::new();
        for record in all {
            let Some(machines) = self.myself.upgrade() else { return };
            ends.spawn(async move {
                machines.end(&record.instance, &record.node, Some(STOP_LIMIT)).await
            });
        }
        ends.join_all().await;
    }
}

#[async_trait]
impl Machines for ProcessMachines {
    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        if self.is_stopping() {
            return Err(PortError::other("the service is stopping"));
        }
        let mut launched = Vec::new();
        let mut refused = None;
        for node in &request.nodes {
            match self.bring_up(request, node)? {
                Ok(machine) => launched.push(LaunchedInstance {
                    id: machine.id,
                    address: Some(machine.address),
                    node: Some(node.clone()),
                    offering: Offering::Single,
                }),
                Err(refusal) => {
                    refused = Some(refusal);
                    break;
                }
            }
        }
        Ok(LaunchOutcome { launched, refused, pools: Vec::new() })
    }

    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError> {
        let known = self.known();
        let of_cluster = known.values().filter(|record| record.cluster == *cluster);
        let found = |record: &Record| FoundInstance {
            id: record.instance.clone(),
            launch: record.launch.clone(),
            state: match record.has_ended() {
                true => InstanceState::Ended,
                false => InstanceState::Running,
            },
            address: Some(record.address.clone()),
            node: Some(record.node.clone()),
            offering: Offering::Single,
        };
        Ok(of_cluster.map(found).collect())
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, PortError> {
        let known = self.known();
        let running = known.values().filter(|record| !record.has_ended());
        let clusters: BTreeSet<ClusterRef> = running.map(|record| record.cluster.clone()).collect();
        Ok(clusters.into_iter().collect())
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<Result<Termination, PortError>>, PortError> {
        let mut outcomes = Vec::new();
        for instance in instances {
            outcomes.push(Ok(match self.terminate_one(instance).await {
                true => Termination::Ended,
                false => Termination::Ending,
            }));
        }
        Ok(outcomes)
    }
}

/// Work on files and processes that may take long.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::from).flatten()
}

fn instance_of(node: &NodeId) -> String {
    format!("local-{node}")
}

fn node_of(instance: &str) -> Option<NodeId> {
    NodeId::parse(instance.strip_prefix("local-")?)
}

#[cfg(test)]
mod tests;
