//! Nodes: launching → preparing → idle ⇄ running → leaving → removed; unusable when preparation
//! fails.
//!
//! A record in `Launching` is the intent of a launch: it is written before the instance is
//! requested. A removed node has no record.

use crate::{
    AttemptRef, Backoff, Charge, ClusterRef, InvalidTransition, LaunchId, NodeEnd, NodeId,
    NodeMetrics, Offering, Price, ResourceError, SweepKey, Timestamp, Zone, id::is_plain_id,
    limits,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The record of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its cluster.
    pub cluster: ClusterRef,
    /// Incremented by every write except heartbeats.
    pub version: u64,
    /// Id of the launch that creates its instance.
    pub launch: LaunchId,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When the agent last reported. Written without a new version, as no decision rests on it
    /// alone.
    pub seen_at: Timestamp,
    /// Its state.
    pub state: NodeState,
    /// The usage that it counts for while the record exists.
    pub charge: Charge,
    /// What the provider gave for it.
    #[serde(default, skip_serializing_if = "Offering::is_single")]
    pub offering: Offering,
    /// What an hour of it costs.
    #[serde(default, skip_serializing_if = "Price::is_not_asked")]
    pub price: Price,
    /// The port at its address where the administrator logs in with SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_port: Option<u16>,
    /// What its agent measured last. Written with the time of the report, as that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<NodeMetrics>,
    /// Name of the sweep, in lower case, whose limit the job on the node counts for; of no meaning while it runs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    /// When EC2 first recommended to replace its instance, as an interruption is more likely than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance_recommended_at: Option<Timestamp>,
    /// When it first became idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// Why it ends, once it leaves or is unusable. Its state has only the most urgent reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<NodeEnd>,
    /// Consecutive failures to terminate its instance.
    #[serde(default, skip_serializing_if = "Backoff::is_clear")]
    pub removal: Backoff,
}

/// An idle node, as far as dispatch needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleNode {
    /// Its id.
    pub id: NodeId,
    /// The zone of its instance.
    pub zone: Zone,
}

/// The instance behind a node: an EC2 instance, or an agent process on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    #[serde(rename = "instance")]
    pub id: String,
    /// The private IP address at which the other nodes of a job reach it.
    pub address: String,
}

impl Instance {
    /// An instance as its agent reports it. `None` unless it is a plain id and an IP address, as
    /// both are stored with the node and with the jobs that it runs.
    pub fn parse(id: &str, address: &str) -> Option<Self> {
        let is_address = address.parse::<IpAddr>().is_ok();
        let instance = || Self { id: id.to_owned(), address: address.to_owned() };
        (is_address && is_plain_id(id)).then(instance)
    }
}

/// The state of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum NodeState {
    /// Its instance is requested.
    Launching {
        /// When it has to be up.
        deadline: Timestamp,
    },
    /// Its instance exists; mounts and set-up task are in progress.
    Preparing {
        /// The instance.
        #[serde(rename = "machine")]
        instance: Instance,
        /// When it has to be ready.
        deadline: Timestamp,
    },
    /// It can take a job.
    Idle {
        /// The instance.
        #[serde(rename = "machine")]
        instance: Instance,
        /// When it became idle.
        since: Timestamp,
    },
    /// It runs an attempt.
    Running {
        /// The instance.
        #[serde(rename = "machine")]
        instance: Instance,
        /// The attempt.
        attempt: AttemptRef,
        /// When it was assigned.
        since: Timestamp,
        /// The latest end of the attempt, by the wall clock limit of its job.
        ends_by: Timestamp,
    },
    /// It takes no new job and is removed. With an attempt it stays until the attempt has ended on
    /// it.
    Leaving {
        /// The instance, if it ever had one.
        #[serde(rename = "machine")]
        instance: Option<Instance>,
        /// The attempt that has to end first.
        #[serde(rename = "occupant")]
        attempt: Option<AttemptRef>,
        /// Why it leaves.
        reason: LeaveReason,
        /// When its attempt has to have ended.
        deadline: Timestamp,
    },
    /// Its preparation failed, or it could not run a job.
    Unusable {
        /// The instance.
        #[serde(rename = "machine")]
        instance: Instance,
        /// When it failed.
        since: Timestamp,
        /// What failed.
        error: ResourceError,
    },
}

/// Why a node leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaveReason {
    /// The cluster has more nodes than it needs.
    Shrink,
    /// The same, but the job on the node runs to completion first.
    ShrinkWhenDone,
    /// EC2 recommends to replace its instance. The job on the node runs to completion first.
    AtRisk,
    /// The instance is being interrupted (spot).
    Interrupted,
    /// The instance has ended, or was silent beyond its lease.
    Lost,
    /// Launch or preparation took longer than its deadline.
    TooSlow,
    /// The cluster is being deleted.
    ClusterDeleted,
}

