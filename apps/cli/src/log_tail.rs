//! Follows a file that a job writes: from attempt to attempt, and never anything twice.
//!
//! While an attempt runs, its file is in the directory itself; when the next one begins, the
//! service moves it to `attempt-N/`. The number of attempts in the job's record grows before that
//! happens. So what was read counts only if that number is the same after it was read.

use crate::client::{Address, Client, Download};
use crate::resources::{File, Job};
use crate::utf8_tail::Utf8Tail;
use anyhow::{Context as _, Result};
use reqwest::Url;
use std::time::Duration;
use tokio::time::Instant;

pub const STDOUTERR: &str = "stdouterr";

/// One request's worth of a file.
const PIECE_BYTES: u64 = 4 * 1024 * 1024;

/// From the record of an attempt until its node begins to move the files of the one before, and
/// from there until it is done. Waited for only if the file could be of either attempt.
const MOVE_PATIENCE: Duration = Duration::from_secs(10);
const MOVING_PATIENCE: Duration = Duration::from_secs(1);

/// The place of a file among the outputs of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub directory_id: String,
    /// Relative to the output directory; `.` for itself.
    pub directory: String,
    pub file: String,
}

#[derive(Debug, PartialEq)]
pub enum Piece {
    /// What follows was written by this attempt.
    AttemptBegins(u32),
    /// Whole characters, as far as it is text.
    Text(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more already.
    More,
    /// Nothing new at the moment.
    CaughtUp,
    /// An attempt begins; its output cannot be told from that of the one before yet.
    Moving,
    /// The job has ended, and this was all.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    NotYet,
    /// Only other files so far, or the earlier attempt had none of that name.
    Others,
}

pub struct LogTail {
    address: Address,
    place: Place,
    job: Job,
    /// Whose output is being read; 0 before there is any.
    attempt: u32,
    offset: u64,
    link: Option<Url>,
    was_found: bool,
    decoder: Utf8Tail,
    /// While a new attempt's files cannot be told from those before it: what is known, since when.
    moving: Option<(Moved, Instant)>,
}

impl Place {
    /// `file` may have a path, as in `attempt-1/stdout.txt`.
    pub fn new(directory_id: &str, file: &str) -> Self {
        let (directory, file) = file.rsplit_once('/').unwrap_or((".", file));
        Self {
            directory_id: directory_id.to_owned(),
            directory: directory.to_owned(),
            file: file.to_owned(),
        }
    }

    /// Where the service keeps it after that attempt.
    fn of_earlier(&self, attempt: u32) -> Self {
        Self { directory: format!("attempt-{attempt}"), ..self.clone() }
    }

