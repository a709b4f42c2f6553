//! The REST API of a test environment, called without a socket.

use crate::environment::Environment;
use crate::issuer::{CLIENT, Issuer};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use control::files::MountedFiles;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, Response, StatusCode, request};
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt;
use web::{
    Access, AgentAccess, FilesWeb, OutputFiles, PeopleAccess, PortalIssuer, PortalSignIn, Web,
};

/// The service's own token in these worlds.
pub const SERVICE_TOKEN: &str = "the-service-itself";

pub struct Api {
    app: Router,
}

impl Api {
    pub fn new(environment: &Environment) -> Self {
        Self::with_agents(environment, AgentAccess::Tokens)
    }

    /// With agents that prove in this way who they are.
    pub fn with_agents(environment: &Environment, agents: AgentAccess) -> Self {
        let root = environment.control.context.settings.file_server_root.clone();
        let files = MountedFiles { root: root.expect("file servers are directories here") };
        let files = FilesWeb::here(&environment.control, files, SERVICE_TOKEN.to_owned());
        let people = PeopleAccess::Tokens { service: SERVICE_TOKEN.to_owned() };
        let access = Arc::new(Access { people, loopback_only: true, agents });
        let web = Web {
            control: environment.control.clone(),
            access,
            behind_proxy: true,
            files: OutputFiles::Here(files),
            held_requests: None,
            portal: PortalSignIn::Links(Arc::default()),
        };
        Self { app: web::app(web, Router::new()) }
    }

    /// For people who are verified at the edge, and sign in to the portal at this issuer.
    pub fn with_issuer(environment: &Environment, issuer: &Issuer) -> Self {
        let people = PeopleAccess::VerifiedPeople { owner: "owner".to_owned() };
        let url = issuer.facts().url.clone();
        let portal = PortalIssuer::new(Arc::new(issuer.clone()), url, CLIENT.to_owned(), None);
        let web = Web {
            control: environment.control.clone(),
            access: Arc::new(Access { people, loopback_only: true, agents: AgentAccess::Tokens }),
            behind_proxy: true,
            files: OutputFiles::At { url: "https://files.example".to_owned() },
            held_requests: None,
            portal: PortalSignIn::Issuer(Arc::new(portal)),
        };
        Self { app: web::app(web, Router::new()) }
    }

    /// Sends a request; returns the status and the JSON body, null without one. `path` may be a link.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> (StatusCode, Value) {
        let path = path.strip_prefix("http://127.0.0.1").unwrap_or(path);
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = self.send(request, body.to_owned()).await;
        (answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    /// Sends any request; returns the whole answer.
    pub async fn send(&self, request: request::Builder, body: impl Into<Body>) -> Response<Bytes> {
        let request = request.header(HOST, "127.0.0.1").body(body.into());
        let request = request.expect("a well-formed request");
        let answer = self.app.clone().oneshot(request).await.expect("the router answers");
        let (parts, body) = answer.into_parts();
        Response::from_parts(parts, to_bytes(body, usize::MAX).await.expect("a whole body"))
    }
}
