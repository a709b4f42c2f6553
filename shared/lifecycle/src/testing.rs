//! Support for the tests of reactions: a [`Fixture`] holds records in a table in memory, applies a
//! reaction to them, commits the change and renders it as short lines.
//!
//! After every commit the table must be consistent: everything that is derived from records (queue,
//! idle markers, owners of instances, usage, mounts) is as if the records had just been created,
//! and a node has an attempt exactly if a live attempt has a member on it that has not ended.

mod consistency;
mod render;
mod samples;

use crate::actions;
use crate::capacity::NewLaunch;
use crate::{Change, Draft, Refusal, report};
use futures::executor::block_on;
use model::{
    AttemptRef, Cluster, ClusterRef, EndReason, IdleNode, Instance, InvalidTransition, Job, Launch,
    Node, NodeId, Placement, QueueEntry, Quota, Target, Timestamp,
};
use protocol::{AttemptReport, End, NodePhase, Problem, Progress, SyncRequest};
pub use samples::*;
pub use scheduler::builders::*;
use scheduler::{Action, capacity};
use std::fmt::Debug;
use std::sync::Arc;
use table::{Memory, Table};

/// The time of reactions: 60 s after the records of the builders were made.
pub const LATER: Timestamp = Timestamp(NOW.0 + 60_000);

#[derive(Debug)]
pub struct Fixture {
    memory: Arc<Memory>,
    pub table: Table,
    pub now: Timestamp,
    pub quota: Quota,
}

impl Fixture {
    /// An empty table with all limits.
    pub fn empty() -> Self {
        Self::on(Memory::new())
    }

    pub fn on(memory: Memory) -> Self {
        let memory = Arc::new(memory);
        let table = Table::new(memory.clone());
        Self { memory, table, now: LATER, quota: Quota::DEFAULT }
    }

    /// A table with these records and everything that is derived from them.
    pub fn of(cluster: Cluster, jobs: Vec<Job>, nodes: Vec<Node>) -> Self {
        let fixture = Self::empty();
        fixture.create(|draft| draft.create_cluster(cluster));
        for job in jobs {
            fixture.create(|draft| draft.create_job(job));
        }
        for node in nodes {
            fixture.create(|draft| draft.create_node(node));
        }
        fixture
    }

    pub fn create(&self, create: impl FnOnce(&mut Draft)) {
        let mut draft = Draft::new(
            self.now,
            Quota { clusters: u32::MAX, cores: u32::MAX, total_cores: u32::MAX },
        );
        create(&mut draft);
        self.commit(&draft.finish()).expect("a new record");
    }

    pub fn cluster_ref() -> ClusterRef {
        manual_cluster(0).reference()
    }

    pub fn cluster(&self) -> Option<Cluster> {
        block_on(self.table.cluster(&Self::cluster_ref())).expect("memory")
    }

    pub fn jobs(&self) -> Vec<Job> {
        block_on(self.table.jobs(&uid("x"), None, 1000)).expect("memory").items
    }

    pub fn nodes(&self) -> Vec<Node> {
        block_on(self.table.nodes(&Self::cluster_ref())).expect("memory")
    }

    /// The stored launches.
    pub fn launches(&self) -> Vec<Launch> {
        let stored = self.memory.items().into_iter().filter(|it| it.key.sk.starts_with("launch#"));
        stored.map(|item| item.body.read().expect("a launch")).collect()
    }

    pub fn job(&self, name: &str) -> Job {
        block_on(self.table.job(&job_ref(name))).expect("memory").expect("a job of that name")
    }

    pub fn node(&self, number: usize) -> Node {
        let found = block_on(self.table.node(&Self::cluster_ref(), &node_id(number)));
        found.expect("memory").expect("a node of that number")
    }

    pub fn job_of(&self, attempt: &AttemptRef) -> Job {
        block_on(self.table.job(&attempt.job)).expect("memory").expect("the job of the attempt")
    }

    pub fn queue(&self) -> Vec<QueueEntry> {
        block_on(self.table.queue_head(&Self::cluster_ref(), 1000, |_| true)).expect("memory")
    }

    pub fn idle_nodes(&self) -> Vec<IdleNode> {
        block_on(self.table.idle_nodes(&Self::cluster_ref(), 1000)).expect("memory")
    }

    pub fn scheduled(&self) -> Vec<Target> {
        block_on(self.table.scheduled_targets()).expect("memory")
    }

