//! Nodes: launching → preparing → idle ⇄ running → leaving → gone; unusable when preparation fails.
//!
//! A record in `Launching` is the intent of a launch: it is written before the machine is asked
//! for. "Gone" is the absence of the record.

use crate::{
    AttemptRef, Backoff, Charge, ClusterRef, InvalidTransition, LaunchId, NodeId, ResourceError,
    Timestamp, id::is_plain_id, limits,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    pub cluster: ClusterRef,
    pub version: u64,
    pub launch: LaunchId,
    pub created_at: Timestamp,
    /// When the node last spoke. Written without a new version, as it decides nothing by itself.
    pub seen_at: Timestamp,
    pub state: NodeState,
    /// What it counts for while the record exists.
    pub charge: Charge,
    /// Removals that failed in a row.
    #[serde(default, skip_serializing_if = "Backoff::is_clear")]
    pub removal: Backoff,
}

/// What runs the node: an EC2 instance, or an agent process on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    #[serde(rename = "instance")]
    pub id: String,
    /// The private address at which the other nodes of a job reach it.
    pub address: String,
}

impl Instance {
    /// What an agent says of its own: a plain id and an IP address, as both are kept with the node
    /// and with the jobs that it runs.
    pub fn parse(id: &str, address: &str) -> Option<Self> {
        let is_address = address.parse::<IpAddr>().is_ok();
        let instance = || Self { id: id.to_owned(), address: address.to_owned() };
        (is_address && is_plain_id(id)).then(instance)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum NodeState {
    Launching {
        deadline: Timestamp,
    },
    Preparing {
        #[serde(rename = "machine")]
        instance: Instance,
        deadline: Timestamp,
    },
    Idle {
        #[serde(rename = "machine")]
        instance: Instance,
        since: Timestamp,
    },
    Running {
        #[serde(rename = "machine")]
        instance: Instance,
        attempt: AttemptRef,
        since: Timestamp,
        /// When the attempt ends at the latest, by the wall clock of its job.
        ends_by: Timestamp,
    },
    /// Takes no new job. With an attempt it stays until that attempt has ended on it.
    Leaving {
        #[serde(rename = "machine")]
        instance: Option<Instance>,
        #[serde(rename = "occupant")]
        attempt: Option<AttemptRef>,
        reason: LeaveReason,
        deadline: Timestamp,
    },
    Unusable {
        #[serde(rename = "machine")]
        instance: Instance,
        since: Timestamp,
        error: ResourceError,
    },
}

/// Why a node leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaveReason {
    /// More nodes than wanted.
    Shrink,
    /// More nodes than wanted, but the job on it may finish first.
    ShrinkWhenDone,
    /// The machine is being taken away (spot interruption).
    Interrupted,
    /// The machine is gone, or was silent beyond its lease.
    Lost,
    /// The launch or the preparation did not finish in time.
    TooSlow,
    /// The cluster is being deleted.
    ClusterDeleted,
}

impl LeaveReason {
    fn urgency(self) -> u8 {
        match self {
            Self::ShrinkWhenDone => 0,
            Self::Shrink | Self::TooSlow => 1,
            Self::ClusterDeleted => 2,
            Self::Interrupted => 3,
            Self::Lost => 4,
        }
    }
}

impl Node {
    /// Recorded before its machine is asked for.
    pub fn launching(
        id: NodeId,
        cluster: ClusterRef,
        launch: LaunchId,
        charge: Charge,
        now: Timestamp,
    ) -> Self {
        let deadline = now.plus_seconds(limits::LAUNCH_DEADLINE_SECONDS);
        let state = NodeState::Launching { deadline };
        Self {
            id,
            cluster,
            version: 1,
            launch,
            created_at: now,
            seen_at: now,
            state,
            charge,
            removal: Backoff::CLEAR,
        }
    }

    pub fn instance(&self) -> Option<&Instance> {
        match &self.state {
            NodeState::Launching { .. } => None,
            NodeState::Preparing { instance, .. }
            | NodeState::Idle { instance, .. }
            | NodeState::Running { instance, .. }
            | NodeState::Unusable { instance, .. } => Some(instance),
            NodeState::Leaving { instance, .. } => instance.as_ref(),
        }
    }

    /// What its cluster shows, and counts against its launches, if the node is lost now: before it
    /// was ever ready, so that the next one may well end the same way. `reason` continues a sentence.
    pub fn lost_while_preparing(&self, reason: &str) -> Option<ResourceError> {
        let NodeState::Preparing { .. } = self.state else { return None };
        let message = format!("A node was lost while it was being prepared: {reason}");
        let error = ResourceError::new("NodeLostWhilePreparing", message);
        Some(error.with_detail("Node", self.id.as_str()))
    }

