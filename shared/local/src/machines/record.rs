//! What is known of a machine, in a file beside its root.

use control::ports::LaunchRequest;
use model::{ClusterRef, Instance, LaunchId, NodeId};
use processes::Identity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub instance: String,
    pub node: NodeId,
    pub cluster: ClusterRef,
    pub launch: LaunchId,
    pub address: String,
    /// The agent, as far as this service knows it. Not written down: it is found by its command line,
    /// also when the service that started it was killed in that very moment.
    #[serde(skip)]
    pub agent: Option<Identity>,
    pub ended: bool,
    /// The control plane has taken note of its end; only its directory is left.
    #[serde(default)]
    pub terminated: bool,
}

impl Record {
    pub fn new(instance: String, address: String, request: &LaunchRequest, node: &NodeId) -> Self {
        Self {
            instance,
            node: node.clone(),
            cluster: request.cluster.clone(),
            launch: request.launch.clone(),
            address,
            agent: None,
            ended: false,
            terminated: false,
        }
    }

    pub fn machine(&self) -> Instance {
        Instance { id: self.instance.clone(), address: self.address.clone() }
    }

    pub fn is_alive(&self) -> bool {
        !self.ended && self.agent.is_some_and(Identity::is_alive)
    }

    pub fn write(&self, directory: &Path) -> Result<()> {
        let home = home(directory, &self.node);
        std::fs::create_dir_all(&home)?;
        let draft = home.join("machine.new");
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        std::fs::rename(draft, home.join("machine.json"))
    }

    /// The machines that are recorded, and the nodes of which there is only a directory: their launch
    /// was never answered, or what it was is lost.
    pub fn read_all(directory: &Path) -> Result<(BTreeMap<String, Self>, Vec<NodeId>)> {
        let mut records = BTreeMap::new();
        let mut unknown = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path().join("machine.json");
            let record = match std::fs::read(&path) {
                Ok(bytes) => serde_json::from_slice::<Self>(&bytes).map_err(Error::from),
                Err(error) if is_absent(&error) => Err(error),
                Err(error) => return Err(error),
            };
            match record {
                Ok(record) => {
                    records.insert(record.instance.clone(), record);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "no record of a machine");
                    unknown.extend(entry.file_name().to_str().and_then(NodeId::parse));
                }
            }
        }
        Ok((records, unknown))
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The agent's root: the node's own disk.
pub fn root(directory: &Path, node: &NodeId) -> PathBuf {
    home(directory, node).join("root")
}

/// Everything of a machine.
pub fn home(directory: &Path, node: &NodeId) -> PathBuf {
    directory.join(node.as_str())
}
