//! The record of a machine, in a file beside its root.

use control::ports::LaunchRequest;
use model::{ClusterRef, Instance, LaunchId, NodeId};
use processes::ControlGroup;
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
    /// All processes of the machine are in it, where this system has control groups.
    #[serde(default)]
    pub group: Option<ControlGroup>,
    /// Its GPUs; `None` on a machine without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Vec<String>>,
    #[serde(default)]
    pub state: State,
}

/// A machine only moves forward through these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It has a keeper, or is to get one.
    #[default]
    Running,
    /// Nothing is started on it any more. Some of its processes may still run.
    Ending,
    /// None of its processes is left.
    Ended,
    /// The control plane knows that it has ended. Only its directory is left.
    Terminated,
}

impl Record {
    pub fn new(
        instance: String,
        address: String,
        group: Option<ControlGroup>,
        request: &LaunchRequest,
        node: &NodeId,
    ) -> Self {
        Self {
            instance,
            node: node.clone(),
            cluster: request.cluster.clone(),
            launch: request.launch.clone(),
            address,
            group,
            gpus: None,
            state: State::Running,
        }
    }

    pub fn machine(&self) -> Instance {
        Instance { id: self.instance.clone(), address: self.address.clone() }
    }

    pub fn has_ended(&self) -> bool {
        self.state >= State::Ended
    }

    pub fn write(&self, directory: &Path) -> Result<()> {
        let home = home(directory, &self.node);
        std::fs::create_dir_all(&home)?;
        let draft = home.join("machine.new");
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        std::fs::rename(draft, home.join("machine.json"))
    }

    /// The recorded machines, and the nodes that only have a directory: the launch was interrupted before its
    /// record was written, or the record was damaged.
    pub fn read_all(directory: &Path) -> Result<(BTreeMap<String, Self>, Vec<NodeId>)> {
        let mut records = BTreeMap::new();
        let mut unrecorded = Vec::new();
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
                    tracing::warn!(path = %path.display(), %error, "a machine has no record");
                    unrecorded.extend(entry.file_name().to_str().and_then(NodeId::parse));
                }
            }
        }
        Ok((records, unrecorded))
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The directory of a machine: its record, the log of its agent, its root.
pub fn home(directory: &Path, node: &NodeId) -> PathBuf {
    directory.join(node.as_str())
}

/// The root of the agent: the disk of the node. The only part of `home` that jobs may change.
pub fn root(directory: &Path, node: &NodeId) -> PathBuf {
    home(directory, node).join("root")
}

/// The [`processes::KeeperFile`] of the machine.
pub fn keeper_file(directory: &Path, node: &NodeId) -> PathBuf {
    home(directory, node).join("keeper")
}
