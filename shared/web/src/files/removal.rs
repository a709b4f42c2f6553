//! Removals, for the function `api`, which has no file system: its requests are signed with the key of links.

use super::{FilesWeb, links};
use crate::response;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use control::Error;
use control::files::FileLocation;
use control::keys::constant_time_eq;
use control::ports::SharedFiles;
use http::{HeaderMap, StatusCode};
use model::Uid;
use serde::Deserialize;

/// The query of a removal.
#[derive(Debug, Deserialize)]
pub(super) struct RemovalQuery {
    path: String,
    recursive: bool,
    /// When the request expires, in seconds since 1970.
    se: i64,
    sig: String,
}

pub(super) async fn remove(
    State(web): State<FilesWeb>,
    file_server: Result<Path<String>, PathRejection>,
    query: Result<Query<RemovalQuery>, QueryRejection>,
) -> Response {
    let outcome = match (file_server, query) {
        (Ok(Path(file_server)), Ok(Query(query))) => {
            remove_or_fail(&web, &file_server, query).await
        }
        (Err(_), _) | (_, Err(_)) => Err(links::not_signed()),
    };
    response::respond(outcome)
}

async fn remove_or_fail(
    web: &FilesWeb,
    file_server: &str,
    query: RemovalQuery,
) -> Result<Response, Error> {
    let file_server = Uid::parse(file_server).ok_or_else(links::not_signed)?;
    let place = FileLocation { file_server, path: query.path };
    let signature = web.keys.sign_removal(&place, query.recursive, query.se);
    let now = web.clock.now();
    if !constant_time_eq(&signature, &query.sig) || now.epoch_seconds() >= query.se {
        return Err(links::not_signed());
    }
    let removed = web.files.remove(&place, query.recursive, now).await?;
    Ok(response::json(StatusCode::OK, HeaderMap::new(), &removed))
}
