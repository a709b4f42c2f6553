//! The JSON of Batch AI, API 2018-05-01: the rules of requests and the bodies of responses.
//!
//! [`request`] parses bodies into types of `model` and has every rule of requests. [`response`] converts
//! `model` to bodies. [`schema`] describes both. The contract is the swagger of that API version,
//! corrected by the recorded behaviour of the service: see `docs/contract.md`.
//!
//! The rules of this crate: it is pure (no clock, no storage, no HTTP), and nothing that it prints or
//! returns contains a secret.

#![warn(missing_docs)]

pub mod codes;
pub mod error;
pub mod ids;
pub mod names;
pub mod request;
pub mod response;
pub mod schema;

mod image;
mod paths;
mod patterns;
mod read;
mod rules;

pub use error::{ErrorBody, ErrorContent, ResourceKind, Violation, Violations};
pub use ids::{
    ClusterId, FileServerId, cluster_id, etag, experiment_id, file_server_id, id_of_cluster,
    job_id, job_output_path_segment, resource_group_id, role_definition_id, scope_id,
    setup_output_path_suffix, workspace_id,
};
pub use image::ImageReference;
pub use names::{resource_group_name, resource_name, subscription_id};
pub use request::{
    ClusterRequest, ClusterUpdate, DirectoryQuery, FileRemovalQuery, FileServerMountRequest,
    FileUploadRequest, JobRequest, MountsRequest, OutputFilesQuery, PasswordInput,
    ResourceGroupRequest, RoleAssignmentRequest, SecretInput, SecretVariableInput,
    SetupTaskRequest, TokenRequest, WorkspaceCreate, is_same_file_server, parse_cluster_create,
    parse_cluster_update, parse_directory_query, parse_file_removal_query,
    parse_file_server_create, parse_file_uploads, parse_job_create, parse_max_results,
    parse_output_files_query, parse_resource_group, parse_resource_group_update,
    parse_role_assignment, parse_token, parse_workspace_create, parse_workspace_update,
};
pub use response::{
    ClusterNode, EndedNodesBody, FileEntry, FileServerView, FileUpload, ListBody, MetricDetail,
    NodeCounts, PortalLinkBody, ProviderBody, RemoteLogin, Resource, Usage, cluster, experiment,
    file_server, job, list, log_tails, new_token, operation, permission, provider_operations,
    providers, resource_group, role_assignment, role_definition, subscription, tenant, token,
    usage, workspace,
};

/// The only API version that this service supports.
pub const API_VERSION: &str = "2018-05-01";

#[cfg(test)]
mod fixtures;
