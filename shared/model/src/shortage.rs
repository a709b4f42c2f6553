//! What the node of a job had run out of when a command of the job failed there.

use crate::{NodeId, ResourceError};
use serde::{Deserialize, Serialize};

/// A resource of a node that had run out, as its agent observed it. It explains a failure and changes no decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Which resource.
    pub resource: ScarceResource,
    /// The node.
    pub node: NodeId,
    /// What was observed, for people; at most [`crate::limits::MAX_EVIDENCE_BYTES`] of JSON.
    pub evidence: String,
}

/// A resource of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScarceResource {
    /// Space, inodes or quota of a file system that the job writes to.
    Disk,
    /// Memory.
    Memory,
    /// One that only a later release of the agent knows.
    Other,
}

impl ScarceResource {
    /// Its name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Other => "other",
        }
    }

    /// What happened, in a few words.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Disk => "a disk was full",
            Self::Memory => "memory ran out",
            Self::Other => "a resource ran out",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Disk => {
                "a disk that it writes to is full; write to another one, such as a file server, or remove files"
            }
            Self::Memory => {
                "memory ran out while it ran; use a VM size with more memory, or less memory per process"
            }
            Self::Other => "its node ran out of a resource",
        }
    }
}

impl Shortage {
    /// The error of a job that failed during the shortage. Its code stays.
    pub fn explain(&self, error: ResourceError) -> ResourceError {
        let message = format!("{}: {}", error.message, self.resource.advice());
        ResourceError { message, ..error }
            .with_detail("Shortage", self.resource.name())
            .with_detail("Node", self.node.as_str())
            .with_detail("Evidence", &self.evidence)
    }
}
