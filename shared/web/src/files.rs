//! Downloads of output files, whole or in part (docs/contract.md, "Output files"). A request needs no
//! token: its link is signed. A link is valid for an hour at most, and only as long as its creator
//! has the role.

use crate::{Web, response};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use cap_std::fs::{File, Metadata};
use control::Error;
use control::files::{FileLocation, modified};
use control::keys::{Link, constant_time_eq};
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, StatusCode};
use model::{Name, Principal, Role, Scope, Timestamp, Uid, WorkspaceNames};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::io::{Read, Seek, SeekFrom};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// The query of a link: see [`Link`].
#[derive(Debug, Deserialize)]
pub(crate) struct Signature {
    se: i64,
    by: String,
    r#in: String,
    sig: String,
}

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3).
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As [`UNRESERVED`], and keeps the slashes of a path.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Makes the links of one listing, which share their creator, workspace and expiry.
pub(crate) struct Links<'a> {
    web: &'a Web,
    base: &'a str,
    expires_at: i64,
    creator: String,
    workspace: String,
}

impl<'a> Links<'a> {
    pub(crate) fn new(
        web: &'a Web,
        base: &'a str,
        creator: &Principal,
        names: &WorkspaceNames,
        expires_at: Timestamp,
    ) -> Self {
        let creator = match creator {
            Principal::Service => web.control.context.keys.fingerprint(web.access.people.service()),
            Principal::Known(id) => id.to_string(),
        };
        let WorkspaceNames { subscription, resource_group, workspace } = names;
        let workspace = format!("{subscription}/{resource_group}/{workspace}");
        Self { web, base, expires_at: expires_at.epoch_seconds(), creator, workspace }
    }

    pub(crate) fn to(&self, place: &FileLocation) -> String {
        let Self { web, base, expires_at, creator, workspace } = self;
        let FileLocation { file_server, path } = place;
        let expires_at = *expires_at;
        let signature = web.control.context.keys.sign_link(&Link {
            file_server,
            path,
            expires_at,
            creator,
            workspace,
        });
        let path = utf8_percent_encode(path, PATH);
        let workspace = utf8_percent_encode(workspace, PATH);
        format!(
            "{base}/files/{file_server}/{path}?se={expires_at}&by={creator}&in={workspace}&sig={signature}"
        )
    }
}

pub(crate) async fn download(
    State(web): State<Web>,
    Path((file_server, path)): Path<(String, String)>,
    signature: Result<Query<Signature>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let outcome = match signature {
        Ok(Query(signature)) => {
            download_or_fail(&web, &file_server, &path, &signature, &headers).await
        }
        Err(_) => Err(not_signed()),
    };
    response::respond(outcome)
}

/// The role that the listing of output files requires, which makes the links.
const LISTING_ROLE: Role = Role::Contributor;

fn not_signed() -> Error {
    Error::denied(
        "AuthenticationFailed",
        "The download link is invalid or expired, or its creator lost the role; list the output files again for a new link",
    )
}

/// Whether the creator of the link still has the role that made the link.
async fn may_read(web: &Web, signature: &Signature) -> Result<bool, Error> {
    let Some(creator) = Uid::parse(&signature.by) else {
        return Ok(constant_time_eq(
            &web.control.context.keys.fingerprint(web.access.people.service()),
            &signature.by,
        ));
    };
    let mut names = signature.r#in.split('/').map(Name::new);
    let (Some(subscription), resource_group, workspace) =
        (names.next(), names.next(), names.next())
    else {
        return Ok(false);
    };
    let scope = Scope { subscription, resource_group, workspace };
    web.control.roles.may(&Principal::Known(creator), LISTING_ROLE, &scope).await
}

