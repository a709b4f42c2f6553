//! Typed writes of one commit, each with the condition on which it was planned.

use crate::item::Key;
use crate::key::{self, IdleMarker};
use crate::record::{InstanceOwner, Record, Stored, Versioned, put_at};
use crate::write::{Condition, Write, WriteKind};
use model::{
    Account, Cluster, ClusterRef, EndedNodes, Experiment, FileServer, FileServerUser, JobRef,
    LogPart, LogTail, Meter, Node, NodeId, Operation, QueueEntry, ResourceGroup, RoleAssignment,
    Subscription, Target, Uid, Workspace, Zone,
};

/// Writes of one commit; [`crate::Table::commit`] carries them out. At most
/// [`crate::limits::MAX_WRITES`], and one per item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writes(Vec<Write>);

impl Writes {
    /// Whether there are no writes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of writes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The writes, in order.
    pub fn into_vec(self) -> Vec<Write> {
        self.0
    }

    /// Appends other writes.
    pub fn extend(&mut self, others: Writes) {
        self.0.extend(others.0);
    }

    /// A new record. Its key must be unused.
    pub fn create<R: Record>(&mut self, record: &R) {
        self.put(record.key(), record.clone(), Condition::Absent);
    }

    /// A new record, or its replacement.
    pub fn store<R: Record>(&mut self, record: &R) {
        self.put(record.key(), record.clone(), Condition::Always);
    }

    /// Replaces a record, which must be as it was read.
    pub fn replace<R: Versioned>(&mut self, before: &R, after: &R) {
        let next = after.at_version(before.version() + 1);
        self.put(after.key(), next, unchanged(before));
    }

    /// Deletes a record, which must be as it was read.
    pub fn remove<R: Versioned>(&mut self, record: &R) {
        self.push(record.key(), WriteKind::Delete, unchanged(record));
    }

    /// Requires that a record is as it was read.
    pub fn require_unchanged<R: Versioned>(&mut self, record: &R) {
        self.push(record.key(), WriteKind::Check, unchanged(record));
    }

    /// Adds the job to the queue.
    pub fn enqueue(&mut self, cluster: &ClusterRef, entry: &QueueEntry) {
        self.put(key::queue_entry(&cluster.uid, entry), entry.clone(), Condition::Absent);
    }

    /// Removes the job from the queue. It must be in it.
    pub fn dequeue(&mut self, cluster: &ClusterRef, entry: &QueueEntry) {
        self.push(key::queue_entry(&cluster.uid, entry), WriteKind::Delete, Condition::Present);
    }

    /// Deletes the metrics of a job, in the commit that removes the job.
    pub fn delete_job_metrics(&mut self, job: &JobRef) {
        let key = key::job_metrics(&job.experiment, &job.name);
        self.push(key, WriteKind::Delete, Condition::Always);
    }

    /// Marks a node as idle. A repetition does no harm: the node's own record decides.
    pub fn mark_idle(&mut self, cluster: &ClusterRef, node: &NodeId, zone: &Zone) {
        let marker = IdleMarker { node: node.clone(), zone: zone.clone() };
        self.put(key::idle(&cluster.uid, node), marker, Condition::Always);
    }

    /// Removes the idle marker of a node.
    pub fn unmark_idle(&mut self, cluster: &ClusterRef, node: &NodeId) {
        self.push(key::idle(&cluster.uid, node), WriteKind::Delete, Condition::Always);
    }

    /// Records the node of an instance, which must not have one.
    pub fn create_instance_owner(&mut self, owner: &InstanceOwner) {
        self.create(owner);
    }

    /// Deletes the record of an instance's node.
    pub fn delete_instance_owner(&mut self, instance: &str) {
        self.push(key::instance(instance), WriteKind::Delete, Condition::Always);
    }

    /// Records nodes that the commit removes.
    pub fn record_ended_nodes(&mut self, ended: &EndedNodes) {
        self.store(ended);
    }

    /// Stores the end of a job's output, in place of that of an earlier attempt.
    pub fn put_log_tail(&mut self, tail: &LogTail) {
        self.store(tail);
    }

    /// Deletes what is stored of the output of a job.
    pub fn remove_log_tails(&mut self, job: &JobRef) {
        for part in LogPart::ALL {
            self.push(key::log_tail(job, part), WriteKind::Delete, Condition::Always);
        }
    }

    /// Stores an operation.
    pub fn put_operation(&mut self, operation: &Operation) {
        self.store(operation);
    }

    /// Adds a target to the schedule's list.
    pub fn schedule(&mut self, target: &Target) {
        self.store(target);
    }

    /// Removes the target with this uid from the schedule's list.
    pub fn unschedule(&mut self, uid: &Uid) {
        self.push(key::scheduled(uid), WriteKind::Delete, Condition::Always);
    }

    /// Records that a subscription exists.
    pub fn put_subscription(&mut self, subscription: &Subscription) {
        self.store(subscription);
    }

    /// Grants a role. No assignment with the same id may exist in the scope.
    pub fn grant(&mut self, assignment: &RoleAssignment) {
        self.create(assignment);
        self.put(key::principal_role(assignment), assignment.clone(), Condition::Always);
    }

