//! The REST API of Batch AI, version 2018-05-01, in the manner of Azure Resource Manager.

mod clusters;
mod experiments;
mod file_servers;
mod jobs;
mod long_running;
mod page;
mod path;
mod workspaces;

use crate::{Web, answer};
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use control::{ApiError, Error, Kind};
use http::header::{ETAG, HOST, HeaderValue, LAST_MODIFIED};
use http::{HeaderMap, Method, StatusCode};
use model::{Timestamp, Uid, limits};
use path::Target;
use serde::Serialize;

/// One request, taken apart.
pub(crate) struct Call<'a> {
    pub web: &'a Web,
    pub method: Method,
    /// Decoded pairs.
    pub query: Vec<(String, String)>,
    /// Scheme and host as the client wrote them: URLs in answers must be absolute.
    pub base: String,
    /// Path and query without the continuation token.
    pub path: String,
    pub body: Bytes,
}

pub(crate) async fn handle(State(web): State<Web>, request: Request) -> Response {
    answer::respond(handle_or_fail(&web, request).await)
}

async fn handle_or_fail(web: &Web, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let target = Target::parse(&path)?;
    let query: Vec<(String, String)> = axum::extract::Query::try_from_uri(&parts.uri)
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|_| Error::bad_request("InvalidQuery", "The query cannot be read"))?;
    check_api_version(&query)?;
    let body = to_bytes(body, limits::MAX_BODY_BYTES).await.map_err(|_| {
        let message = format!("The body is larger than {} bytes", limits::MAX_BODY_BYTES);
        Error::bad_request("RequestTooLarge", message)
    })?;
    let base = base_url(&parts.headers);
    let call = Call { web, method: parts.method, query, base, path, body };
    call.answer(target).await
}

/// Behind API Gateway the scheme stands in a header.
fn base_url(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").unwrap_or("http");
    format!("{scheme}://{}", text(HOST.as_str()).unwrap_or("127.0.0.1"))
}

fn check_api_version(query: &[(String, String)]) -> Result<(), Error> {
    let given = query.iter().find(|(name, _)| name.eq_ignore_ascii_case("api-version"));
    match given {
        Some((_, version)) if version == wire::API_VERSION => Ok(()),
        Some((_, version)) => Err(Error::bad_request(
            "InvalidApiVersionParameter",
            format!(
                "The api-version '{}' is not supported; use {}",
                version.escape_debug(),
                wire::API_VERSION
            ),
        )),
        None => Err(Error::bad_request(
            "MissingApiVersionParameter",
            format!("The query parameter api-version={} is required", wire::API_VERSION),
        )),
    }
}

impl Call<'_> {
    async fn answer(&self, target: Target) -> Result<Response, Error> {
        match target {
            Target::Workspaces { subscription, group } => {
                self.workspaces(&subscription, group.as_ref()).await
            }
            Target::Workspace(names) => self.workspace(&names).await,
            Target::Clusters(names) => self.clusters(&names).await,
            Target::Cluster(names, name) => self.cluster(&names, &name).await,
            Target::ClusterLogins(names, name) => self.cluster_logins(&names, &name).await,
            Target::FileServers(names) => self.file_servers(&names).await,
            Target::FileServer(names, name) => self.file_server(&names, &name).await,
            Target::Experiments(names) => self.experiments(&names).await,
            Target::Experiment(names, name) => self.experiment(&names, &name).await,
            Target::Jobs(path) => self.jobs(&path).await,
            Target::Job(path, name) => self.job(&path, &name).await,
            Target::JobTermination(path, name) => self.terminate(&path, &name).await,
            Target::JobFiles(path, name) => self.job_files(&path, &name).await,
            Target::JobLogins(path, name) => self.job_logins(&path, &name).await,
            Target::OperationResult(id) => self.operation_result(&id).await,
            Target::OperationStatus(id) => self.operation_status(&id).await,
        }
    }

    fn method_not_allowed(&self) -> Result<Response, Error> {
        let message = format!("The method {} is not supported here", self.method);
        let body = wire::ErrorBody::new("MethodNotAllowed", message);
        Ok(answer::json(StatusCode::METHOD_NOT_ALLOWED, HeaderMap::new(), &body))
    }

    fn ok<T: Serialize>(&self, body: &T) -> Result<Response, Error> {
        Ok(answer::json(StatusCode::OK, HeaderMap::new(), body))
    }

    /// A single resource, with its entity tag.
    fn resource<T: Serialize>(
        &self,
        body: &T,
        etag: &Uid,
        modified_at: Timestamp,
    ) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        if let Ok(etag) = HeaderValue::from_str(&wire::ids::etag(etag)) {
            headers.insert(ETAG, etag);
        }
        if let Ok(date) = HeaderValue::from_str(&modified_at.http_date()) {
            headers.insert(LAST_MODIFIED, date);
        }
        Ok(answer::json(StatusCode::OK, headers, body))
    }

    fn no_content(&self) -> Result<Response, Error> {
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}

pub(crate) fn not_found(path: &str) -> Error {
    let message = format!("There is nothing at '{}'; check the path", path.escape_debug());
    ApiError::new(Kind::NotFound, "ResourceNotFound", message).into()
}
