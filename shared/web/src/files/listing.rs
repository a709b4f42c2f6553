//! Listings of directories, for the function `api`, which has no file system: its requests are signed with
//! the key of links.

use super::{FilesWeb, links};
use crate::response;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use control::Error;
use control::files::{FileLocation, ListingPage};
use control::ports::SharedFiles;
use http::{HeaderMap, StatusCode};
use model::Uid;
use serde::{Deserialize, Serialize};

/// The query of a listing.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListingQuery {
    /// Below the root of the file server.
    pub path: String,
    /// Only names after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many entries.
    pub limit: usize,
    /// When the request expires, in seconds since 1970.
    pub se: i64,
    /// The signature.
    pub sig: String,
}

pub(super) async fn list(
    State(web): State<FilesWeb>,
    file_server: Result<Path<String>, PathRejection>,
    query: Result<Query<ListingQuery>, QueryRejection>,
) -> Response {
    let outcome = match (file_server, query) {
        (Ok(Path(file_server)), Ok(Query(query))) => list_or_fail(&web, &file_server, query).await,
        (Err(_), _) | (_, Err(_)) => Err(links::not_signed()),
    };
    response::respond(outcome)
}

async fn list_or_fail(
    web: &FilesWeb,
    file_server: &str,
    query: ListingQuery,
) -> Result<Response, Error> {
    let file_server = Uid::parse(file_server).ok_or_else(links::not_signed)?;
    let directory = FileLocation { file_server, path: query.path };
    let page = ListingPage { directory, after: query.after, limit: query.limit };
    if !web.keys.is_listing_signed(&page, query.se, &query.sig)
        || web.clock.now().epoch_seconds() >= query.se
    {
        return Err(links::not_signed());
    }
    let listed = web.files.list(&page).await?;
    Ok(response::json(StatusCode::OK, HeaderMap::new(), &listed))
}
