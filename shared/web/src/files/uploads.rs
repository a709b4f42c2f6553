//! Uploads of files in chunks, to a signed link. HEAD says how many bytes have arrived, PATCH appends at an offset, POST
//! checks the whole and gives the file its name. What was sent can be sent again, so an upload survives the end of
//! either side.

use super::FilesWeb;
use super::digests::{self, Continued};
use super::links::{self, Signature};
use crate::{Failure, response};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use control::Error;
use control::files::{Appended, FileLocation, Finished, MountedFiles, Upload};
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use model::limits;
use serde::{Deserialize, Serialize};
use wire::ErrorBody;

/// The bytes that an upload has.
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// The query of an upload link.
#[derive(Debug, Deserialize)]
pub(super) struct UploadQuery {
    length: u64,
    sha256: String,
    executable: bool,
    se: i64,
    by: String,
    r#in: String,
    sig: String,
    /// Where the check of an earlier POST has come to.
    check: Option<String>,
}

/// The body of a response to POST.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FinishBody {
    complete: bool,
    /// To be added to the link as `check`, for the next POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<String>,
}

pub(super) async fn upload(
    State(web): State<FilesWeb>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<UploadQuery>, QueryRejection>,
    method: Method,
    headers: HeaderMap,
    chunk: Result<Bytes, BytesRejection>,
) -> Response {
    let (Ok(Path((file_server, path))), Ok(Query(query))) = (path, query) else {
        return response::of_failure(links::not_signed());
    };
    let chunk = match chunk {
        Ok(chunk) => chunk,
        Err(rejection) => return refused(&rejection),
    };
    let request = UploadRequest { web: &web, method, headers, chunk };
    response::respond(request.answer(&file_server, path, query).await)
}

struct UploadRequest<'a> {
    web: &'a FilesWeb,
    method: Method,
    headers: HeaderMap,
    chunk: Bytes,
}

impl UploadRequest<'_> {
    async fn answer(
        self,
        file_server: &str,
        path: String,
        query: UploadQuery,
    ) -> Result<Response, Failure> {
        let UploadQuery { length, sha256, executable, se, by, r#in, sig, check } = query;
        let signature = Signature { se, by, r#in, sig };
        let unnamed = |target| Upload { target, length, sha256: sha256.clone(), executable };
        let target = links::verified(self.web, file_server, &path, &signature, |link| {
            let target = FileLocation { file_server: link.file_server.clone(), path: path.clone() };
            self.web.keys.sign_upload(link, &unnamed(target))
        })
        .await?;
        let upload = unnamed(target);
        match self.method {
            Method::HEAD => self.offset(upload).await,
            Method::PATCH => self.append(upload).await,
            Method::POST => self.finish(upload, &signature.sig, check.as_deref()).await,
            method => {
                let allowed = vec!["HEAD", "PATCH", "POST"];
                Err(Failure::MethodNotAllowed { method, allowed })
            }
        }
    }

    async fn offset(self, upload: Upload) -> Result<Response, Failure> {
        let uploaded = blocking(&self.web.files, move |files| files.uploaded(&upload)).await?;
        Ok(with_offset(StatusCode::OK.into_response(), uploaded))
    }

    async fn append(self, upload: Upload) -> Result<Response, Failure> {
        let offset = self.headers.get(UPLOAD_OFFSET).and_then(|it| it.to_str().ok()?.parse().ok());
        let offset: u64 = offset.ok_or_else(|| {
            Error::invalid(
                "InvalidUploadOffset",
                "The header Upload-Offset must be the number of bytes that were uploaded before",
            )
        })?;
        let (chunk, now) = (self.chunk, self.web.clock.now());
        let written = move |files: &MountedFiles| files.append(&upload, offset, &chunk, now);
        Ok(match blocking(&self.web.files, written).await? {
            Appended::Written(end) => with_offset(StatusCode::NO_CONTENT.into_response(), end),
            Appended::OtherOffset(present) => {
                let message = format!(
                    "The upload has {present} bytes, so the chunk must start there, not at {offset}"
                );
                let body = ErrorBody::new("UploadOffsetMismatch", message);
                let conflict = response::json(StatusCode::CONFLICT, HeaderMap::new(), &body);
                with_offset(conflict, present)
            }
        })
    }

    async fn finish(
        self,
        upload: Upload,
        link: &str,
        check: Option<&str>,
    ) -> Result<Response, Failure> {
        let digest = match check {
            Some(check) => Some(digests::parse(self.web, link, check)?),
            None => None,
        };
        let finish = move |files: &MountedFiles| files.finish(&upload, digest);
        let body = match blocking(&self.web.files, finish).await? {
            Finished::Done => FinishBody { complete: true, check: None },
            Finished::Checking(digest) => {
                let Continued(check) = digests::to_text(self.web, link, &digest);
                FinishBody { complete: false, check: Some(check) }
            }
        };
        Ok(response::json(StatusCode::OK, HeaderMap::new(), &body))
    }
}

/// Runs file system calls on a thread that may block.
async fn blocking<T: Send + 'static>(
    files: &MountedFiles,
    work: impl FnOnce(&MountedFiles) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let files = files.clone();
    let done = tokio::task::spawn_blocking(move || work(&files)).await;
    done.map_err(std::io::Error::from)?
}

fn with_offset(mut response: Response, offset: u64) -> Response {
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The response to a chunk that is too large, or did not arrive whole.
fn refused(rejection: &BytesRejection) -> Response {
    let too_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
    if !too_large {
        let incomplete = Error::invalid("InvalidRequestContent", "The chunk is incomplete");
        return response::of_failure(incomplete);
    }
    let message = format!("A chunk has at most {} bytes", limits::UPLOAD_CHUNK_BYTES);
    let body = ErrorBody::new("RequestTooLarge", message);
    response::json(StatusCode::PAYLOAD_TOO_LARGE, HeaderMap::new(), &body)
}