async fn download_or_fail(
    web: &Web,
    file_server: &str,
    path: &str,
    signature: &Signature,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let uid = Uid::parse(file_server).ok_or_else(not_signed)?;
    let control = &web.control;
    let link = Link {
        file_server: &uid,
        path,
        expires_at: signature.se,
        creator: &signature.by,
        workspace: &signature.r#in,
    };
    let signed = control.context.keys.is_link_signed(&link, &signature.sig);
    if !signed
        || control.context.now().epoch_seconds() >= signature.se
        || !may_read(web, signature).await?
    {
        return Err(not_signed());
    }
    let mut file = control.files.open(&uid, path)?;
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
    if status == StatusCode::PARTIAL_CONTENT && end == total && is_text(path) {
        end -= incomplete_tail(&mut file, start, end)?;
    }
    file.seek(SeekFrom::Start(start))?;
    let reader = tokio::fs::File::from_std(file.into_std()).take(end - start);
    let mut response = (status, Body::from_stream(ReaderStream::new(reader))).into_response();
    describe(response.headers_mut(), start, end, status, &metadata);
    Ok(response)
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

#[derive(Debug, PartialEq, Eq)]
enum Selection {
    Whole,
    /// From `start` up to, but not including, `end`; never empty.
    Part {
        start: u64,
        end: u64,
    },
    Nothing,
}

/// Parses a `Range` header of one range of bytes. Another unit, several ranges and an invalid range
/// are ignored (RFC 9110, sections 14.1.1 and 14.2). A valid range beyond the end of the file is not:
/// a client that follows a file would get the whole file again.
fn parse_range(header: &str, total: u64) -> Selection {
    let Some((start, end)) = byte_range(header, total) else { return Selection::Whole };
    if start < end { Selection::Part { start, end } } else { Selection::Nothing }
}

/// From `start` up to, but not including, `end`; empty for a valid range beyond the end of the file.
fn byte_range(header: &str, total: u64) -> Option<(u64, u64)> {
    let (unit, ranges) = header.split_once('=')?;
    let (first, last) = ranges.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", length) => Some((total.saturating_sub(position(length)?), total)),
        (first, "") => Some((position(first)?, total)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some((first, last.saturating_add(1).min(total)))
        }
    }
}

/// Parses digits. A number that does not fit is a position beyond the end of every file.
fn position(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether the file still is the version of which the client has a part (RFC 9110, section 13.1.5).
fn is_current(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(IF_RANGE).is_none_or(|known| known.as_bytes() == etag.as_bytes())
}

fn etag(metadata: &Metadata) -> String {
    format!("\"{:x}-{:x}\"", modified(metadata).0, metadata.len())
}

fn is_text(path: &str) -> bool {
    path.ends_with(".txt") || path.ends_with(".log")
}

/// The number of bytes at the end that are the start of an incomplete UTF-8 character. Clients decode
/// each part separately and fail on half a character.
fn incomplete_tail(file: &mut File, start: u64, end: u64) -> Result<u64, Error> {
    let mut tail = vec![0; usize::try_from((end - start).min(4)).unwrap_or(4)];
    file.seek(SeekFrom::Start(end - tail.len() as u64))?;
    file.read_exact(&mut tail)?;
    let start_byte = tail.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let Some(position) = start_byte else { return Ok(0) };
    let needs = match tail[position] {
        0b1100_0000..=0b1101_1111 => 2,
        0b1110_0000..=0b1110_1111 => 3,
        0b1111_0000..=0b1111_0111 => 4,
        _ => 1,
    };
    let has = tail.len() - position;
    // A part is never empty: half a character may be all that the file will ever have.
    let cut = has < needs && (has as u64) < end - start;
    Ok(if cut { has as u64 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OPERATIONS, Operation, RequiredAccess};

    #[test]
    fn a_link_takes_the_role_of_the_listing() {
        let listing = OPERATIONS.iter().find(|row| row.operation == Operation::JobsListOutputFiles);
        assert_eq!(listing.map(|row| row.requires), Some(RequiredAccess::Role(LISTING_ROLE)));
    }

    #[test]
    fn ranges_of_the_protocol() {
        let part = |start, end| Selection::Part { start, end };
        for (header, total, expected) in [
            ("bytes=0-2", 3, part(0, 3)),
            ("bytes=0-", 3, part(0, 3)),
            ("bytes=1-1", 3, part(1, 2)),
            ("bytes=2-99", 3, part(2, 3)),
            ("bytes=-2", 3, part(1, 3)),
            ("bytes=3-", 3, Selection::Nothing),
            ("bytes=0-", 0, Selection::Nothing),
            ("bytes=-0", 3, Selection::Nothing),
            ("bytes=99999999999999999999-", 3, Selection::Nothing),
            ("bytes=1-99999999999999999999", 3, part(1, 3)),
            ("Bytes=0-2", 3, part(0, 3)),
            ("BYTES = 1-", 3, part(1, 3)),
            ("bytes=5-2", 9, Selection::Whole),
            ("bytes=0-0,2-2", 3, Selection::Whole),
            ("lines=0-2", 3, Selection::Whole),
            ("bytes=+1-2", 3, Selection::Whole),
            ("bytes=--1", 3, Selection::Whole),
            ("bytes=-", 3, Selection::Whole),
            ("bytes", 3, Selection::Whole),
            ("", 3, Selection::Whole),
            ("bytes=18446744073709551615-18446744073709551615", 3, Selection::Nothing),
        ] {
            assert_eq!(parse_range(header, total), expected, "{header} of {total}");
        }
    }
}
