//! Jobs: queued → running → succeeded | failed; running → terminating → failed; running → queued
//! when its nodes are lost. The live attempt is part of the state of its job, so the two cannot
//! disagree.

use crate::{
    Attempt, AttemptRef, ClusterRef, EndReason, InvalidTransition, JobRef, JobSpec, MountPoint,
    Name, NodeId, Operation, Outcome, ResourceError, Timestamp, Uid, WorkspaceNames, limits,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub experiment: Uid,
    pub names: JobNames,
    pub uid: Uid,
    pub version: u64,
    pub cluster: ClusterRef,
    pub cluster_names: ClusterNames,
    /// What the cluster mounts: output can be read there when the cluster is long gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_mounts: Vec<MountPoint>,

    pub spec: JobSpec,
    /// Also its place among jobs of its priority, for good: a requeue does not lose it.
    pub submitted_at: Timestamp,
    pub state: JobState,
    /// The runs that have ended, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptRecord>,
    /// A job that is being deleted is removed when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
}

/// The operation that completes with the removal of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub operation: Uid,
    pub since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNames {
    #[serde(flatten)]
    pub workspace: WorkspaceNames,
    pub experiment: Name,
    pub job: Name,
}

/// The names of a job's cluster as its creator spelled them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNames {
    /// Absent for the job's own workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceNames>,
    pub name: Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum JobState {
    Queued {
        since: Timestamp,
    },
    Running {
        attempt: Attempt,
    },
    /// Asked to end while it ran.
    Terminating {
        since: Timestamp,
        attempt: Attempt,
        /// Completes with its end. A job that is being deleted has none of this kind.
        operation: Option<Uid>,
    },
    Succeeded {
        started_at: Timestamp,
        ended_at: Timestamp,
    },
    Failed {
        started_at: Timestamp,
        ended_at: Timestamp,
        exit_code: Option<i32>,
        error: ResourceError,
    },
}

/// One run of the job, for the people who ask what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    pub number: u32,
    pub nodes: Vec<NodeId>,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<AttemptEnd>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    pub at: Timestamp,
    #[serde(rename = "ending")]
    pub end_reason: EndReason,
}

/// What a queued job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: WaitingReason,
    /// Names what is in the way and says what to do.
    pub message: String,
    pub since: Timestamp,
}

/// What kind of thing is in a job's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingReason {
    /// The cluster asks for what this service cannot give, so it has no nodes.
    Cluster,
    /// A setting of the cluster that the user can change.
    Setting,
    /// Nodes that the quota, the machine or the cloud does not give now.
    Capacity,
    /// Nodes that are busy or still being prepared.
    Nodes,
}

impl WaitingReason {
    pub fn code(self) -> &'static str {
        match self {
            Self::Cluster => "WaitsForCluster",
            Self::Setting => "WaitsForSetting",
            Self::Capacity => "WaitsForCapacity",
            Self::Nodes => "WaitsForNodes",
        }
    }
}

/// A job's place in the queue of its cluster, with all that dispatch has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    pub job: JobRef,
    pub rank: u8,
    pub submitted_at: Timestamp,
    pub node_count: u32,
    pub max_wall_clock_seconds: u64,
}

impl JobState {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Terminating { .. } => "terminating",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
        }
    }

    /// Since when the job is in this state (`executionStateTransitionTime`).
    pub fn since(&self) -> Timestamp {
        match self {
            Self::Queued { since } | Self::Terminating { since, .. } => *since,
            Self::Running { attempt } => attempt.started_at,
            Self::Succeeded { ended_at, .. } | Self::Failed { ended_at, .. } => *ended_at,
        }
    }

    pub fn is_final(&self) -> bool {
        match self {
            Self::Queued { .. } | Self::Running { .. } | Self::Terminating { .. } => false,
            Self::Succeeded { .. } | Self::Failed { .. } => true,
        }
    }

    /// The live attempt.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Running { attempt } | Self::Terminating { attempt, .. } => Some(attempt),
            Self::Queued { .. } | Self::Succeeded { .. } | Self::Failed { .. } => None,
        }
    }

    fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            Self::Running { attempt } | Self::Terminating { attempt, .. } => Some(attempt),
            Self::Queued { .. } | Self::Succeeded { .. } | Self::Failed { .. } => None,
        }
    }
}

impl JobNames {
    /// `properties.resourceId` of an operation: `{sub}${rg}${workspace}${experiment}${name}`.
    pub fn operation_key(&self) -> String {
        format!("{}${}", self.workspace.child_operation_key(&self.experiment), self.job)
    }
}

impl Job {
    pub fn reference(&self) -> JobRef {
        JobRef {
            experiment: self.experiment.clone(),
            name: self.names.job.key(),
            uid: self.uid.clone(),
        }
    }

    pub fn cluster_workspace(&self) -> &WorkspaceNames {
        self.cluster_names.workspace.as_ref().unwrap_or(&self.names.workspace)
    }

    pub fn queue_entry(&self) -> QueueEntry {
        QueueEntry {
            job: self.reference(),
            rank: self.spec.priority.rank(),
            submitted_at: self.submitted_at,
            node_count: self.spec.node_count,
            max_wall_clock_seconds: self.spec.max_wall_clock_seconds,
        }
    }

