//! What the control plane needs of its environment, each with an implementation for AWS and one for
//! one machine.

use async_trait::async_trait;
use model::{ClusterRef, Instance, NodeId, ResourceError, Target, Timestamp, Uid};
use scheduler::recovery::FoundInstance;

pub use lifecycle::{Function, LaunchRequest};

/// The time, in UTC.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// Where new ids come from.
pub trait Ids: Send + Sync {
    fn uid(&self) -> Uid;
}

/// Hints: an SQS FIFO queue per function, or its equal in this process. Messages of one target are
/// handed out one at a time; they may be lost, repeated and reordered.
#[async_trait]
pub trait Hints: Send + Sync {
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError>;

    /// Something changed for a node: a request of its agent that is being held is answered. Where
    /// no request can be held there is nothing to do.
    fn notify_node(&self, node: &NodeId);
}

/// The directory trees of file servers, on a disk of this machine or on EFS. Each call may take
/// minutes: trees are large.
#[async_trait]
pub trait Directories: Send + Sync {
    /// Makes the tree of a file server. One that is there stays as it is.
    async fn create(&self, file_server: &Uid) -> Result<(), PortError>;

    /// Removes it with all that is in it. One that is not there is removed already.
    async fn remove(&self, file_server: &Uid) -> Result<(), PortError>;
}

/// Instances for nodes: EC2 instances, or processes.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Brings up one instance per node. The launch id makes a repetition harmless: instances that
    /// an earlier call brought up are answered again. Everything that is brought up is tagged with
    /// cluster and launch.
    ///
    /// # Errors
    /// After an error it is unknown what was brought up; asking again tells.
    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError>;

    /// What is tagged as this cluster's. May lag behind; what is missing is unknown, not gone.
    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError>;

    /// Terminates instances; a repetition does no harm. Answers those of which nothing runs any
    /// more.
    async fn terminate(
        &self,
        cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<String>, PortError>;
}

/// A launch may succeed in part: `refused` then says why the rest did not come.
#[derive(Clone, Debug)]
pub struct LaunchOutcome {
    pub launched: Vec<(NodeId, Instance)>,
    pub refused: Option<ResourceError>,
}

/// By what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Try later.
    #[error("throttled")]
    Throttled(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("not permitted")]
    Denied(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PortError {
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
