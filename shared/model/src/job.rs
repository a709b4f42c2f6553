//! Jobs: queued → running → succeeded | failed; running → terminating → failed; running → queued
//! when nodes are lost. The live attempt is part of the state of its job, so the two cannot
//! disagree.

mod queue;
mod state;

pub use queue::{QueueEntry, Waiting, WaitingReason};
pub use state::JobState;

use crate::{
    Attempt, AttemptRef, ClusterRef, EndReason, InvalidTransition, JobRef, JobSpec, MountPoint,
    Name, NodeId, Operation, Outcome, ResourceError, Shortage, Timestamp, Uid, WorkspaceNames,
    limits,
};
use serde::{Deserialize, Serialize};

/// The record of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Uid of the experiment.
    pub experiment: Uid,
    /// Full name.
    pub names: JobNames,
    /// Uid of the job.
    pub uid: Uid,
    /// Incremented by every write.
    pub version: u64,
    /// The cluster that runs it.
    pub cluster: ClusterRef,
    /// Names of the cluster.
    pub cluster_names: ClusterNames,
    /// The file servers that the cluster mounts: output there is readable after the cluster was
    /// deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_mounts: Vec<MountPoint>,

    /// Specification.
    pub spec: JobSpec,
    /// When it was submitted. It also orders jobs of the same priority, so a requeue keeps the
    /// place in the queue.
    pub submitted_at: Timestamp,
    /// Its state, with the live attempt.
    pub state: JobState,
    /// The attempts that have ended, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptRecord>,
    /// Set while the job is being deleted: the record is removed when the job has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// Whether the job has a record of metrics ([`crate::JobMetrics`]): nobody reads or removes one for a job that has
    /// none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_metrics: bool,
}

/// The deletion of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Id of the operation that completes with the removal.
    pub operation: Uid,
    /// When the deletion was requested.
    pub since: Timestamp,
}

/// The full name of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNames {
    /// Names of the workspace.
    #[serde(flatten)]
    pub workspace: WorkspaceNames,
    /// Name of the experiment.
    pub experiment: Name,
    /// Name of the job.
    pub job: Name,
}

/// The names of a job's cluster in its creator's spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNames {
    /// Absent for the job's own workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceNames>,
    /// Name of the cluster.
    pub name: Name,
}

/// One run of the job, for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Number of the attempt, from 1.
    pub number: u32,
    /// Its nodes, the master first.
    pub nodes: Vec<NodeId>,
    /// When it was assigned to its nodes.
    pub started_at: Timestamp,
    /// Its end; `None` while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<AttemptEnd>,
    /// What its nodes cost, if that is known; `None` while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// When it had ended on all nodes.
    pub at: Timestamp,
    /// Why it ended.
    #[serde(rename = "ending")]
    pub end_reason: EndReason,
    /// What a node had run out of when the command failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
}

impl JobNames {
    /// `properties.resourceId` of an operation: `{sub}${rg}${workspace}${experiment}${name}`.
    pub fn operation_key(&self) -> String {
        format!("{}${}", self.workspace.child_operation_key(&self.experiment), self.job)
    }
}

impl Job {
    /// A reference to this job.
    pub fn reference(&self) -> JobRef {
        JobRef {
            experiment: self.experiment.clone(),
            name: self.names.job.key(),
            uid: self.uid.clone(),
        }
    }

    /// Names of the cluster's workspace.
    pub fn cluster_workspace(&self) -> &WorkspaceNames {
        self.cluster_names.workspace.as_ref().unwrap_or(&self.names.workspace)
    }

    /// Its entry in the queue.
    pub fn queue_entry(&self) -> QueueEntry {
        QueueEntry {
            job: self.reference(),
            rank: self.spec.priority.rank(),
            submitted_at: self.submitted_at,
            node_count: self.spec.node_count,
            max_wall_clock_seconds: self.spec.max_wall_clock_seconds,
            sweep: self.spec.sweep.as_ref().and_then(|sweep| sweep.limit()),
        }
    }

    /// Since when it has been waiting for nodes, if it is queued: its submission, or the end of the attempt
    /// before.
    pub fn queued_since(&self) -> Timestamp {
        let ended = self.attempts.last().and_then(|attempt| attempt.ended.as_ref());
        ended.map_or(self.submitted_at, |end| end.at)
    }

    /// A reference to the live attempt.
    pub fn live_attempt(&self) -> Option<AttemptRef> {
        self.state.attempt().map(|attempt| attempt.reference(&self.reference()))
    }

    /// The live attempt, if it is the given one.
    pub fn attempt(&self, id: &AttemptRef) -> Option<&Attempt> {
        let same = self.uid == id.job.uid;
        self.state.attempt().filter(|attempt| same && attempt.number == id.number)
    }

    /// Every run, oldest first. The last one may be live.
    pub fn attempt_records(&self) -> Vec<AttemptRecord> {
        let live = self.state.attempt().map(|attempt| AttemptRecord::of(attempt, None));
        self.attempts.iter().cloned().chain(live).collect()
    }

