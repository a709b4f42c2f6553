//! What the API itself answers, in the browser: only reads.

use crate::shell::Visit;
use axum::extract::{OriginalUri, Path};
use axum::response::Response;
use http::Method;

pub(crate) async fn answer(
    visit: Visit,
    OriginalUri(uri): OriginalUri,
    Path(_): Path<String>,
) -> Response {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let path = path.strip_prefix("/portal/api").unwrap_or(path);
    visit.api.response(Method::GET, path, None).await
}
