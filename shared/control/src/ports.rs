//! The ports of the control plane. Each has an implementation for AWS and one for a single machine.

use async_trait::async_trait;
use model::{ClusterRef, NodeId, ResourceError, Target, Timestamp, Uid};
use scheduler::recovery::FoundInstance;

pub use lifecycle::Function;
pub use model::{LaunchRequest, LaunchedInstance};

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

    /// Wakes the requests of the node's agent that are being held: the desired state changed. Does
    /// nothing where no request can be held.
    fn notify_node(&self, node: &NodeId);
}

/// The directories of file servers, on a disk of this machine or on EFS. A call may take minutes:
/// directories are large.
#[async_trait]
pub trait FileShares: Send + Sync {
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

    /// Terminates instances; idempotent. Returns those that are terminated for certain.
    ///
    /// # Errors
    /// What the cloud reports.
    async fn terminate(
        &self,
        cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<String>, PortError>;
}

/// The outcome of a launch, which may succeed in part.
#[derive(Clone, Debug)]
pub struct LaunchOutcome {
    /// All instances of the launch.
    pub launched: Vec<LaunchedInstance>,
    /// Why there are not more of them.
    pub refused: Option<ResourceError>,
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
