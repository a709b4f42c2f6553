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
            | Self::NodeFailed { .. }
            | Self::WallClockExceeded
            | Self::Terminated
            | Self::ClusterDeleted
            | Self::ShrunkAway { .. }
            | Self::Displaced { .. }
            | Self::Interrupted { .. }
            | Self::NodeLost { .. } => false,
        }
    }

    /// Something that the attempt did by itself on a node, as opposed to what was done to it.
    fn is_own_doing(&self) -> bool {
        match self {
            Self::Exited { .. }
            | Self::PreparationFailed { .. }
            | Self::NotProvided { .. }
            | Self::WallClockExceeded => true,
            Self::NodeFailed { .. }
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
            Self::NodeFailed { node, error } => {
                Verdict::Requeue { reason: format!("node {node} failed: {}", error.message) }
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
        self.ending().is_some()
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

    /// A reason to end. Later ones change nothing, unless they report what the attempt did by itself.
    pub fn end(&mut self, ending: Ending, grace_seconds: u64, now: Timestamp) {
        let alone = self.members.len() == 1;
        match &mut self.phase {
            AttemptPhase::Preparing | AttemptPhase::Running => {
                self.phase = AttemptPhase::Ending { ending, since: now, grace_seconds };
            }
            AttemptPhase::Ending { ending: present, .. } if outranks(&ending, present, alone) => {
                *present = ending;
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
/// its success counts. That the wall clock was exceeded may be the plan of the control plane, which
/// had not heard of the end.
fn outranks(later: &Ending, present: &Ending, alone: bool) -> bool {
    let conclusive = alone || *later == Ending::Exited { exit_code: 0 };
    let planned = !present.is_own_doing() || *present == Ending::WallClockExceeded;
    later.is_own_doing() && planned && conclusive
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
    fn check(nodes: usize, first: Ending, later: Ending, expected: &Ending) {
        let mut attempt = attempt(nodes);
        attempt.end(first, 10, NOW);
        attempt.end(later, 10, NOW);
        assert_eq!(attempt.ending(), Some(expected));
    }

    #[test]
    fn what_ended_by_itself_outranks_what_was_planned() {
        let exited = |exit_code| Ending::Exited { exit_code };
        let interrupted = || Ending::Interrupted { node: node(0) };
        let lost = || Ending::NodeLost { node: node(0), reason: String::new() };
        let wall_clock = Ending::WallClockExceeded;
        let user = [Ending::Terminated, Ending::ClusterDeleted];
        for planned in [interrupted(), lost(), wall_clock].into_iter().chain(user) {
            check(1, planned.clone(), exited(0), &exited(0));
            check(1, planned.clone(), exited(3), &exited(3));
            check(2, planned.clone(), exited(0), &exited(0));
            check(2, planned.clone(), exited(3), &planned);
            check(1, exited(3), planned, &exited(3));
        }
        check(1, interrupted(), lost(), &interrupted());
        check(1, exited(0), exited(3), &exited(0));
    }

    #[test]
    fn a_gang_runs_when_every_member_is_prepared() {
        let mut gang = attempt(2);
        assert_eq!(gang.phase, AttemptPhase::Preparing);
        assert!(gang.member_prepared(&node(1)));
        assert!(!gang.member_prepared(&node(1)), "a repetition changes nothing");
        assert_eq!(gang.phase, AttemptPhase::Preparing);
        assert!(gang.member_prepared(&node(0)));
        assert_eq!(gang.phase, AttemptPhase::Running);
        assert_eq!(attempt(1).phase, AttemptPhase::Running, "one node waits for nobody");
    }
}
