//! The ports of the control plane. Each has an implementation for AWS and one for a single machine.

use async_trait::async_trait;
use model::{Cluster, ClusterRef, NodeId, Placement, ResourceError, Target, Timestamp, Uid};
use scheduler::recovery::FoundInstance;

pub use lifecycle::Function;
pub use model::{LaunchOutcome, LaunchRequest, LaunchedInstance, PoolRefusal};

/// The time, in UTC.
pub trait Clock: Send + Sync {
    /// The present time.
    fn now(&self) -> Timestamp;
}

/// The source of new ids.
pub trait Ids: Send + Sync {
    /// A new random uid.
    fn uid(&self) -> Uid;
}

/// Hints: an SQS FIFO queue per function, or an equivalent queue in this process. Messages of one target
/// are delivered one at a time. They may be lost, repeated and reordered.
#[async_trait]
pub trait Hints: Send + Sync {
    /// Sends a hint to reconcile the target.
    ///
    /// # Errors
    /// When the queue does not accept it. The caller may ignore that: the schedule visits every target.
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError>;

    /// Sends a hint for each target, as [`Self::send`] does. Stops at the first that is not accepted.
    ///
    /// # Errors
    /// When the queue does not accept one.
    async fn send_all(&self, function: Function, targets: &[Target]) -> Result<(), PortError> {
        for target in targets {
            self.send(function, target).await?;
        }
        Ok(())
    }

    /// Wakes the requests of the node's agent that are being held: the desired state changed. Does
    /// nothing where no request can be held.
    fn notify_node(&self, node: &NodeId);
}

/// The directories of file servers, on a disk of this machine or on EFS. A call may take minutes:
/// directories are large.
#[async_trait]
pub trait Directories: Send + Sync {
    /// Makes the directory of a file server. An existing one stays as it is.
    ///
    /// # Errors
    /// What the file system reports.
    async fn create(&self, file_server: &Uid) -> Result<(), PortError>;

    /// Removes the directory with its content. It is no error if there is none.
    ///
    /// # Errors
    /// What the file system reports; a part may be removed.
    async fn remove(&self, file_server: &Uid) -> Result<(), PortError>;
}

/// Instances for nodes: EC2 instances, or processes.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Where the next launch of this cluster goes. It is recorded with the launch, so that a repetition is
    /// the same request even if the settings of the provider change in between.
    ///
    /// # Errors
    /// Why no instance can be launched for this specification; what the user can do about it.
    fn placement(&self, cluster: &Cluster) -> Result<Placement, ResourceError> {
        let _ = cluster;
        Ok(Placement::default())
    }

    /// Launches one instance per node. The launch id makes a repetition idempotent: instances that an
    /// earlier call launched are returned again, even those that have ended since. A repetition has
    /// the same content. Each instance is tagged with its cluster and launch.
    ///
    /// # Errors
    /// After an error it is unknown which instances were launched; the caller repeats the request.
    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError>;

    /// The instances that are tagged with this cluster. The list may be stale: a missing instance is not
    /// known to be terminated.
    ///
    /// # Errors
    /// What the cloud reports.
    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError>;

    /// The clusters of which instances run or may run, those that no longer exist included. May be
    /// stale like [`Self::find`].
    ///
    /// # Errors
    /// What the cloud reports.
    async fn clusters(&self) -> Result<Vec<ClusterRef>, PortError>;

    /// Terminates instances; idempotent. Returns what became of each, in their order: one that fails does
    /// not keep the others.
    ///
    /// # Errors
    /// What the cloud reports; it is unknown what became of any of them.
    async fn terminate(
        &self,
        cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<Result<Termination, PortError>>, PortError>;
}

/// What became of an instance that was to be terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// It has ended for certain.
    Ended,
    /// It ends; its processes may still run.
    Ending,
    /// The provider does not know the instance: it does not yet, or no longer.
    Unknown,
}

/// Why a call of a port failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Retry later.
    #[error("throttled")]
    Throttled(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The service lacks a permission.
    #[error("not permitted")]
    Denied(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else.
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PortError {
    /// An error that is neither throttling nor a missing permission.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
