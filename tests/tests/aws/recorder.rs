//! The endpoint of AWS for one function: passes each call on and records the IAM actions that it needs.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Ends with its owner.
pub struct Recorder {
    pub endpoint: String,
    state: Arc<Recorded>,
    server: tokio::task::JoinHandle<()>,
}

struct Recorded {
    http: reqwest::Client,
    /// DynamoDB.
    tables: String,
    /// All other services.
    others: String,
    actions: Mutex<BTreeSet<String>>,
}

impl Recorder {
    pub async fn start(tables: &str, others: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Recorded {
            http: tls::Servers::WithoutTls.client().build().unwrap(),
            tables: tables.to_owned(),
            others: others.to_owned(),
            actions: Mutex::default(),
        });
        let routes = Router::new().fallback(pass_on).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { endpoint, state, server }
    }

    /// What was called so far, like `dynamodb:GetItem`.
    pub fn actions(&self) -> BTreeSet<String> {
        self.state.actions.lock().unwrap().clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass_on(
    State(recorded): State<Arc<Recorded>>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let service = service(&headers);
    let needed = actions(&service, &method, &uri, &headers, &body);
    recorded.actions.lock().unwrap().extend(needed);
    let upstream = if service == "dynamodb" { &recorded.tables } else { &recorded.others };
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    // Moto finds a bucket in the host name, too; the functions address it in the path.
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    let request = recorded.http.request(method, format!("{upstream}{path}")).headers(headers);
    let answer = request.body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != TRANSFER_ENCODING && name != CONTENT_LENGTH {
            response = response.header(name, value);
        }
    }
    let body = answer.bytes().await.unwrap();
    let body = match service.as_str() {
        // Moto repeats the texts of the template where EFS has numbers.
        "elasticfilesystem" => {
            let text = String::from_utf8_lossy(&body);
            let text = text.replace("id\": \"0\"", "id\": 0").replace("id\":\"0\"", "id\":0");
            Bytes::from(text)
        }
        _ => body,
    };
    response.body(Body::from(body)).unwrap()
}

/// The service in the scope of the signature: `Credential={key}/{date}/{region}/{service}/aws4_request`.
fn service(headers: &HeaderMap) -> String {
    let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let scope = header.split_once("Credential=").map_or("", |(_, rest)| rest);
    scope.split('/').nth(3).unwrap_or_default().to_owned()
}

/// The IAM actions of a call (Service Authorization Reference).
fn actions(
    service: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Vec<String> {
    // JSON protocols: `x-amz-target: {version}.{operation}`.
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let operation = match target.and_then(|it| it.rsplit_once('.')) {
        Some((_, operation)) => operation.to_owned(),
        None if service == "ec2" => form_value(body, "Action"),
        None => rest_operation(service, method, uri),
    };
    let names = match operation.as_str() {
        "TransactWriteItems" => items(body, "TransactItems"),
        "TransactGetItems" => vec!["GetItem".to_owned()],
        "SendMessageBatch" => vec!["SendMessage".to_owned()],
        _ => vec![operation],
    };
    names.into_iter().map(|name| format!("{service}:{name}")).collect()
}

/// A transaction needs the permission of each item.
fn items(body: &[u8], list: &str) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let items = body[list].as_array().unwrap().iter();
    let kinds = items.flat_map(|item| item.as_object().unwrap().keys());
    kinds
        .map(|kind| match kind.as_str() {
            "ConditionCheck" => "ConditionCheckItem".to_owned(),
            kind => format!("{kind}Item"),
        })
        .collect()
}

fn form_value(body: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let found = text.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found.unwrap_or_default().to_owned()
}

/// Services without a name of the operation in the request.
fn rest_operation(service: &str, method: &Method, uri: &Uri) -> String {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let name = match (service, method.as_str(), path) {
        ("elasticfilesystem", "POST", "/2015-02-01/access-points") => "CreateAccessPoint",
        ("elasticfilesystem", "GET", _) if path.starts_with("/2015-02-01/access-points") => {
            "DescribeAccessPoints"
        }
        ("elasticfilesystem", "DELETE", _) => "DeleteAccessPoint",
        ("elasticfilesystem", "POST", _) => "TagResource",
        ("s3", "PUT" | "POST", _) => "PutObject",
        ("s3", "DELETE", _) if query.contains("uploadId") => "AbortMultipartUpload",
        ("s3", "GET", _) if query.contains("uploadId") => "ListMultipartUploadParts",
        ("s3", "GET" | "HEAD", _) => "GetObject",
        _ => return format!("{method} {path}"),
    };
    name.to_owned()
}
