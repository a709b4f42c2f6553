//! Attempts: one run of a job on a gang of nodes, from the assignment until it has ended on every
//! one of them.
//!
//! An attempt is live as long as it is part of its job's state; after that a record of it stays in
//! the job. The first reason to end stands, with one exception: what the command did by itself
//! before it was asked to stop outranks every ending that was only planned.

use crate::{AttemptRef, JobRef, NodeId, ResourceError, Timestamp, limits};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
    /// The gang. The first member is the master: it runs the job's command.
    pub members: Vec<Member>,
    pub started_at: Timestamp,
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
        #[serde(rename = "ending")]
        end_reason: EndReason,
        since: Timestamp,
        grace_seconds: u64,
    },
}

/// Why an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "camelCase")]
pub enum EndReason {
    /// The command ended by itself.
    Exited {
        exit_code: i32,
    },
    PreparationFailed {
        exit_code: i32,
    },
    /// What the job asks for is not to be had (a mount, a directory of its own).
    NotProvided {
        error: ResourceError,
    },
    /// The node could not run the job, through no fault of the job (its disk is full).
    NodeFailed {
        node: NodeId,
        error: ResourceError,
    },
    WallClockExceeded,
    /// By the user: terminate or delete.
    Terminated,
    ClusterDeleted,
    /// A shrinking cluster gave up a node, with `terminate`.
    #[serde(rename = "shrunkAway")]
    DeallocatedTerminate {
        node: NodeId,
    },
    /// A shrinking cluster gave up a node, with `requeue`.
    #[serde(rename = "displaced")]
    DeallocatedRequeue {
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
pub enum Outcome {
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

impl EndReason {
    /// What the job itself did wrong and may do better the next time (`maxRetries`).
    pub fn is_user_failure(&self) -> bool {
        match self {
            Self::Exited { exit_code } => *exit_code != 0,
            Self::PreparationFailed { .. } => true,
            Self::NotProvided { .. }
            | Self::NodeFailed { .. }
            | Self::WallClockExceeded
            | Self::Terminated
            | Self::ClusterDeleted
            | Self::DeallocatedTerminate { .. }
            | Self::DeallocatedRequeue { .. }
            | Self::Interrupted { .. }
            | Self::NodeLost { .. } => false,
        }
    }

    /// What the attempt did by itself on a node counts more than that it ran for too long, and that
    /// more than anything that was done to it.
    fn rank(&self) -> u8 {
        match self {
            Self::Exited { .. } | Self::PreparationFailed { .. } | Self::NotProvided { .. } => 2,
            Self::WallClockExceeded => 1,
            Self::NodeFailed { .. }
            | Self::Terminated
            | Self::ClusterDeleted
            | Self::DeallocatedTerminate { .. }
            | Self::DeallocatedRequeue { .. }
            | Self::Interrupted { .. }
            | Self::NodeLost { .. } => 0,
        }
    }

    /// Codes and messages: those that the Batch AI service was seen to use, or, where nothing was
    /// recorded (wall clock, shrink, cluster deletion), ours in their style.
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
                Outcome::Failed { exit_code: Some(-1), error: error.clone() }
            }
            Self::NodeFailed { node, error } => {
                Outcome::Requeue { reason: format!("node {node} failed: {}", error.message) }
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
            Self::DeallocatedTerminate { node } => failed(
                None,
                "JobNodeDeallocated",
                &format!(
                    "The cluster gave up node {node} with nodeDeallocationOption terminate; use requeue to have such jobs run again"
                ),
            ),
            Self::DeallocatedRequeue { node } => {
                Outcome::Requeue { reason: format!("the cluster gave up node {node}") }
            }
            Self::Interrupted { node } => {
                Outcome::Requeue { reason: format!("node {node} was taken away") }
            }
            Self::NodeLost { node, reason } => {
                Outcome::Requeue { reason: format!("node {node} was lost: {reason}") }
            }
        }
    }
}

impl Attempt {
    /// An attempt on these nodes, each with the address at which the others reach it. A single node
    /// has nobody to wait for.
    pub fn begin(number: u32, nodes: Vec<(NodeId, String)>, now: Timestamp) -> Self {
        let phase = match nodes.len() {
            1 => AttemptPhase::Running,
            _ => AttemptPhase::Preparing,
        };
        let assigned =
            |(node, address)| Member { node, address, progress: MemberProgress::Assigned };
        let members = nodes.into_iter().map(assigned).collect();
        Self { number, members, started_at: now, phase }
    }

    pub fn reference(&self, job: &JobRef) -> AttemptRef {
        AttemptRef { job: job.clone(), number: self.number }
    }

    pub fn node_count(&self) -> u32 {
        u32::try_from(self.members.len()).expect("a gang is bounded by limits::MAX_GANG_NODES")
    }

    pub fn is_ending(&self) -> bool {
        self.end_reason().is_some()
    }

    pub fn end_reason(&self) -> Option<&EndReason> {
        match &self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => None,
            AttemptPhase::Ending { end_reason, .. } => Some(end_reason),
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

    /// A reason to end. Later ones change nothing, unless they report what the attempt did by itself.
    pub fn end(&mut self, end_reason: EndReason, grace_seconds: u64, now: Timestamp) {
        let alone = self.members.len() == 1;
        match &mut self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => {
                self.phase = AttemptPhase::Ending { end_reason, since: now, grace_seconds };
            }
            AttemptPhase::Ending { end_reason: present, .. }
                if outranks(&end_reason, present, alone) =>
            {
                *present = end_reason;
            }
            AttemptPhase::Ending { .. } => {}
        }
    }

