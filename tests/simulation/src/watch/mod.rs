//! Keeps the content of the table as typed records, and checks the invariants of the changed records
//! after each commit. One file per kind of record.

mod clusters;
mod job_metrics;
mod jobs;
mod launches;
mod nodes;
mod queue_order;
mod record;
mod resources;
pub mod settled;
pub mod stalls;

pub use record::Record;

use crate::cloud::Cloud;
use crate::oracle::Oracle;
use crate::sim::State;
use crate::user_requests::UserRequests;
use model::{
    Cluster, EndedNodes, Experiment, FileServer, Job, JobMetrics, Launch, LaunchId, Node, NodeId,
    Operation, OperationState, QueueEntry, ResourceGroup, RoleAssignment, Target, Uid, Workspace,
    Zone,
};
use std::collections::{BTreeMap, BTreeSet};
use table::{InstanceOwner, Write, WriteKind};

/// The committed content of the table.
#[derive(Debug, Default)]
pub struct Watch {
    pub nodes: BTreeMap<String, Record<Node>>,
    pub clusters: BTreeMap<String, ClusterView>,
    pub jobs: BTreeMap<String, Record<Job>>,
    /// By the uid of the job.
    pub job_metrics: BTreeMap<String, Record<JobMetrics>>,
    /// The ids of removed nodes with a record of their end.
    ended: BTreeSet<String>,
    pub operations: BTreeMap<String, Record<Operation>>,
    pub owners: BTreeMap<String, Record<InstanceOwner>>,
    pub launches: BTreeMap<String, Record<Launch>>,
    /// The instance that each node ever had, and the node of each instance.
    bound: BTreeMap<String, String>,
    nodes_of_instances: BTreeMap<String, String>,
    pub groups: BTreeMap<String, Record<ResourceGroup>>,
    pub workspaces: BTreeMap<String, Record<Workspace>>,
    pub experiments: BTreeMap<String, Record<Experiment>>,
    pub file_servers: BTreeMap<String, Record<FileServer>>,
    /// Pairs of file server uid and cluster uid.
    pub mounts: BTreeSet<(String, String)>,
    pub scheduled: BTreeMap<String, Record<Target>>,
    /// By partition and sort key.
    pub counters: BTreeMap<(String, String), i64>,
    expected_counters: BTreeMap<(String, String), i64>,
    pub roles: BTreeMap<String, Record<RoleAssignment>>,
    pub roles_by_principal: BTreeSet<String>,
    /// The uid of the record under a key that has a name.
    uids: BTreeMap<(String, String), String>,
    /// The launch ids of nodes with a recorded launch.
    intended: BTreeMap<String, LaunchId>,
    /// Jobs in their first final state.
    finals: BTreeMap<String, Record<Job>>,
    /// The step at which each node last became idle.
    freed: BTreeMap<String, u64>,
    /// The zone in the idle marker of each node.
    marked_zones: BTreeMap<String, Zone>,
    /// The task of the current commit.
    task: u64,
    /// When each attempt was recorded as started, by job uid and number.
    started: BTreeMap<(String, u32), i64>,
    /// The records that a removed cluster left, which is a violation.
    left_behind: Option<String>,
    pub user_requests: UserRequests,
    pub limits: Limits,
}

/// The limits of the environment of a history.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub cores: i64,
    pub clusters: i64,
    /// The clocks of all processes agree and never jump.
    pub one_clock: bool,
    /// The service and the nodes are never suspended.
    pub no_pauses: bool,
}

#[derive(Debug)]
pub struct ClusterView {
    pub record: Record<Cluster>,
    /// The step at which its record last changed.
    pub changed: u64,
    pub nodes: BTreeSet<String>,
    /// The idle nodes, with the step at which each became idle.
    pub idle: BTreeMap<String, u64>,
    /// By sort key, in order.
    pub queue: BTreeMap<String, Queued>,
    /// The latest removals from the queue, as step and task.
    pub left_queue: Vec<(u64, u64)>,
}

