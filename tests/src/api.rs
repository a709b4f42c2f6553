//! The REST API of a made-up world, called as HTTP but without a socket.

use crate::world::World;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt;
use web::{Access, Web};

/// The service's own token in these worlds.
pub const SERVICE_TOKEN: &str = "the-service-itself";

pub struct Api {
    app: Router,
}

impl Api {
    pub fn of(world: &World) -> Self {
        let access = Arc::new(Access { token: SERVICE_TOKEN.to_owned(), loopback_only: true });
        let web = Web { control: world.control.clone(), access, waits: None };
        Self { app: web::app(web, Router::new()) }
    }

    /// Status and JSON body, null if there is none. A path with a host is taken as a link.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> (StatusCode, Value) {
        let path = path.strip_prefix("http://127.0.0.1").unwrap_or(path);
        let mut request = Request::builder().method(method).uri(path).header(HOST, "127.0.0.1");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_owned())).expect("a well-formed request");
        let answer = self.app.clone().oneshot(request).await.expect("the router answers");
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("a whole body");
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}
