//! SSH between the nodes of a job: the key pair of an attempt, the files of its clients, and the server of each node.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use protocol::Assignment;
use ssh::{ClientHost, KeyPair};

use crate::launch::ssh_port;
use crate::runtime::Entry;
use crate::supervisor::Program;

/// Below the directory of the job.
const DIRECTORY: &str = "ssh";

/// How the nodes of an attempt reach each other.
pub struct SshAccess {
    directory: PathBuf,
    key: KeyPair,
    /// Of all nodes of the job.
    hosts: Vec<SocketAddr>,
    own: SocketAddr,
}

impl SshAccess {
    /// `None` for a job of one node. `temp` is the directory of the job.
    pub fn of(assignment: &Assignment, temp: &Path) -> Option<Self> {
        let mut seed = [0; 32];
        hex::decode_to_slice(assignment.ssh_seed.as_ref()?, &mut seed).ok()?;
        let port = ssh_port(&assignment.hosts, &assignment.key);
        let address = |host: &String| Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port));
        let hosts: Vec<SocketAddr> = assignment.hosts.iter().filter_map(address).collect();
        let own = *hosts.get(assignment.rank as usize)?;
        let key = KeyPair::from_seed(&seed, &assignment.job);
        Some(Self { directory: temp.join(DIRECTORY), key, hosts, own })
    }

    /// Comes first in the `PATH` of the job.
    pub fn programs(&self) -> PathBuf {
        ssh::client_programs(&self.directory)
    }

    /// Where the program is that takes the place of `ssh` in an image that has none.
    pub fn stand_in(&self) -> PathBuf {
        self.directory.join(ssh::STAND_IN)
    }

    /// Makes the files of the clients, in place of those of an earlier attempt.
    pub fn write(&self) -> io::Result<()> {
        Self::remove(&self.directory)?;
        let names = |address: &SocketAddr| vec![address.ip().to_string()];
        let host = |address: &SocketAddr| ClientHost { names: names(address), address: *address };
        let hosts: Vec<ClientHost> = self.hosts.iter().map(host).collect();
        let files =
            ssh::client_files(&self.directory, &hosts, &self.key).map_err(io::Error::other)?;
        for file in files {
            if let Some(parent) = file.path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut options = fs::OpenOptions::new();
            let mut opened =
                options.write(true).create_new(true).mode(file.mode).open(&file.path)?;
            opened.write_all(file.text.as_bytes())?;
        }
        Ok(())
    }

    /// Removes those in the directory of a job: the key is gone with the attempt.
    pub fn forget(temp: &Path) -> io::Result<()> {
        Self::remove(&temp.join(DIRECTORY))
    }

    fn remove(directory: &Path) -> io::Result<()> {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// The server of this node, which runs on the host. It has the environment of the job, and so have the commands that
    /// other nodes start; these enter the container of the job, where there is one.
    pub fn server(&self, log: &Path, entry: Option<&Entry>) -> Program {
        let arguments = [
            "/proc/self/exe",
            crate::SSH_SERVER,
            &self.own.to_string(),
            &self.directory.join("id_ed25519").display().to_string(),
        ];
        let entry = entry.map(Entry::words).into_iter().flatten();
        Program {
            arguments: arguments.into_iter().map(str::to_owned).chain(entry).collect(),
            variables: Vec::new(),
            stdout: log.to_owned(),
            stderr: log.to_owned(),
            serves: true,
        }
    }
}
