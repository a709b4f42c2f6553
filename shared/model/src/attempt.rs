//! Attempts: one run of a job on a gang of nodes, from the assignment until it has ended on every
//! node.
//!
//! An attempt is live while it is part of its job's state; afterwards the job keeps a record of it.
//! The first end reason counts, with one exception: what the command did by itself before it was
//! asked to stop outranks every planned end.

use crate::{AttemptRef, JobRef, NodeId, ResourceError, Shortage, Timestamp, limits, price};
use serde::{Deserialize, Serialize};

/// A live attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Number of the attempt, from 1.
    pub number: u32,
    /// The gang. The first member is the master: it runs the job's command.
    pub members: Vec<Member>,
    /// When it was assigned to its nodes.
    pub started_at: Timestamp,
    /// How far it is.
    pub phase: AttemptPhase,
    /// What an hour of its nodes costs, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd_per_hour: Option<u64>,
    /// What the first node on which a command failed had run out of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
}

/// A node of the gang.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// The IP address at which the other members reach it.
    pub address: String,
    /// How far the attempt is on this node.
    pub progress: MemberProgress,
}

/// How far an attempt is on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberProgress {
    /// The node has to prepare the attempt.
    Assigned,
    /// Mounts and job preparation are done.
    Prepared,
    /// No process of the attempt runs on this node, or ever will.
    Ended,
    /// The same; the processes of this node ended by themselves, successfully, in a job that ends with every node.
    Succeeded,
}

impl MemberProgress {
    /// Whether no process of the attempt runs on the node, or ever will.
    pub fn is_over(self) -> bool {
        match self {
            Self::Assigned | Self::Prepared => false,
            Self::Ended | Self::Succeeded => true,
        }
    }
}

/// How far an attempt is as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum AttemptPhase {
    /// The command starts when every member of the gang is prepared.
    Preparing,
    /// The command may run.
    Running,
    /// It has to end on all nodes.
    Ending {
        /// Why it ends.
        #[serde(rename = "ending")]
        end_reason: EndReason,
        /// When it was asked to end.
        since: Timestamp,
        /// Seconds between SIGTERM and SIGKILL.
        grace_seconds: u64,
    },
}

/// Why an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "camelCase")]
pub enum EndReason {
    /// The command exited by itself.
    Exited {
        /// Its exit code.
        exit_code: i32,
    },
    /// The job preparation failed.
    PreparationFailed {
        /// Its exit code.
        exit_code: i32,
    },
    /// Something that the job needs is not available (a mount, a directory of its own).
    NotProvided {
        /// What is missing.
        error: ResourceError,
    },
    /// The node could not run the job, through no fault of the job (its disk is full).
    NodeFailed {
        /// The node.
        node: NodeId,
        /// What failed.
        error: ResourceError,
    },
    /// It ran longer than `maxWallClockTime`.
    WallClockExceeded,
    /// A user terminated or deleted the job.
    Terminated,
    /// It was worse than other runs of its sweep.
    StoppedEarly {
        /// Than which, as a sentence.
        reason: String,
    },
    /// The cluster was deleted.
    ClusterDeleted,
    /// The shrinking cluster removed a node, with `nodeDeallocationOption` `terminate`.
    #[serde(rename = "shrunkAway")]
    DeallocatedTerminate {
        /// The node.
        node: NodeId,
    },
    /// The shrinking cluster removed a node, with `nodeDeallocationOption` `requeue`.
    #[serde(rename = "displaced")]
    DeallocatedRequeue {
        /// The node.
        node: NodeId,
    },
    /// The instance of a node is being interrupted (spot).
    Interrupted {
        /// The node.
        node: NodeId,
    },
    /// The instance of a node ended, or the node lost the processes of the attempt.
    NodeLost {
        /// The node.
        node: NodeId,
        /// How it was lost, as the end of a sentence.
        reason: String,
    },
}

/// What the end of an attempt means for its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job succeeded.
    Succeeded,
    /// The job failed.
    Failed {
        /// Exit code of the command, if it has one.
        exit_code: Option<i32>,
        /// Why the job failed.
        error: ResourceError,
    },
    /// Not the user's failure: the job returns to its place in the queue.
    Requeue {
        /// Why, for people.
        reason: String,
    },
}

