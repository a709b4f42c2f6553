//! The start of an upload: the link to which the script of the page sends a file. The answer is JSON, as the API's.

use crate::failure::Failure;
use crate::links::segment;
use crate::pages::file_server::FileServerPath;
use crate::shell::Visit;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use resources::File;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(crate) struct Mode {
    /// Whether a file of the same path may be replaced.
    #[serde(default)]
    replace: bool,
}

/// So many entries of the directory are compared with the new file's name: ten answers of the API. In a larger directory
/// the viewer is asked in any case.
const COMPARED: usize = 10_000;

/// Answers what `beginUploads` answers, or `{"exists": "a question"}` if the file would replace another. That is not answered
/// as an error, which browsers would print in their console.
pub(crate) async fn begin(
    visit: Visit,
    Path(path): Path<FileServerPath>,
    Query(Mode { replace }): Query<Mode>,
    body: Bytes,
) -> Response {
    let Ok(file) = serde_json::from_slice::<Value>(&body) else {
        return refused(&Failure::invalid("The request is not JSON"));
    };
    if !replace {
        match existing(&visit, &path, file["path"].as_str().unwrap_or_default()).await {
            Ok(None) => {}
            Ok(Some(question)) => return as_json(StatusCode::OK, &json!({ "exists": question })),
            Err(failure) => return refused(&failure),
        }
    }
    let target = path.workspace.api(&["fileServers", &path.server, "beginUploads"]);
    visit.api.response(Method::POST, &target, Some(json!({ "files": [file] }))).await
}

/// What the viewer is asked before the file is uploaded; nothing if it is new.
async fn existing(
    visit: &Visit,
    FileServerPath { workspace, server }: &FileServerPath,
    path: &str,
) -> Result<Option<String>, Failure> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let listing = workspace.api(&["fileServers", server, "listFiles"]);
    let listing = format!("{listing}?directory={}", segment(directory));
    let found = match visit.api.list_by_post::<File>(&listing, COMPARED).await {
        Err(failure) if failure.code == "DirectoryNotFound" => return Ok(None),
        found => found?,
    };
    // The service refuses to replace a directory.
    if found.items.iter().any(|it| it.name == name && !it.is_directory()) {
        return Ok(Some(format!("{name} exists already.")));
    }
    let unknown =
        format!("The directory has more than {COMPARED} entries; {name} may exist already.");
    Ok(found.more.then_some(unknown))
}

fn refused(failure: &Failure) -> Response {
    let error = json!({ "code": failure.code, "message": failure.message });
    as_json(failure.status, &json!({ "error": error }))
}

fn as_json(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