    /// The attempt that is live now.
    pub fn live_attempt(&self) -> Option<AttemptRef> {
        self.state.attempt().map(|attempt| attempt.reference(&self.reference()))
    }

    /// The live attempt, if it is this one.
    pub fn attempt(&self, id: &AttemptRef) -> Option<&Attempt> {
        let same = self.uid == id.job.uid;
        self.state.attempt().filter(|attempt| same && attempt.number == id.number)
    }

    /// Every run, oldest first; the last one may be live.
    pub fn attempt_records(&self) -> Vec<AttemptRecord> {
        let live = self.state.attempt().map(|attempt| AttemptRecord::of(attempt, None));
        self.attempts.iter().cloned().chain(live).collect()
    }

    /// When its live attempt, started then, ends at the latest as far as its own constraint tells.
    pub fn expected_end(&self, started_at: Timestamp) -> Timestamp {
        started_at.plus_seconds(self.spec.max_wall_clock_seconds)
    }

    /// Operations that complete when it has ended.
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

    /// How often nodes were lost under this job.
    pub fn infrastructure_losses(&self) -> u32 {
        let lost = |record: &&AttemptRecord| {
            record
                .ended
                .as_ref()
                .is_some_and(|end| matches!(end.end_reason.outcome(), Outcome::Requeue { .. }))
        };
        u32::try_from(self.attempts.iter().filter(lost).count()).unwrap_or(u32::MAX)
    }

    /// How often a node failed under this job without any fault of the job that is known.
    fn node_failures(&self) -> usize {
        let failed = |record: &&AttemptRecord| {
            record
                .ended
                .as_ref()
                .is_some_and(|end| matches!(end.end_reason, EndReason::NodeFailed { .. }))
        };
        self.attempts.iter().filter(failed).count()
    }

    /// A new attempt begins on these nodes, each given with its address.
    ///
    /// # Errors
    /// When it is not queued.
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

    /// The live attempt is to end. Nothing happens when it is ending already.
    pub fn end_attempt(&mut self, end_reason: EndReason, grace_seconds: u64, now: Timestamp) {
        if let Some(attempt) = self.state.attempt_mut() {
            attempt.end(end_reason, grace_seconds, now);
        }
    }

    /// The user wants it to end. A queued job ends at once; a running one when its processes have.
    /// A repetition joins the first request.
    ///
    /// # Errors
    /// When it has ended.
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

    /// A queued job whose cluster disappears.
    ///
    /// # Errors
    /// When it is not queued.
    pub fn fail_queued(&mut self, now: Timestamp) -> Result<(), InvalidTransition> {
        let JobState::Queued { .. } = self.state else { return Err(self.refuse("be abandoned")) };
        self.fail(now, now, EndReason::ClusterDeleted.outcome());
        Ok(())
    }

    /// A member of the live attempt is prepared. Returns whether that changed anything.
    pub fn member_prepared(&mut self, node: &NodeId) -> bool {
        self.state.attempt_mut().is_some_and(|attempt| attempt.member_prepared(node))
    }

    /// Nothing of the live attempt runs on that node any more, for the reason that the node gave;
    /// with the last member the attempt is over, and the job ends or is queued again.
    ///
    /// # Errors
    /// When this attempt is not the live one.
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
        let Some(attempt) = self.state.attempt_mut() else {
            return Err(self.refuse("end an attempt"));
        };
        attempt.end(end_reason, limits::STOP_GRACE_SECONDS, now);
        attempt.member_ended(node);
        if let Some(end_reason) =
            attempt.end_reason().filter(|_| attempt.has_ended_everywhere()).cloned()
        {
            let (started_at, end) = (attempt.started_at, AttemptEnd { at: now, end_reason });
            let record = AttemptRecord::of(attempt, Some(end.clone()));
            self.attempts.push(record);
            self.conclude(started_at, &end.end_reason, now);
        }
        Ok(())
    }

    fn conclude(&mut self, started_at: Timestamp, end_reason: &EndReason, now: Timestamp) {
        let terminating = matches!(self.state, JobState::Terminating { .. });
        match end_reason.outcome() {
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

    /// Losses never count as the job's failure, but a job that itself destroys its nodes must end.
    fn lost_too_often(&self, end_reason: &EndReason, reason: String) -> Option<ResourceError> {
        if let EndReason::NodeFailed { error, .. } = end_reason
            && self.node_failures() >= limits::MAX_NODE_FAILURES
        {
            return Some(error.clone());
        }
        let losses = self.infrastructure_losses();
        (losses > limits::MAX_INFRASTRUCTURE_LOSSES).then(|| {
            let message =
                format!("The specified job lost its nodes {losses} times and is not tried again");
            ResourceError::new("JobLostTooOften", message).with_detail("Reason", reason)
        })
    }

    /// Whether the user asked for another try after this failure of the job's own, whose record is
    /// written already.
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

impl AttemptRecord {
    fn of(attempt: &Attempt, ended: Option<AttemptEnd>) -> Self {
        Self {
            number: attempt.number,
            nodes: attempt.members.iter().map(|member| member.node.clone()).collect(),
            started_at: attempt.started_at,
            ended,
        }
    }
}

#[cfg(test)]
mod tests;