#[derive(Debug)]
pub struct Queued {
    pub entry: Record<QueueEntry>,
    pub since: u64,
}

/// The context of a commit.
pub struct CommitContext<'a> {
    pub now: i64,
    /// The step at which the handler of the commit was started.
    pub started: u64,
    pub task: u64,
    pub cloud: &'a Cloud,
    pub oracle: &'a Oracle,
}

/// A record that a commit changed, with its previous content.
enum Change {
    Node(String, Option<Record<Node>>),
    Job(String, Option<Record<Job>>),
    JobMetrics(String, Option<Record<JobMetrics>>),
    Cluster(String, Option<Record<Cluster>>),
    Operation(String, Option<Record<Operation>>),
    Resource(resources::RemovedResource),
    Counter((String, String)),
    Role(String),
    Scheduled(String),
    Launch(String),
    /// Whether one of the nodes had ended before.
    Ended(Record<EndedNodes>, bool),
}

type Checked = Result<(), String>;

fn ensure(holds: bool, violation: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(violation()) }
}

impl State {
    /// Called after every commit, before another task runs.
    pub fn committed(&mut self, writes: &[Write]) {
        if self.trace.on() {
            let lines: Vec<String> = writes.iter().filter_map(crate::describe::write).collect();
            self.note(format!("commit: {}", lines.join("; ")));
        }
        writes.iter().for_each(|write| self.note_directory(write));
        self.changed = true;
        let step = self.step;
        self.watch.task = self.task;
        let changes = self.watch.apply(writes, step);
        let context = CommitContext {
            now: self.now,
            started: self.task_started,
            task: self.task,
            cloud: &self.cloud,
            oracle: &self.oracle,
        };
        if let Err(violation) = self.watch.check(&changes, &context) {
            self.report_violation(violation);
        }
    }
}

impl Watch {
    pub fn was_intended(&self, launch: &LaunchId, node: &NodeId) -> bool {
        self.intended.get(node.as_str()) == Some(launch)
    }

    /// Whether the set-up task of the cluster fails on some nodes.
    pub fn setup_fails(&self, cluster: &Uid) -> bool {
        let view = self.clusters.get(cluster.as_str());
        view.is_some_and(|it| self.user_requests.failing_setups.contains(it.record.name.as_str()))
    }