    /// The latest end of an attempt that starts at this time, by the job's wall clock limit.
    pub fn expected_end(&self, started_at: Timestamp) -> Timestamp {
        started_at.plus_seconds(self.spec.max_wall_clock_seconds)
    }

    /// The operations that complete with the end of the job.
    pub fn completed_operations(&self, now: Timestamp) -> Vec<Operation> {
        let done = |id: &Uid, since| {
            Operation::started(id.clone(), self.names.operation_key(), since).succeeded(now)
        };
        let terminated = match &self.state {
            JobState::Terminating { operation: Some(operation), since, .. } => {
                Some(done(operation, *since))
            }
            JobState::Terminating { operation: None, .. }
            | JobState::Queued { .. }
            | JobState::Running { .. }
            | JobState::Succeeded { .. }
            | JobState::Failed { .. } => None,
        };
        let deleted = self.deletion.iter().map(|it| done(&it.operation, it.since));
        terminated.into_iter().chain(deleted).collect()
    }

    /// What the nodes of all its attempts have cost until now, in micro-dollars. `None` if the price of one
    /// is not known, or if it never ran.
    pub fn cost_micro_usd(&self, now: Timestamp) -> Option<u64> {
        let live = self.state.attempt().map(|attempt| attempt.cost_micro_usd(now));
        let costs = self.attempts.iter().map(|record| record.cost_micro_usd).chain(live);
        let sum = |sum: Option<u64>, cost: Option<u64>| Some(sum?.saturating_add(cost?));
        costs.reduce(sum).flatten()
    }

    /// What an hour of the nodes of the live attempt costs, if that is known.
    pub fn set_price(&mut self, micro_usd_per_hour: Option<u64>) {
        if let Some(attempt) = self.state.attempt_mut() {
            attempt.micro_usd_per_hour = micro_usd_per_hour;
        }
    }

    /// How often the job lost nodes.
    pub fn infrastructure_losses(&self) -> u32 {
        let lost = |record: &&AttemptRecord| {
            record
                .ended
                .as_ref()
                .is_some_and(|end| matches!(end.end_reason.outcome(), Outcome::Requeue { .. }))
        };
        u32::try_from(self.attempts.iter().filter(lost).count()).unwrap_or(u32::MAX)
    }

    /// How often a node failed to run the job through no known fault of the job.
    fn node_failures(&self) -> usize {
        let failed = |record: &&AttemptRecord| {
            record
                .ended
                .as_ref()
                .is_some_and(|end| matches!(end.end_reason, EndReason::NodeFailed { .. }))
        };
        self.attempts.iter().filter(failed).count()
    }

    /// Starts a new attempt on these nodes, each given with its address.
    ///
    /// # Errors
    /// When the job is not queued.
    pub fn start(
        &mut self,
        nodes: Vec<(NodeId, String)>,
        now: Timestamp,
    ) -> Result<(), InvalidTransition> {
        let JobState::Queued { .. } = self.state else { return Err(self.refuse("start")) };
        let number = self.attempts.last().map_or(1, |last| last.number + 1);
        self.state = JobState::Running { attempt: Attempt::begin(number, nodes, now) };
        Ok(())
    }

    /// Asks the live attempt to end. Does nothing if it is ending already.
    pub fn end_attempt(&mut self, end_reason: EndReason, grace_seconds: u64, now: Timestamp) {
        if let Some(attempt) = self.state.attempt_mut() {
            attempt.end(end_reason, grace_seconds, now);
        }
    }

    /// Ends the job for the user. A queued job ends at once, a running one when its processes have
    /// ended. A repeated request joins the first one.
    ///
    /// # Errors
    /// When the job has ended.
    pub fn terminate(
        &mut self,
        operation: Option<Uid>,
        now: Timestamp,
    ) -> Result<(), InvalidTransition> {
        match &mut self.state {
            JobState::Queued { .. } => self.fail(now, now, EndReason::Terminated.outcome()),
            JobState::Running { attempt } => {
                attempt.end(EndReason::Terminated, limits::STOP_GRACE_SECONDS, now);
                let attempt = attempt.clone();
                self.state = JobState::Terminating { since: now, attempt, operation };
            }
            JobState::Terminating { .. } => {}
            JobState::Succeeded { .. } | JobState::Failed { .. } => {
                return Err(self.refuse("terminate"));
            }
        }
        Ok(())
    }

    /// Fails a queued job whose cluster is being deleted.
    ///
    /// # Errors
    /// When the job is not queued.
    pub fn fail_queued(&mut self, now: Timestamp) -> Result<(), InvalidTransition> {
        let JobState::Queued { .. } = self.state else { return Err(self.refuse("be abandoned")) };
        self.fail(now, now, EndReason::ClusterDeleted.outcome());
        Ok(())
    }

    /// A member of the live attempt is prepared. Returns whether anything changed.
    pub fn member_prepared(&mut self, node: &NodeId) -> bool {
        self.state.attempt_mut().is_some_and(|attempt| attempt.member_prepared(node))
    }

