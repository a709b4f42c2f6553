//! What the control plane needs of the world, each with an implementation for AWS and one for one
//! machine.

use async_trait::async_trait;
use model::{
    ClusterRef, LaunchId, Machine, NodeId, ResourceError, Timestamp, Uid, VmPriority, Wake,
};
use scheduler::recovery::FoundMachine;

/// The time, in UTC.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// Where new ids come from.
pub trait Ids: Send + Sync {
    fn uid(&self) -> Uid;
}

/// The functions that a hint can wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Dispatcher,
    Autoscaler,
    Recovery,
}

/// "Look at this": an SQS FIFO queue per function, or its equal in this process. Messages of one
/// resource are handed out one at a time; they may be lost, repeated and reordered.
#[async_trait]
pub trait Hints: Send + Sync {
    async fn send(&self, function: Function, wake: &Wake) -> Result<(), PortError>;

    /// A node whose request is being held is to look again. Where no request can be held there is
    /// nothing to do.
    fn wake_node(&self, node: &NodeId);
}

/// Machines for nodes: EC2 instances, or processes.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Brings up one machine per node. The launch id makes a repetition harmless: machines that an
    /// earlier call brought up are answered again. Everything that is brought up is tagged with
    /// cluster and launch.
    ///
    /// # Errors
    /// After an error it is unknown what was brought up; asking again tells.
    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError>;

    /// What is tagged as this cluster's. May lag behind; what is missing is unknown, not gone.
    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundMachine>, PortError>;

    /// Ends machines; a repetition does no harm. Answers those of which nothing runs any more.
    async fn terminate(
        &self,
        cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<String>, PortError>;
}

#[derive(Clone, Debug)]
pub struct LaunchRequest {
    pub cluster: ClusterRef,
    pub launch: LaunchId,
    pub nodes: Vec<NodeId>,
    pub vm_size: String,
    /// Sizes that do as well, in the order of preference.
    pub alternate_vm_sizes: Vec<String>,
    pub priority: VmPriority,
}

/// A launch may succeed in part: `refused` then says why the rest did not come.
#[derive(Clone, Debug)]
pub struct LaunchOutcome {
    pub launched: Vec<(NodeId, Machine)>,
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
    #[error("failed: {0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PortError {
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
