//! Sees every commit, keeps what the table holds as typed records, and checks after each commit
//! every rule about what it touched. One file for each noun.

mod clusters;
mod jobs;
mod kept;
mod nodes;
mod order;
pub mod prompt;
mod resources;
pub mod rest;

pub use kept::Kept;

use crate::cloud::Cloud;
use crate::oracle::Oracle;
use crate::sim::State;
use crate::users::Asked;
use model::{
    Cluster, Experiment, FileServer, Job, LaunchId, Node, NodeId, Operation, OperationState,
    QueueEntry, ResourceGroup, RoleAssignment, Target, Uid, Workspace,
};
use std::collections::{BTreeMap, BTreeSet};
use table::{InstanceOwner, Write, WriteKind};

/// The table, as far as it was committed.
#[derive(Debug, Default)]
pub struct Watch {
    pub nodes: BTreeMap<String, Kept<Node>>,
    pub clusters: BTreeMap<String, ClusterView>,
    pub jobs: BTreeMap<String, Kept<Job>>,
    pub operations: BTreeMap<String, Kept<Operation>>,
    pub owners: BTreeMap<String, Kept<InstanceOwner>>,
    pub groups: BTreeMap<String, Kept<ResourceGroup>>,
    pub workspaces: BTreeMap<String, Kept<Workspace>>,
    pub experiments: BTreeMap<String, Kept<Experiment>>,
    pub file_servers: BTreeMap<String, Kept<FileServer>>,
    /// File server uid, cluster uid.
    pub mounts: BTreeSet<(String, String)>,
    pub scheduled: BTreeMap<String, Kept<Target>>,
    /// Partition and sort key.
    pub counters: BTreeMap<(String, String), i64>,
    expected_counters: BTreeMap<(String, String), i64>,
    pub roles: BTreeMap<String, Kept<RoleAssignment>>,
    pub roles_by_principal: BTreeSet<String>,
    /// Which uid is stored under a key of a named record.
    uids: BTreeMap<(String, String), String>,
    /// Nodes whose launch was recorded, with its id.
    intended: BTreeMap<String, LaunchId>,
    /// Jobs as they were when they had ended.
    finals: BTreeMap<String, Kept<Job>>,
    /// When each node last became idle.
    freed: BTreeMap<String, u64>,
    /// The task that commits.
    task: u64,
    /// When each attempt was recorded as started, by job and number.
    started: BTreeMap<(String, u32), i64>,
    /// What a removed cluster left, which it must not.
    left_behind: Option<String>,
    pub asked: Asked,
    pub limits: Limits,
}

/// What the environment of a history allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub cores: i64,
    pub clusters: i64,
    /// The clocks of all processes agree and never jump.
    pub one_clock: bool,
    /// Nothing is ever suspended.
    pub no_pauses: bool,
}

#[derive(Debug)]
pub struct ClusterView {
    pub record: Kept<Cluster>,
    /// At which step its record changed.
    pub changed: u64,
    pub nodes: BTreeSet<String>,
    /// With the step at which it became idle.
    pub idle: BTreeMap<String, u64>,
    /// By sort key, in order.
    pub queue: BTreeMap<String, Queued>,
    /// Steps and tasks at which a job left the queue lately.
    pub left_queue: Vec<(u64, u64)>,
}

#[derive(Debug)]
pub struct Queued {
    pub entry: Kept<QueueEntry>,
    pub since: u64,
}

/// When a commit happened, and what is known beside the table.
pub struct Moment<'a> {
    pub now: i64,
    /// When the handler began that committed.
    pub began: u64,
    pub task: u64,
    pub cloud: &'a Cloud,
    pub oracle: &'a Oracle,
}

/// What a commit changed, with what was there before.
enum Touched {
    Node(String, Option<Kept<Node>>),
    Job(String, Option<Kept<Job>>),
    Cluster(String, Option<Kept<Cluster>>),
    Operation(String, Option<Kept<Operation>>),
    Resource(resources::Gone),
    Counter((String, String)),
    Role(String),
    Scheduled(String),
}

