//! Follows an output file of a job across attempts, without repeating any text.
//!
//! The file of the current attempt is in the directory itself. When the next attempt starts, its
//! node moves the file to `attempt-N/`. The number of attempts in the job's record grows before the
//! move. So text counts only if that number is unchanged after the text was read.

use crate::client::{Address, Client, Download};
use crate::utf8_tail::Utf8Tail;
use anyhow::{Context as _, Result};
use reqwest::Url;
use resources::{File, Job};
use std::time::Duration;
use tokio::time::Instant;

pub const STDOUTERR: &str = "stdouterr";

/// How much one request reads.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

/// How much of the end of a file is read first to find its last lines.
const LAST_LINES_WINDOW_BYTES: u64 = 64 * 1024;

/// How long to wait until the node of a new attempt starts to move the files of the previous one,
/// and then until it has moved all of them. Applies only if the file may belong to either attempt.
const MOVE_START_TIMEOUT: Duration = Duration::from_secs(10);
const MOVE_END_TIMEOUT: Duration = Duration::from_secs(1);

/// The location of a file in the output directories of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputFile {
    pub directory_id: String,
    /// Relative to the output directory; `.` for the directory itself.
    pub directory: String,
    pub name: String,
}

#[derive(Debug, PartialEq)]
pub enum Piece {
    /// The text from here on was written by this attempt.
    AttemptStarted(u32),
    /// Ends between characters, if it is UTF-8.
    Text(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more to read now.
    More,
    /// Everything written so far was read.
    CaughtUp,
    /// An attempt starts; its file cannot be distinguished from the previous attempt's yet.
    AwaitingMove,
    /// The job has ended and everything was read.
    Done,
}

/// Whether the node has moved the file of the previous attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Move {
    Done,
    NotStarted,
    /// Other files were moved. The previous attempt may have had no file of this name.
    Started,
}

pub struct LogTail {
    address: Address,
    file: OutputFile,
    job: Job,
    /// The attempt whose output is being read; 0 before the first one.
    attempt: u32,
    offset: u64,
    link: Option<Url>,
    was_found: bool,
    /// How many lines of the first file to start with; None for all, or if it was done.
    last_lines: Option<usize>,
    decoder: Utf8Tail,
    /// The state of the move that is awaited, and since when.
    awaited_move: Option<(Move, Instant)>,
}