    /// Only what is directly in the standard output directory.
    fn is_kept_per_attempt(&self) -> bool {
        self.directory_id == STDOUTERR && self.directory == "."
    }
}

impl LogTail {
    /// `job` is what `address` held a moment ago.
    pub fn new(address: Address, place: Place, job: Job) -> Self {
        Self {
            address,
            place,
            job,
            attempt: 0,
            offset: 0,
            link: None,
            was_found: false,
            decoder: Utf8Tail::default(),
            moving: None,
        }
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Whether the file was ever there.
    pub fn was_found(&self) -> bool {
        self.was_found
    }

    /// What was written since the last call.
    pub async fn advance(&mut self, client: &Client) -> Result<(Vec<Piece>, Progress)> {
        let number = self.number();
        let had_ended = self.job.has_ended();
        if number == 0 {
            self.refresh(client).await?;
            let done = had_ended && self.number() == 0;
            return Ok((Vec::new(), if done { Progress::Done } else { Progress::CaughtUp }));
        }
        if self.attempt < number {
            return self.begin(client, number, had_ended).await;
        }
        let bytes = self.read(client).await?;
        self.refresh(client).await?;
        if self.number() != number {
            // Of the old attempt or of the new one: it is read again when that can be told.
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
        if self.place.is_kept_per_attempt() { number } else { number.min(1) }
    }

    async fn refresh(&mut self, client: &Client) -> Result<()> {
        self.job = client.get(&self.address).await?.read()?;
        Ok(())
    }

    /// Goes on to a new attempt, once the files of the one before are out of its way.
    async fn begin(
        &mut self,
        client: &Client,
        number: u32,
        had_ended: bool,
    ) -> Result<(Vec<Piece>, Progress)> {
        let moved = if number == 1 { Moved::Yes } else { self.moved(client, number - 1).await? };
        if !had_ended && self.has_to_wait(moved) {
            self.refresh(client).await?;
            return Ok((Vec::new(), Progress::Moving));
        }
        let moved = moved == Moved::Yes;
        let mut pieces = Vec::new();
        for earlier in self.attempt.max(1)..number {
            if self.attempt > 0 && moved {
                pieces.extend(text(self.rest_of(client, earlier).await?));
            }
            if self.attempt > 0 || earlier + 1 == number {
                pieces.push(Piece::AttemptBegins(earlier + 1));
            }
        }
        if moved || self.size(client).await? < self.offset {
            self.offset = 0;
        }
        self.attempt = number;
        self.link = None;
        self.moving = None;
        Ok((pieces, Progress::More))
    }

    fn has_to_wait(&mut self, moved: Moved) -> bool {
        let patience = match moved {
            Moved::Yes => return false,
            Moved::NotYet => MOVE_PATIENCE,
            Moved::Others => MOVING_PATIENCE,
        };
        let since = match self.moving {
            Some((before, since)) if before == moved => since,
            Some(_) | None => Instant::now(),
        };
        self.moving = Some((moved, since));
        since.elapsed() < patience
    }

    /// Whether what is in the directory itself is of a later attempt than `earlier`.
    async fn moved(&self, client: &Client, earlier: u32) -> Result<Moved> {
        let (id, file) = (&self.place.directory_id, &self.place.file);
        let directory = format!("attempt-{earlier}");
        let here = list_files(client, &self.address, id, ".").await?;
        if !here.iter().any(|entry| entry.name == *file) {
            return Ok(Moved::Yes);
        }
        if !here.iter().any(|entry| entry.is_directory() && entry.name == directory) {
            return Ok(Moved::NotYet);
        }
        let there = list_files(client, &self.address, id, &directory).await?;
        let is_there = there.iter().any(|entry| entry.name == *file);
        Ok(if is_there { Moved::Yes } else { Moved::Others })
    }

    /// What an earlier attempt wrote after what was read of it.
    async fn rest_of(&mut self, client: &Client, earlier: u32) -> Result<Vec<u8>> {
        let place = self.place.of_earlier(earlier);
        let mut offset = std::mem::take(&mut self.offset);
        let mut text = Vec::new();
        if let Some((_, link)) = find(client, &self.address, &place).await? {
            while let Download::Bytes(bytes) = client.range(&link, offset, PIECE_BYTES).await? {
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
        let found = find(client, &self.address, &self.place).await?;
        Ok(found.and_then(|(file, _)| file.properties.content_length).unwrap_or(0))
    }

    /// The next piece of the present file.
    async fn read(&mut self, client: &Client) -> Result<Vec<u8>> {
        if self.link.is_none() {
            let found = find(client, &self.address, &self.place).await?;
            self.link = found.map(|(_, link)| link);
        }
        let Some(link) = &self.link else { return Ok(Vec::new()) };
        self.was_found = true;
        match client.range(link, self.offset, PIECE_BYTES).await? {
            Download::Bytes(bytes) => Ok(bytes),
            Download::Gone => {
                self.link = None;
                Ok(Vec::new())
            }
        }
    }
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

async fn find(client: &Client, job: &Address, place: &Place) -> Result<Option<(File, Url)>> {
    let entries = list_files(client, job, &place.directory_id, &place.directory).await?;
    let is_it = |entry: &File| !entry.is_directory() && entry.name == place.file;
    let Some(file) = entries.into_iter().find(is_it) else { return Ok(None) };
    let link = download_link(&file)?;
    Ok(Some((file, link)))
}

pub fn download_link(file: &File) -> Result<Url> {
    let link = file.download_url.as_deref();
    let link = link.with_context(|| format!("there is no link to download {}", file.name))?;
    link.parse().with_context(|| format!("the link to download {} is not a URL", file.name))
}

fn text(bytes: Vec<u8>) -> Vec<Piece> {
    if bytes.is_empty() { Vec::new() } else { vec![Piece::Text(bytes)] }
}

#[cfg(test)]
mod tests;