impl EndReason {
    /// Whether the job itself failed and may do better on the next try (`maxRetries`).
    pub fn is_user_failure(&self) -> bool {
        match self {
            Self::Exited { exit_code } => *exit_code != 0,
            Self::PreparationFailed { .. } => true,
            Self::NotProvided { .. }
            | Self::NodeFailed { .. }
            | Self::WallClockExceeded
            | Self::Terminated
            | Self::StoppedEarly { .. }
            | Self::ClusterDeleted
            | Self::DeallocatedTerminate { .. }
            | Self::DeallocatedRequeue { .. }
            | Self::Interrupted { .. }
            | Self::NodeLost { .. } => false,
        }
    }

    /// Precedence among end reasons: what the attempt did by itself, then the wall clock, then
    /// everything that was done to it.
    fn rank(&self) -> u8 {
        match self {
            Self::Exited { .. } | Self::PreparationFailed { .. } | Self::NotProvided { .. } => 2,
            Self::WallClockExceeded => 1,
            Self::NodeFailed { .. }
            | Self::Terminated
            | Self::StoppedEarly { .. }
            | Self::ClusterDeleted
            | Self::DeallocatedTerminate { .. }
            | Self::DeallocatedRequeue { .. }
            | Self::Interrupted { .. }
            | Self::NodeLost { .. } => 0,
        }
    }

    /// What this means for the job. Codes and messages are those of Batch AI where they are known;
    /// the others (wall clock, shrink, cluster deletion) are ours in the same style.
    pub fn outcome(&self) -> Outcome {
        let failed = |exit_code, code, message: &str| Outcome::Failed {
            exit_code,
            error: ResourceError::new(code, message),
        };
        match self {
            Self::Exited { exit_code: 0 } => Outcome::Succeeded,
            Self::Exited { exit_code } => {
                failed(Some(*exit_code), "JobFailed", "Job failed with non-zero exit code")
            }
            Self::PreparationFailed { exit_code } => failed(
                Some(*exit_code),
                "JobPreparationFailed",
                "Job preparation task failed with non-zero exit code",
            ),
            Self::NotProvided { error } => {
                // As the service reported them (docs/contract.md, "Errors of jobs").
                let exit_code = if error.code == "BFSMountError" { 1 } else { -1 };
                Outcome::Failed { exit_code: Some(exit_code), error: error.clone() }
            }
            Self::NodeFailed { node, error } => {
                Outcome::Requeue { reason: format!("node {node} failed: {}", error.message) }
            }
            Self::WallClockExceeded => failed(
                None,
                "JobMaxWallClockTimeExceeded",
                "The specified job ran longer than its maxWallClockTime; raise constraints.maxWallClockTime or make the job shorter",
            ),
            Self::Terminated => {
                failed(None, "JobTerminated", "The specified job has been terminated by the user")
            }
            Self::StoppedEarly { reason } => failed(None, "JobStoppedEarly", reason),
            Self::ClusterDeleted => {
                failed(None, "ClusterDeleted", "The cluster of the specified job has been deleted")
            }
            Self::DeallocatedTerminate { node } => failed(
                None,
                "JobNodeDeallocated",
                &format!(
                    "The cluster removed node {node} with nodeDeallocationOption terminate; use requeue to run such jobs again"
                ),
            ),
            Self::DeallocatedRequeue { node } => {
                Outcome::Requeue { reason: format!("the cluster removed node {node}") }
            }
            Self::Interrupted { node } => {
                Outcome::Requeue { reason: format!("the instance of node {node} was interrupted") }
            }
            Self::NodeLost { node, reason } => {
                Outcome::Requeue { reason: format!("node {node} was lost: {reason}") }
            }
        }
    }
}

impl Attempt {
    /// A new attempt on these nodes, each with the address at which the others reach it. A single
    /// node waits for no other member.
    pub fn begin(number: u32, nodes: Vec<(NodeId, String)>, now: Timestamp) -> Self {
        let phase = match nodes.len() {
            1 => AttemptPhase::Running,
            _ => AttemptPhase::Preparing,
        };
        let assigned =
            |(node, address)| Member { node, address, progress: MemberProgress::Assigned };
        let members = nodes.into_iter().map(assigned).collect();
        Self { number, members, started_at: now, phase, micro_usd_per_hour: None, shortage: None }
    }

