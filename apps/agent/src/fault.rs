//! Whose failure an error is: the job's, the node's, or a disk's that may recover.
//!
//! What the agent does for itself, in directories that it alone owns, is the node's failure when it fails. What the
//! job names (paths, mounts, its command) is the job's. Three exceptions depend on the error: a name that no file
//! system accepts is the job's, a process that runs out of descriptors or memory is the node's, and a disk that does
//! not accept data gets some time before it is the node's, also on a path of the job.

use std::io;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Who has to change something before the job can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// The job: it would fail on every node.
    #[default]
    Job,
    /// The node: the job may run on another one.
    Node,
    /// A disk that is full or does not work: it may recover. If it does not, the node's.
    Disk,
}

/// The owner of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// The agent: created and used by it alone, below the root of the node.
    Agent,
    /// The node: what earlier jobs left there, or the agent's own processes.
    Node,
    /// The job, on the node's own disk, in the directory that the node created for it.
    JobDirectory,
    /// The user: on a file server, or anywhere else.
    User,
}

impl Owner {
    /// Whose failure `error` is at a path of this owner.
    pub fn fault(self, error: &io::Error) -> Fault {
        let errno = Errno::from_io_error(error);
        if errno.is_some_and(is_disk_failure) {
            return Fault::Disk;
        }
        let is_of_the_node = match self {
            Owner::Agent => !errno.is_some_and(refuses_the_name),
            Owner::Node => true,
            Owner::JobDirectory | Owner::User => errno.is_some_and(is_exhaustion),
        };
        if is_of_the_node { Fault::Node } else { Fault::Job }
    }
}

/// Names of workspaces, jobs and mounts become names of files.
fn refuses_the_name(errno: Errno) -> bool {
    matches!(errno, Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ)
}

/// The agent or the machine has run out of a resource, whatever the path.
fn is_exhaustion(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

/// The disk is full or fails.
fn is_disk_failure(errno: Errno) -> bool {
    matches!(errno, Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS)
}

/// Whose failure it is that the shell of a command could not be started. `has_shell`: the shell is installed.
pub fn fault_of_start(error: &io::Error, has_shell: bool) -> Fault {
    match Errno::from_io_error(error) {
        // A zero byte in the command line or in a variable.
        None => Fault::Job,
        Some(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) if !has_shell => Fault::Node,
        // Too long a command line or environment; a working directory that the preparation removed.
        Some(Errno::TOOBIG | Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Fault::Job,
        Some(_) => Fault::Node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_path_and_the_error_decide_whose_failure_it_is() {
        use Fault::{Disk, Job, Node};
        // At a path of the agent, in the directory of the job, at a path of the user.
        let table = [
            (Errno::ACCESS, [Node, Job, Job]),
            (Errno::PERM, [Node, Job, Job]),
            (Errno::NOTDIR, [Node, Job, Job]),
            (Errno::NOENT, [Node, Job, Job]),
            (Errno::NOTEMPTY, [Node, Job, Job]),
            (Errno::BUSY, [Node, Job, Job]),
            (Errno::WOULDBLOCK, [Node, Job, Job]),
            (Errno::ROFS, [Disk, Disk, Disk]),
            (Errno::NOSPC, [Disk, Disk, Disk]),
            (Errno::DQUOT, [Disk, Disk, Disk]),
            (Errno::IO, [Disk, Disk, Disk]),
            (Errno::STALE, [Node, Job, Job]),
            (Errno::MFILE, [Node, Node, Node]),
            (Errno::NFILE, [Node, Node, Node]),
            (Errno::NOMEM, [Node, Node, Node]),
            (Errno::NAMETOOLONG, [Job, Job, Job]),
            (Errno::ILSEQ, [Job, Job, Job]),
        ];
        for (errno, expected) in table {
            let owners = [Owner::Agent, Owner::JobDirectory, Owner::User];
            assert_eq!(owners.map(|owner| owner.fault(&errno.into())), expected, "{errno:?}");
            assert_ne!(Owner::Node.fault(&errno.into()), Job, "{errno:?}");
        }
        let other = io::Error::other("a mount cannot be removed");
        assert_eq!((Owner::Agent.fault(&other), Owner::User.fault(&other)), (Node, Job));
    }

    #[test]
    fn a_shell_that_does_not_start_is_the_node_s_failure_unless_the_job_asked_too_much() {
        use Fault::{Job, Node};
        for (errno, expected, without_shell) in [
            (Errno::TOOBIG, Job, Job),
            (Errno::NOENT, Job, Node),
            (Errno::ACCESS, Job, Node),
            (Errno::AGAIN, Node, Node),
            (Errno::NOMEM, Node, Node),
            (Errno::MFILE, Node, Node),
            (Errno::IO, Node, Node),
        ] {
            let error = io::Error::from(errno);
            assert_eq!(fault_of_start(&error, true), expected, "{errno:?}");
            assert_eq!(fault_of_start(&error, false), without_shell, "{errno:?}");
        }
        assert_eq!(fault_of_start(&io::ErrorKind::InvalidInput.into(), true), Job);
    }
}
