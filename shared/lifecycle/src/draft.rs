//! The records that were read for a reaction, with the changes of the reaction.
//!
//! Reactions change records; the draft derives everything else from the difference: the job's queue
//! entry, the node's idle marker, the owner of an instance, the usage of a region, the users of a
//! file server, the history of nodes. So none of these can be forgotten, and each item is written once.

use crate::change::{Change, Event, Function};
use crate::job_metrics;
use crate::tracked::{Tracked, write_record};
use model::{
    Account, Charge, Cluster, ClusterRef, EndedNodes, FileServerUser, InvalidTransition, Job,
    JobMetrics, JobRef, JobState, Launch, LaunchId, LaunchRequest, Meter, Node, NodeId, NodeState,
    Operation, Quota, Target, Timestamp, Uid,
};
use std::collections::BTreeSet;
use table::{InstanceOwner, Writes};

/// The records that were read for a reaction, each as it was read and as it is to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The time of the reaction.
    pub now: Timestamp,
    quota: Quota,
    cluster: Option<Tracked<Cluster>>,
    jobs: Vec<Tracked<Job>>,
    nodes: Vec<Tracked<Node>>,
    launches: Vec<Tracked<Launch>>,
    job_metrics: Option<Tracked<JobMetrics>>,
    /// Why a launch gave fewer instances than it was asked for.
    launch_error: Option<String>,
    change: Change,
}

impl Draft {
    /// A draft without records.
    pub fn new(now: Timestamp, quota: Quota) -> Self {
        Self {
            now,
            quota,
            cluster: None,
            jobs: Vec::new(),
            nodes: Vec::new(),
            launches: Vec::new(),
            job_metrics: None,
            launch_error: None,
            change: Change::default(),
        }
    }

    /// The version of a new record, derived from the time. An earlier record with the same key may
    /// have had low versions, and a slow writer that read it must not match the new record.
    pub(crate) fn first_version(&self) -> u64 {
        u64::try_from(self.now.0).unwrap_or_default().max(1)
    }

    /// Adds a cluster that was read. A record that the draft has already keeps its changes; this
    /// holds for jobs and nodes too.
    pub fn read_cluster(&mut self, cluster: Cluster) {
        self.cluster.get_or_insert_with(|| Tracked::read(cluster));
    }

    /// Adds a job that was read.
    pub fn read_job(&mut self, job: Job) {
        if self.jobs.iter().all(|known| known.any().is_none_or(|it| it.uid != job.uid)) {
            self.jobs.push(Tracked::read(job));
        }
    }

    /// Adds a node that was read.
    pub fn read_node(&mut self, node: Node) {
        if self.nodes.iter().all(|known| known.any().is_none_or(|it| it.id != node.id)) {
            self.nodes.push(Tracked::read(node));
        }
    }

    /// Adds a launch that was read. Needed with every node that is launching: what becomes of the
    /// node is recorded in its launch.
    pub fn read_launch(&mut self, launch: Launch) {
        if self.launches.iter().all(|known| known.any().is_none_or(|it| it.id() != launch.id())) {
            self.launches.push(Tracked::read(launch));
        }
    }

    /// Adds a new cluster.
    pub fn create_cluster(&mut self, cluster: Cluster) {
        self.cluster = Some(Tracked::created(cluster));
    }

    /// Adds a new job.
    pub fn create_job(&mut self, job: Job) {
        self.jobs.push(Tracked::created(job));
    }

    /// Adds a new node.
    pub fn create_node(&mut self, node: Node) {
        self.nodes.push(Tracked::created(node));
    }

    /// Adds a new launch.
    pub fn create_launch(&mut self, launch: Launch) {
        self.launches.push(Tracked::created(launch));
    }

    /// The launch as it was read, or as it was created.
    pub fn launch(&self, id: &LaunchId) -> Option<&Launch> {
        self.launches.iter().filter_map(|it| it.after.as_ref()).find(|it| it.id() == id)
    }

