//! What is not at rest and has to be looked at: the content of every hint, and of the list that
//! the schedule walks.

use crate::{ClusterRef, Uid};
use serde::{Deserialize, Serialize};

/// "Look at this." A hint carries nothing but the name: whoever takes it reads the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Wake {
    Cluster { cluster: ClusterRef },
    FileServer { workspace: Uid, name: String, uid: Uid },
    Experiment { workspace: Uid, name: String, uid: Uid },
    Workspace { subscription: String, resource_group: String, name: String, uid: Uid },
    ResourceGroup { subscription: String, name: String, uid: Uid },
}

impl Wake {
    /// The resource that is to be looked at; also the message group, so that one resource is
    /// looked at by one function at a time.
    pub fn uid(&self) -> &Uid {
        match self {
            Self::Cluster { cluster } => &cluster.uid,
            Self::FileServer { uid, .. }
            | Self::Experiment { uid, .. }
            | Self::Workspace { uid, .. }
            | Self::ResourceGroup { uid, .. } => uid,
        }
    }
}
