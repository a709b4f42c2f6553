//! Signed downloads, whole or in part (docs/contract.md, "Output files"). The link is the
//! permission: no token is needed.

use crate::{Web, answer};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use cap_std::fs::File;
use control::files::{FilePlace, modified};
use control::{Control, Error};
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, StatusCode};
use model::{Timestamp, Uid};
use serde::Deserialize;
use std::io::{Read, Seek, SeekFrom};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Expiry (seconds since 1970) and signature.
#[derive(Debug, Deserialize)]
pub(crate) struct Signature {
    se: i64,
    sig: String,
}

/// The link to a file, good until then.
pub(crate) fn link(
    control: &Control,
    base: &str,
    place: &FilePlace,
    expires_at: Timestamp,
) -> String {
    let expires_at = expires_at.epoch_seconds();
    let signature = control.context.keys.sign_link(&place.file_server, &place.path, expires_at);
    let path: Vec<String> = place.path.split('/').map(percent_encoded).collect();
    format!("{base}/files/{}/{}?se={expires_at}&sig={signature}", place.file_server, path.join("/"))
}

fn percent_encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

pub(crate) async fn download(
    State(web): State<Web>,
    Path((file_server, path)): Path<(String, String)>,
    signature: Result<Query<Signature>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let outcome = match signature {
        Ok(Query(signature)) => {
            download_or_fail(&web.control, &file_server, &path, &signature, &headers)
        }
        Err(_) => Err(not_signed()),
    };
    answer::respond(outcome)
}

fn not_signed() -> Error {
    Error::forbidden(
        "AuthenticationFailed",
        "The download link is not valid or has expired; list the output files again for a new one",
    )
}

fn download_or_fail(
    control: &Control,
    file_server: &str,
    path: &str,
    signature: &Signature,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let uid = Uid::parse(file_server).ok_or_else(not_signed)?;
    let signed = control.context.keys.is_link_signed(&uid, path, signature.se, &signature.sig);
    if !signed || control.context.now().epoch_seconds() >= signature.se {
        return Err(not_signed());
    }
    let mut file = control.files.open(&uid, path)?;
    let metadata = file.metadata()?;
    let range = match headers.get(RANGE) {
        None => Wanted::Whole,
        Some(range) => wanted(range.to_str().unwrap_or_default(), metadata.len()),
    };
    let total = metadata.len();
    let (status, start, mut end) = match range {
        Wanted::Whole => (StatusCode::OK, 0, total),
        Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Nothing => return Ok(unsatisfiable(total)),
    };
    if status == StatusCode::PARTIAL_CONTENT && end == total && is_text(path) {
        end -= incomplete_tail(&mut file, start, end)?;
    }
    file.seek(SeekFrom::Start(start))?;
    let reader = tokio::fs::File::from_std(file.into_std()).take(end - start);
    let mut response = (status, Body::from_stream(ReaderStream::new(reader))).into_response();
    let changed = modified(&metadata);
    describe(response.headers_mut(), start, end, total, status, changed);
    Ok(response)
}

fn describe(
    headers: &mut HeaderMap,
    start: u64,
    end: u64,
    total: u64,
    status: StatusCode,
    changed: Timestamp,
) {
    let text = |value: String| HeaderValue::from_str(&value).ok();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(end - start));
    // What jobs wrote is never to be shown as a page of this service.
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    if status == StatusCode::PARTIAL_CONTENT
        && let Some(range) = text(format!("bytes {start}-{}/{total}", end - 1))
    {
        headers.insert(CONTENT_RANGE, range);
    }
    if let Some(etag) = text(format!("\"{:x}-{total:x}\"", changed.0)) {
        headers.insert(ETAG, etag);
    }
    if let Some(date) = text(changed.http_date()) {
        headers.insert(LAST_MODIFIED, date);
    }
}

/// Also at the end of a file that may still grow: clients that follow it come back for more.
fn unsatisfiable(total: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{total}")) {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    response
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// From `start` to before `end`; never empty.
    Part {
        start: u64,
        end: u64,
    },
    Nothing,
}

/// One range of bytes (RFC 9110, section 14). A range is never ignored: a client that follows a
/// file would print it all again.
fn wanted(header: &str, total: u64) -> Wanted {
    let Some((first, last)) =
        header.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Wanted::Nothing;
    };
    let (start, end) = match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(start), "") => (start, total),
        (Ok(start), last) => match last.parse::<u64>() {
            Ok(last) => (start, last.saturating_add(1).min(total)),
            Err(_) => return Wanted::Nothing,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(length) => (total.saturating_sub(length), total),
            Err(_) => return Wanted::Nothing,
        },
        (Err(_), _) => return Wanted::Nothing,
    };
    if start < end { Wanted::Part { start, end } } else { Wanted::Nothing }
}

fn is_text(path: &str) -> bool {
    path.ends_with(".txt") || path.ends_with(".log")
}

/// How many bytes at the end are the beginning of a character whose rest is not written yet.
/// Clients decode each part by itself and fail on half a character.
fn incomplete_tail(file: &mut File, start: u64, end: u64) -> Result<u64, Error> {
    let mut tail = vec![0; usize::try_from((end - start).min(4)).unwrap_or(4)];
    file.seek(SeekFrom::Start(end - tail.len() as u64))?;
    file.read_exact(&mut tail)?;
    let begun = tail.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let Some(position) = begun else { return Ok(0) };
    let needs = match tail[position] {
        0b1100_0000..=0b1101_1111 => 2,
        0b1110_0000..=0b1110_1111 => 3,
        0b1111_0000..=0b1111_0111 => 4,
        _ => 1,
    };
    let has = tail.len() - position;
    // Never nothing: what is only half a character is all there is, and may be all there will be.
    let cut = has < needs && (has as u64) < end - start;
    Ok(if cut { has as u64 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_the_protocol() {
        let part = |start, end| Wanted::Part { start, end };
        for (header, total, expected) in [
            ("bytes=0-2", 3, part(0, 3)),
            ("bytes=0-", 3, part(0, 3)),
            ("bytes=1-1", 3, part(1, 2)),
            ("bytes=2-99", 3, part(2, 3)),
            ("bytes=-2", 3, part(1, 3)),
            ("bytes=3-", 3, Wanted::Nothing),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=2-1", 3, Wanted::Nothing),
            ("bytes=0-0,2-2", 3, Wanted::Nothing),
            ("lines=0-2", 3, Wanted::Nothing),
            ("bytes=18446744073709551615-18446744073709551615", 3, Wanted::Nothing),
        ] {
            assert_eq!(wanted(header, total), expected, "{header} of {total}");
        }
    }
}
