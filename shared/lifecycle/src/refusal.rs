//! Why the service refuses a request of a user, with the message for the user. `control` adds the
//! HTTP
//! status. A refused request wrote nothing.

use crate::mounted::mounted;
use crate::size::TooLarge;
use model::{InvalidTransition, Name, Uid};
use std::fmt;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The resource is being deleted.
    #[error("The specified {kind} {name} is being deleted; wait until that is done")]
    BeingDeleted {
        /// Kind of the resource.
        kind: ResourceKind,
        /// Its name.
        name: Name,
    },
    /// The name is taken by a different resource of the same kind.
    #[error(
        "The specified {kind} {name} exists already with other properties; delete it first or choose another name"
    )]
    Exists {
        /// Kind of the resource.
        kind: ResourceKind,
        /// Its name.
        name: Name,
    },
    /// A resource group cannot move to another region.
    #[error(
        "The resource group {name} is in {location} and cannot move to {wanted}; use another name, or delete it first"
    )]
    InAnotherRegion {
        /// Name of the group.
        name: Name,
        /// Its region.
        location: String,
        /// The requested region.
        wanted: String,
    },
    /// The file server cannot be mounted yet.
    #[error("The specified file server {name} is still being created")]
    FileServerInCreation {
        /// Its name.
        name: Name,
    },
    /// The file server cannot be mounted, as its creation failed.
    #[error(
        "The specified file server {name} could not be provisioned; create it again, or delete it"
    )]
    FileServerFailed {
        /// Its name.
        name: Name,
    },
    /// The scale settings allow more nodes than the service runs.
    #[error(
        "The cluster may have up to {wanted} nodes, but this service runs at most {most}; ask for fewer, or raise the limit of the service (--max-nodes)"
    )]
    ClusterBeyondNodes {
        /// Nodes that the settings allow.
        wanted: u32,
        /// Nodes that the service runs.
        most: u32,
    },
    /// The quota of clusters is used up.
    #[error(
        "There are {most} clusters in {location}, which is the most there can be; delete one first, or raise the limit of the service (--max-clusters)"
    )]
    TooManyClusters {
        /// The quota.
        most: u32,
        /// The region.
        location: String,
    },
    /// The job needs more nodes than the service runs.
    #[error(
        "The job needs {wanted} nodes at once, but this service runs at most {most}; ask for fewer, or raise the limit of the service (--max-nodes)"
    )]
    JobBeyondNodes {
        /// Nodes that the job needs.
        wanted: u32,
        /// Nodes that the service runs.
        most: u32,
    },
    /// The job needs more cores than the quota.
    #[error(
        "The job needs {wanted} cores at once, but the quota is {most}; ask for fewer nodes or smaller ones, or raise the limit of the service (--max-cores, --max-total-cores)"
    )]
    JobBeyondCores {
        /// Cores that the job needs.
        wanted: u32,
        /// The quota.
        most: u32,
    },
    /// Output would be lost with the node.
    #[error(
        "The path {path} is on no mount: {}; what is written there is lost with the node",
        mounted(root, mounts)
    )]
    NotOnAMount {
        /// The path, as sent.
        path: String,
        /// The variable that it begins with.
        root: &'static str,
        /// What is mounted there.
        mounts: Vec<String>,
    },
    /// The id belongs to a role assignment with another principal or role.
    #[error("A role assignment cannot be changed; delete it and create another one")]
    RoleAssignmentDiffers,
    /// The principal has the role in this scope.
    #[error("The principal has this role in this scope already, by the assignment {by}")]
    RoleAssignmentExists {
        /// Id of the existing assignment.
        by: Uid,
    },
    /// The subscription has too many role assignments.
    #[error(
        "The subscription has {most} role assignments, which is the most there can be; delete some first"
    )]
    TooManyRoleAssignments {
        /// The limit.
        most: usize,
    },
    /// A token has this name.
    #[error("There is a token named {name} already; revoke it or use another name")]
    TokenExists {
        /// The name.
        name: String,
    },
    /// There are too many tokens.
    #[error("There are {most} tokens, which is the most there can be; revoke some first")]
    TooManyTokens {
        /// The limit.
        most: usize,
    },
    /// The record does not fit into the table.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A record changed since it was read. The reaction is repeated; the user does not see this.
    #[error(transparent)]
    Stale(#[from] InvalidTransition),
}

/// The kinds of resources that users name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A resource group.
    ResourceGroup,
    /// A workspace.
    Workspace,
    /// An experiment.
    Experiment,
    /// A file server.
    FileServer,
    /// A cluster.
    Cluster,
    /// A job.
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
