//! Response bodies, as the service was seen to send them: the same fields in the same order, and a
//! field without a value is absent, never `null` (section 1).
//!
//! Whatever this project adds stands under `properties.extensions`, which the official clients
//! ignore.

mod cluster;
mod file_entry;
mod file_server;
mod job;
mod mounts;
mod operation;
mod parts;
mod workspace;

pub use cluster::{ClusterProperties, NodeCounts, NodeStateCounts, cluster};
pub use file_entry::{FileEntry, FileProperties, RemoteLogin};
pub use file_server::{FileServerProperties, FileServerView, file_server};
pub use job::{AttemptView, ExecutionInfo, JobExtensions, JobProperties, job};
pub use mounts::{MountVolumesBody, NoCredentials};
pub use operation::{OperationBody, operation};
pub use parts::{BatchAiError, ListBody, NameValuePair, Resource, SecretName, list};
pub use workspace::{ContainerProperties, WorkspaceBody, experiment, workspace};
