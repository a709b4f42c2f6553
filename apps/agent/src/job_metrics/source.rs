//! A file in which a job reports metrics, read as it grows.
//!
//! Nothing that a job does to the file hurts the agent: only regular files are opened, and without waiting; a bounded
//! part is read at a time, and a bounded part of a line is kept.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use protocol::MAX_METRIC_LINE_BYTES;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::curves::Curves;
use super::line::{self, Line};

/// The most that is read at a time. Of what is more, the end counts: a job that writes more than this between two
/// reports writes other things than metrics.
const MAX_READ_BYTES: u64 = 8 << 20;
const CHUNK_BYTES: usize = 64 * 1024;

/// A file that earlier attempts have written: their lines are not read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    inode: u64,
    length: u64,
}

impl Mark {
    /// The file as it is now; `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let data = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { inode: data.ino(), length: data.len() })
    }
}

/// Which lines of a file count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `metrics.jsonl`: the step of a line without one is its number, from 1.
    Metrics,
    /// Standard output: a line without a step is something else.
    Output,
}

#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    kind: Kind,
    mark: Option<Mark>,
    /// The file that was read last.
    inode: Option<u64>,
    /// How far it was read.
    offset: u64,
    /// Lines up to this position belong to earlier attempts.
    own_from: u64,
    /// The line that is not complete.
    part: Vec<u8>,
    /// The rest of this line is skipped.
    skips: bool,
    /// The number of lines so far. `None` after a part of the file was skipped.
    lines: Option<u64>,
    curves: Curves,
}

impl Source {
    pub fn new(path: PathBuf, kind: Kind, mark: Option<Mark>) -> Self {
        Self {
            path,
            kind,
            mark,
            inode: None,
            offset: 0,
            own_from: 0,
            part: Vec::new(),
            skips: false,
            lines: Some(0),
            curves: Curves::default(),
        }
    }

    pub fn curves(&self) -> &Curves {
        &self.curves
    }

    /// Reads what was added since the last time.
    pub fn read(&mut self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let data = file.metadata()?;
        if !data.is_file() {
            return Ok(());
        }
        let (inode, length) = (data.ino(), data.len());
        if self.inode != Some(inode) || length < self.offset {
            self.begin(inode, length);
        }
        if length - self.offset > MAX_READ_BYTES {
            self.skip_to(length - MAX_READ_BYTES);
        }
        let mut chunk = vec![0; CHUNK_BYTES.min((length - self.offset) as usize)];
        while self.offset < length {
            let wanted = chunk.len().min((length - self.offset) as usize);
            let count = file.read_at(&mut chunk[..wanted], self.offset)?;
            if count == 0 {
                break;
            }
            self.take(&chunk[..count]);
        }
        Ok(())
    }

    /// The last line counts although it does not end: the job has ended.
    pub fn finish(&mut self) {
        self.end_line(&[]);
    }

    /// Another file, or a file that was emptied.
    fn begin(&mut self, inode: u64, length: u64) {
        let mark = self.mark.filter(|mark| mark.inode == inode && mark.length <= length);
        let (path, kind) = (std::mem::take(&mut self.path), self.kind);
        let own_from = mark.map_or(0, |mark| mark.length);
        *self = Self { inode: Some(inode), own_from, ..Self::new(path, kind, self.mark) };
    }