    /// A member's preparation is done; with the last one the command may start. Returns whether
    /// that changed anything.
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

    /// Nothing of the attempt runs on that member any more.
    pub fn member_ended(&mut self, node: &NodeId) {
        for member in self.members.iter_mut().filter(|member| member.node == *node) {
            member.progress = MemberProgress::Ended;
        }
    }
}

/// In a gang a command may fail because a peer was lost before anyone asked it to stop: then only
/// its success counts.
fn outranks(later: &EndReason, present: &EndReason, alone: bool) -> bool {
    let conclusive = alone || *later == EndReason::Exited { exit_code: 0 };
    later.rank() > present.rank() && conclusive
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(0);

    fn node(number: usize) -> NodeId {
        NodeId::parse(&format!("n{number}")).unwrap()
    }

    fn attempt(nodes: usize) -> Attempt {
        Attempt::begin(1, (0..nodes).map(|it| (node(it), String::new())).collect(), NOW)
    }

    #[track_caller]
    fn check(nodes: usize, first: EndReason, later: EndReason, expected: &EndReason) {
        let mut attempt = attempt(nodes);
        attempt.end(first, 10, NOW);
        attempt.end(later, 10, NOW);
        assert_eq!(attempt.end_reason(), Some(expected));
    }

    #[test]
    fn what_ended_by_itself_outranks_what_was_planned() {
        let exited = |exit_code| EndReason::Exited { exit_code };
        let interrupted = || EndReason::Interrupted { node: node(0) };
        let lost = || EndReason::NodeLost { node: node(0), reason: String::new() };
        for planned in [interrupted(), lost(), EndReason::Terminated, EndReason::ClusterDeleted] {
            check(1, planned.clone(), exited(0), &exited(0));
            check(1, planned.clone(), exited(3), &exited(3));
            check(2, planned.clone(), exited(0), &exited(0));
            check(2, planned.clone(), exited(3), &planned);
            check(1, exited(3), planned, &exited(3));
        }
        check(1, interrupted(), lost(), &interrupted());
        check(
            1,
            EndReason::Terminated,
            EndReason::WallClockExceeded,
            &EndReason::WallClockExceeded,
        );
        check(
            1,
            EndReason::WallClockExceeded,
            EndReason::Terminated,
            &EndReason::WallClockExceeded,
        );
        // The control plane stops what ran too long as far as it knows.
        check(1, EndReason::WallClockExceeded, exited(0), &exited(0));
        check(1, EndReason::WallClockExceeded, exited(3), &exited(3));
        check(2, EndReason::WallClockExceeded, exited(3), &EndReason::WallClockExceeded);
        check(1, exited(0), exited(3), &exited(0));
    }

    #[test]
    fn members_end_one_by_one() {
        let mut gang = attempt(2);
        assert_eq!(gang.node_count(), 2);
        assert_eq!(gang.member(&node(1)).map(|it| &it.node), Some(&node(1)));
        assert_eq!(gang.member(&node(2)), None);
        assert!(!gang.is_ending());
        assert_eq!(gang.ending_deadline(), None);
        gang.end(EndReason::Terminated, 7, NOW);
        gang.end(EndReason::ClusterDeleted, 9, NOW.plus_seconds(1));
        assert!(gang.is_ending());
        let deadline = NOW.plus_seconds(7 + limits::STOP_REPORT_SECONDS);
        assert_eq!(gang.ending_deadline(), Some(deadline), "the first request counts");
        for (number, over) in [(0, false), (0, false), (1, true)] {
            gang.member_ended(&node(number));
            assert_eq!(gang.has_ended_everywhere(), over);
        }
        assert!(!gang.member_prepared(&node(0)), "it has ended");
    }

    #[test]
    fn own_failures_are_those_of_the_command() {
        assert!(EndReason::Exited { exit_code: 1 }.is_user_failure());
        assert!(EndReason::PreparationFailed { exit_code: 1 }.is_user_failure());
        assert!(!EndReason::Exited { exit_code: 0 }.is_user_failure());
        assert!(!EndReason::WallClockExceeded.is_user_failure());
        let error = ResourceError::new("C", "m");
        let outcome = EndReason::NotProvided { error: error.clone() }.outcome();
        assert_eq!(outcome, Outcome::Failed { exit_code: Some(-1), error });
    }

    #[test]
    fn a_gang_runs_when_every_member_is_prepared() {
        let mut gang = attempt(2);
        assert_eq!(gang.phase, AttemptPhase::Preparing);
        assert!(gang.member_prepared(&node(1)));
        let progress = gang.members.iter().map(|member| member.progress).collect::<Vec<_>>();
        assert_eq!(progress, [MemberProgress::Assigned, MemberProgress::Prepared]);
        assert!(!gang.member_prepared(&node(1)), "a repetition changes nothing");
        assert_eq!(gang.phase, AttemptPhase::Preparing);
        assert!(gang.member_prepared(&node(0)));
        assert_eq!(gang.phase, AttemptPhase::Running);
        assert_eq!(attempt(1).phase, AttemptPhase::Running, "one node waits for nobody");
    }
}