    /// A draft of everything that is stored.
    pub fn draft(&self) -> Draft {
        let mut draft = Draft::new(self.now, self.quota);
        self.cluster().into_iter().for_each(|cluster| draft.read_cluster(cluster));
        self.jobs().into_iter().for_each(|job| draft.read_job(job));
        self.nodes().into_iter().for_each(|node| draft.read_node(node));
        self.launches().into_iter().for_each(|launch| draft.read_launch(launch));
        draft
    }

    pub fn commit(&self, change: &Change) -> Result<(), table::Error> {
        block_on(self.table.commit(change.writes.clone()))
    }

    /// Applies a reaction to all records and commits the change.
    ///
    /// # Errors
    /// When the reaction refuses.
    #[track_caller]
    pub fn try_react<T>(
        &self,
        reaction: impl FnOnce(&mut Draft) -> Result<T, InvalidTransition>,
    ) -> Result<Change, InvalidTransition> {
        let mut draft = self.draft();
        reaction(&mut draft)?;
        Ok(self.settle(draft))
    }

    /// Like `try_react`, rendered.
    #[track_caller]
    pub fn react<T: Debug>(
        &self,
        reaction: impl FnOnce(&mut Draft) -> Result<T, InvalidTransition>,
    ) -> String {
        self.request(|draft| Ok(reaction(draft)?))
    }

    /// The same for a request of a user.
    #[track_caller]
    pub fn request<T: Debug>(
        &self,
        reaction: impl FnOnce(&mut Draft) -> Result<T, Refusal>,
    ) -> String {
        let mut draft = self.draft();
        match reaction(&mut draft) {
            Ok(value) => render::outcome(&value, &self.settle(draft)),
            Err(refused) => format!("refused: {refused}"),
        }
    }

    /// Applies an action to only the records that it names as affected.
    pub fn apply(
        &self,
        action: &Action,
        new: Option<NewLaunch>,
    ) -> Result<Change, InvalidTransition> {
        let affected = actions::affected_records(action);
        let waiting_nodes = affected.waiting_nodes;
        let mut draft = Draft::new(self.now, self.quota);
        self.cluster().into_iter().for_each(|cluster| draft.read_cluster(cluster));
        let nodes: Vec<Node> =
            self.nodes().into_iter().filter(|node| affected.nodes.contains(&node.id)).collect();
        let occupant = nodes.first().and_then(|node| node.attempt()).map(|it| it.job.clone());
        let jobs = affected.job.into_iter().chain(occupant.filter(|_| affected.running_job));
        for job in jobs {
            block_on(self.table.job(&job)).expect("memory").into_iter().for_each(|job| {
                draft.read_job(job);
            });
        }
        for launch in self.launches() {
            let affected = affected.launch.as_ref() == Some(launch.id());
            if affected && waiting_nodes {
                let waits = |node: &Node| launch.waiting().any(|id| *id == node.id);
                self.nodes().into_iter().filter(waits).for_each(|node| draft.read_node(node));
            }
            if affected || nodes.iter().any(|node| is_launching_in(node, &launch)) {
                draft.read_launch(launch);
            }
        }
        nodes.into_iter().for_each(|node| draft.read_node(node));
        actions::apply(&mut draft, action, new)?;
        Ok(self.settle(draft))
    }

    /// Applies a request of an agent to only the records that it names as affected.
    pub fn observe(
        &self,
        number: usize,
        request: &SyncRequest,
    ) -> Result<Change, InvalidTransition> {
        let node = self.node(number);
        let affected = report::affected_records(&node, request);
        let mut draft = Draft::new(self.now, self.quota);
        if affected.cluster {
            self.cluster().into_iter().for_each(|cluster| draft.read_cluster(cluster));
        }
        if let Some(attempt) = node.attempt().filter(|_| affected.running_job) {
            let job = block_on(self.table.job(&attempt.job)).expect("memory");
            job.into_iter().for_each(|job| draft.read_job(job));
        }
        for launch in self.launches().into_iter().filter(|it| is_launching_in(&node, it)) {
            draft.read_launch(launch);
        }
        draft.read_node(node);
        report::observe(&mut draft, &node_id(number), request)?;
        Ok(self.settle(draft))
    }

    /// Commits a draft and renders the change.
    #[track_caller]
    pub fn committed(&self, draft: Draft) -> String {
        render::outcome(&(), &self.settle(draft))
    }

