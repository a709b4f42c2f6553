//! Copies of large files in the bucket of the stack. A copy is one multipart upload; what one call does not
//! finish, the next call continues. The bucket deletes copies a day later, and uploads that nobody continues.

use crate::failures::port_error;
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use control::ports::{Clock, Copied, DownloadCopies, LargeFile, PortError};
use futures::{StreamExt, stream};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The prefix that the role of the function and the lifecycle of the bucket name.
const PREFIX: &str = "downloads/";

/// How long a client may download from a URL.
const URL_VALIDITY: Duration = Duration::from_secs(3600);

/// An older copy is made again: it may be deleted during a download.
const MAX_AGE_SECONDS: i64 = 20 * 3600;

/// The size of a part, unless the file is too large for [`MAX_PARTS`] of it.
const PART_BYTES: u64 = 16 << 20;

/// Of an upload (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
const MAX_PARTS: u64 = 10_000;

/// The memory for parts that are being uploaded at one time.
const BUFFER_BYTES: u64 = 256 << 20;
const MAX_PARALLEL: u64 = 8;

/// Copies in a bucket.
pub struct S3Copies {
    client: Client,
    bucket: String,
    clock: Arc<dyn Clock>,
    /// After this time no further part is begun, and the caller has to continue.
    time_limit: Duration,
}

/// How a file is divided into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Division {
    part_bytes: u64,
    parts: u64,
    parallel: u64,
}

impl Division {
    fn of(length: u64) -> Self {
        let part_bytes = PART_BYTES.max(length.div_ceil(MAX_PARTS));
        let parts = length.div_ceil(part_bytes).max(1);
        Self { part_bytes, parts, parallel: (BUFFER_BYTES / part_bytes).clamp(1, MAX_PARALLEL) }
    }

    /// Position and length of a part. Numbers begin at 1.
    fn part(self, number: i32, length: u64) -> (u64, u64) {
        let start = self.part_bytes * (u64::from(number.unsigned_abs()) - 1);
        (start, self.part_bytes.min(length - start))
    }
}

/// The entity tags of the parts of an upload, by number.
type Parts = BTreeMap<i32, String>;

impl S3Copies {
    /// Copies in this bucket. A call ends soon after `time_limit`.
    pub fn new(
        client: Client,
        bucket: String,
        clock: Arc<dyn Clock>,
        time_limit: Duration,
    ) -> Self {
        Self { client, bucket, clock, time_limit }
    }

