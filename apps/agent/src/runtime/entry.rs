//! The way into a container: a program joins the mounts and the shared memory of the container's first process, and then
//! becomes what is to run there. So it stays a child of its supervisor, which the client of an engine's `exec` would
//! not give; and it needs nothing of the image, as it was loaded before.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use processes::Identity;
use rustix::process::{chdir, chroot, fchdir};
use rustix::thread::move_into_link_name_space;

/// The exit code of a shell for a program that cannot be started.
const NOT_STARTED: u8 = 126;

/// Users first: an engine without root has a user namespace, in which its user may join the others.
const NAME_SPACES: [&str; 3] = ["user", "mnt", "ipc"];

/// Into the container with this first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub process: Identity,
    /// Becomes the working directory; a path in the container.
    pub directory: PathBuf,
}

impl Entry {
    /// The command line that runs `arguments` inside.
    pub fn wrap(&self, arguments: Vec<String>) -> Vec<String> {
        let mut line = vec!["/proc/self/exe".to_owned(), crate::ENTER.to_owned()];
        line.extend(self.words());
        line.extend(arguments);
        line
    }

    /// For [`Entry::parse`].
    pub fn words(&self) -> [String; 3] {
        let Identity { pid, started } = self.process;
        [pid.to_string(), started.to_string(), self.directory.display().to_string()]
    }

    /// Reads the words of an entry.
    pub fn parse(words: &[OsString]) -> Option<Self> {
        let [pid, started, directory] = words else { return None };
        let process =
            Identity { pid: pid.to_str()?.parse().ok()?, started: started.to_str()?.parse().ok()? };
        Some(Self { process, directory: directory.into() })
    }

    /// Moves this process into the container. It has one thread.
    pub fn enter(&self) -> io::Result<()> {
        let of_container = format!("/proc/{}", self.process.pid);
        let root = File::open(format!("{of_container}/root"))?;
        let mut spaces = Vec::new();
        for name in NAME_SPACES {
            let theirs = format!("{of_container}/ns/{name}");
            if fs::read_link(&theirs)? != fs::read_link(format!("/proc/self/ns/{name}"))? {
                spaces.push(File::open(theirs)?);
            }
        }
        // Checked after everything was opened: until then its id may have become another's.
        if !self.process.is_alive() {
            return Err(io::Error::other("the container of the job has ended"));
        }
        for space in &spaces {
            move_into_link_name_space(space.as_fd(), None)?;
        }
        fchdir(&root)?;
        chroot(".")?;
        chdir(&self.directory)?;
        Ok(())
    }
}

/// Arguments: the words of an entry, and a program with its arguments.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let entry = arguments.get(..3).and_then(Entry::parse);
    let (Some(entry), Some((program, rest))) =
        (entry, arguments.get(3..).and_then(|it| it.split_first()))
    else {
        eprintln!("usage: batchai enter PID STARTED DIRECTORY PROGRAM [ARGUMENT...]");
        return ExitCode::from(2);
    };
    let error = match entry.enter() {
        Ok(()) => Command::new(program).args(rest).exec(),
        Err(error) => error,
    };
    eprintln!("batchai enter: {}: {error}", entry.directory.display());
    ExitCode::from(NOT_STARTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_is_written() {
        let process = Identity { pid: 7, started: 1234 };
        let entry = Entry { process, directory: "/a b".into() };
        let words = entry.words().map(OsString::from);
        assert_eq!(Entry::parse(&words), Some(entry.clone()));
        let line = entry.wrap(vec!["bash".into(), "-c".into()]);
        assert_eq!(line, ["/proc/self/exe", "enter", "7", "1234", "/a b", "bash", "-c"]);
    }

    #[test]
    fn the_process_of_another_is_not_entered() {
        let pid = std::process::id().cast_signed();
        let own = Identity::of(pid).unwrap();
        let entry = |process| Entry { process, directory: "/".into() };
        let error = entry(Identity { started: own.started + 1, ..own }).enter().unwrap_err();
        assert_eq!(error.to_string(), "the container of the job has ended");
    }
}
