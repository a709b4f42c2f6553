//! What is known of a machine, in a file beside its root.

use super::process;
use control::ports::LaunchRequest;
use model::{ClusterRef, LaunchId, Machine, NodeId};
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
    /// The agent; none until it was started for the first time.
    pub process: Option<Identity>,
    pub ended: bool,
}

impl Record {
    pub fn new(instance: String, address: String, request: &LaunchRequest, node: &NodeId) -> Self {
        Self {
            instance,
            node: node.clone(),
            cluster: request.cluster.clone(),
            launch: request.launch.clone(),
            address,
            process: None,
            ended: false,
        }
    }

    pub fn machine(&self) -> Machine {
        Machine { instance: self.instance.clone(), address: self.address.clone() }
    }

    pub fn is_alive(&self) -> bool {
        !self.ended && self.process.is_some_and(process::is_alive)
    }

    /// The agent's root: the node's own disk.
    pub fn root(&self, directory: &Path) -> PathBuf {
        self.home(directory).join("root")
    }

    pub fn home(&self, directory: &Path) -> PathBuf {
        directory.join(self.node.as_str())
    }

    pub fn write(&self, directory: &Path) -> Result<()> {
        let home = self.home(directory);
        std::fs::create_dir_all(&home)?;
        let draft = home.join("machine.new");
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        std::fs::rename(draft, home.join("machine.json"))
    }

    pub fn remove(&self, directory: &Path) -> Result<()> {
        match std::fs::remove_dir_all(self.home(directory)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// A directory without a complete record is of a launch that was never answered.
    pub fn read_all(directory: &Path) -> Result<BTreeMap<String, Self>> {
        let mut records = BTreeMap::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path().join("machine.json");
            let record: Self = match std::fs::read(&path) {
                Ok(bytes) => serde_json::from_slice(&bytes)
                    .map_err(|error| Error::other(format!("{}: {error}", path.display())))?,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            records.insert(record.instance.clone(), record);
        }
        Ok(records)
    }
}
