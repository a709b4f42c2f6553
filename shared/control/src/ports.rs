//! The ports of the control plane. Each has an implementation for AWS and one for a single machine.

use crate::files::{FileLocation, ListedFile, ListingPage, Removal};
use async_trait::async_trait;
use model::{
    Cluster, ClusterRef, FileShare, NodeId, Offering, Placement, Price, ResourceError, Target,
    Timestamp, Uid, Volume,
};
use scheduler::recovery::FoundInstance;
use std::path::PathBuf;
use std::sync::Arc;

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

/// The file shares of file servers: directories of this machine, or of an EFS file system. A call may
/// take minutes: directories are large.
#[async_trait]
pub trait FileShares: Send + Sync {
    /// Creates the share of a file server; returns what nodes mount. An existing one stays as it is.
    ///
    /// # Errors
    /// What the file system reports. The caller tries again.
    async fn create(&self, file_server: &Uid) -> Result<FileShare, PortError>;

    /// Removes the share with its content. It is no error if there is none.
    ///
    /// # Errors
    /// What the file system reports; a part may be removed.
    async fn remove(&self, file_server: &Uid) -> Result<(), PortError>;

    /// Removes the share and keeps its content as the directory `kept`, beside those of file servers. It is
    /// no error if there is none. What is kept already stays as it is.
    ///
    /// # Errors
    /// What the file system reports. The caller tries again.
    async fn keep(&self, file_server: &Uid, kept: &str) -> Result<(), PortError>;

    /// The directory of this machine in place of a volume of a cloud, made if it is missing. `None` where nodes
    /// mount the volume itself.
    ///
    /// # Errors
    /// What the file system reports. The mount fails with it.
    async fn volume_directory(&self, volume: &Volume) -> Result<Option<PathBuf>, PortError> {
        let _ = volume;
        Ok(None)
    }
}

/// The files of file servers: those of this machine, or through the function that has them mounted.
#[async_trait]
pub trait SharedFiles: Send + Sync {
    /// One page of a directory; `None` if it does not exist.
    ///
    /// # Errors
    /// What the file system, or the function, reports.
    async fn list(&self, page: &ListingPage) -> Result<Option<Vec<ListedFile>>, PortError>;

    /// Removes a file or, if `recursive`, a directory with all its files. A symbolic link is removed, not followed.
    /// Leftovers of earlier uploads and removals, which are old at the time `now`, are removed too.
    ///
    /// # Errors
    /// What the file system, or the function, reports; a part may be removed.
    async fn remove(
        &self,
        place: &FileLocation,
        recursive: bool,
        now: Timestamp,
    ) -> Result<Removal, PortError>;
}

/// Secrets that jobs refer to instead of containing them.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The value of a secret. Nothing is kept.
    ///
    /// # Errors
    /// [`SecretError::Unreadable`] when a repetition would fail too.
    async fn read(&self, reference: &str) -> Result<String, SecretError>;
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The reference is wrong, or the secret is not readable for this service. The job fails with this.
    #[error("{}: {}", .0.code, .0.message)]
    Unreadable(ResourceError),
    /// The store could not be used; retry later.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Copies of large files, from which clients download directly.
#[async_trait]
pub trait DownloadCopies: Send + Sync {
    /// Finds the copy of a file, makes it, or continues to make it for a limited time.
    ///
    /// # Errors
    /// What the file system or the store of copies reports.
    async fn copy(&self, file: &LargeFile) -> Result<Copied, PortError>;
}

/// A file to copy: the bytes that it had when the download began.
#[derive(Clone, Debug)]
pub struct LargeFile {
    /// Identifies the bytes: one path of one file server, at one time, with one length.
    pub key: String,
    /// The open file.
    pub file: Arc<std::fs::File>,
    /// Bytes.
    pub length: u64,
}

/// The state of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is complete; its URL, which expires within an hour.
    Complete {
        /// The URL.
        url: String,
    },
    /// A further call continues it.
    InProgress,
}

/// Instances for nodes: EC2 instances, or processes.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Where the next launch of this cluster goes. It is recorded with the launch, so that a repetition is
    /// the same request even if the settings of the provider change in between. With a zone, all of its
    /// instances are launched there.
    ///
    /// # Errors
    /// Why no instance can be launched for this specification; what the user can do about it.
    fn placement(&self, cluster: &Cluster, zone: Option<&str>) -> Result<Placement, ResourceError> {
        let _ = (cluster, zone);
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

    /// What an hour of each of these instances costs at this time. [`Price::NotAsked`] where the cloud did
    /// not answer: the caller goes on, and asks again later.
    async fn prices(&self, offerings: &[Offering], now: Timestamp) -> Vec<Price> {
        let _ = now;
        vec![Price::Unknown; offerings.len()]
    }

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