    fn skip_to(&mut self, offset: u64) {
        self.part.clear();
        (self.offset, self.skips, self.lines) = (offset, true, None);
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.offset += end as u64 + 1;
            self.end_line(&bytes[..end]);
            bytes = &bytes[end + 1..];
        }
        self.offset += bytes.len() as u64;
        self.keep(bytes);
    }

    /// Keeps the beginning of a line, unless it is too long.
    fn keep(&mut self, bytes: &[u8]) {
        if self.skips || self.part.len() + bytes.len() > MAX_METRIC_LINE_BYTES {
            self.part = Vec::new();
            self.skips = true;
        } else {
            self.part.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, rest: &[u8]) {
        self.lines = self.lines.map(|lines| lines + 1);
        self.keep(rest);
        if !std::mem::take(&mut self.skips) && self.offset > self.own_from {
            let line = std::mem::take(&mut self.part);
            self.add(line::parse(&line));
        }
        self.part.clear();
    }

    fn add(&mut self, line: Option<Line>) {
        let Some(Line { step, values }) = line else { return };
        let step = match self.kind {
            Kind::Metrics => step.or(self.lines),
            Kind::Output => step,
        };
        let Some(step) = step else { return };
        for (name, value) in values {
            self.curves.add(step, &name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Fixture {
        place: tempfile::TempDir,
        source: Source,
    }

    impl Fixture {
        fn new(kind: Kind) -> Self {
            let place = tempfile::tempdir().unwrap();
            let source = Source::new(place.path().join("metrics.jsonl"), kind, None);
            Self { place, source }
        }

        fn path(&self) -> PathBuf {
            self.place.path().join("metrics.jsonl")
        }

        fn append(&self, text: impl AsRef<[u8]>) {
            let mut file = OpenOptions::new().append(true).create(true).open(self.path()).unwrap();
            file.write_all(text.as_ref()).unwrap();
        }

        /// Steps and values of `loss` after the next reading.
        fn loss(&mut self) -> Vec<(u64, f64)> {
            self.source.read().unwrap();
            let loss = self.source.curves().metrics().find(|metric| metric.name == "loss");
            let points = loss.map(|metric| metric.points.clone()).unwrap_or_default();
            points.iter().map(|point| (point.step, point.value)).collect()
        }

        /// As of an agent that was just started.
        fn read_again(&mut self) -> Vec<(u64, f64)> {
            self.source = Source::new(self.path(), self.source.kind, self.source.mark);
            self.loss()
        }
    }

    #[test]
    fn lines_are_read_as_they_are_completed() {
        let mut it = Fixture::new(Kind::Output);
        assert_eq!(it.loss(), [], "there is no file yet");
        it.append("starting\n{\"step\":1,\"loss\":3}\n{\"step\":2,");
        assert_eq!(it.loss(), [(1, 3.0)]);
        it.append("\"loss\":2}");
        assert_eq!(it.loss(), [(1, 3.0)]);
        it.append("\n{\"loss\":9}\n");
        assert_eq!(it.loss(), [(1, 3.0), (2, 2.0)], "no line number where other lines may be");
        it.append("{\"step\":3,\"loss\":1}");
        assert_eq!(it.loss().len(), 2);
        it.source.finish();
        assert_eq!(it.loss(), [(1, 3.0), (2, 2.0), (3, 1.0)]);
    }

    #[test]
    fn a_line_without_a_step_has_the_number_of_the_line() {
        let mut it = Fixture::new(Kind::Metrics);
        it.append("{\"loss\":3}\n\nnot JSON\n{\"loss\":2}\n");
        assert_eq!(it.loss(), [(1, 3.0), (4, 2.0)]);
        it.append("{\"loss\":1}\n");
        assert_eq!(it.loss(), [(1, 3.0), (4, 2.0), (5, 1.0)]);
        assert_eq!(it.read_again(), [(1, 3.0), (4, 2.0), (5, 1.0)]);
    }

    #[test]
    fn what_is_read_in_parts_is_the_same_as_at_once() {
        let mut it = Fixture::new(Kind::Metrics);
        for step in 0..5000 {
            it.append(format!("{{\"step\":{step},\"loss\":{}}}\n", 1.0 / f64::from(step + 1)));
            if step % 97 == 0 {
                it.loss();
            }
        }
        let known = it.loss();
        assert!(known.len() > 8 && known.len() <= 16, "{known:?}");
        assert_eq!(it.read_again(), known);
    }

    #[test]
    fn a_file_that_is_emptied_or_replaced_is_read_from_its_start() {
        let mut it = Fixture::new(Kind::Metrics);
        it.append("{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n");
        assert_eq!(it.loss().len(), 2);
        fs::write(it.path(), "{\"step\":7,\"loss\":1}\n").unwrap();
        assert_eq!(it.loss(), [(7, 1.0)]);
        let other = it.place.path().join("other");
        fs::write(&other, "{\"step\":8,\"loss\":1}\n{\"step\":9,\"loss\":1}\n{}\n").unwrap();
        fs::rename(other, it.path()).unwrap();
        assert_eq!(it.loss(), [(8, 1.0), (9, 1.0)]);
    }

    #[test]
    fn lines_of_earlier_attempts_are_counted_but_not_read() {
        let mut it = Fixture::new(Kind::Metrics);
        it.append("{\"loss\":3}\n{\"loss\":2}\n");
        it.source.mark = Mark::of(&it.path());
        assert_eq!(it.loss(), []);
        it.append("{\"loss\":1}\n");
        assert_eq!(it.loss(), [(3, 1.0)]);
        assert_eq!(it.read_again(), [(3, 1.0)]);
        // The attempt writes the file anew: all of it is its own.
        fs::write(it.path(), "{\"loss\":5}\n").unwrap();
        assert_eq!(it.loss(), [(1, 5.0)]);
    }

    #[test]
    fn long_lines_and_other_bytes_do_no_harm() {
        let mut it = Fixture::new(Kind::Output);
        let long = format!("{{\"step\":1,\"loss\":1,\"text\":\"{}\"}}\n", "x".repeat(5000));
        it.append(&long);
        it.append([0xff, 0xfe, 0, b'\n', b'{', 0xff, b'}', b'\n']);
        it.append("{\"step\":2,\"loss\":2}\r\n");
        it.append("y".repeat(3 * CHUNK_BYTES));
        assert_eq!(it.loss(), [(2, 2.0)]);
        assert!(it.source.part.capacity() <= 2 * MAX_METRIC_LINE_BYTES);
        it.append("\n{\"step\":3,\"loss\":3}\n");
        assert_eq!(it.loss(), [(2, 2.0), (3, 3.0)]);
    }

    #[test]
    fn of_very_much_the_end_is_read() {
        let mut it = Fixture::new(Kind::Metrics);
        it.append("{\"step\":1,\"loss\":1}\n");
        it.append("z\n".repeat(MAX_READ_BYTES as usize / 2));
        it.append("{\"loss\":2}\n{\"step\":9,\"loss\":3}\n");
        assert_eq!(it.loss(), [(9, 3.0)], "line numbers are not known there");
        assert_eq!(it.source.offset, fs::metadata(it.path()).unwrap().len());
    }

    #[test]
    fn only_regular_files_are_read() {
        let mut it = Fixture::new(Kind::Metrics);
        let target = it.place.path().join("target");
        fs::write(&target, "{\"loss\":1}\n").unwrap();
        symlink(&target, it.path()).unwrap();
        assert!(it.source.read().is_err(), "a link is not followed");
        assert_eq!(Mark::of(&it.path()), None);
        fs::remove_file(it.path()).unwrap();
        fs::create_dir(it.path()).unwrap();
        assert_eq!(it.loss(), []);
        fs::remove_dir(it.path()).unwrap();
        // Opening a pipe that nobody writes to would wait for ever.
        let made = std::process::Command::new("mkfifo").arg(it.path()).status().unwrap();
        assert!(made.success());
        assert_eq!(it.loss(), []);
    }
}