    /// Coming or leaving: the number of nodes of its cluster is not settled.
    pub fn is_moving(&self) -> bool {
        match self.state {
            NodeState::Launching { .. } | NodeState::Leaving { .. } => true,
            NodeState::Preparing { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Unusable { .. } => false,
        }
    }

    /// The attempt that this node runs, or still has to end.
    pub fn attempt(&self) -> Option<&AttemptRef> {
        match &self.state {
            NodeState::Running { attempt, .. } => Some(attempt),
            NodeState::Leaving { attempt, .. } => attempt.as_ref(),
            NodeState::Launching { .. }
            | NodeState::Preparing { .. }
            | NodeState::Idle { .. }
            | NodeState::Unusable { .. } => None,
        }
    }

    pub fn is_leaving(&self) -> bool {
        matches!(self.state, NodeState::Leaving { .. })
    }

    /// The machine exists (it answered the launch, or spoke for itself).
    pub fn launched(
        mut self,
        instance: Instance,
        now: Timestamp,
    ) -> Result<Self, InvalidTransition> {
        match self.state {
            NodeState::Launching { .. } => {
                let deadline = now.plus_seconds(limits::PREPARE_DEADLINE_SECONDS);
                self.state = NodeState::Preparing { instance, deadline };
                self.seen_at = self.seen_at.max(now);
                Ok(self)
            }
            _ => Err(self.refuse("take an instance")),
        }
    }

    /// Mounts and setup task are done.
    pub fn prepared(mut self, now: Timestamp) -> Result<Self, InvalidTransition> {
        match self.state {
            NodeState::Preparing { instance, .. } => {
                self.state = NodeState::Idle { instance, since: now };
                Ok(self)
            }
            _ => Err(self.refuse("become idle")),
        }
    }

    /// Mounts or set-up task failed, or it could not run a job that is no longer on it.
    pub fn failed(
        mut self,
        error: ResourceError,
        now: Timestamp,
    ) -> Result<Self, InvalidTransition> {
        match self.state {
            NodeState::Preparing { instance, .. } | NodeState::Idle { instance, .. } => {
                self.state = NodeState::Unusable { instance, since: now, error };
                Ok(self)
            }
            _ => Err(self.refuse("become unusable")),
        }
    }

    pub fn assigned(
        mut self,
        attempt: AttemptRef,
        ends_by: Timestamp,
        now: Timestamp,
    ) -> Result<Self, InvalidTransition> {
        match self.state {
            NodeState::Idle { instance, .. } => {
                self.state = NodeState::Running { instance, attempt, since: now, ends_by };
                Ok(self)
            }
            _ => Err(self.refuse("take a job")),
        }
    }

    /// The attempt has ended on this node: it is free, or free to go.
    pub fn released(
        mut self,
        from: &AttemptRef,
        now: Timestamp,
    ) -> Result<Self, InvalidTransition> {
        match self.state {
            NodeState::Running { instance, attempt, .. } if attempt == *from => {
                self.state = NodeState::Idle { instance, since: now };
                Ok(self)
            }
            NodeState::Leaving { instance, attempt: Some(attempt), reason, deadline }
                if attempt == *from =>
            {
                self.state = NodeState::Leaving { instance, attempt: None, reason, deadline };
                Ok(self)
            }
            _ => Err(self.refuse("be released")),
        }
    }

    /// On its way out. A node that already leaves takes only a more pressing reason.
    pub fn leave(
        mut self,
        reason: LeaveReason,
        deadline: Timestamp,
    ) -> Result<Self, InvalidTransition> {
        let (instance, attempt) = match self.state {
            NodeState::Launching { .. } => (None, None),
            NodeState::Preparing { instance, .. }
            | NodeState::Idle { instance, .. }
            | NodeState::Unusable { instance, .. } => (Some(instance), None),
            NodeState::Running { instance, attempt, .. } => (Some(instance), Some(attempt)),
            NodeState::Leaving { reason: present, .. } if present.urgency() >= reason.urgency() => {
                return Err(self.refuse("leave again"));
            }
            NodeState::Leaving { instance, attempt, .. } => (instance, attempt),
        };
        self.state = NodeState::Leaving { instance, attempt, reason, deadline };
        Ok(self)
    }

    fn refuse(&self, transition: &'static str) -> InvalidTransition {
        InvalidTransition { what: "node", state: self.state.name(), transition }
    }
}

impl NodeState {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Launching { .. } => "launching",
            Self::Preparing { .. } => "preparing",
            Self::Idle { .. } => "idle",
            Self::Running { .. } => "running",
            Self::Leaving { .. } => "leaving",
            Self::Unusable { .. } => "unusable",
        }
    }
}

#[cfg(test)]
mod tests;
