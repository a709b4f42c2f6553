//! Downloads: only files that differ, each below a hidden name until its checksum is right. A file that was begun is
//! continued.

use super::local::sha256;
use super::remote::{self, Entry};
use super::{FIRST_PAUSE, PARALLEL, Progress, RETRIES, can_continue};
use crate::client::{Address, Client, Download};
use anyhow::{Context as _, Result, bail};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Url;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt as _;

/// How much one request reads. The service answers it itself, whatever the size of the file is.
const RANGE_BYTES: u64 = 8 << 20;

/// What a download has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Files that were fetched, and their bytes.
    pub downloaded: u64,
    pub bytes: u64,
    /// Files that this machine had already.
    pub unchanged: u64,
    /// Files that grew meanwhile, so that their checksum could not be compared.
    pub grown: Vec<String>,
}

impl Report {
    fn plus(mut self, other: Self) -> Self {
        self.grown.extend(other.grown);
        Self {
            downloaded: self.downloaded + other.downloaded,
            bytes: self.bytes + other.bytes,
            unchanged: self.unchanged + other.unchanged,
            grown: self.grown,
        }
    }
}

/// Downloads files to paths of this machine.
///
/// # Errors
/// The first file that cannot be fetched or written. Files that were fetched before stay.
pub async fn files(
    client: &Client,
    server: &Address,
    files: Vec<(Entry, PathBuf)>,
    progress: &Progress,
) -> Result<Report> {
    progress.expect(files.iter().map(|(entry, _)| entry.length()).sum());
    let one = |(entry, target): (Entry, PathBuf)| async move {
        let fetched = Fetching { client, server, entry: &entry, target: &target, progress };
        fetched.fetch_if_changed().await.with_context(|| format!("cannot download {}", entry.path))
    };
    let reports = stream::iter(files).map(one).buffer_unordered(PARALLEL);
    reports.try_fold(Report::default(), async |all, one| Ok(all.plus(one))).await
}

struct Fetching<'a> {
    client: &'a Client,
    server: &'a Address,
    entry: &'a Entry,
    target: &'a Path,
    progress: &'a Progress,
}

impl Fetching<'_> {
    async fn fetch_if_changed(&self) -> Result<Report> {
        let Self { client, entry, target, .. } = self;
        let length = entry.length();
        self.progress.file(&entry.path);
        if std::fs::metadata(target).is_ok_and(|it| it.is_file() && it.len() == length) {
            let digest = client.digest(&entry.link()?).await?;
            if digest.length == length && digest.sha256 == sha256(target).await? {
                self.progress.done(length);
                return Ok(Report { unchanged: 1, ..Report::default() });
            }
        }
        let directory = target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let part = self.part(directory);
        let link = self.fetch(&part).await?;
        let digest = client.digest(&link).await?;
        let grown = digest.length != length;
        if !grown && digest.sha256 != sha256(&part).await? {
            std::fs::remove_file(&part).with_context(|| cannot_write(&part))?;
            bail!("the bytes that arrived have another checksum; the file changed, or was damaged");
        }
        std::fs::rename(&part, target).with_context(|| cannot_write(target))?;
        let grown = if grown { vec![entry.path.clone()] } else { Vec::new() };
        Ok(Report { downloaded: 1, bytes: length, unchanged: 0, grown })
    }

    /// Of this version of the file, so that bytes of two are not mixed.
    fn part(&self, directory: &Path) -> PathBuf {
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        let modified = self.entry.file.properties.last_modified.as_deref().unwrap_or_default();
        let version: String = modified.chars().filter(char::is_ascii_digit).collect();
        directory.join(format!(".{name}.{}-{version}.part", self.entry.length()))
    }

    /// Fetches what is missing of the part. Returns the last link.
    async fn fetch(&self, part: &Path) -> Result<Url> {
        let mut link = self.entry.link()?;
        let (mut shown, mut retries) = (0, 0);
        loop {
            let before = shown;
            let error = match self.attempt(&link, part, &mut shown).await {
                Ok(true) => return Ok(link),
                Ok(false) => anyhow::anyhow!("the file was removed during the download"),
                Err(error) if can_continue(&error) => error,
                Err(error) => return Err(error),
            };
            retries = if shown > before { 0 } else { retries + 1 };
            if retries > RETRIES {
                return Err(error);
            }
            tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(retries.saturating_sub(1))).await;
            // The link may have expired.
            let found = remote::find(self.client, self.server, &self.entry.path).await;
            if let Ok(Some(entry)) = found {
                link = entry.link()?;
            }
        }
    }

    /// Whether all bytes are there; false when the link leads nowhere.
    async fn attempt(&self, link: &Url, part: &Path, shown: &mut u64) -> Result<bool> {
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(part)
            .await
            .with_context(|| cannot_write(part))?;
        let length = self.entry.length();
        let mut offset = file.metadata().await.with_context(|| cannot_write(part))?.len();
        if offset > length {
            file.set_len(0).await.with_context(|| cannot_write(part))?;
            offset = 0;
        }
        loop {
            self.progress.done(offset.saturating_sub(*shown));
            *shown = offset.max(*shown);
            if offset == length {
                file.flush().await.with_context(|| cannot_write(part))?;
                return Ok(true);
            }
            let wanted = RANGE_BYTES.min(length - offset);
            match self.client.range(link, offset, wanted).await? {
                Download::NotFound => return Ok(false),
                Download::Bytes(bytes) if bytes.is_empty() => {
                    bail!("the file became shorter during the download")
                }
                Download::Bytes(bytes) => {
                    file.write_all(&bytes).await.with_context(|| cannot_write(part))?;
                    offset += bytes.len() as u64;
                }
            }
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