    /// The cluster, if it was read.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()?.after.as_ref()
    }

    /// The cluster, if it was read, to change it.
    pub fn cluster_mut(&mut self) -> Option<&mut Cluster> {
        self.cluster.as_mut()?.after.as_mut()
    }

    /// Writes the cluster even if nothing else of it changes, so that it gets a new version.
    pub(crate) fn fence_cluster(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.fenced = true;
        }
    }

    pub(crate) fn remove_cluster(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.after = None;
        }
    }

    /// The job, if it was read.
    pub fn job(&self, reference: &JobRef) -> Option<&Job> {
        self.jobs.iter().filter_map(|it| it.after.as_ref()).find(|it| it.uid == reference.uid)
    }

    /// The job, to change it.
    ///
    /// # Errors
    /// When it was not read or was removed: the caller has to plan again.
    pub fn job_mut(&mut self, reference: &JobRef) -> Result<&mut Job, InvalidTransition> {
        let mut known = self.jobs.iter_mut().filter_map(|it| it.after.as_mut());
        known.find(|it| it.uid == reference.uid).ok_or(not_read("job"))
    }

    pub(crate) fn remove_job(&mut self, reference: &JobRef) {
        for job in &mut self.jobs {
            if job.after.as_ref().is_some_and(|it| it.uid == reference.uid) {
                job.after = None;
            }
        }
    }

    /// Adds the metrics of a job, as they were read and as they are to be.
    pub(crate) fn change_job_metrics(&mut self, metrics: Tracked<JobMetrics>) {
        self.job_metrics = Some(metrics);
    }

    /// The node, if it was read.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().filter_map(|it| it.after.as_ref()).find(|it| it.id == *id)
    }

    /// Applies a transition to a node.
    ///
    /// # Errors
    /// When the node was not read or was removed, or refuses the transition.
    pub fn change_node(
        &mut self,
        id: &NodeId,
        transition: impl FnOnce(Node) -> Result<Node, InvalidTransition>,
    ) -> Result<(), InvalidTransition> {
        let mut known = self.nodes.iter_mut().filter_map(|it| it.after.as_mut());
        let node = known.find(|it| it.id == *id).ok_or(not_read("node"))?;
        *node = transition(node.clone())?;
        Ok(())
    }

    /// Removes a node that got no instance.
    pub(crate) fn withdraw_node(&mut self, id: &NodeId, error_code: &str) {
        self.launch_error = Some(error_code.to_owned());
        self.remove_node(id);
    }

    pub(crate) fn remove_node(&mut self, id: &NodeId) {
        for node in &mut self.nodes {
            if node.after.as_ref().is_some_and(|it| it.id == *id) {
                node.after = None;
                self.change.events.push(Event::NodeRemoved { node: id.clone() });
            }
        }
    }

    /// Writes of records that the draft does not track.
    pub fn writes(&mut self) -> &mut Writes {
        &mut self.change.writes
    }

    /// Stores an operation.
    pub fn put_operation(&mut self, operation: &Operation) {
        self.change.writes.put_operation(operation);
    }

    /// Adds a hint to the change.
    pub fn hint(&mut self, function: Function, target: Target) {
        self.change.hints.insert((function, target));
    }

    /// Adds a hint for a cluster.
    pub fn hint_cluster(&mut self, function: Function, cluster: &ClusterRef) {
        self.hint(function, Target::Cluster { cluster: cluster.clone() });
    }

    /// Adds a hint for the cluster of a node.
    pub(crate) fn hint_cluster_of(&mut self, function: Function, node: &NodeId) {
        if let Some(cluster) = self.node(node).map(|node| node.cluster.clone()) {
            self.hint_cluster(function, &cluster);
        }
    }

    /// Answers a held request of this node after the commit.
    pub fn notify(&mut self, node: NodeId) {
        self.change.notify.insert(node);
    }

    pub(crate) fn request_launch(&mut self, request: LaunchRequest) {
        self.change.launches.push(request);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.change.events.push(event);
    }

    /// Derives all writes from the differences between the records as read and as changed.
    pub fn finish(mut self) -> Change {
        for node in &self.nodes {
            settle_launch(&mut self.launches, node);
        }
        let mut change = self.change;
        let mut usage = Usage::default();
        if let Some(cluster) = &self.cluster {
            write_cluster(&mut change.writes, &mut usage, cluster);
        }
        for job in &self.jobs {
            write_job(&mut change.writes, job);
        }
        job_metrics::write(&mut change.writes, &self.jobs, self.job_metrics.as_ref());
        for node in &self.nodes {
            write_node(&mut change.writes, &mut usage, node);
        }
        for ended in ended_nodes(&self.nodes, self.launch_error.as_deref(), self.now) {
            change.writes.record_ended_nodes(&ended);
        }
        for launch in &self.launches {
            write_record(&mut change.writes, launch);
        }
        if usage.total_cores != 0 {
            change.writes.count_total_cores(usage.total_cores, self.quota.total_cores);
        }
        for (account, meter, difference) in usage.meters {
            if difference != 0 {
                change.writes.count(&account, meter, difference, self.quota.limit(meter));
            }
        }
        change
    }
}

