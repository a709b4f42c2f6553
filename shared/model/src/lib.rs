//! The domain model of the service: workspaces, clusters, nodes, jobs and attempts, and the state
//! transitions that each of them allows.
//!
//! The rule of this crate: pure. No clock, no randomness, no storage; time and ids are arguments.

#![warn(missing_docs)]

pub mod access;
pub mod attempt;
pub mod backoff;
pub mod cluster;
pub mod container;
pub mod ec2;
pub mod ended_nodes;
pub mod error;
mod growth;
pub mod id;
pub mod job;
pub mod job_metrics;
pub mod launch;
pub mod limits;
mod location;
pub mod log_tail;
pub mod metrics;
pub mod mount;
pub mod node;
pub mod offering;
pub mod operation;
pub mod pool;
pub mod price;
pub mod secret;
pub mod shortage;
pub mod spec;
pub mod sweep;
pub mod target;
pub mod time;
pub mod toolkit;
pub mod usage;
pub mod vm_size;
pub mod volume;
pub mod workspace;

pub use access::{AccessToken, Principal, Role, RoleAssignment, Scope};
pub use attempt::{Attempt, AttemptPhase, EndReason, Member, MemberProgress, Outcome};
pub use backoff::Backoff;
pub use cluster::{Allocation, Cluster, ClusterState};
pub use container::{
    AppInsights, ContainerSettings, ImageSourceRegistry, PerformanceCounters, RegistryCredentials,
};
pub use ended_nodes::{EndedNodes, NodeEnd};
pub use error::{InvalidTransition, ResourceError};
pub use id::{AttemptRef, ClusterRef, JobRef, LaunchId, Name, NodeId, Uid, WorkspaceNames};
pub use job::{
    AttemptEnd, AttemptRecord, ClusterNames, Deletion, Job, JobNames, JobState, QueueEntry,
    Waiting, WaitingReason,
};
pub use job_metrics::{JobMetrics, MetricCurve, MetricPoint};
pub use launch::{Claim, Launch, LaunchOutcome, LaunchRequest, LaunchedInstance, Placement};
pub use location::{InvalidLocations, Locations};
pub use log_tail::{LogPart, LogTail, OutputTail};
pub use metrics::{GpuMetrics, NodeMetrics};
pub use mount::{
    AzureBlobFileSystem, AzureFileShare, FileServerMount, FileShare, JOB_MOUNT_ROOT,
    LustreFileSystem, MOUNT_ROOT, MountPoint, MountVolumes, S3Bucket, UnmanagedMount, below_mount,
    below_root, plain_path,
};
pub use node::{IdleNode, Instance, LeaveReason, Node, NodeState};
pub use offering::{Offering, Zone};
pub use operation::{Operation, OperationState};
pub use pool::{AvoidedPool, LaunchRate, Pool, PoolProblem, PoolRefusal};
pub use price::Price;
pub use secret::{KeyVaultSecretReference, ResourceId, SecretValue, SecretVariable};
pub use shortage::{ScarceResource, Shortage};
pub use spec::{
    ClusterExtensions, ClusterSpec, DataRetention, EnvironmentVariable, FileServerSpec,
    InputDirectory, JobSpec, NodeDeallocation, OutputDirectory, Priority, ScaleSettings, SetupTask,
    UserAccount, VmPriority,
};
pub use sweep::{EarlyStopping, Goal, Objective, SweepKey, SweepLimit, SweepParameter, SweepRun};
pub use target::Target;
pub use time::Timestamp;
pub use toolkit::Toolkit;
pub use usage::{Account, Charge, Meter, Quota};
pub use vm_size::{VmFamily, VmSize};
pub use volume::{AzureFileUrl, InvalidVolumeUrl, StorageKind, Volume};
pub use workspace::{
    Experiment, FileServer, FileServerState, FileServerUser, Lifecycle, ResourceGroup,
    Subscription, Workspace,
};