impl LeaveReason {
    fn urgency(self) -> u8 {
        match self {
            Self::ShrinkWhenDone | Self::AtRisk => 0,
            Self::Shrink | Self::TooSlow => 1,
            Self::ClusterDeleted => 2,
            Self::Interrupted => 3,
            Self::Lost => 4,
        }
    }
}

impl Node {
    /// A node whose instance is requested next.
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
            offering: Offering::Single,
            price: Price::NotAsked,
            login_port: None,
            metrics: None,
            sweep: None,
            rebalance_recommended_at: None,
            ready_at: None,
            end: None,
            removal: Backoff::CLEAR,
        }
    }

    /// The zone of its instance.
    pub fn zone(&self) -> Zone {
        self.offering.zone()
    }

    /// Its instance, if it has one.
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

    /// The error that its cluster shows, and counts against its launches, if the node is lost now,
    /// before it was ever ready; `None` for a node that is not preparing. `reason` ends a sentence.
    pub fn lost_while_preparing(&self, reason: &str) -> Option<ResourceError> {
        let NodeState::Preparing { .. } = self.state else { return None };
        let message = format!("A node was lost while it was being prepared: {reason}");
        let error = ResourceError::new("NodeLostWhilePreparing", message);
        Some(error.with_detail("Node", self.id.as_str()))
    }

    /// Whether it is being launched or leaving, so that the number of nodes of its cluster is
    /// changing.
    pub fn is_moving(&self) -> bool {
        match self.state {
            NodeState::Launching { .. } | NodeState::Leaving { .. } => true,
            NodeState::Preparing { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Unusable { .. } => false,
        }
    }

    /// The attempt that the node runs, or that has to end on it.
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

    /// The sweep whose limit the job on the node counts for.
    pub fn sweep_key(&self) -> Option<SweepKey> {
        let (attempt, name) = (self.attempt()?, self.sweep.clone()?);
        Some(SweepKey { experiment: attempt.job.experiment.clone(), name })
    }

    /// Whether it is leaving.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, NodeState::Leaving { .. })
    }

    /// Its instance exists: the launch was answered, or the agent reported.
    ///
    /// # Errors
    /// When the node is not launching.
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
            NodeState::Preparing { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => Err(self.refuse("take an instance")),
        }
    }

    /// Mounts and set-up task are done.
    ///
    /// # Errors
    /// When the node is not preparing.
    pub fn prepared(mut self, now: Timestamp) -> Result<Self, InvalidTransition> {
        match self.state {
            NodeState::Preparing { instance, .. } => {
                self.state = NodeState::Idle { instance, since: now };
                self.ready_at = Some(now);
                Ok(self)
            }
            NodeState::Launching { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => Err(self.refuse("become idle")),
        }
    }

    /// Mounts or set-up task failed, or the node could not run a job, which has left it.
    ///
    /// # Errors
    /// When the node is neither preparing nor idle.
    pub fn failed(
        mut self,
        error: ResourceError,
        now: Timestamp,
    ) -> Result<Self, InvalidTransition> {
        match self.state {
            NodeState::Preparing { instance, .. } | NodeState::Idle { instance, .. } => {
                self.end = Some(NodeEnd::unusable(&error.code));
                self.state = NodeState::Unusable { instance, since: now, error };
                Ok(self)
            }
            NodeState::Launching { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => Err(self.refuse("become unusable")),
        }
    }

    /// The node takes an attempt that ends at the latest at `ends_by`.
    ///
    /// # Errors
    /// When the node is not idle.
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
            NodeState::Launching { .. }
            | NodeState::Preparing { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => Err(self.refuse("take a job")),
        }
    }

    /// The attempt has ended on this node: the node is idle, or can be removed.
    ///
    /// # Errors
    /// When the node does not run this attempt.
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
            NodeState::Launching { .. }
            | NodeState::Preparing { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => Err(self.refuse("be released")),
        }
    }

    /// The node leaves. A leaving node takes only a more urgent reason.
    ///
    /// # Errors
    /// When the node is leaving for a reason at least as urgent.
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
            NodeState::Leaving { reason: current, .. } if current.urgency() >= reason.urgency() => {
                return Err(self.refuse("leave again"));
            }
            NodeState::Leaving { instance, attempt, .. } => (instance, attempt),
        };
        self.end = Some(NodeEnd::after(self.end, reason));
        self.state = NodeState::Leaving { instance, attempt, reason, deadline };
        Ok(self)
    }

    fn refuse(&self, transition: &'static str) -> InvalidTransition {
        InvalidTransition { what: "node", state: self.state.name(), transition }
    }
}

impl NodeState {
    /// The name of the state.
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