fn not_read(what: &'static str) -> InvalidTransition {
    InvalidTransition { what, state: "removed", transition: "change" }
}

/// The change of each meter.
#[derive(Default)]
struct Usage {
    meters: Vec<(Account, Meter, i64)>,
    /// Of the whole service.
    total_cores: i64,
}

impl Usage {
    fn add(&mut self, account: &Account, meter: Meter, difference: i64) {
        let known = self.meters.iter_mut().find(|(a, m, _)| a == account && *m == meter);
        match known {
            Some((_, _, sum)) => *sum += difference,
            None => self.meters.push((account.clone(), meter, difference)),
        }
    }

    fn add_node(&mut self, charge: &Charge, sign: i64) {
        let cores = sign * i64::from(charge.cores);
        for meter in charge.meters() {
            self.add(&charge.account, meter, cores);
        }
        if charge.in_total {
            self.total_cores += cores;
        }
    }
}

fn write_cluster(writes: &mut Writes, usage: &mut Usage, it: &Tracked<Cluster>) {
    write_record(writes, it);
    let was_scheduled = it.before.as_ref().is_some_and(|old| old.scheduled);
    match (&it.before, &it.after) {
        (None, Some(new)) => {
            usage.add(&new.account(), Meter::Clusters, 1);
            for server in mounted(new) {
                writes.add_file_server_user(&user(new, server));
            }
        }
        (Some(old), None) => {
            usage.add(&old.account(), Meter::Clusters, -1);
            writes.unschedule(&old.uid);
            for server in mounted(old) {
                writes.remove_file_server_user(server, &old.uid);
            }
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let Some(new) = it.after.as_ref().filter(|new| new.scheduled && !was_scheduled) {
        writes.schedule(&Target::Cluster { cluster: new.reference() });
    }
}

/// The mounted file servers, each once: one may be mounted at several paths.
fn mounted(cluster: &Cluster) -> BTreeSet<&Uid> {
    let mounts = cluster.spec.mounts.iter().flat_map(|mounts| &mounts.file_servers);
    mounts.map(|mount| &mount.uid).collect()
}

fn user(cluster: &Cluster, server: &Uid) -> FileServerUser {
    FileServerUser {
        file_server: server.clone(),
        cluster: cluster.uid.clone(),
        names: cluster.names.clone(),
        name: cluster.name.clone(),
    }
}

fn write_job(writes: &mut Writes, it: &Tracked<Job>) {
    write_record(writes, it);
    if let (Some(old), None) = (&it.before, &it.after)
        && old.may_have_log_tails()
    {
        writes.remove_log_tails(&old.reference());
    }
    let place = |job: &Job| match job.state {
        JobState::Queued { .. } => Some(job.queue_entry()),
        JobState::Running { .. }
        | JobState::Terminating { .. }
        | JobState::Succeeded { .. }
        | JobState::Failed { .. } => None,
    };
    let Some(cluster) = it.any().map(|job| &job.cluster) else { return };
    match (it.before.as_ref().and_then(place), it.after.as_ref().and_then(place)) {
        (None, Some(entry)) => writes.enqueue(cluster, &entry),
        (Some(entry), None) => writes.dequeue(cluster, &entry),
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// Records in its launch what became of a launching node. A launch of which no node waits is
/// removed. A node whose launch was recorded by an earlier version has none.
fn settle_launch(launches: &mut [Tracked<Launch>], node: &Tracked<Node>) {
    let launching = |node: &Node| matches!(node.state, NodeState::Launching { .. });
    let Some(before) = node.before.as_ref().filter(|before| launching(before)) else { return };
    if node.after.as_ref().is_some_and(launching) {
        return;
    }
    for tracked in launches {
        let Some(launch) = &mut tracked.after else { continue };
        if *launch.id() == before.launch {
            launch.settle(&before.id, node.after.as_ref().and_then(Node::instance));
            if launch.is_settled() {
                tracked.after = None;
            }
        }
    }
}

fn write_node(writes: &mut Writes, usage: &mut Usage, it: &Tracked<Node>) {
    if let (Some(old), Some(new)) = (&it.before, &it.after)
        && *new == (Node { seen_at: new.seen_at, metrics: new.metrics.clone(), ..old.clone() })
    {
        if new.seen_at > old.seen_at {
            writes.record_heartbeat(old, new);
        }
        return;
    }
    write_record(writes, it);
    let Some(node) = it.any() else { return };
    let (cluster, id) = (&node.cluster, &node.id);
    let idle = |node: &Node| matches!(node.state, NodeState::Idle { .. });
    let zone = node.zone();
    let moved = it.before.as_ref().is_some_and(|before| before.zone() != zone);
    match (it.before.as_ref().is_some_and(idle), it.after.as_ref().is_some_and(idle)) {
        (false, true) => writes.mark_idle(cluster, id, &zone),
        (true, true) if moved => writes.mark_idle(cluster, id, &zone),
        (true, false) => writes.unmark_idle(cluster, id),
        (true, true) | (false, false) => {}
    }
    let instance = |node: &Node| Some(node.instance()?.id.clone());
    match (it.before.as_ref().and_then(instance), it.after.as_ref().and_then(instance)) {
        (None, Some(instance)) => {
            let (cluster, node) = (cluster.clone(), id.clone());
            writes.create_instance_owner(&InstanceOwner { instance, cluster, node });
        }
        (Some(instance), None) => writes.delete_instance_owner(&instance),
        (Some(_), Some(_)) | (None, None) => {}
    }
    match (&it.before, &it.after) {
        (None, Some(new)) => usage.add_node(&new.charge, 1),
        (Some(old), None) => usage.add_node(&old.charge, -1),
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// One record for each removed node, and one for all that got no instances.
fn ended_nodes(
    nodes: &[Tracked<Node>],
    launch_error: Option<&str>,
    now: Timestamp,
) -> Vec<EndedNodes> {
    let removed = nodes.iter().filter(|it| it.after.is_none()).filter_map(|it| it.before.as_ref());
    let mut records: Vec<EndedNodes> = Vec::new();
    for node in removed {
        let ended = EndedNodes::of(node, launch_error, now);
        match records.iter_mut().find(|it| it.is_like(&ended)) {
            Some(record) => record.ids.extend(ended.ids),
            None => records.push(ended),
        }
    }
    records
}

#[cfg(test)]
mod tests;