    #[track_caller]
    pub fn observed(&self, number: usize, request: &SyncRequest) -> String {
        match self.observe(number, request) {
            Ok(change) => render::outcome(&(), &change),
            Err(refused) => format!("refused: {refused}"),
        }
    }

    #[track_caller]
    pub fn applied(&self, action: &Action) -> String {
        match self.apply(action, None) {
            Ok(change) => render::outcome(&(), &change),
            Err(refused) => format!("refused: {refused}"),
        }
    }

    /// The stored jobs, nodes, cluster and operations, one line each.
    pub fn stored(&self) -> String {
        render::items(&self.memory.items())
    }

    #[track_caller]
    fn settle(&self, draft: Draft) -> Change {
        let change = draft.finish();
        self.commit(&change).unwrap_or_else(|error| panic!("{error}: {change:#?}"));
        if !change.writes.is_empty() {
            consistency::check(self);
        }
        change
    }

    /// All stored items.
    pub fn items(&self) -> Vec<table::Item> {
        self.memory.items()
    }

    /// The current plan of the autoscaler.
    pub fn capacity_plan(&self, idle_seconds: u64) -> Vec<Action> {
        let Some(cluster) = self.cluster() else { return Vec::new() };
        let snapshot = capacity::CapacitySnapshot {
            cluster,
            blocked: false,
            nodes: self.nodes(),
            queued: self.queue().iter().map(|entry| entry.node_count).collect(),
            quota_left: 100,
            launches: self.launches(),
            strays: vec![],
        };
        capacity::plan(&snapshot, capacity::CapacitySettings { idle_seconds }, self.now)
    }
}

fn is_launching_in(node: &Node, launch: &Launch) -> bool {
    node.launch == *launch.id() && crate::nodes::is_launching(&node.state)
}

/// A running job and the nodes that run it.
pub fn gang(name: &str, numbers: &[usize]) -> (Job, Vec<Node>) {
    let nodes = numbers.iter().map(|number| running(*number, name)).collect();
    (running_job(name, numbers, 3600), nodes)
}

/// A request of the node with this number that reports no change.
pub fn request(number: usize, phase: NodePhase) -> SyncRequest {
    let Instance { id: instance, address } = instance(number);
    SyncRequest {
        instance,
        address,
        phase,
        attempt: None,
        interruption_notice_seconds: None,
        login_port: None,
        metrics: None,
        job_metrics: Vec::new(),
    }
}

/// A request of a ready node with a report about the first attempt of a job.
pub fn reports(number: usize, job: &str, progress: Progress) -> SyncRequest {
    let attempt = model::AttemptRef { job: job_ref(job), number: 1 };
    let key = report::attempt_key(&attempt);
    let report = AttemptReport::new(key, progress);
    SyncRequest { attempt: Some(report), ..request(number, NodePhase::Ready) }
}

pub fn has_ended(end: End) -> Progress {
    Progress::Ended { end }
}

pub fn with_notice(request: SyncRequest, seconds: u64) -> SyncRequest {
    SyncRequest { interruption_notice_seconds: Some(seconds), ..request }
}

pub fn problem() -> Problem {
    Problem { code: "DiskFull".into(), message: "no space".into(), details: vec![] }
}

pub fn error(code: &str) -> model::ResourceError {
    model::ResourceError::new(code, "m")
}

/// Every end reason.
pub fn endings(node: &NodeId) -> Vec<EndReason> {
    let node = || node.clone();
    vec![
        EndReason::Exited { exit_code: 0 },
        EndReason::Exited { exit_code: 3 },
        EndReason::PreparationFailed { exit_code: 4 },
        EndReason::NotProvided { error: error("NoMount") },
        EndReason::NodeFailed { node: node(), error: error("DiskFull") },
        EndReason::WallClockExceeded,
        EndReason::Terminated,
        EndReason::ClusterDeleted,
        EndReason::DeallocatedTerminate { node: node() },
        EndReason::DeallocatedRequeue { node: node() },
        EndReason::Interrupted { node: node() },
        EndReason::NodeLost { node: node(), reason: "r".into() },
    ]
}

pub fn node_ids(numbers: impl IntoIterator<Item = usize>) -> Vec<NodeId> {
    numbers.into_iter().map(node_id).collect()
}

/// A launch of these nodes.
pub fn new_launch(id: &str, nodes: Vec<NodeId>) -> NewLaunch {
    NewLaunch { launch: uid(id), nodes, placement: Placement::default() }
}