type Checked = Result<(), String>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl State {
    /// Called with every commit, before anybody else goes on.
    pub fn committed(&mut self, writes: &[Write]) {
        if self.trace.on() {
            let lines: Vec<String> = writes.iter().filter_map(crate::describe::write).collect();
            self.note(format!("commit: {}", lines.join("; ")));
        }
        writes.iter().for_each(|write| self.note_directory(write));
        self.changed = true;
        let step = self.step;
        self.watch.task = self.task;
        let touched = self.watch.apply(writes, step);
        let moment = Moment {
            now: self.now,
            began: self.task_began,
            task: self.task,
            cloud: &self.cloud,
            oracle: &self.oracle,
        };
        if let Err(violation) = self.watch.check(&touched, &moment) {
            self.violate(violation);
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
        view.is_some_and(|it| self.asked.failing_setups.contains(it.record.name.as_str()))
    }

    fn apply(&mut self, writes: &[Write], step: u64) -> Vec<Touched> {
        let mut touched = Vec::with_capacity(writes.len());
        for write in writes {
            match &write.kind {
                WriteKind::Check | WriteKind::SetSeenAt(_) => {}
                WriteKind::Add(more) => {
                    let key = (write.key.pk.clone(), write.key.sk.clone());
                    *self.counters.entry(key.clone()).or_default() += more;
                    touched.push(Touched::Counter(key));
                }
                WriteKind::Put { .. } | WriteKind::Delete => {
                    self.apply_record(write, step, &mut touched);
                }
            }
        }
        touched
    }

    fn apply_record(&mut self, write: &Write, step: u64, touched: &mut Vec<Touched>) {
        let (pk, sk, kind) = (write.key.pk.as_str(), write.key.sk.as_str(), &write.kind);
        let partition = pk.split_once('#').map_or(pk, |(prefix, _)| prefix);
        let owner = pk.split_once('#').map_or("", |(_, rest)| rest);
        let (noun, name) = sk.split_once('#').unwrap_or((sk, ""));
        match (partition, noun) {
            ("cl", "node") => self.apply_node(owner, name, kind, touched),
            ("cl", "idle") => self.apply_idle(owner, name, kind, step, touched),
            ("cl", "queue") => self.apply_queue(owner, sk, kind, step, touched),
            ("exp", "job") => self.apply_job(write, touched),
            ("ws", "cluster") => self.apply_cluster(write, step, touched),
            ("op", _) => {
                let old = replace(&mut self.operations, owner, Kept::put(kind));
                touched.push(Touched::Operation(owner.to_owned(), old));
            }
            ("inst", _) => {
                replace(&mut self.owners, owner, Kept::put(kind));
            }
            ("scheduled", _) => {
                replace(&mut self.scheduled, name, Kept::put(kind));
                touched.push(Touched::Scheduled(name.to_owned()));
            }
            ("fs", "mount") => {
                let pair = (owner.to_owned(), name.to_owned());
                match kind {
                    WriteKind::Delete => self.mounts.remove(&pair),
                    _ => self.mounts.insert(pair),
                };
            }
            _ => self.apply_resource(write, touched),
        }
    }

    fn check(&mut self, touched: &[Touched], moment: &Moment<'_>) -> Checked {
        for it in touched {
            match it {
                Touched::Node(id, old) => self.check_node(id, old.as_ref(), moment)?,
                Touched::Job(uid, old) => self.check_job(uid, old.as_ref(), moment)?,
                Touched::Cluster(uid, old) => self.check_cluster(uid, old.as_ref())?,
                Touched::Operation(id, old) => self.check_operation(id, old.as_ref())?,
                Touched::Resource(gone) => self.check_gone(gone)?,
                Touched::Counter(key) => self.check_counter(key)?,
                Touched::Role(key) => self.check_role(key)?,
                Touched::Scheduled(uid) => self.check_visited(uid)?,
            }
        }
        Ok(())
    }

    /// An operation ends once.
    fn check_operation(&self, id: &str, old: Option<&Kept<Operation>>) -> Checked {
        let ended = |it: &Operation| !matches!(it.state, OperationState::InProgress);
        let before = old.is_some_and(|it| ended(it));
        let now = self.operations.get(id).is_some_and(|it| ended(it));
        ensure(!before || now, || format!("operation {id} had ended and is in progress again"))
    }

    /// The meters show what clusters and nodes count for, never above the quota.
    fn check_counter(&self, key: &(String, String)) -> Checked {
        let current = self.counters.get(key).copied().unwrap_or(0);
        let expected = self.expected_counters.get(key).copied().unwrap_or(0);
        let limit = match key.1.as_str() {
            "meter#clusters" => self.limits.clusters,
            _ => self.limits.cores,
        };
        ensure(current == expected && current <= limit, || {
            format!("meter {key:?} shows {current} of {limit}, {expected} are there")
        })
    }

    fn expect_count(&mut self, partition: &str, meter: &str, change: i64) {
        let key = (partition.to_owned(), format!("meter#{meter}"));
        *self.expected_counters.entry(key).or_default() += change;
    }
}

/// Puts or removes; answers what was there.
fn replace<T>(map: &mut BTreeMap<String, T>, key: &str, new: Option<T>) -> Option<T> {
    match new {
        Some(new) => map.insert(key.to_owned(), new),
        None => map.remove(key),
    }
}
