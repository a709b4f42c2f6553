//! DynamoDB in this process: the AWS SDK's client, connected to an embedded engine without a
//! socket. What runs on AWS runs here unchanged, down to the JSON of each request.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The engine, as the SDK sees it: something that answers HTTP requests. Calls run to their end
/// when they are made (a write takes one fsync, a fraction of a millisecond on a solid-state disk).
#[derive(Clone)]
pub struct Engine {
    database: Database,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Engine")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{path} is not a database of this service, or is damaged ({problem}); it was left as it is. Move it away to start anew, or restore a copy of it"
    )]
    Damaged { path: String, problem: String },
    #[error("the database could not be opened")]
    Engine(#[source] DynoxideError),
}

impl Engine {
    pub fn in_memory() -> Result<Self, OpenError> {
        Database::memory().map(|database| Self { database }).map_err(OpenError::Engine)
    }

    /// One file, and beside it SQLite's log. Every commit is on disk before it is answered.
    ///
    /// # Errors
    /// A file that is damaged is told and left as it is.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        check(path)?;
        let database = Database::new(&path.to_string_lossy()).map_err(OpenError::Engine)?;
        Ok(Self { database })
    }

    /// Removes what has expired. DynamoDB does this by itself.
    pub fn sweep(&self) {
        match self.database.sweep_ttl() {
            Ok(removed) => tracing::debug!(removed, "expired items removed"),
            Err(error) => tracing::warn!(%error, "expired items could not be removed"),
        }
    }

    pub fn client(&self) -> Client {
        client(self.clone())
    }

    /// Answers one request of the SDK.
    pub fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation);
        let body = request.body().bytes().unwrap_or_default();
        let (status, body) = match self.perform(operation, body) {
            Ok(body) => (200, body),
            Err(error) => (error.status_code(), error.to_json()),
        };
        let status = StatusCode::try_from(status).expect("the engine answers with HTTP statuses");
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        response
    }

    /// The operations that the `dynamo` crate uses.
    fn perform(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let database = &self.database;
        match operation {
            "GetItem" => respond(&database.get_item(parse(body)?)?),
            "Query" => respond(&database.query(parse(body)?)?),
            "BatchGetItem" => respond(&database.batch_get_item(parse(body)?)?),
            "UpdateItem" => respond(&database.update_item(parse(body)?)?),
            "TransactWriteItems" => {
                let mut request: dynoxide::actions::transact_write_items::TransactWriteItemsRequest =
                    parse(body)?;
                // The engine keeps all tokens in memory and searches them on each call; what the
                // service writes is guarded by conditions, not by tokens.
                request.client_request_token = None;
                respond(&database.transact_write_items(request)?)
            }
            "ListTables" => respond(&database.list_tables(parse(body)?)?),
            "CreateTable" => respond(&database.create_table(parse(body)?)?),
            "UpdateTimeToLive" => respond(&database.update_time_to_live(parse(body)?)?),
            other => Err(DynoxideError::ValidationException(format!(
                "the embedded engine does not serve {other}"
            ))),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body)
        .map_err(|error| DynoxideError::SerializationException(error.to_string()))
}

fn respond<T: Serialize>(response: &T) -> Result<String, DynoxideError> {
    serde_json::to_string(response)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// A client of whatever answers its requests: the engine, or a wrapper that plants faults.
pub fn client(connector: impl HttpConnector + Clone + 'static) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        .endpoint_url("http://embedded.invalid")
        .allow_no_auth()
        .http_client(InProcess(connector))
        .build();
    Client::from_conf(config)
}

#[derive(Clone, Debug)]
struct InProcess<C>(C);

impl<C: HttpConnector + Clone + 'static> HttpClient for InProcess<C> {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.0.clone())
    }
}

impl HttpConnector for Engine {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Ok(self.answer(&request)))
    }
}

/// Reads the whole file, as SQLite sees it, before anything is allowed to write to it.
fn check(path: &Path) -> Result<(), OpenError> {
    let damaged =
        |problem: String| OpenError::Damaged { path: path.display().to_string(), problem };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(damaged(error.to_string())),
        Ok(metadata) if metadata.len() == 0 => return Ok(()),
        Ok(_) => {}
    }
    let verdict = || -> rusqlite::Result<String> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    };
    match verdict() {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(problem) => Err(damaged(problem)),
        Err(error) => Err(damaged(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_told_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("batchai.db");
        drop(Engine::open(&path).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0x5a);
        bytes[..16].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let error = Engine::open(&path).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains("Move it away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
