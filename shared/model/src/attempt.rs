//! Attempts: one run of a job on a gang of nodes, from the assignment until it has ended on every
//! one of them.
//!
//! An attempt is live as long as its record exists; its history stands in the job. The first cause
//! of its end stands: whatever is reported later does not change the verdict.

use crate::{AttemptRef, ClusterRef, NodeId, ResourceError, Timestamp, limits};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptRef,
    pub cluster: ClusterRef,
    pub version: u64,
    /// The gang. The first member is the master: it runs the job's command.
    pub members: Vec<Member>,
    pub started_at: Timestamp,
    pub max_wall_clock_seconds: u64,
    pub phase: AttemptPhase,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub node: NodeId,
    pub address: String,
    pub progress: MemberProgress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberProgress {
    Assigned,
    /// Its mounts and its job preparation are done.
    Prepared,
    /// Nothing of the attempt runs on this node any more, nor ever will.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum AttemptPhase {
    /// A gang: the command starts when every member is prepared.
    Preparing,
    Running,
    Ending {
        ending: Ending,
        since: Timestamp,
        grace_seconds: u64,
    },
}

/// Why an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "camelCase")]
pub enum Ending {
    /// The command ended by itself.
    Exited {
        exit_code: i32,
    },
    PreparationFailed {
        exit_code: i32,
    },
    /// The node could not provide what the job asks for (a mount, a directory).
    NotProvided {
        error: ResourceError,
    },
    WallClockExceeded,
    /// By the user: terminate or delete.
    Terminated,
    ClusterDeleted,
    /// A shrinking cluster gave up a node, with `terminate`.
    ShrunkAway {
        node: NodeId,
    },
    /// A shrinking cluster gave up a node, with `requeue`.
    Displaced {
        node: NodeId,
    },
    /// The node is being taken away.
    Interrupted {
        node: NodeId,
    },
    /// The node is gone, or lost what it ran.
    NodeLost {
        node: NodeId,
        reason: String,
    },
}

/// What the end of an attempt means for its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Succeeded,
    Failed {
        exit_code: Option<i32>,
        error: ResourceError,
    },
    /// Not the user's failure: back to its place in the queue.
    Requeue {
        reason: String,
    },
}

impl Ending {
    /// What the job itself did wrong and may do better the next time (`maxRetries`).
    pub fn is_own_failure(&self) -> bool {
        match self {
            Self::Exited { exit_code } => *exit_code != 0,
            Self::PreparationFailed { .. } => true,
            Self::NotProvided { .. }
            | Self::WallClockExceeded
            | Self::Terminated
            | Self::ClusterDeleted
            | Self::ShrunkAway { .. }
            | Self::Displaced { .. }
            | Self::Interrupted { .. }
            | Self::NodeLost { .. } => false,
        }
    }

    /// Codes and messages: those that the Batch AI service was seen to use, or, where nothing was
    /// recorded (wall clock, shrink, cluster deletion), ours in their style.
    pub fn verdict(&self) -> Verdict {
        let failed = |exit_code, code, message: &str| Verdict::Failed {
            exit_code,
            error: ResourceError::new(code, message),
        };
        match self {
            Self::Exited { exit_code: 0 } => Verdict::Succeeded,
            Self::Exited { exit_code } => {
                failed(Some(*exit_code), "JobFailed", "Job failed with non-zero exit code")
            }
            Self::PreparationFailed { exit_code } => failed(
                Some(*exit_code),
                "JobPreparationFailed",
                "Job preparation task failed with non-zero exit code",
            ),
            Self::NotProvided { error } => {
                Verdict::Failed { exit_code: Some(-1), error: error.clone() }
            }
            Self::WallClockExceeded => failed(
                None,
                "JobMaxWallClockTimeExceeded",
                "The specified job ran longer than its maxWallClockTime; raise constraints.maxWallClockTime or let the job do less",
            ),
            Self::Terminated => {
                failed(None, "JobTerminated", "The specified job has been terminated by the user")
            }
            Self::ClusterDeleted => {
                failed(None, "ClusterDeleted", "The cluster of the specified job has been deleted")
            }
            Self::ShrunkAway { node } => failed(
                None,
                "JobNodeDeallocated",
                &format!(
                    "The cluster gave up node {node} with nodeDeallocationOption terminate; use requeue to have such jobs run again"
                ),
            ),
            Self::Displaced { node } => {
                Verdict::Requeue { reason: format!("the cluster gave up node {node}") }
            }
            Self::Interrupted { node } => {
                Verdict::Requeue { reason: format!("node {node} was taken away") }
            }
            Self::NodeLost { node, reason } => {
                Verdict::Requeue { reason: format!("node {node} was lost: {reason}") }
            }
        }
    }
}

impl Attempt {
    pub fn node_count(&self) -> u32 {
        u32::try_from(self.members.len()).expect("a gang is bounded by limits::MAX_GANG_NODES")
    }

    /// When it ends at the latest, as far as its own constraint tells.
    pub fn expected_end(&self) -> Timestamp {
        self.started_at.plus_seconds(self.max_wall_clock_seconds)
    }

    pub fn is_ending(&self) -> bool {
        matches!(self.phase, AttemptPhase::Ending { .. })
    }

    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => None,
            AttemptPhase::Ending { ending, .. } => Some(ending),
        }
    }

    pub fn has_ended_everywhere(&self) -> bool {
        self.members.iter().all(|member| member.progress == MemberProgress::Ended)
    }

    pub fn member(&self, node: &NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == *node)
    }

    /// When an attempt that is ending must have ended on all its nodes.
    pub fn ending_deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => None,
            AttemptPhase::Ending { since, grace_seconds, .. } => {
                Some(since.plus_seconds(grace_seconds + limits::STOP_REPORT_SECONDS))
            }
        }
    }

    /// A first cause to end; later ones change nothing.
    pub fn end(mut self, ending: Ending, grace_seconds: u64, now: Timestamp) -> Self {
        if !self.is_ending() {
            self.phase = AttemptPhase::Ending { ending, since: now, grace_seconds };
        }
        self
    }

    /// A member's preparation is done; with the last one the command may start.
    pub fn member_prepared(mut self, node: &NodeId) -> Self {
        for member in &mut self.members {
            if member.node == *node && member.progress == MemberProgress::Assigned {
                member.progress = MemberProgress::Prepared;
            }
        }
        let all = self.members.iter().all(|member| member.progress == MemberProgress::Prepared);
        if all && self.phase == AttemptPhase::Preparing {
            self.phase = AttemptPhase::Running;
        }
        self
    }

    /// Nothing runs on that member any more.
    pub fn member_ended(mut self, node: &NodeId) -> Self {
        for member in &mut self.members {
            if member.node == *node {
                member.progress = MemberProgress::Ended;
            }
        }
        self
    }
}
