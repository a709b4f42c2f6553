//! Downloads of output files, whole or in part (docs/contract.md, "Output files"), and uploads. A request needs no
//! token: its link is signed.

mod digests;
mod large;
mod links;
mod listing;
mod ranges;
mod removal;
mod uploads;

pub(crate) use links::{Links, UNRESERVED};
pub use listing::ListingQuery;

use crate::response;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use cap_std::fs::Metadata;
use control::files::{MountedFiles, modified};
use control::keys::{Keys, Link};
use control::ports::{Clock, DownloadCopies};
use control::{Control, Error};
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, Method, StatusCode};
use large::{CopyQuery, MAX_STREAMED_BYTES};
use links::Signature;
use model::limits;
use ranges::{Selection, incomplete_tail, is_text, parse_range};
use serde::Deserialize;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;
use table::Table;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// What the routes of output files need.
#[derive(Clone)]
pub struct FilesWeb {
    /// The file servers.
    pub files: MountedFiles,
    /// The role assignments.
    pub table: Table,
    /// The keys of links.
    pub keys: Arc<Keys>,
    /// The time, at which links expire.
    pub clock: Arc<dyn Clock>,
    /// What identifies the service itself: its own token, or the subject of its owner.
    pub service: String,
    /// Copies of large files; none where any size can be answered.
    pub copies: Option<Arc<dyn DownloadCopies>>,
}

impl FilesWeb {
    /// Serves the files of a control plane on the same machine, of any size.
    pub fn here(control: &Control, files: MountedFiles, service: String) -> Self {
        let context = &control.context;
        Self {
            files,
            table: context.table.clone(),
            keys: Arc::clone(&context.keys),
            clock: Arc::clone(&context.clock),
            service,
            copies: None,
        }
    }
}

/// Where output files are served.
#[derive(Clone)]
pub enum OutputFiles {
    /// By this service.
    Here(FilesWeb),
    /// By the function `files`.
    At {
        /// Its URL, without a slash at the end.
        url: String,
    },
}

/// The router of the function that has the file servers mounted: it serves, takes, lists and removes files.
pub fn files_app(web: FilesWeb) -> Router {
    let listings = Router::new()
        .route(
            "/listings/{file_server}",
            get(listing::list).fallback(crate::allow(&["GET", "HEAD"])),
        )
        .route("/removals/{file_server}", post(removal::remove).fallback(crate::allow(&["POST"])))
        .with_state(web.clone());
    let nothing = || async { response::of_failure(links::not_signed()) };
    crate::with_common_layers(routes(web).merge(listings).fallback(nothing))
}

/// The routes of downloads and uploads.
pub(crate) fn routes(web: FilesWeb) -> Router {
    let download = get(download).fallback(crate::allow(&["GET", "HEAD"]));
    let upload = any(uploads::upload).layer(DefaultBodyLimit::max(limits::UPLOAD_CHUNK_BYTES));
    Router::new()
        .route("/files/{file_server}/{*path}", download)
        .route("/uploads/{file_server}/{*path}", upload)
        .with_state(web)
}

/// The query of a request for the digest of a file.
#[derive(Debug, Deserialize)]
struct DigestQuery {
    /// Empty in the first request, then what the one before answered.
    digest: Option<String>,
}

async fn download(
    State(web): State<FilesWeb>,
    path: Result<Path<(String, String)>, PathRejection>,
    signature: Result<Query<Signature>, QueryRejection>,
    copy: Result<Query<CopyQuery>, QueryRejection>,
    digest: Result<Query<DigestQuery>, QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (Ok(Path((file_server, path))), Ok(Query(signature)), Ok(Query(copy)), Ok(Query(digest))) =
        (path, signature, copy, digest)
    else {
        return response::of_failure(links::not_signed());
    };
    let digest = digest.digest;
    let request = Download { web: &web, signature, copy, digest, method, headers };
    response::respond(request.answer(&file_server, &path).await)
}

struct Download<'a> {
    web: &'a FilesWeb,
    signature: Signature,
    copy: CopyQuery,
    /// For a request for the digest of the file.
    digest: Option<String>,
    method: Method,
    headers: HeaderMap,
}

impl Download<'_> {
    async fn answer(&self, file_server: &str, path: &str) -> Result<Response, Error> {
        let Self { web, signature, headers, .. } = self;
        let expected = |link: &Link<'_>| web.keys.sign_link(link);
        let place = links::verified(web, file_server, path, signature, expected).await?;
        let file = web.files.open(&place.file_server, path)?;
        if let Some(digest) = &self.digest {
            return digests::answer(web, &signature.sig, digest, file.into_std()).await;
        }
        let metadata = file.metadata()?;
        let range = match headers.get(RANGE) {
            None => Selection::Whole,
            Some(_) if !is_current(headers, &etag(&metadata)) => Selection::Whole,
            Some(range) => parse_range(range.to_str().unwrap_or_default(), metadata.len()),
        };
        let total = metadata.len();
        let (status, start, mut end) = match range {
            Selection::Whole => (StatusCode::OK, 0, total),
            Selection::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
            Selection::Nothing => return Ok(unsatisfiable(total)),
        };
        if let Some(copies) = &web.copies
            && self.method == Method::GET
            && end - start > MAX_STREAMED_BYTES
        {
            let context = (*web, copies.as_ref());
            return large::redirect(context, &place, signature, &self.copy, (file, &metadata))
                .await;
        }
        let mut file = file.into_std();
        if status == StatusCode::PARTIAL_CONTENT && end == total && is_text(path) {
            end -= incomplete_tail(&file, start, end)?;
        }
        file.seek(SeekFrom::Start(start))?;
        let reader = tokio::fs::File::from_std(file).take(end - start);
        let mut response = (status, Body::from_stream(ReaderStream::new(reader))).into_response();
        describe(response.headers_mut(), start, end, status, &metadata);
        Ok(response)
    }
}

fn describe(
    headers: &mut HeaderMap,
    start: u64,
    end: u64,
    status: StatusCode,
    metadata: &Metadata,
) {
    let text = |value: String| HeaderValue::from_str(&value).ok();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(end - start));
    // A browser must not render a file that a job wrote as a page of this service.
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    if status == StatusCode::PARTIAL_CONTENT
        && let Some(range) = text(format!("bytes {start}-{}/{}", end - 1, metadata.len()))
    {
        headers.insert(CONTENT_RANGE, range);
    }
    if let Some(etag) = text(etag(metadata)) {
        headers.insert(ETAG, etag);
    }
    if let Some(date) = text(modified(metadata).http_date()) {
        headers.insert(LAST_MODIFIED, date);
    }
}

/// 416. Clients that follow a growing file get it at the end of the file and retry.
fn unsatisfiable(total: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{total}")) {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    response
}

/// Whether the file still is the version of which the client has a part (RFC 9110, section 13.1.5).
fn is_current(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(IF_RANGE).is_none_or(|known| known.as_bytes() == etag.as_bytes())
}

fn etag(metadata: &Metadata) -> String {
    format!("\"{:x}-{:x}\"", modified(metadata).0, metadata.len())
}
