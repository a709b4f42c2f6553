//! Machines as processes: each is an agent with its own loopback address and its own root.
//!
//! What is known of a machine is in a file of its own, written before the agent is started and removed
//! after the last of its processes has ended. The agent itself is known by its command line. So both
//! are found again after a crash of the service, whenever it happens, while the agents run on.

mod process;
mod record;
mod restarts;

use async_trait::async_trait;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError};
use control::{Control, Function};
use model::{ClusterRef, Instance, NodeId, ResourceError, Target};
use processes::Identity;
use record::Record;
use restarts::Restarts;
use scheduler::recovery::FoundInstance;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// One directory per machine.
    pub directory: PathBuf,
    /// How an agent is started: program and first arguments.
    pub node_command: Vec<OsString>,
    /// Where agents find the address of the service.
    pub endpoint_file: PathBuf,
    pub max_nodes: u32,
}

const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// How often machines that are not children of this process (they outlived an earlier one) are
/// looked after.
const WATCH_EVERY: Duration = Duration::from_millis(250);

pub struct ProcessMachines {
    /// For the tasks that look after machines.
    myself: Weak<Self>,
    options: MachineOptions,
    known: Mutex<BTreeMap<String, Record>>,
    /// Nodes of which only a directory was found.
    unknown: Mutex<Vec<NodeId>>,
    control: OnceLock<Control>,
    /// Set while the service stops: nothing is launched or restarted any more.
    stopping: std::sync::atomic::AtomicBool,
}

impl ProcessMachines {
    /// Finds the machines of an earlier process of the service.
    pub fn adopt(options: MachineOptions) -> std::io::Result<Arc<Self>> {
        std::fs::create_dir_all(&options.directory)?;
        let (mut known, unknown) = Record::read_all(&options.directory)?;
        let mut agents = process::agents();
        for record in known.values_mut() {
            record.agent = agents.remove(&record::root(&options.directory, &record.node));
        }
        Ok(Arc::new_cyclic(|myself| Self {
            myself: myself.clone(),
            options,
            known: Mutex::new(known),
            unknown: Mutex::new(unknown),
            control: OnceLock::new(),
            stopping: std::sync::atomic::AtomicBool::new(false),
        }))
    }

