//! Requests: all rules of bodies and queries.
//!
//! Each `parse_…` function takes the bytes of a body and returns a valid request or all violations.
//! Unknown fields are ignored. `into_spec` does what needs other records (file servers) or a key
//! (secrets).

mod account;
mod arm;
mod cluster;
mod container;
mod environment;
mod extensions;
mod file_server;
mod job;
mod mounts;
mod query;
mod scale;
mod secret;
mod sweep;
mod toolkit;
mod uploads;
mod workspace;

#[cfg(test)]
mod tests;

pub(crate) use arm::{resource_group, resource_group_update, role_assignment, token};
pub(crate) use cluster::{cluster, cluster_update};
pub(crate) use file_server::file_server;
pub(crate) use job::job;
pub(crate) use uploads::file_uploads;
pub(crate) use workspace::{workspace, workspace_update};

pub use account::PasswordInput;
pub use arm::{
    ResourceGroupRequest, RoleAssignmentRequest, TokenRequest, parse_resource_group,
    parse_resource_group_update, parse_role_assignment, parse_token,
};
pub use cluster::{
    ClusterRequest, ClusterUpdate, SetupTaskRequest, parse_cluster_create, parse_cluster_update,
};
pub use environment::SecretVariableInput;
pub use file_server::{is_same_file_server, parse_file_server_create};
pub use job::{JobRequest, parse_job_create};
pub use mounts::{FileServerMountRequest, MountsRequest};
pub use query::{
    DirectoryQuery, OutputFilesQuery, parse_directory_query, parse_max_results,
    parse_output_files_query,
};
pub use secret::SecretInput;
pub use uploads::{
    FileRemovalQuery, FileUploadRequest, parse_file_removal_query, parse_file_uploads,
};
pub use workspace::{WorkspaceCreate, parse_workspace_create, parse_workspace_update};
