//! The records that were read for a reaction, as they are to be afterwards.
//!
//! Reactions change records; everything that goes with a record is derived from the difference: a
//! job's place in the queue, a node's idle marker, the owner of an instance, what a region uses,
//! who mounts a file server. So none of these can be forgotten, and each item is written once.

use crate::change::{Change, Event, Function, LaunchRequest};
use crate::tracked::{Tracked, write_record};
use model::{
    Account, Charge, Cluster, ClusterRef, FileServerUser, InvalidTransition, Job, JobRef, JobState,
    Meter, Node, NodeId, NodeState, Operation, Quota, Target, Timestamp, Uid,
};
use std::collections::BTreeSet;
use table::{InstanceOwner, Writes};

#[derive(Clone, Debug)]
pub struct Draft {
    pub now: Timestamp,
    quota: Quota,
    cluster: Option<Tracked<Cluster>>,
    jobs: Vec<Tracked<Job>>,
    nodes: Vec<Tracked<Node>>,
    change: Change,
}

impl Draft {
    pub fn new(now: Timestamp, quota: Quota) -> Self {
        let change = Change::default();
        Self { now, quota, cluster: None, jobs: Vec::new(), nodes: Vec::new(), change }
    }

    /// The version of a new record. Another record may have had its key before: a slow writer that
    /// still has that one must not take this one for it, so versions go on from the time.
    pub(crate) fn first_version(&self) -> u64 {
        u64::try_from(self.now.0).unwrap_or_default().max(1)
    }

    /// What was read before stays as it is by now; so do jobs and nodes.
    pub fn read_cluster(&mut self, cluster: Cluster) {
        self.cluster.get_or_insert_with(|| Tracked::read(cluster));
    }

    pub fn read_job(&mut self, job: Job) {
        if self.jobs.iter().all(|known| known.any().is_none_or(|it| it.uid != job.uid)) {
            self.jobs.push(Tracked::read(job));
        }
    }

    pub fn read_node(&mut self, node: Node) {
        if self.nodes.iter().all(|known| known.any().is_none_or(|it| it.id != node.id)) {
            self.nodes.push(Tracked::read(node));
        }
    }

    pub fn create_cluster(&mut self, cluster: Cluster) {
        self.cluster = Some(Tracked::created(cluster));
    }

    pub fn create_job(&mut self, job: Job) {
        self.jobs.push(Tracked::created(job));
    }

    pub fn create_node(&mut self, node: Node) {
        self.nodes.push(Tracked::created(node));
    }