impl OutputFile {
    /// `path` is relative to the output directory, as in `attempt-1/stdout.txt`.
    pub fn new(directory_id: &str, path: &str) -> Self {
        let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
        Self {
            directory_id: directory_id.to_owned(),
            directory: directory.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Where the file is after the end of that attempt.
    fn of_earlier_attempt(&self, attempt: u32) -> Self {
        Self { directory: format!("attempt-{attempt}"), ..self.clone() }
    }

    /// Only files directly in the standard output directory are moved.
    fn is_per_attempt(&self) -> bool {
        self.directory_id == STDOUTERR && self.directory == "."
    }
}

impl LogTail {
    /// `job` is the record at `address`.
    pub fn new(address: Address, file: OutputFile, job: Job) -> Self {
        Self {
            address,
            file,
            job,
            attempt: 0,
            offset: 0,
            link: None,
            was_found: false,
            last_lines: None,
            decoder: Utf8Tail::default(),
            awaited_move: None,
        }
    }

    /// Reads only the last lines of what the file has at first.
    pub fn start_with_last_lines(&mut self, lines: usize) {
        self.last_lines = Some(lines);
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Whether the file was seen at least once.
    pub fn was_found(&self) -> bool {
        self.was_found
    }

    /// Reads what was written since the last call.
    pub async fn advance(&mut self, client: &Client) -> Result<(Vec<Piece>, Progress)> {
        let number = self.number();
        let had_ended = self.job.has_ended();
        if number == 0 {
            self.refresh(client).await?;
            let done = had_ended && self.number() == 0;
            return Ok((Vec::new(), if done { Progress::Done } else { Progress::CaughtUp }));
        }
        if self.attempt < number {
            return self.start_attempt(client, number, had_ended).await;
        }
        let bytes = self.read(client).await?;
        self.refresh(client).await?;
        if self.number() != number {
            // The text may belong to either attempt: it is read again after the move.
            self.link = None;
            return Ok((Vec::new(), Progress::More));
        }
        if bytes.is_empty() && !had_ended {
            return Ok((Vec::new(), Progress::CaughtUp));
        }
        if bytes.is_empty() {
            return Ok((text(self.decoder.finish()), Progress::Done));
        }
        self.offset += bytes.len() as u64;
        Ok((text(self.decoder.push(&bytes)), Progress::More))
    }

    fn number(&self) -> u32 {
        let number = self.job.attempt_number();
        if self.file.is_per_attempt() { number } else { number.min(1) }
    }

    async fn refresh(&mut self, client: &Client) -> Result<()> {
        self.job = client.get(&self.address).await?.read()?;
        Ok(())
    }

    /// Continues with a new attempt, after the files of the previous one were moved.
    async fn start_attempt(
        &mut self,
        client: &Client,
        number: u32,
        had_ended: bool,
    ) -> Result<(Vec<Piece>, Progress)> {
        let state =
            if number == 1 { Move::Done } else { self.move_state(client, number - 1).await? };
        if !had_ended && self.must_wait(state) {
            self.refresh(client).await?;
            return Ok((Vec::new(), Progress::AwaitingMove));
        }
        let moved = state == Move::Done;
        let mut pieces = Vec::new();
        for earlier in self.attempt.max(1)..number {
            if self.attempt > 0 && moved {
                pieces.extend(text(self.unread_text(client, earlier).await?));
            }
            if self.attempt > 0 || earlier + 1 == number {
                pieces.push(Piece::AttemptStarted(earlier + 1));
            }
        }
        if moved || self.size(client).await? < self.offset {
            self.offset = 0;
        }
        self.attempt = number;
        self.link = None;
        self.awaited_move = None;
        Ok((pieces, Progress::More))
    }

    fn must_wait(&mut self, state: Move) -> bool {
        let timeout = match state {
            Move::Done => return false,
            Move::NotStarted => MOVE_START_TIMEOUT,
            Move::Started => MOVE_END_TIMEOUT,
        };
        let since = match self.awaited_move {
            Some((before, since)) if before == state => since,
            Some(_) | None => Instant::now(),
        };
        self.awaited_move = Some((state, since));
        since.elapsed() < timeout
    }

    /// `Done` means: a file in the directory itself belongs to a later attempt than `earlier`.
    async fn move_state(&self, client: &Client, earlier: u32) -> Result<Move> {
        let (id, name) = (&self.file.directory_id, &self.file.name);
        let directory = format!("attempt-{earlier}");
        let current = list_files(client, &self.address, id, ".").await?;
        if !current.iter().any(|entry| entry.name == *name) {
            return Ok(Move::Done);
        }
        if !current.iter().any(|entry| entry.is_directory() && entry.name == directory) {
            return Ok(Move::NotStarted);
        }
        let moved = list_files(client, &self.address, id, &directory).await?;
        let is_moved = moved.iter().any(|entry| entry.name == *name);
        Ok(if is_moved { Move::Done } else { Move::Started })
    }

    /// The text of an earlier attempt that was not read yet.
    async fn unread_text(&mut self, client: &Client, earlier: u32) -> Result<Vec<u8>> {
        let file = self.file.of_earlier_attempt(earlier);
        let mut offset = std::mem::take(&mut self.offset);
        let mut text = Vec::new();
        if let Some((_, link)) = find(client, &self.address, &file).await? {
            while let Download::Bytes(bytes) = client.range(&link, offset, CHUNK_BYTES).await? {
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                text.extend(self.decoder.push(&bytes));
            }
        }
        text.extend(self.decoder.finish());
        Ok(text)
    }

    async fn size(&self, client: &Client) -> Result<u64> {
        let found = find(client, &self.address, &self.file).await?;
        Ok(found.and_then(|(file, _)| file.properties.content_length).unwrap_or(0))
    }

    /// The next chunk of the current file.
    async fn read(&mut self, client: &Client) -> Result<Vec<u8>> {
        if self.link.is_none() {
            let found = find(client, &self.address, &self.file).await?;
            if let (Some((file, link)), Some(lines)) = (&found, self.last_lines) {
                let size = file.properties.content_length.unwrap_or(0);
                self.offset = last_lines_offset(client, link, size, lines).await?;
                self.last_lines = None;
            }
            self.link = found.map(|(_, link)| link);
        }
        let Some(link) = &self.link else { return Ok(Vec::new()) };
        self.was_found = true;
        match client.range(link, self.offset, CHUNK_BYTES).await? {
            Download::Bytes(bytes) => Ok(bytes),
            Download::NotFound => {
                self.link = None;
                Ok(Vec::new())
            }
        }
    }
}

/// Where the last `lines` lines begin in the first `size` bytes of a file.
pub async fn last_lines_offset(
    client: &Client,
    link: &Url,
    size: u64,
    lines: usize,
) -> Result<u64> {
    let mut window = LAST_LINES_WINDOW_BYTES;
    loop {
        let begin = size.saturating_sub(window);
        let mut text = match client.range(link, begin, (size - begin).max(1)).await? {
            Download::Bytes(bytes) => bytes,
            Download::NotFound => return Ok(0),
        };
        text.truncate(usize::try_from(size - begin).unwrap_or(usize::MAX));
        if let Some(offset) = last_lines(&text, lines) {
            return Ok(begin + offset as u64);
        }
        if begin == 0 {
            return Ok(0);
        }
        window *= 4;
    }
}

/// Where the last `lines` lines of a text begin; None if it has fewer.
pub fn last_lines(text: &[u8], lines: usize) -> Option<usize> {
    if lines == 0 {
        return Some(text.len());
    }
    // The line break at the end belongs to the last line.
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let breaks = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    breaks.map(|(index, _)| index + 1).nth(lines - 1)
}

/// One level of an output directory of a job.
pub async fn list_files(
    client: &Client,
    job: &Address,
    directory_id: &str,
    directory: &str,
) -> Result<Vec<File>> {
    let parameters = [("outputdirectoryid", directory_id), ("directory", directory)];
    let entries = client.list_by_post(&job.join(&["listOutputFiles"]), &parameters).await?;
    entries.iter().map(|entry| entry.read()).collect()
}

async fn find(client: &Client, job: &Address, file: &OutputFile) -> Result<Option<(File, Url)>> {
    let entries = list_files(client, job, &file.directory_id, &file.directory).await?;
    let is_it = |entry: &File| !entry.is_directory() && entry.name == file.name;
    let Some(entry) = entries.into_iter().find(is_it) else { return Ok(None) };
    let link = download_link(&entry)?;
    Ok(Some((entry, link)))
}

pub fn download_link(file: &File) -> Result<Url> {
    let link = file.download_url.as_deref();
    let link =
        link.with_context(|| format!("the service gave no link to download {}", file.name))?;
    link.parse().with_context(|| format!("the link to download {} is not a URL", file.name))
}

fn text(bytes: Vec<u8>) -> Vec<Piece> {
    if bytes.is_empty() { Vec::new() } else { vec![Piece::Text(bytes)] }
}

#[cfg(test)]
mod tests;