    /// Connects to the control plane that these machines serve, and looks after adopted ones.
    pub fn serve(self: &Arc<Self>, control: Control) {
        if self.control.set(control).is_err() {
            return;
        }
        for record in self.records() {
            let machines = Arc::clone(self);
            tokio::spawn(async move { machines.go_on(record).await });
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self) -> MutexGuard<'_, Vec<NodeId>> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> Vec<Record> {
        self.known().values().cloned().collect()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Records the machine, then starts it. A repetition finds the record. `None` when there are as
    /// many machines as there may be: counted and recorded under one lock.
    fn bring_up(
        &self,
        request: &LaunchRequest,
        node: &NodeId,
    ) -> Result<Option<Instance>, PortError> {
        let instance = instance_of(node);
        let record = {
            let mut known = self.known();
            if let Some(record) = known.get(&instance) {
                return Ok(Some(record.machine()));
            }
            let running = known.values().filter(|record| !record.ended).count();
            if running >= self.options.max_nodes as usize {
                return Ok(None);
            }
            let record = Record::new(instance.clone(), free_address(&known), request, node);
            if let Err(error) = record.write(&self.options.directory) {
                let _ = trees::remove(&record::home(&self.options.directory, node));
                return Err(PortError::other(error));
            }
            known.insert(instance, record.clone());
            record
        };
        let machine = record.machine();
        if let Some(machines) = self.myself.upgrade() {
            tokio::spawn(async move { machines.run(record).await });
        }
        Ok(Some(machine))
    }

    /// Starts the agent, and starts it again when it ends unexpectedly. The machine has ended when
    /// its agent says that it left.
    async fn run(self: Arc<Self>, record: Record) {
        let mut restarts = Restarts::default();
        while !self.is_over(&record) {
            let started = Instant::now();
            match self.start_agent(&record) {
                Ok(None) => break,
                Ok(Some(mut child)) => match child.wait().await {
                    Ok(status) if status.success() => break,
                    // Ending a machine kills its agent: nothing to warn about.
                    Ok(_) if self.is_over(&record) => break,
                    Ok(status) => tracing::warn!(node = %record.node, %status, "an agent ended"),
                    Err(error) => tracing::warn!(node = %record.node, %error, "an agent was lost"),
                },
                Err(error) => {
                    tracing::error!(node = %record.node, %error, "an agent could not be started");
                }
            }
            if !restarts.may_follow(started.elapsed()) {
                break;
            }
            tokio::time::sleep(RESTART_PAUSE).await;
            self.find_agent(&record).await;
            self.watch(&record).await;
        }
        self.has_ended(&record).await;
    }

    /// A machine that was started by an earlier process of the service.
    async fn go_on(self: Arc<Self>, record: Record) {
        self.watch(&record).await;
        self.run(record).await;
    }

    /// Until the agent that is known, which is not a child of this process, has ended.
    async fn watch(&self, record: &Record) {
        let is_alive = || self.known().get(&record.instance).is_some_and(Record::is_alive);
        while is_alive() && !self.is_over(record) {
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    /// Another agent may hold the root: one that an earlier service was just starting when it was
    /// killed.
    async fn find_agent(&self, record: &Record) {
        let root = record::root(&self.options.directory, &record.node);
        let found = blocking(move || Ok(process::agents().remove(&root))).await;
        if let Some(known) = self.known().get_mut(&record.instance) {
            known.agent = found.unwrap_or_default();
        }
    }

    fn is_over(&self, record: &Record) -> bool {
        self.is_stopping() || self.known().get(&record.instance).is_none_or(|known| known.ended)
    }

    /// Under the lock, so that a machine that is being ended gets no agent: `None`.
    fn start_agent(&self, record: &Record) -> std::io::Result<Option<tokio::process::Child>> {
        let token = self
            .control
            .get()
            .map(|control| control.context.keys.node_token(&record.cluster, &record.node))
            .unwrap_or_default();
        let mut known = self.known();
        let Some(known) = known.get_mut(&record.instance).filter(|known| !known.ended) else {
            return Ok(None);
        };
        if self.is_stopping() {
            return Ok(None);
        }
        let child = process::start(&self.options, known, &token)?;
        known.agent = child.id().and_then(|pid| Identity::of(i32::try_from(pid).ok()?));
        Ok(Some(child))
    }

    /// Nothing of it may run on; recovery learns of it at once.
    async fn has_ended(&self, record: &Record) {
        if self.is_stopping() {
            return;
        }
        self.end(&record.instance, &record.node).await;
        let Some(control) = self.control.get() else { return };
        let target = Target::Cluster { cluster: record.cluster.clone() };
        control.context.hint(Function::Recovery, &target).await;
    }

    /// Notes that the machine ended, and kills everything of it. True when nothing of it runs any more.
    async fn end(&self, instance: &str, node: &NodeId) -> bool {
        self.note_end(instance);
        let (root, node) = (record::root(&self.options.directory, node), node.clone());
        let agent = self.known().get(instance).and_then(|known| known.agent);
        blocking(move || Ok(process::kill_node(&root, &node, agent))).await.unwrap_or(false)
    }

    /// Only the first time, and under the lock: nothing is written into a directory that is being
    /// removed.
    fn note_end(&self, instance: &str) {
        let mut known = self.known();
        let Some(known) = known.get_mut(instance).filter(|known| !known.ended) else { return };
        known.ended = true;
        if let Err(error) = known.write(&self.options.directory) {
            // Its processes decide. The next service finds none of them, and ends it again.
            tracing::warn!(instance, %error, "the end of a machine was not noted");
        }
    }

    /// Ends a machine for good, also one whose record was lost. True when nothing of it runs any more.
    async fn terminate_one(&self, instance: &str) -> bool {
        let Some(node) = node_of(instance) else { return true };
        if !self.end(instance, &node).await {
            return false;
        }
        if let Err(error) = self.remove(instance, &node).await {
            // It has ended all the same. `sweep` tries again.
            tracing::warn!(instance, %error, "the directory of a node stays for now");
            self.note_termination(instance);
        }
        true
    }

    fn note_termination(&self, instance: &str) {
        let mut known = self.known();
        let Some(known) = known.get_mut(instance) else { return };
        known.terminated = true;
        if let Err(error) = known.write(&self.options.directory) {
            tracing::warn!(instance, %error, "the termination of a machine was not noted");
        }
    }

    /// Removes the directory of a machine that has ended, and forgets it.
    async fn remove(&self, instance: &str, node: &NodeId) -> std::io::Result<()> {
        let home = record::home(&self.options.directory, node);
        blocking(move || trees::remove(&home)).await?;
        self.known().remove(instance);
        Ok(())
    }

    /// Removes directories of machines that were terminated but could not be removed then, and those
    /// without a record, unless an agent runs there: that one is for the control plane to terminate.
    pub async fn sweep(&self) {
        let unknown = std::mem::take(&mut *self.unknown());
        let agents = blocking(|| Ok(process::agents())).await.unwrap_or_default();
        for node in unknown {
            if !agents.contains_key(&record::root(&self.options.directory, &node)) {
                self.terminate_one(&instance_of(&node)).await;
            }
        }
        for record in self.records().into_iter().filter(|record| record.terminated) {
            self.terminate_one(&record.instance).await;
        }
    }

    /// Takes a machine away as a spot interruption does: a notice, and when it is over, the end.
    /// Answers `false` when there is no such node.
    pub async fn interrupt(self: &Arc<Self>, node: &NodeId, notice_seconds: u64) -> bool {
        let found = self.known().values().find(|it| it.node == *node && !it.ended).cloned();
        let Some(record) = found else { return false };
        let Some(control) = self.control.get() else { return false };
        if notice_seconds == 0 {
            self.has_ended(&record).await;
            return true;
        }
        process::give_notice(&self.options, &record, notice_seconds);
        if let Err(error) = control.handle_interruption(&record.instance, notice_seconds).await {
            // As when EventBridge loses a notice: the agent was notified, too.
            tracing::warn!(%error, "the interruption notice was lost");
        }
        let machines = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(notice_seconds)).await;
            machines.has_ended(&record).await;
        });
        true
    }

