//! Downloads that are larger than a function can answer: the client is redirected to a copy, which serves
//! ranges of any size. While the copy is made, it is redirected to the same link again and again, so that
//! neither the client nor the function waits for too long.

use super::links::{Signature, path_and_query};
use super::{FilesWeb, etag};
use crate::response;
use axum::response::{IntoResponse, Response};
use cap_std::fs::{File, Metadata};
use control::Error;
use control::files::{FileLocation, modified};
use control::ports::{Copied, DownloadCopies, LargeFile};
use http::header::{CACHE_CONTROL, ETAG, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wire::ErrorBody;

/// What a function answers itself. Function URLs stream the first 6 MB at full speed and then 2 MB per
/// second (AWS Lambda Developer Guide, "Response streaming"), and 200 MB at most: this takes 13 seconds.
pub(super) const MAX_STREAMED_BYTES: u64 = 32 * 1024 * 1024;

/// HTTP clients follow as few as 10 redirections. One of them is that to the copy.
const MAX_REDIRECTIONS: u32 = 8;

/// After the last redirection.
const RETRY_AFTER_SECONDS: u32 = 60;

/// The largest file that is copied: the parts of a larger one do not fit into the memory of the function.
const MAX_COPIED_BYTES: u64 = 2 << 40;

/// The state of a download, in the query of its redirections: a file may grow while it is copied.
#[derive(Debug, Deserialize)]
pub(super) struct CopyQuery {
    copy: Option<String>,
    csig: Option<String>,
}

/// The version of the file that is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CopyState {
    /// Milliseconds since 1970.
    modified: i64,
    length: u64,
    redirections: u32,
}

impl CopyState {
    fn to_text(self) -> String {
        let Self { modified, length, redirections } = self;
        format!("{modified}.{length}.{redirections}")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (modified, length) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { modified, length, redirections: parts.next()?.parse().ok()? })
    }

    /// The state that an earlier redirection carries, or a new one.
    fn of(web: &FilesWeb, signature: &Signature, query: &CopyQuery, metadata: &Metadata) -> Self {
        let earlier = query.copy.as_deref().zip(query.csig.as_deref());
        earlier
            .filter(|(state, given)| web.keys.is_copy_signed(&signature.sig, state, given))
            .and_then(|(state, _)| Self::parse(state))
            .unwrap_or(Self {
                modified: modified(metadata).0,
                length: metadata.len(),
                redirections: 0,
            })
    }
}

/// The answer to a download of a large file or part.
pub(super) async fn redirect(
    (web, copies): (&FilesWeb, &dyn DownloadCopies),
    place: &FileLocation,
    signature: &Signature,
    query: &CopyQuery,
    (file, metadata): (File, &Metadata),
) -> Result<Response, Error> {
    let state = CopyState::of(web, signature, query, metadata);
    if state.length > MAX_COPIED_BYTES {
        return Err(Error::conflict(
            "FileTooLarge",
            "The file is larger than 2 TiB: download it in ranges of up to 32 MiB, or read it on a node",
        ));
    }
    let file = Arc::new(file.into_std());
    let large = LargeFile { key: key(place, state), file, length: state.length };
    match copies.copy(&large).await? {
        Copied::Complete { url } => redirection(&url, metadata),
        Copied::InProgress if state.redirections >= MAX_REDIRECTIONS => Ok(in_progress()),
        Copied::InProgress => {
            let next = CopyState { redirections: state.redirections + 1, ..state }.to_text();
            let csig = web.keys.sign_copy(&signature.sig, &next);
            let link = path_and_query(place, signature);
            redirection(&format!("{link}&copy={next}&csig={csig}"), metadata)
        }
    }
}

/// Ends with the name of the file, under which a browser stores it.
fn key(place: &FileLocation, state: CopyState) -> String {
    let FileLocation { file_server, path } = place;
    let name = path.rsplit('/').next().unwrap_or_default();
    let digest = Sha256::digest(path.as_bytes());
    let digest: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{file_server}/{digest}-{}-{}/{name}", state.modified, state.length)
}

fn redirection(url: &str, metadata: &Metadata) -> Result<Response, Error> {
    let location =
        HeaderValue::from_str(url).map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(etag) = HeaderValue::from_str(&etag(metadata)) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

fn in_progress() -> Response {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))]);
    let body = ErrorBody::new(
        "CopyInProgress",
        "The file is large and is still being copied for the download; try the link again in a minute",
    );
    response::json(StatusCode::SERVICE_UNAVAILABLE, headers, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_copy_is_read_as_it_was_written() {
        let state = CopyState { modified: -5, length: u64::MAX, redirections: 3 };
        assert_eq!(CopyState::parse(&state.to_text()), Some(state));
        for wrong in ["", "1", "1.2", "1.2.x", "1.-2.3"] {
            assert_eq!(CopyState::parse(wrong), None, "{wrong}");
        }
    }
}