    /// A command failed on a node that had run out of something. The first report of the live attempt counts.
    pub fn note_shortage(&mut self, shortage: Shortage) {
        if let Some(attempt) = self.state.attempt_mut() {
            attempt.shortage.get_or_insert(shortage);
        }
    }

    /// No process of the live attempt runs on this node any more; `end_reason` is the reason that
    /// the node reported. With the last member the attempt ends, and the job ends or is requeued.
    ///
    /// # Errors
    /// When the attempt is not the live one.
    pub fn member_ended(
        &mut self,
        id: &AttemptRef,
        node: &NodeId,
        end_reason: EndReason,
        now: Timestamp,
    ) -> Result<(), InvalidTransition> {
        if self.attempt(id).is_none() {
            return Err(self.refuse("end an attempt that is not live"));
        }
        let every_node = self.spec.toolkit.ends_with_every_node();
        let Some(attempt) = self.state.attempt_mut() else {
            return Err(self.refuse("end an attempt"));
        };
        let is_part = every_node && end_reason == EndReason::Exited { exit_code: 0 };
        if is_part {
            attempt.member_succeeded(node);
        } else {
            attempt.member_ended(node);
        }
        if !is_part || attempt.has_succeeded_everywhere() {
            attempt.end(end_reason, limits::STOP_GRACE_SECONDS, now);
        }
        if let Some(end_reason) =
            attempt.end_reason().filter(|_| attempt.has_ended_everywhere()).cloned()
        {
            let started_at = attempt.started_at;
            let shortage = attempt.shortage.clone().filter(|_| end_reason.is_user_failure());
            let end = AttemptEnd { at: now, end_reason, shortage };
            let record = AttemptRecord::of(attempt, Some(end.clone()));
            self.attempts.push(record);
            self.conclude(started_at, &end, now);
        }
        Ok(())
    }

    fn conclude(&mut self, started_at: Timestamp, end: &AttemptEnd, now: Timestamp) {
        let terminating = matches!(self.state, JobState::Terminating { .. });
        let end_reason = &end.end_reason;
        match end.outcome() {
            Outcome::Failed { .. } if !terminating && self.may_retry(end_reason) => {
                self.state = JobState::Queued { since: now };
            }
            Outcome::Succeeded => self.state = JobState::Succeeded { started_at, ended_at: now },
            Outcome::Requeue { .. } if terminating => {
                self.fail(started_at, now, EndReason::Terminated.outcome());
            }
            Outcome::Requeue { reason } => match self.lost_too_often(end_reason, reason) {
                Some(error) => {
                    self.fail(started_at, now, Outcome::Failed { exit_code: None, error });
                }
                None => self.state = JobState::Queued { since: now },
            },
            outcome @ Outcome::Failed { .. } => self.fail(started_at, now, outcome),
        }
    }

    /// Losses never count as the job's failure, but a job that destroys its own nodes must end.
    fn lost_too_often(&self, end_reason: &EndReason, reason: String) -> Option<ResourceError> {
        if let EndReason::NodeFailed { error, .. } = end_reason
            && self.node_failures() >= limits::MAX_NODE_FAILURES
        {
            return Some(error.clone());
        }
        let losses = self.infrastructure_losses();
        (losses > limits::MAX_INFRASTRUCTURE_LOSSES).then(|| {
            let message =
                format!("The specified job lost its nodes {losses} times and is not run again");
            ResourceError::new("JobLostTooOften", message).with_detail("Reason", reason)
        })
    }

    /// Whether the user asked for another try after this failure. The record of the failed attempt
    /// is written already.
    fn may_retry(&self, end_reason: &EndReason) -> bool {
        let failures = self.attempts.iter().filter_map(|record| record.ended.as_ref());
        let failures = failures.filter(|end| end.end_reason.is_user_failure()).count();
        let retries = self.spec.max_retries.unwrap_or_default() as usize;
        end_reason.is_user_failure() && failures <= retries
    }

    fn fail(&mut self, started_at: Timestamp, ended_at: Timestamp, outcome: Outcome) {
        if let Outcome::Failed { exit_code, error } = outcome {
            self.state = JobState::Failed { started_at, ended_at, exit_code, error };
        }
    }

    fn refuse(&self, transition: &'static str) -> InvalidTransition {
        InvalidTransition { what: "job", state: self.state.name(), transition }
    }
}

impl AttemptEnd {
    /// What it means for the job, with what explains a failure.
    fn outcome(&self) -> Outcome {
        match (self.end_reason.outcome(), &self.shortage) {
            (Outcome::Failed { exit_code, error }, Some(shortage)) => {
                Outcome::Failed { exit_code, error: shortage.explain(error) }
            }
            (outcome, _) => outcome,
        }
    }
}

impl AttemptRecord {
    fn of(attempt: &Attempt, ended: Option<AttemptEnd>) -> Self {
        Self {
            number: attempt.number,
            nodes: attempt.members.iter().map(|member| member.node.clone()).collect(),
            started_at: attempt.started_at,
            cost_micro_usd: ended.as_ref().and_then(|end| attempt.cost_micro_usd(end.at)),
            ended,
        }
    }
}

#[cfg(test)]
mod tests;
