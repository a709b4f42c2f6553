//! The directory that the nodes of a job share (`$AZ_BATCHAI_SHARED_JOB_TEMP`).
//!
//! It lies beside the standard output of the job, on storage that all its nodes have mounted, and each node has a link
//! to it in its own directory of the job. Each node leaves its name there for as long as it uses it; the last one removes it. What a
//! lost node keeps from being removed is removed by the master of the next attempt.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use protocol::Assignment;

use crate::fault::Owner;
use crate::host::JobPaths;
use crate::problem::NotProvided;

/// Where the nodes that use it have their names, in the shared directory.
const USERS: &str = ".nodes";

/// The shared directory of an attempt.
pub struct SharedTemp {
    link: PathBuf,
    /// Of all attempts: `jobOutputDirectoryPathSegment`.
    parent: PathBuf,
    attempt: u32,
    node: String,
    is_master: bool,
}

impl SharedTemp {
    /// `None` for a job of one node, and where standard output is not on shared storage: then each node has a directory
    /// of its own.
    pub fn of(paths: &JobPaths, stdouterr: &Path, assignment: &Assignment) -> Option<Self> {
        let is_shared = match paths.owner(stdouterr) {
            Owner::User => assignment.hosts.len() > 1,
            Owner::JobDirectory | Owner::Node | Owner::Agent => false,
        };
        let parent = stdouterr.parent().filter(|_| is_shared)?;
        Some(Self {
            link: paths.shared.clone(),
            parent: parent.to_owned(),
            attempt: assignment.key.number,
            node: assignment.node_id.clone(),
            is_master: assignment.rank == 0,
        })
    }

    /// Makes the directory and the link. Does nothing that was done before.
    pub fn provide(&self) -> Result<(), NotProvided> {
        let directory = self.directory(self.attempt);
        self.make(&directory).map_err(NotProvided::storage(
            "make the directory that the nodes of the job share",
            Owner::User,
            directory,
        ))
    }

    fn make(&self, directory: &Path) -> io::Result<()> {
        if self.is_master {
            for earlier in 1..self.attempt {
                trees::remove(&self.directory(earlier))?;
            }
        }
        let users = directory.join(USERS);
        fs::create_dir_all(&users)?;
        fs::write(users.join(&self.node), "")?;
        // Empty, as nothing has run yet; a link after a try that failed later.
        trees::remove(&self.link)?;
        symlink(directory, &self.link)
    }

    /// No process of this node uses it any more.
    pub fn release(&self) {
        let directory = self.directory(self.attempt);
        let users = directory.join(USERS);
        let released = fs::remove_file(users.join(&self.node)).and_then(|()| {
            let is_last = fs::read_dir(&users)?.next().is_none();
            if is_last { trees::remove(&directory) } else { Ok(()) }
        });
        match released {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %directory.display(), "a shared directory stays");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn directory(&self, attempt: u32) -> PathBuf {
        self.parent.join(format!("shared-{attempt}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(place: &Path, name: &str, attempt: u32) -> SharedTemp {
        let link = place.join(name).join("shared");
        fs::create_dir_all(&link).unwrap();
        let parent = place.join("storage/segment");
        fs::create_dir_all(&parent).unwrap();
        let is_master = name == "master";
        SharedTemp { link, parent, attempt, node: name.to_owned(), is_master }
    }

    #[test]
    fn the_last_node_removes_what_all_have_shared() {
        let place = tempfile::tempdir().unwrap();
        let (master, member) = (node(place.path(), "master", 1), node(place.path(), "member", 1));
        for node in [&master, &member, &master] {
            node.provide().unwrap();
        }
        fs::write(member.link.join("rendezvous"), "here").unwrap();
        assert_eq!(fs::read_to_string(master.link.join("rendezvous")).unwrap(), "here");
        master.release();
        assert!(member.link.join("rendezvous").exists(), "the other node may use it still");
        member.release();
        assert!(!master.directory(1).exists());
        member.release();
    }

    #[test]
    fn what_a_lost_node_left_is_removed_by_the_next_attempt() {
        let place = tempfile::tempdir().unwrap();
        let lost = node(place.path(), "member", 1);
        lost.provide().unwrap();
        let next = node(place.path(), "master", 2);
        next.provide().unwrap();
        assert!(!lost.directory(1).exists() && next.link.join(USERS).exists());
    }
}