    /// The cluster, where the reaction was given it.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()?.after.as_ref()
    }

    pub fn cluster_mut(&mut self) -> Option<&mut Cluster> {
        self.cluster.as_mut()?.after.as_mut()
    }

    /// The cluster takes a new version even if nothing else of it changes.
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

    pub fn job(&self, reference: &JobRef) -> Option<&Job> {
        self.jobs.iter().filter_map(|it| it.after.as_ref()).find(|it| it.uid == reference.uid)
    }

    /// # Errors
    /// When it was not read or is gone: then another plan is needed.
    pub fn job_mut(&mut self, reference: &JobRef) -> Result<&mut Job, InvalidTransition> {
        let mut known = self.jobs.iter_mut().filter_map(|it| it.after.as_mut());
        known.find(|it| it.uid == reference.uid).ok_or(gone("job"))
    }

    pub(crate) fn remove_job(&mut self, reference: &JobRef) {
        for job in &mut self.jobs {
            if job.after.as_ref().is_some_and(|it| it.uid == reference.uid) {
                job.after = None;
            }
        }
    }

    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().filter_map(|it| it.after.as_ref()).find(|it| it.id == *id)
    }

    /// Replaces the node by what a transition makes of it.
    ///
    /// # Errors
    /// When the node was not read or is gone, or refuses the transition.
    pub fn change_node(
        &mut self,
        id: &NodeId,
        transition: impl FnOnce(Node) -> Result<Node, InvalidTransition>,
    ) -> Result<(), InvalidTransition> {
        let mut known = self.nodes.iter_mut().filter_map(|it| it.after.as_mut());
        let node = known.find(|it| it.id == *id).ok_or(gone("node"))?;
        *node = transition(node.clone())?;
        Ok(())
    }

    pub(crate) fn remove_node(&mut self, id: &NodeId) {
        for node in &mut self.nodes {
            if node.after.as_ref().is_some_and(|it| it.id == *id) {
                node.after = None;
                self.change.events.push(Event::NodeRemoved { node: id.clone() });
            }
        }
    }

    /// Writes of records that a draft does not track.
    pub fn writes(&mut self) -> &mut Writes {
        &mut self.change.writes
    }

    pub fn put_operation(&mut self, operation: &Operation) {
        self.change.writes.put_operation(operation);
    }

    pub fn hint(&mut self, function: Function, target: Target) {
        self.change.hints.insert((function, target));
    }

    pub fn hint_cluster(&mut self, function: Function, cluster: &ClusterRef) {
        self.hint(function, Target::Cluster { cluster: cluster.clone() });
    }

    /// The cluster of a node.
    pub(crate) fn hint_cluster_of(&mut self, function: Function, node: &NodeId) {
        if let Some(cluster) = self.node(node).map(|node| node.cluster.clone()) {
            self.hint_cluster(function, &cluster);
        }
    }

    pub fn notify(&mut self, node: NodeId) {
        self.change.notify.insert(node);
    }

    pub(crate) fn launch(&mut self, request: LaunchRequest) {
        self.change.launches.push(request);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.change.events.push(event);
    }

    /// Every write that follows from what became of the records.
    pub fn finish(self) -> Change {
        let mut change = self.change;
        let mut usage = Usage::default();
        if let Some(cluster) = &self.cluster {
            write_cluster(&mut change.writes, &mut usage, cluster);
        }
        for job in &self.jobs {
            write_job(&mut change.writes, job);
        }
        for node in &self.nodes {
            write_node(&mut change.writes, &mut usage, node);
        }
        for (account, meter, difference) in usage.0 {
            if difference != 0 {
                change.writes.count(&account, meter, difference, self.quota.limit(meter));
            }
        }
        change
    }
}

fn gone(what: &'static str) -> InvalidTransition {
    InvalidTransition { what, state: "gone", transition: "change" }
}

/// How much more or less is used of each meter.
#[derive(Default)]
struct Usage(Vec<(Account, Meter, i64)>);

impl Usage {
    fn add(&mut self, account: &Account, meter: Meter, difference: i64) {
        let known = self.0.iter_mut().find(|(a, m, _)| a == account && *m == meter);
        match known {
            Some((_, _, sum)) => *sum += difference,
            None => self.0.push((account.clone(), meter, difference)),
        }
    }

    fn add_node(&mut self, charge: &Charge, sign: i64) {
        for meter in charge.meters() {
            self.add(&charge.account, meter, sign * i64::from(charge.cores));
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

/// Each once: a server may be mounted at several places.
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

fn write_node(writes: &mut Writes, usage: &mut Usage, it: &Tracked<Node>) {
    if let (Some(old), Some(new)) = (&it.before, &it.after)
        && *new == (Node { seen_at: new.seen_at, ..old.clone() })
    {
        if new.seen_at > old.seen_at {
            writes.set_seen_at(old, new.seen_at);
        }
        return;
    }
    write_record(writes, it);
    let Some(node) = it.any() else { return };
    let (cluster, id) = (&node.cluster, &node.id);
    let idle = |node: &Node| matches!(node.state, NodeState::Idle { .. });
    match (it.before.as_ref().is_some_and(idle), it.after.as_ref().is_some_and(idle)) {
        (false, true) => writes.mark_idle(cluster, id),
        (true, false) => writes.unmark_idle(cluster, id),
        (true, true) | (false, false) => {}
    }
    let instance = |node: &Node| Some(node.instance()?.id.clone());
    match (it.before.as_ref().and_then(instance), it.after.as_ref().and_then(instance)) {
        (None, Some(instance)) => {
            let (cluster, node) = (cluster.clone(), id.clone());
            writes.put_instance_owner(&InstanceOwner { instance, cluster, node });
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

#[cfg(test)]
mod tests;