    fn apply(&mut self, writes: &[Write], step: u64) -> Vec<Change> {
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            match &write.kind {
                WriteKind::Check | WriteKind::SetSeenAt(_) => {}
                WriteKind::Add(more) => {
                    let key = (write.key.pk.clone(), write.key.sk.clone());
                    *self.counters.entry(key.clone()).or_default() += more;
                    changes.push(Change::Counter(key));
                }
                WriteKind::Put { .. } | WriteKind::Delete => {
                    self.apply_record(write, step, &mut changes);
                }
            }
        }
        changes
    }

    fn apply_record(&mut self, write: &Write, step: u64, changes: &mut Vec<Change>) {
        let (pk, sk, kind) = (write.key.pk.as_str(), write.key.sk.as_str(), &write.kind);
        let partition = pk.split_once('#').map_or(pk, |(prefix, _)| prefix);
        let owner = pk.split_once('#').map_or("", |(_, rest)| rest);
        let (kind_of_record, name) = sk.split_once('#').unwrap_or((sk, ""));
        match (partition, kind_of_record) {
            ("cl", "node") => self.apply_node(owner, name, kind, changes),
            ("ended", _) => self.apply_ended(kind, changes),
            ("cl", "idle") => self.apply_idle(owner, name, kind, step, changes),
            ("cl", "queue") => self.apply_queue(owner, sk, kind, step, changes),
            ("exp", "job") => self.apply_job(write, changes),
            ("exp", "metrics") => self.apply_job_metrics(write, changes),
            ("ws", "cluster") => self.apply_cluster(write, step, changes),
            ("op", _) => {
                let old = replace(&mut self.operations, owner, Record::put(kind));
                changes.push(Change::Operation(owner.to_owned(), old));
            }
            ("cl", "launch") => {
                replace(&mut self.launches, name, Record::put(kind));
                changes.push(Change::Launch(name.to_owned()));
            }
            ("inst", _) => {
                replace(&mut self.owners, owner, Record::put(kind));
            }
            ("scheduled", _) => {
                replace(&mut self.scheduled, name, Record::put(kind));
                changes.push(Change::Scheduled(name.to_owned()));
            }
            ("fs", "mount") => {
                let pair = (owner.to_owned(), name.to_owned());
                let is_removed = matches!(kind, WriteKind::Delete);
                if is_removed {
                    self.mounts.remove(&pair)
                } else {
                    self.mounts.insert(pair)
                };
            }
            _ => self.apply_resource(write, changes),
        }
    }

    fn check(&mut self, changes: &[Change], context: &CommitContext<'_>) -> Checked {
        for it in changes {
            match it {
                Change::Node(id, old) => {
                    self.check_bound(id)?;
                    self.check_node(id, old.as_ref(), context)?;
                    let launch = self.nodes.get(id).or(old.as_ref()).map(|it| it.launch.clone());
                    launch.map_or(Ok(()), |launch| self.check_launch(launch.as_str()))?;
                }
                Change::Job(uid, old) => {
                    self.check_job(uid, old.as_ref(), context)?;
                    self.check_has_metrics(uid)?;
                }
                Change::JobMetrics(uid, old) => self.check_job_metrics(uid, old.as_ref())?,
                Change::Cluster(uid, old) => self.check_cluster(uid, old.as_ref())?,
                Change::Operation(id, old) => self.check_operation(id, old.as_ref())?,
                Change::Resource(removed) => self.check_removed_resource(removed)?,
                Change::Counter(key) => self.check_counter(key)?,
                Change::Role(key) => self.check_role(key)?,
                Change::Scheduled(uid) => self.check_resource_scheduled(uid)?,
                Change::Launch(id) => self.check_launch(id)?,
                Change::Ended(ended, is_repeated) => self.check_ended(ended, *is_repeated)?,
            }
        }
        Ok(())
    }

    /// An operation ends once.
    fn check_operation(&self, id: &str, old: Option<&Record<Operation>>) -> Checked {
        let ended = |it: &Operation| !matches!(it.state, OperationState::InProgress);
        let before = old.is_some_and(|it| ended(it));
        let now = self.operations.get(id).is_some_and(|it| ended(it));
        ensure(!before || now, || format!("operation {id} had ended and is in progress again"))
    }

    /// The usage meters match the clusters and nodes, and never exceed the quota.
    fn check_counter(&self, key: &(String, String)) -> Checked {
        let current = self.counters.get(key).copied().unwrap_or(0);
        let expected = self.expected_counters.get(key).copied().unwrap_or(0);
        let limit = match key.1.as_str() {
            "meter#clusters" => self.limits.clusters,
            // Of the whole service, which has no lower limit than its regions here.
            "meter#cores" => i64::MAX,
            _ => self.limits.cores,
        };
        ensure(current == expected && current <= limit, || {
            format!("meter {key:?} is {current} of {limit}, but the actual usage is {expected}")
        })
    }

    fn expect_count(&mut self, partition: &str, meter: &str, change: i64) {
        let key = (partition.to_owned(), format!("meter#{meter}"));
        *self.expected_counters.entry(key).or_default() += change;
    }
}

/// Puts or removes an entry; returns the previous one.
fn replace<T>(map: &mut BTreeMap<String, T>, key: &str, new: Option<T>) -> Option<T> {
    match new {
        Some(new) => map.insert(key.to_owned(), new),
        None => map.remove(key),
    }
}