    /// Deletes a role assignment, which must exist.
    pub fn revoke(&mut self, assignment: &RoleAssignment) {
        self.push(assignment.key(), WriteKind::Delete, Condition::Present);
        self.push(key::principal_role(assignment), WriteKind::Delete, Condition::Always);
    }

    /// Deletes a token, which must exist.
    pub fn remove_token(&mut self, token: &model::AccessToken) {
        self.push(token.key(), WriteKind::Delete, Condition::Present);
    }

    /// Adds `change` to a meter. The sum must not exceed `limit`, and no more can be subtracted
    /// than was added.
    pub fn count(&mut self, account: &Account, meter: Meter, change: i64, limit: u32) {
        self.add(key::usage(account, meter), change, limit);
    }

    /// As [`Self::count`], for the cores of the whole service.
    pub fn count_total_cores(&mut self, change: i64, limit: u32) {
        self.add(key::total_cores(), change, limit);
    }

    fn add(&mut self, key: Key, change: i64, limit: u32) {
        let (kind, condition) = if change < 0 {
            (WriteKind::Add(change), Condition::CountAtLeast(-change))
        } else if change > i64::from(limit) {
            // A change beyond the limit fails whatever the current count.
            (WriteKind::Check, Condition::Never)
        } else {
            (WriteKind::Add(change), Condition::CountAtMost(i64::from(limit) - change))
        };
        self.push(key, kind, condition);
    }

    /// Records when the agent of a node last reported, and what it measured. The time only moves
    /// forward. The node keeps its version. A single write of either kind costs the same units.
    pub fn record_heartbeat(&mut self, before: &Node, after: &Node) {
        if before.metrics == after.metrics {
            let seen_at = after.seen_at.0;
            self.push(after.key(), WriteKind::SetSeenAt(seen_at), Condition::SeenBefore(seen_at));
        } else {
            self.put(after.key(), after.clone(), unchanged(before));
        }
    }

    /// Requires that a resource group is not being deleted.
    pub fn require_resource_group(&mut self, group: &ResourceGroup) {
        self.require_active(group.key(), &group.uid);
    }

    /// Requires that a workspace is not being deleted.
    pub fn require_workspace(&mut self, workspace: &Workspace) {
        self.require_active(workspace.key(), &workspace.uid);
    }

    /// Requires that an experiment is not being deleted.
    pub fn require_experiment(&mut self, experiment: &Experiment) {
        self.require_active(experiment.key(), &experiment.uid);
    }

    /// Requires that a file server is ready.
    pub fn require_file_server(&mut self, file_server: &FileServer) {
        self.require_active(file_server.key(), &file_server.uid);
    }

    /// Requires that a cluster is not being deleted and is on the schedule's list.
    pub fn require_scheduled_cluster(&mut self, cluster: &Cluster) {
        let uid = cluster.uid.to_string();
        self.push(cluster.key(), WriteKind::Check, Condition::ActiveAndScheduled { uid });
    }

    /// Records that a cluster mounts a file server.
    pub fn add_file_server_user(&mut self, user: &FileServerUser) {
        self.store(user);
    }

    /// Deletes the record of a cluster that mounts a file server.
    pub fn remove_file_server_user(&mut self, file_server: &Uid, cluster: &Uid) {
        let key = key::file_server_user(file_server, cluster);
        self.push(key, WriteKind::Delete, Condition::Always);
    }

    fn require_active(&mut self, key: Key, uid: &Uid) {
        self.push(key, WriteKind::Check, Condition::Active { uid: uid.to_string() });
    }

    fn put<S: Stored>(&mut self, key: Key, value: S, condition: Condition) {
        let (key, kind) = put_at(key, value);
        self.push(key, kind, condition);
    }

    fn push(&mut self, key: Key, kind: WriteKind, condition: Condition) {
        self.0.push(Write { key, kind, condition });
    }
}

fn unchanged<R: Versioned>(record: &R) -> Condition {
    let seen_at = record.attributes().seen_at;
    Condition::Unchanged { version: record.version(), seen_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    use model::Name;

    /// A counter never exceeds its limit, and never goes below zero.
    #[test]
    fn counters_stay_within_their_limit() {
        let account = Account { subscription: Name::new("s"), location: Name::new("l") };
        let write = |change, limit| {
            let mut writes = Writes::default();
            writes.count(&account, Meter::Clusters, change, limit);
            assert_eq!((writes.len(), writes.is_empty()), (1, false));
            let write = writes.into_vec().remove(0);
            (write.kind, write.condition)
        };
        assert_eq!(write(3, 10), (WriteKind::Add(3), Condition::CountAtMost(7)));
        assert_eq!(write(10, 10), (WriteKind::Add(10), Condition::CountAtMost(0)));
        assert_eq!(write(11, 10), (WriteKind::Check, Condition::Never));
        assert_eq!(write(-3, 10), (WriteKind::Add(-3), Condition::CountAtLeast(3)));
    }

    #[test]
    fn writes_are_collected_in_order() {
        let (mut first, mut second) = (Writes::default(), Writes::default());
        first.delete_instance_owner("a");
        second.delete_instance_owner("b");
        first.extend(second);
        let keys: Vec<String> = first.into_vec().into_iter().map(|it| it.key.pk).collect();
        assert_eq!(keys, ["inst#a", "inst#b"]);
    }
}