    /// What its nodes have cost until this time, if that is known.
    pub fn cost_micro_usd(&self, until: Timestamp) -> Option<u64> {
        let price = self.micro_usd_per_hour?;
        Some(price::cost_micro_usd(price, self.started_at, until))
    }

    /// A reference to this attempt of `job`.
    pub fn reference(&self, job: &JobRef) -> AttemptRef {
        AttemptRef { job: job.clone(), number: self.number }
    }

    /// Number of nodes of the gang.
    pub fn node_count(&self) -> u32 {
        u32::try_from(self.members.len()).expect("a gang is bounded by limits::MAX_GANG_NODES")
    }

    /// Whether it was asked to end, or ended by itself.
    pub fn is_ending(&self) -> bool {
        self.end_reason().is_some()
    }

    /// Why it ends, if it is ending.
    pub fn end_reason(&self) -> Option<&EndReason> {
        match &self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => None,
            AttemptPhase::Ending { end_reason, .. } => Some(end_reason),
        }
    }

    /// Whether it has ended on every node.
    pub fn has_ended_everywhere(&self) -> bool {
        self.members.iter().all(|member| member.progress.is_over())
    }

    /// Whether the processes of every node ended successfully. Only recorded for a toolkit whose jobs end with every
    /// node.
    pub fn has_succeeded_everywhere(&self) -> bool {
        self.members.iter().all(|member| member.progress == MemberProgress::Succeeded)
    }

    /// The member on this node.
    pub fn member(&self, node: &NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == *node)
    }

    /// When an ending attempt must have ended on all its nodes.
    pub fn ending_deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => None,
            AttemptPhase::Ending { since, grace_seconds, .. } => {
                Some(since.plus_seconds(grace_seconds + limits::STOP_REPORT_SECONDS))
            }
        }
    }

    /// Asks the attempt to end. A later reason changes nothing unless it reports what the attempt
    /// did by itself before.
    pub fn end(&mut self, end_reason: EndReason, grace_seconds: u64, now: Timestamp) {
        let alone = self.members.len() == 1;
        match &mut self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => {
                self.phase = AttemptPhase::Ending { end_reason, since: now, grace_seconds };
            }
            AttemptPhase::Ending { end_reason: current, .. }
                if outranks(&end_reason, current, alone) =>
            {
                *current = end_reason;
            }
            AttemptPhase::Ending { .. } => {}
        }
    }

    /// The preparation on this node is done. With the last member the command may start. Returns
    /// whether anything changed.
    pub fn member_prepared(&mut self, node: &NodeId) -> bool {
        let assigned =
            |it: &&mut Member| it.node == *node && it.progress == MemberProgress::Assigned;
        let Some(member) = self.members.iter_mut().find(assigned) else { return false };
        if self.phase != AttemptPhase::Preparing {
            return false;
        }
        member.progress = MemberProgress::Prepared;
        if self.members.iter().all(|member| member.progress == MemberProgress::Prepared) {
            self.phase = AttemptPhase::Running;
        }
        true
    }

    /// No process of the attempt runs on this node any more.
    pub fn member_ended(&mut self, node: &NodeId) {
        self.member_is_over(node, MemberProgress::Ended);
    }

    /// The same, and those that ran succeeded. The attempt succeeds with the last such node.
    pub fn member_succeeded(&mut self, node: &NodeId) {
        self.member_is_over(node, MemberProgress::Succeeded);
    }

    fn member_is_over(&mut self, node: &NodeId, progress: MemberProgress) {
        let members = self.members.iter_mut();
        // A repeated or late report changes nothing.
        for member in members.filter(|it| it.node == *node && !it.progress.is_over()) {
            member.progress = progress;
        }
    }
}

/// In a gang a command may fail because a peer was lost before it was asked to stop. Then only its
/// success counts.
fn outranks(later: &EndReason, current: &EndReason, alone: bool) -> bool {
    let conclusive = alone || *later == EndReason::Exited { exit_code: 0 };
    later.rank() > current.rank() && conclusive
}

#[cfg(test)]
mod tests;
