//! The SHA-256 of a file. One request reads a part; what it has computed travels, signed, to the next one.

use super::{FilesWeb, links};
use crate::response;
use axum::response::Response;
use control::Error;
use control::files::PartialDigest;
use control::keys::constant_time_eq;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

/// The state of a digest as text, with its signature.
pub(super) struct Continued(pub String);

/// The body of a response with a digest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DigestBody {
    /// Of how many bytes from the start of the file: it may have grown.
    length: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// To be set as `digest` in the next request.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// The text with which a client continues.
pub(super) fn to_text(web: &FilesWeb, link: &str, digest: &PartialDigest) -> Continued {
    let state = digest.to_text();
    let signature = web.keys.sign_digest(link, &state);
    Continued(format!("{state}~{signature}"))
}

/// # Errors
/// 403 when the service did not write the text for this link.
pub(super) fn parse(web: &FilesWeb, link: &str, text: &str) -> Result<PartialDigest, Error> {
    let signed = text.split_once('~').filter(|(state, signature)| {
        constant_time_eq(&web.keys.sign_digest(link, state), signature)
    });
    signed.and_then(|(state, _)| PartialDigest::parse(state)).ok_or_else(links::not_signed)
}

/// The answer to a request for the digest of an open file; `text` is empty in the first request.
pub(super) async fn answer(
    web: &FilesWeb,
    link: &str,
    text: &str,
    file: std::fs::File,
) -> Result<Response, Error> {
    let mut digest = match text {
        "" => PartialDigest::start(file.metadata()?.len()),
        text => parse(web, link, text)?,
    };
    let advanced = tokio::task::spawn_blocking(move || (digest.advance(&file), digest)).await;
    let (sha256, digest) = advanced.map_err(std::io::Error::from)?;
    let sha256 = sha256.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::conflict("FileChanged", "The file became shorter; request its digest again")
        }
        _ => error.into(),
    })?;
    let next = sha256.is_none().then(|| to_text(web, link, &digest).0);
    let body = DigestBody { length: digest.length(), sha256, digest: next };
    Ok(response::json(StatusCode::OK, HeaderMap::new(), &body))
}
