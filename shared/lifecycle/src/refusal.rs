//! Why the service does not do what a user asks for, as the user is told. `control` adds the status
//! of HTTP; nothing was written.

use crate::size::TooLarge;
use model::{InvalidTransition, Name, Uid};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("The specified {kind} {name} is being deleted; wait until that is done")]
    BeingDeleted { kind: ResourceKind, name: Name },
    #[error(
        "The specified {kind} {name} exists already with other properties; delete it first or choose another name"
    )]
    Exists { kind: ResourceKind, name: Name },
    #[error(
        "The resource group {name} is in {location} and cannot move to {wanted}; use another name, or delete it first"
    )]
    InAnotherRegion { name: Name, location: String, wanted: String },
    #[error("The specified file server {name} is still being created")]
    FileServerInCreation { name: Name },
    #[error(
        "The specified file server {name} could not be provisioned; create it again, or delete it"
    )]
    FileServerFailed { name: Name },
    #[error(
        "The cluster may have up to {wanted} nodes, but this service runs at most {most}; ask for fewer, or raise the limit of the service (--max-nodes)"
    )]
    ClusterBeyondNodes { wanted: u32, most: u32 },
    #[error(
        "There are {most} clusters in {location}, which is the most there can be; delete one first, or raise the limit of the service (--max-clusters)"
    )]
    TooManyClusters { most: u32, location: String },
    #[error(
        "The job needs {wanted} nodes at once, but this service runs at most {most}; ask for fewer, or raise the limit of the service (--max-nodes)"
    )]
    JobBeyondNodes { wanted: u32, most: u32 },
    #[error(
        "The job needs {wanted} cores at once, but the quota is {most}; ask for fewer nodes or smaller ones, or raise the limit of the service (--max-cores)"
    )]
    JobBeyondCores { wanted: u32, most: u32 },
    #[error("A role assignment cannot be changed; delete it and create another one")]
    RoleAssignmentDiffers,
    #[error("The principal has this role in this scope already, by the assignment {by}")]
    RoleAssignmentExists { by: Uid },
    #[error(
        "The subscription has {most} role assignments, which is the most there can be; delete some first"
    )]
    TooManyRoleAssignments { most: usize },
    #[error("There is a token named {name} already; revoke it or use another name")]
    TokenExists { name: String },
    #[error("There are {most} tokens, which is the most there can be; revoke some first")]
    TooManyTokens { most: usize },
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A record changed since it was read: nothing for the user, the reaction is repeated.
    #[error(transparent)]
    Stale(#[from] InvalidTransition),
}

/// What users name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    ResourceGroup,
    Workspace,
    Experiment,
    FileServer,
    Cluster,
    Job,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ResourceGroup => "resource group",
            Self::Workspace => "workspace",
            Self::Experiment => "experiment",
            Self::FileServer => "file server",
            Self::Cluster => "cluster",
            Self::Job => "job",
        })
    }
}