    /// Whether there is a complete copy that stays long enough.
    async fn exists(&self, key: &str, length: u64) -> Result<bool, PortError> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(head) => Ok(self.is_usable(&head, length)),
            Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found()) => Ok(false),
            Err(error) => Err(port_error(error)),
        }
    }

    fn is_usable(&self, head: &HeadObjectOutput, length: u64) -> bool {
        let age = head.last_modified().map(|at| self.clock.now().epoch_seconds() - at.secs());
        let is_whole = head.content_length() == i64::try_from(length).ok();
        is_whole && age.is_some_and(|age| age < MAX_AGE_SECONDS)
    }

    /// The upload that an earlier call began, with its parts; or a new one.
    async fn upload(&self, key: &str) -> Result<(String, Parts), PortError> {
        let begun = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(key)
            .send()
            .await
            .map_err(port_error)?;
        let begun = begun.uploads().iter().find(|upload| upload.key() == Some(key));
        match begun.and_then(|upload| upload.upload_id()) {
            Some(id) => Ok((id.to_owned(), self.parts(key, id).await?)),
            None => Ok((self.begin(key).await?, Parts::new())),
        }
    }

    async fn begin(&self, key: &str) -> Result<String, PortError> {
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type("application/octet-stream")
            // A browser must not render a file that a job wrote.
            .content_disposition("attachment")
            .send()
            .await
            .map_err(port_error)?;
        begun.upload_id.ok_or_else(|| PortError::other("S3 returned an upload without an id"))
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Parts, PortError> {
        let request = self.client.list_parts().bucket(&self.bucket).key(key).upload_id(upload);
        let mut pages = request.into_paginator().items().send();
        let mut parts = Parts::new();
        while let Some(part) = pages.next().await {
            let part = part.map_err(port_error)?;
            if let (Some(number), Some(etag)) = (part.part_number, part.e_tag) {
                parts.insert(number, etag);
            }
        }
        Ok(parts)
    }

    async fn put(
        &self,
        (key, upload): (&str, &str),
        file: &LargeFile,
        number: i32,
        (start, length): (u64, u64),
    ) -> Result<(i32, String), PortError> {
        let source = Arc::clone(&file.file);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            source.read_exact_at(&mut bytes, start)?;
            Ok(bytes)
        });
        let bytes = read.await.map_err(io::Error::from).flatten().map_err(PortError::other)?;
        let put = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(port_error)?;
        let etag = put.e_tag.ok_or_else(|| PortError::other("S3 returned a part without a tag"))?;
        Ok((number, etag))
    }

    /// Uploads missing parts until the time is over. Returns whether none is missing.
    async fn fill(
        &self,
        target: (&str, &str),
        file: &LargeFile,
        parts: &mut Parts,
    ) -> Result<bool, PortError> {
        let division = Division::of(file.length);
        let until = Instant::now() + self.time_limit;
        let last = i32::try_from(division.parts).map_err(PortError::other)?;
        let missing: Vec<i32> = (1..=last).filter(|number| !parts.contains_key(number)).collect();
        let mut uploads = stream::iter(missing)
            .take_while(|_| std::future::ready(Instant::now() < until))
            .map(|number| self.put(target, file, number, division.part(number, file.length)))
            .buffer_unordered(usize::try_from(division.parallel).unwrap_or(1));
        while let Some(done) = uploads.next().await {
            let (number, etag) = done?;
            parts.insert(number, etag);
        }
        Ok(parts.len() as u64 == division.parts)
    }

    async fn complete(&self, (key, upload): (&str, &str), parts: Parts) -> Result<(), PortError> {
        let part =
            |(number, etag)| CompletedPart::builder().part_number(number).e_tag(etag).build();
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.into_iter().map(part).collect()))
            .build();
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts)
            .send()
            .await
            .map_err(port_error)?;
        Ok(())
    }

    async fn url(&self, key: &str) -> Result<Copied, PortError> {
        let validity = PresigningConfig::expires_in(URL_VALIDITY).map_err(PortError::other)?;
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let signed = request.presigned(validity).await.map_err(port_error)?;
        Ok(Copied::Complete { url: signed.uri().to_owned() })
    }
}

#[async_trait]
impl DownloadCopies for S3Copies {
    async fn copy(&self, file: &LargeFile) -> Result<Copied, PortError> {
        let key = format!("{PREFIX}{}", file.key);
        if self.exists(&key, file.length).await? {
            return self.url(&key).await;
        }
        let (upload, mut parts) = self.upload(&key).await?;
        let target = (key.as_str(), upload.as_str());
        let filled = self.fill(target, file, &mut parts).await;
        let outcome = match filled {
            Ok(false) => return Ok(Copied::InProgress),
            Ok(true) => self.complete(target, parts).await,
            Err(error) => Err(error),
        };
        // Another call may have completed the same upload meanwhile.
        match outcome {
            Err(_) if self.exists(&key, file.length).await? => self.url(&key).await,
            Err(error) => Err(error),
            Ok(()) => self.url(&key).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_divided_into_parts_that_s3_takes_and_memory_holds() {
        for (length, part_bytes, parts, parallel) in [
            (1, PART_BYTES, 1, 8),
            (PART_BYTES + 1, PART_BYTES, 2, 8),
            (PART_BYTES * MAX_PARTS, PART_BYTES, MAX_PARTS, 8),
            (1 << 40, 109_951_163, MAX_PARTS, 2),
            (2 << 40, 219_902_326, MAX_PARTS, 1),
        ] {
            let division = Division::of(length);
            assert_eq!(division, Division { part_bytes, parts, parallel }, "{length}");
            let last = i32::try_from(parts).unwrap();
            let (start, rest) = division.part(last, length);
            assert_eq!(start + rest, length, "{length}");
            assert!(rest > 0 && rest <= part_bytes);
            assert!(part_bytes * parallel <= BUFFER_BYTES);
        }
    }
}