    /// Ends all machines: each gets the notice that its agent takes from SIGTERM, and what is left
    /// after the grace is killed.
    pub async fn stop(&self, grace: Duration, hurry: impl Future<Output = ()>) {
        self.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
        let all = self.records();
        for record in all.iter().filter(|record| record.is_alive()) {
            process::terminate(record);
        }
        let all_ended = async {
            while all.iter().any(Record::is_alive) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(grace, all_ended) => {}
            () = hurry => {}
        }
        for record in &all {
            self.end(&record.instance, &record.node).await;
        }
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
                Some(machine) => launched.push((node.clone(), machine)),
                None => {
                    refused = Some(quota_reached(self.options.max_nodes));
                    break;
                }
            }
        }
        Ok(LaunchOutcome { launched, refused })
    }

    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError> {
        let known = self.known();
        let of_cluster = known.values().filter(|record| record.cluster == *cluster);
        let found = |record: &Record| FoundInstance {
            id: record.instance.clone(),
            launch: record.launch.clone(),
            running: !record.ended,
        };
        Ok(of_cluster.map(found).collect())
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<String>, PortError> {
        let mut ended = Vec::new();
        for instance in instances {
            if self.terminate_one(instance).await {
                ended.push(instance.clone());
            }
        }
        Ok(ended)
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

/// Code and message of the Batch AI service (docs/contract.md, "Clusters").
fn quota_reached(max_nodes: u32) -> ResourceError {
    ResourceError::new("AccountCoreQuotaReached", "The specified account has reached core quota")
        .with_detail("MaxNodes", max_nodes.to_string())
}

/// 127.0.1.1 and up: as many addresses as there can be nodes.
fn free_address(known: &BTreeMap<String, Record>) -> String {
    let taken: Vec<&str> = known.values().map(|record| record.address.as_str()).collect();
    let addresses = (1..=254).flat_map(|net| (1..=250).map(move |host| (net, host)));
    addresses
        .map(|(net, host)| format!("127.0.{net}.{host}"))
        .find(|address| !taken.contains(&address.as_str()))
        .unwrap_or_else(|| "127.0.255.1".to_owned())
}

#[cfg(test)]
mod tests;
