//! The instance metadata service, version 2, of one instance (EC2 User Guide, "Instance metadata categories").

use crate::instances::Described;
use crate::signature;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use control::ports::Clock;
use control::system::SystemClock;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SESSION: &str = "a-session-of-the-metadata-service";
const ROLE: &str = "lab-NodeRole";

/// Ends with its owner.
pub struct Metadata {
    pub endpoint: String,
    state: Arc<Served>,
    server: tokio::task::JoinHandle<()>,
}

struct Served {
    instance: Described,
    action: Mutex<Option<String>>,
}

impl Metadata {
    pub async fn start(instance: &Described) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Served { instance: instance.clone(), action: Mutex::default() });
        let routes = Router::new()
            .route("/latest/api/token", put(async || SESSION))
            .route("/latest/meta-data/{*path}", get(item))
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { endpoint, state, server }
    }

    /// From now on the instance has notice.
    pub fn interrupt(&self, notice: Duration) {
        let time = SystemClock.now().plus_seconds(notice.as_secs()).to_string();
        let action = json!({"action": "terminate", "time": time}).to_string();
        *self.state.action.lock().unwrap() = Some(action);
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn item(
    State(served): State<Arc<Served>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    if headers.get("x-aws-ec2-metadata-token").is_none_or(|it| it != SESSION) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    served.item(&path).ok_or(StatusCode::NOT_FOUND)
}

impl Served {
    fn item(&self, path: &str) -> Option<String> {
        let instance = &self.instance;
        if let Some(tag) = path.strip_prefix("tags/instance/") {
            return instance.tags.get(tag).cloned();
        }
        match path {
            "instance-id" => Some(instance.id.clone()),
            "local-ipv4" => Some(instance.address.clone()),
            "spot/instance-action" => self.action.lock().unwrap().clone(),
            "iam/security-credentials/" => Some(ROLE.to_owned()),
            _ if path.strip_prefix("iam/security-credentials/") == Some(ROLE) => {
                Some(self.credentials())
            }
            _ => None,
        }
    }

    fn credentials(&self) -> String {
        let key = signature::access_key(&self.instance.id);
        let expiration = SystemClock.now().plus_seconds(3600).to_string();
        json!({
            "Code": "Success",
            "LastUpdated": "2026-11-21T01:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": key,
            "SecretAccessKey": signature::secret_key(&key),
            "Token": signature::session_token(&key),
            "Expiration": expiration,
        })
        .to_string()
    }
}
