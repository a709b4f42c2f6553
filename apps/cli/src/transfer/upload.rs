//! Uploads: only files that differ, each in chunks that continue an earlier upload of the same file.

use super::local::{Found, LocalFile, sha256, walk};
use super::remote::{self, Entry};
use super::{CHUNK_BYTES, FIRST_PAUSE, PARALLEL, Progress, RETRIES, can_continue};
use crate::client::{Address, Client, is_denied};
use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Url;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an upload has done.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// Files that were sent, and their bytes.
    pub uploaded: u64,
    pub bytes: u64,
    /// Files that the file server had already.
    pub unchanged: u64,
    /// What is no file, or a link to a directory, and was left out.
    pub skipped: Vec<PathBuf>,
}

impl Report {
    pub fn plus(mut self, other: Self) -> Self {
        self.skipped.extend(other.skipped);
        Self {
            uploaded: self.uploaded + other.uploaded,
            bytes: self.bytes + other.bytes,
            unchanged: self.unchanged + other.unchanged,
            skipped: self.skipped,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    upload_url: String,
}

/// Uploads one file, or all files below a directory for which `keep` returns true, to `target` on the file server.
/// `keep` is asked for directories too, with true. Files with the same length and SHA-256 are left as they are.
///
/// # Errors
/// The first file that cannot be read or sent. Files that were sent before are on the file server.
pub async fn tree(
    client: &Client,
    server: &Address,
    (path, target): (&Path, &str),
    keep: &dyn Fn(&Path, bool) -> bool,
    progress: &Progress,
) -> Result<Report> {
    let Found { files, skipped } = walk(path, target, keep)?;
    let report = self::files(client, server, files, progress).await?;
    Ok(Report { skipped, ..report })
}

/// Uploads these files, as [`tree`] does.
///
/// # Errors
/// Those of [`tree`].
pub async fn files(
    client: &Client,
    server: &Address,
    files: Vec<LocalFile>,
    progress: &Progress,
) -> Result<Report> {
    let present = present(client, server, &files).await?;
    progress.expect(files.iter().map(|file| file.length).sum());
    let one = |file: LocalFile| {
        let present = present.get(&file.target);
        async move {
            let sent = send_if_changed(client, server, &file, present, progress).await;
            sent.with_context(|| format!("cannot upload {}", file.path.display()))
        }
    };
    let reports = stream::iter(files).map(one).buffer_unordered(PARALLEL);
    reports.try_fold(Report::default(), async |all, one| Ok(all.plus(one))).await
}

/// The files that are there, by their paths.
async fn present(
    client: &Client,
    server: &Address,
    files: &[LocalFile],
) -> Result<HashMap<String, Entry>> {
    let above = |file: &LocalFile| match file.target.rsplit_once('/') {
        Some((above, _)) => above.to_owned(),
        None => String::new(),
    };
    let directories: BTreeSet<String> = files.iter().map(above).collect();
    let listed = stream::iter(&directories)
        .map(|directory| remote::list(client, server, directory))
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await?;
    let entries = listed.into_iter().flatten().flatten();
    let files = entries.filter(|entry| !entry.file.is_directory());
    Ok(files.map(|entry| (entry.path.clone(), entry)).collect())
}

async fn send_if_changed(
    client: &Client,
    server: &Address,
    file: &LocalFile,
    present: Option<&Entry>,
    progress: &Progress,
) -> Result<Report> {
    progress.file(&file.target);
    let sha256 = match &file.sha256 {
        Some(known) => known.clone(),
        None => sha256(&file.path).await?,
    };
    if let Some(present) = present.filter(|entry| entry.length() == file.length) {
        let digest = client.digest(&present.link()?).await?;
        if (digest.length, &digest.sha256) == (file.length, &sha256) {
            progress.done(file.length);
            return Ok(Report { unchanged: 1, ..Report::default() });
        }
    }
    let source = std::fs::File::open(&file.path).context("cannot open it")?;
    let sending = Sending { client, server, file, sha256, source: Arc::new(source), progress };
    sending.send().await?;
    Ok(Report { uploaded: 1, bytes: file.length, ..Report::default() })
}

/// A file on its way.
struct Sending<'a> {
    client: &'a Client,
    server: &'a Address,
    file: &'a LocalFile,
    sha256: String,
    source: Arc<std::fs::File>,
    progress: &'a Progress,
}

impl Sending<'_> {
    /// Continues until the file is whole, or nothing arrives any more.
    async fn send(&self) -> Result<()> {
        let mut link = self.begin().await?;
        // A small file is most likely new.
        let mut offset = (self.file.length <= CHUNK_BYTES as u64).then_some(0);
        let (mut shown, mut retries) = (0, 0);
        loop {
            let before = shown;
            let sent = self.attempt(&link, offset, &mut shown).await;
            let Err(error) = sent else { return Ok(()) };
            retries = if shown > before { 0 } else { retries + 1 };
            if retries > RETRIES || !can_continue(&error) {
                return Err(error);
            }
            tracing::debug!(error = format!("{error:#}"), retries, "the upload continues");
            tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(retries.saturating_sub(1))).await;
            offset = None;
            if is_denied(&error) {
                link = self.begin().await?;
            }
        }
    }

    /// Sends what is missing from `offset` on, or from where the service is. `shown` counts the bytes that the progress has.
    async fn attempt(&self, link: &Url, offset: Option<u64>, shown: &mut u64) -> Result<()> {
        let mut offset = match offset {
            Some(offset) => offset,
            None => self.client.uploaded_bytes(link).await?,
        };
        loop {
            self.progress.done(offset.saturating_sub(*shown));
            *shown = offset.max(*shown);
            if offset >= self.file.length {
                return self.client.finish_upload(link).await;
            }
            let chunk = self.read(offset).await?;
            let length = chunk.len() as u64;
            self.client.append(link, offset, chunk).await?;
            offset += length;
        }
    }

    async fn begin(&self) -> Result<Url> {
        let LocalFile { target, length, executable, .. } = self.file;
        let body = serde_json::json!({ "files": [{
            "path": target, "length": length, "sha256": self.sha256, "executable": executable,
        }] });
        let address = self.server.join(&["beginUploads"]);
        let mut answer = self.client.post_json(&address, &body).await?;
        let begun = answer.take("value").context("the service gave no link")?;
        let begun: Vec<Begun> = begun.read()?;
        let begun = begun.first().context("the service gave no link")?;
        begun.upload_url.parse().context("the link to upload is not a URL")
    }

    async fn read(&self, offset: u64) -> Result<Vec<u8>> {
        let left = usize::try_from(self.file.length - offset).unwrap_or(CHUNK_BYTES);
        let source = Arc::clone(&self.source);
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; left.min(CHUNK_BYTES)];
            source.read_exact_at(&mut chunk, offset).map(|()| chunk)
        });
        let chunk = read.await.context("reading was interrupted")?;
        chunk.context("it became shorter during the upload, or cannot be read")
    }
}
