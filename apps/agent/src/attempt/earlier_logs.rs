//! Keeping the logs of earlier attempts apart from those of this one.
//!
//! What an earlier attempt left in `stdouterr` moves to `stdouterr/attempt-{n}` by rename: a process of that
//! attempt that still writes (on a node that lost its network, say) writes to its own file. The members of a gang
//! share the directory and start at the same time, so each moves the files with its own name, and the master those
//! without a node's name. When all members are prepared, and so have started their logs, the master moves those of
//! nodes that no longer take part.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::execution_log::attempt_of;

/// Names that carry the id of a node when the job has several.
const PER_NODE: [(&str, &str); 3] =
    [("execution-", ".log"), ("stdout-job_prep-", ".txt"), ("stderr-job_prep-", ".txt")];

/// The share of one node in moving.
pub struct EarlierLogs<'a> {
    pub stdouterr: &'a Path,
    /// The attempt that begins.
    pub number: u32,
    /// `None` for a job of one node.
    pub node_id: Option<&'a str>,
    pub is_master: bool,
}

impl EarlierLogs<'_> {
    /// To be called before the first file of this attempt is written.
    pub fn move_earlier_logs(&self) -> io::Result<()> {
        let own_log = match self.node_id {
            None => "execution.log".to_owned(),
            Some(node) => format!("execution-{node}.log"),
        };
        if self.number < 2 || attempt_of(&self.stdouterr.join(own_log)) == Some(self.number) {
            return Ok(()); // Nothing earlier, or done before the agent was restarted.
        }
        self.move_files(|name| match (self.node_id, node_of(name)) {
            (None, _) => true,
            (Some(own), Some(node)) => own == node,
            (Some(_), None) => self.is_master,
        })
    }

    /// To be called by the master when all members are prepared.
    pub fn set_departed_members_aside(&self) -> io::Result<()> {
        if self.number < 2 || self.node_id.is_none() || !self.is_master {
            return Ok(());
        }
        let mut present = HashSet::new();
        for name in file_names(self.stdouterr)? {
            if let Some(node) = node_of(&name) {
                let log = self.stdouterr.join(format!("execution-{node}.log"));
                if attempt_of(&log) == Some(self.number) {
                    present.insert(node.to_owned());
                }
            }
        }
        self.move_files(|name| node_of(name).is_some_and(|node| !present.contains(node)))
    }

    fn move_files(&self, chosen: impl Fn(&str) -> bool) -> io::Result<()> {
        let target = self.stdouterr.join(format!("attempt-{}", self.number - 1));
        for name in file_names(self.stdouterr)?.iter().filter(|name| chosen(name)) {
            fs::create_dir_all(&target)?;
            match fs::rename(self.stdouterr.join(name), vacant(&target, name)) {
                // Another member was faster, or the user has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
}

/// The id in the name of a file that belongs to one node.
fn node_of(name: &str) -> Option<&str> {
    PER_NODE.iter().find_map(|(start, end)| name.strip_prefix(start)?.strip_suffix(end))
}

/// Everything but directories.
fn file_names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// A path at which nothing is overwritten.
fn vacant(directory: &Path, name: &str) -> PathBuf {
    let taken = |path: &PathBuf| path.symlink_metadata().is_ok();
    let plain = directory.join(name);
    if !taken(&plain) {
        return plain;
    }
    let numbered = (1_u32..).map(|number| directory.join(format!("{name}.{number}")));
    numbered.into_iter().find(|path| !taken(path)).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names = file_names(directory).unwrap_or_default();
        names.sort();
        names
    }

    fn write(directory: &Path, name: &str, text: &str) {
        fs::write(directory.join(name), text).unwrap();
    }

    fn heading(number: u32) -> String {
        format!("2018-12-23T19:46:26Z Attempt {number} of job j on node n\n")
    }

    #[test]
    fn one_node_moves_files_once_and_leaves_directories() {
        let place = tempfile::tempdir().unwrap();
        let stdouterr = place.path();
        write(stdouterr, "stdout.txt", "one");
        write(stdouterr, "execution.log", &heading(1));
        fs::create_dir(stdouterr.join("plots")).unwrap();
        let earlier = EarlierLogs { stdouterr, number: 2, node_id: None, is_master: true };
        earlier.move_earlier_logs().unwrap();
        assert_eq!(names(&stdouterr.join("attempt-1")), ["execution.log", "stdout.txt"]);
        assert!(names(stdouterr).is_empty() && stdouterr.join("plots").is_dir());
        write(stdouterr, "execution.log", &heading(2));
        earlier.move_earlier_logs().unwrap();
        assert_eq!(names(stdouterr), ["execution.log"], "a restarted agent moves nothing");
    }

    #[test]
    fn nothing_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("attempt-2")).unwrap();
        write(&place.path().join("attempt-2"), "stdout.txt", "kept");
        write(place.path(), "stdout.txt", "new");
        let earlier =
            EarlierLogs { stdouterr: place.path(), number: 3, node_id: None, is_master: true };
        earlier.move_earlier_logs().unwrap();
        assert_eq!(names(&place.path().join("attempt-2")), ["stdout.txt", "stdout.txt.1"]);
    }

    #[test]
    fn a_gang_shares_the_work() {
        let place = tempfile::tempdir().unwrap();
        let stdouterr = place.path();
        for name in ["stdout.txt", "stdout-job_prep-a.txt", "stderr-job_prep-gone.txt"] {
            write(stdouterr, name, "");
        }
        for node in ["a", "b", "gone"] {
            write(stdouterr, &format!("execution-{node}.log"), &heading(1));
        }
        let share =
            |node, is_master| EarlierLogs { stdouterr, number: 2, node_id: Some(node), is_master };
        // The member is first, and has started its log before the master reads the directory.
        share("b", false).move_earlier_logs().unwrap();
        write(stdouterr, "execution-b.log", &heading(2));
        share("a", true).move_earlier_logs().unwrap();
        write(stdouterr, "execution-a.log", &heading(2));
        share("b", false).set_departed_members_aside().unwrap();
        let stay = ["execution-a.log", "execution-b.log"];
        let strangers = ["execution-gone.log", "stderr-job_prep-gone.txt"];
        assert_eq!(names(stdouterr), [stay, strangers].concat());
        share("a", true).set_departed_members_aside().unwrap();
        assert_eq!(names(stdouterr), stay);
        assert_eq!(names(&stdouterr.join("attempt-1")).len(), 6);
    }
}
