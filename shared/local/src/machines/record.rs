//! What is known of a machine, in a file beside its root.

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

    pub fn machine(&self) -> Machine {
        Machine { instance: self.instance.clone(), address: self.address.clone() }
    }

    pub fn is_alive(&self) -> bool {
        !self.ended && self.agent.is_some_and(Identity::is_alive)
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

    /// Removes everything, also what a job left without write permission, or deeper than a path goes.
    pub fn remove(&self, directory: &Path) -> Result<()> {
        trees::remove(&self.home(directory))
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

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uid;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_that_a_job_left_read_only_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let uid = || Uid::from_bytes([1; 16]);
        let record = Record {
            instance: "local-n".into(),
            node: NodeId::parse("n").expect("a valid id"),
            cluster: ClusterRef { workspace: uid(), name: "c".into(), uid: uid() },
            launch: uid(),
            address: "127.0.1.1".into(),
            agent: None,
            ended: true,
            terminated: false,
        };
        record.write(directory.path()).expect("it can be written");
        let locked = record.root(directory.path()).join("a/b");
        std::fs::create_dir_all(&locked).expect("it can be made");
        std::fs::write(locked.join("file"), "x").expect("it can be written");
        for path in [&locked, &record.root(directory.path())] {
            std::fs::set_permissions(path, Permissions::from_mode(0o555)).expect("ours");
        }
        record.remove(directory.path()).expect("it can be removed");
        assert!(!record.home(directory.path()).exists());
        record.remove(directory.path()).expect("a repetition does no harm");
    }
}
