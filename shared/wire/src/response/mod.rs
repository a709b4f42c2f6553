//! Response bodies with the fields that the Batch AI service sent. A field without a value is absent,
//! never `null` (docs/contract.md, "REST conventions").
//!
//! Additions to the contract are under `properties.extensions`, which the official clients ignore.

mod arm;
mod cluster;
mod cluster_node;
mod ended_nodes;
mod file_entry;
mod file_server;
mod job;
mod job_metrics;
mod log_tail;
mod mounts;
mod operation;
mod parts;
mod provider_operations;
mod token;
mod usage;
mod workspace;

pub use arm::{
    Permission, ProviderBody, ResourceGroupBody, RoleAssignmentBody, RoleDefinitionBody,
    SubscriptionBody, TenantBody, permission, providers, resource_group, role_assignment,
    role_definition, subscription, tenant,
};
pub use cluster::{ClusterProperties, NodeCounts, NodeStateCounts, cluster};
pub use cluster_node::ClusterNode;
pub use ended_nodes::EndedNodesBody;
pub use file_entry::{FileEntry, FileProperties, FileUpload, RemoteLogin};
pub use file_server::{FileServerProperties, FileServerView, file_server};
pub use job::{AttemptView, ExecutionInfo, JobExtensions, JobProperties, job};
pub use job_metrics::{MetricBody, MetricDetail, MetricPointBody};
pub use log_tail::{LogTailBody, log_tails};
pub use mounts::{MountExtensions, MountVolumesBody, NoCredentials};
pub use operation::{OperationBody, operation};
pub use parts::{BatchAiError, ListBody, NameValuePair, Resource, SecretName, list};
pub use provider_operations::{OperationEntry, provider_operations};
pub use token::{NewTokenBody, PortalLinkBody, TokenBody, new_token, token};
pub use usage::{Usage, UsageBody, usage};
pub use workspace::{ContainerProperties, WorkspaceBody, experiment, workspace};
