//! `execution.log`: what the node did for a job, for the user to read next to the output.
//!
//! Each line is one unbuffered write. Lines are kept in memory until the file can be opened, as it may be on a
//! file system that is not mounted yet. A lost line never ends a job.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use crate::clock::time_of_day;

#[derive(Debug, Default)]
pub struct ExecutionLog {
    /// Stays open: late lines of an older attempt go to its log, also after that was moved.
    file: Option<File>,
    waiting: String,
}

impl ExecutionLog {
    /// Appends to the file at `path` from now on, beginning with the lines in memory.
    pub fn open(&mut self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        if let Err(error) = file.write_all(self.waiting.as_bytes()) {
            // An incomplete heading would look like the log of an earlier attempt.
            let _ = file.set_len(length);
            if length == 0 {
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
        self.waiting.clear();
        self.file = Some(file);
        Ok(())
    }

    pub fn line(&mut self, text: impl Display) {
        self.line_to_come(text);
        if let Some(file) = &mut self.file {
            if let Err(error) = file.write_all(self.waiting.as_bytes()) {
                let lines = &self.waiting;
                tracing::warn!(%error, lines, "lines of an execution log are lost");
            }
            self.waiting.clear();
        }
    }

    /// Adds a line that another one follows at once: both are one write.
    pub fn line_to_come(&mut self, text: impl Display) {
        self.waiting.push_str(&format!("{} {text}\n", time_of_day()));
    }

    /// Closes the file. Later lines are dropped with the log.
    pub fn close(&mut self) {
        self.file = None;
    }
}

/// The first line of an attempt's log. [`attempt_of`] reads it again.
pub fn heading(number: u32, job: &str, node_id: &str) -> String {
    format!("Attempt {number} of job {job} on node {node_id}")
}

/// The attempt whose log is at `path`; `None` when there is no log of an agent.
pub fn attempt_of(path: &Path) -> Option<u32> {
    // A user may have put anything there, a pipe without a writer for instance.
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut first_line = String::new();
    BufReader::new(File::open(path).ok()?.take(1024)).read_line(&mut first_line).ok()?;
    first_line.split_once(" Attempt ")?.1.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_for_the_file_and_name_their_attempt() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("execution.log");
        let mut log = ExecutionLog::default();
        log.line(heading(12, "job", "node"));
        assert_eq!(attempt_of(&path), None);
        log.open(&path).unwrap();
        log.line_to_come("Mounting");
        log.line("Mounted");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| &line[20..]).collect();
        assert_eq!(lines, [" Attempt 12 of job job on node node", " Mounting", " Mounted"]);
        assert_eq!(attempt_of(&path), Some(12));
    }
}
