//! Jobs: queued → running → succeeded | failed; running → terminating → failed; running → queued
//! when its nodes are lost.

use crate::{
    AttemptRef, ClusterRef, Ending, JobRef, JobSpec, MountPoint, Name, NodeId, Refused,
    ResourceError, Timestamp, Uid, Verdict, WorkspaceNames, limits,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub experiment: Uid,
    pub names: JobNames,
    pub uid: Uid,
    pub version: u64,
    pub cluster: ClusterRef,
    /// The ARM id of the cluster in the service's own spelling.
    pub cluster_id: String,
    /// What the cluster mounts: output can be read there when the cluster is long gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_mounts: Vec<MountPoint>,

    pub spec: JobSpec,
    /// Also its place among jobs of its priority, for good: a requeue does not lose it.
    pub submitted_at: Timestamp,
    /// Changes on a user's write only, never with the state.
    pub etag: Uid,
    pub state: JobState,
    /// Every run so far, oldest first; the last one may be live.
    pub attempts: Vec<AttemptRecord>,
    /// A job that is being deleted disappears when it has ended, and completes this operation.
    pub deletion: Option<Uid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNames {
    #[serde(flatten)]
    pub workspace: WorkspaceNames,
    pub experiment: Name,
    pub job: Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum JobState {
    Queued {
        since: Timestamp,
    },
    Running {
        since: Timestamp,
    },
    /// Asked to end while it ran; the operations are completed with its end.
    Terminating {
        since: Timestamp,
        started_at: Timestamp,
        operations: Vec<Uid>,
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
    pub ending: Ending,
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
            Self::Queued { since } | Self::Running { since } | Self::Terminating { since, .. } => {
                *since
            }
            Self::Succeeded { ended_at, .. } | Self::Failed { ended_at, .. } => *ended_at,
        }
    }

    pub fn is_final(&self) -> bool {
        match self {
            Self::Queued { .. } | Self::Running { .. } | Self::Terminating { .. } => false,
            Self::Succeeded { .. } | Self::Failed { .. } => true,
        }
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

    pub fn queue_entry(&self) -> QueueEntry {
        QueueEntry {
            job: self.reference(),
            rank: self.spec.priority.rank(),
            submitted_at: self.submitted_at,
            node_count: self.spec.node_count,
            max_wall_clock_seconds: self.spec.max_wall_clock_seconds,
        }
    }

    /// The attempt that was started last, live or not.
    pub fn last_attempt(&self) -> Option<AttemptRef> {
        let number = self.attempts.last()?.number;
        Some(AttemptRef { job: self.reference(), number })
    }

    /// The attempt that is live now.
    pub fn live_attempt(&self) -> Option<AttemptRef> {
        match self.state {
            JobState::Running { .. } | JobState::Terminating { .. } => self.last_attempt(),
            JobState::Queued { .. } | JobState::Succeeded { .. } | JobState::Failed { .. } => None,
        }
    }

    /// How often nodes were lost under this job.
    pub fn infrastructure_losses(&self) -> u32 {
        let lost = |record: &&AttemptRecord| {
            record
                .ended
                .as_ref()
                .is_some_and(|end| matches!(end.ending.verdict(), Verdict::Requeue { .. }))
        };
        u32::try_from(self.attempts.iter().filter(lost).count()).unwrap_or(u32::MAX)
    }

    /// A new attempt on `nodes` begins.
    pub fn start(mut self, nodes: Vec<NodeId>, now: Timestamp) -> Result<Self, Refused> {
        match self.state {
            JobState::Queued { .. } => {
                let number = self.attempts.last().map_or(1, |last| last.number + 1);
                self.attempts.push(AttemptRecord { number, nodes, started_at: now, ended: None });
                self.state = JobState::Running { since: now };
                Ok(self)
            }
            _ => Err(self.refuse("start")),
        }
    }

    /// The user wants it to end. A queued job ends at once; a running one when its processes have.
    pub fn terminate(mut self, operation: Option<Uid>, now: Timestamp) -> Result<Self, Refused> {
        match self.state {
            JobState::Queued { .. } => {
                self.fail(now, now, None, Ending::Terminated.verdict());
                Ok(self)
            }
            JobState::Running { since } => {
                self.state = JobState::Terminating {
                    since: now,
                    started_at: since,
                    operations: operation.into_iter().collect(),
                };
                Ok(self)
            }
            JobState::Terminating { ref mut operations, .. } => {
                // Asked again after an answer was lost, it is the same operation.
                let known = |it: &Uid| operations.contains(it);
                if let Some(operation) = operation.filter(|it| !known(it)) {
                    operations.push(operation);
                }
                Ok(self)
            }
            JobState::Succeeded { .. } | JobState::Failed { .. } => Err(self.refuse("terminate")),
        }
    }

    /// A queued job whose cluster disappears.
    pub fn abandon(mut self, now: Timestamp) -> Result<Self, Refused> {
        match self.state {
            JobState::Queued { .. } => {
                self.fail(now, now, None, Ending::ClusterDeleted.verdict());
                Ok(self)
            }
            _ => Err(self.refuse("be abandoned")),
        }
    }

    /// Its live attempt has ended everywhere. An attempt that is not the live one changes nothing.
    pub fn attempt_ended(
        mut self,
        attempt: &AttemptRef,
        ending: &Ending,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        if self.live_attempt().as_ref() != Some(attempt) {
            return Err(self.refuse("end an attempt that is not live"));
        }
        let started_at = match self.state {
            JobState::Running { since } => since,
            JobState::Terminating { started_at, .. } => started_at,
            _ => return Err(self.refuse("end an attempt")),
        };
        if let Some(record) = self.attempts.last_mut() {
            record.ended = Some(AttemptEnd { at: now, ending: ending.clone() });
        }
        let terminating = matches!(self.state, JobState::Terminating { .. });
        match ending.verdict() {
            Verdict::Failed { .. } if !terminating && self.may_retry(ending) => {
                self.state = JobState::Queued { since: now };
            }
            Verdict::Succeeded => self.state = JobState::Succeeded { started_at, ended_at: now },
            Verdict::Requeue { .. } if terminating => {
                self.fail(started_at, now, None, Ending::Terminated.verdict());
            }
            Verdict::Requeue { reason }
                if self.infrastructure_losses() > limits::MAX_INFRASTRUCTURE_LOSSES =>
            {
                let error = ResourceError::new(
                    "JobLostTooOften",
                    format!(
                        "The specified job lost its nodes {} times and is not tried again",
                        self.infrastructure_losses()
                    ),
                )
                .with_detail("Reason", reason);
                self.fail(started_at, now, None, Verdict::Failed { exit_code: None, error });
            }
            Verdict::Requeue { .. } => self.state = JobState::Queued { since: now },
            verdict @ Verdict::Failed { exit_code, .. } => {
                self.fail(started_at, now, exit_code, verdict);
            }
        }
        Ok(self)
    }

    /// Whether the user asked for another try after this failure of the job's own, whose record is
    /// written already.
    fn may_retry(&self, ending: &Ending) -> bool {
        let failures = self.attempts.iter().filter_map(|record| record.ended.as_ref());
        let failures = failures.filter(|end| end.ending.is_own_failure()).count();
        let retries = self.spec.max_retries.unwrap_or_default() as usize;
        ending.is_own_failure() && failures <= retries
    }

    fn fail(
        &mut self,
        started_at: Timestamp,
        ended_at: Timestamp,
        exit_code: Option<i32>,
        verdict: Verdict,
    ) {
        if let Verdict::Failed { error, .. } = verdict {
            self.state = JobState::Failed { started_at, ended_at, exit_code, error };
        }
    }

    fn refuse(&self, transition: &'static str) -> Refused {
        Refused { what: "job", state: self.state.name(), transition }
    }
}
