//! The HTTP surface, the same router behind API Gateway and on a loopback port.
//!
//! The rules of this crate: a request is validated completely before anything is written. A 4xx comes
//! from an explicit constructor, or from storage that refuses a record as too large. Any other error
//! is a 5xx with a request id and no detail; the detail is logged once, in this crate.

#![warn(missing_docs)]

mod access;
mod agent_access;
mod agent_protocol;
mod arm;
mod failure;
mod files;
mod held_requests;
mod instances;
mod nodes;
mod portal_access;
mod response;
mod sync;

pub use access::{Access, PeopleAccess, VerifiedPerson};
pub use agent_access::{AgentAccess, VerifiedInstance};
pub use arm::operation::{OPERATIONS, Operation, OperationRow, RequiredAccess};
pub use failure::Failure;
pub use files::{FilesWeb, ListingQuery, OutputFiles, files_app};
pub use held_requests::HeldRequests;
pub use portal_access::{PortalIssuer, PortalLinks, PortalSignIn};
pub use response::respond;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{get, post};
use control::Control;
use http::Method;
use std::future::{Ready, ready};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// The state that all handlers share.
#[derive(Clone)]
pub struct Web {
    /// The services of the control plane.
    pub control: Control,
    /// How requests are authenticated.
    pub access: Arc<Access>,
    /// Whether a proxy that the deployment controls writes the `X-Forwarded-Proto` of requests.
    pub behind_proxy: bool,
    /// Where output files are served.
    pub files: OutputFiles,
    /// Held requests of agents. None in a Lambda function, which responds immediately.
    pub held_requests: Option<Arc<HeldRequests>>,
    /// How browsers sign in to the portal.
    pub portal: PortalSignIn,
}

/// The router of the whole service. The routes of `extra` require the service's own token.
pub fn app(web: Web, extra: Router) -> Router {
    let guarded = Router::new()
        .route("/openapi.json", get(arm::openapi::document).fallback(allow(&["GET", "HEAD"])))
        .fallback(arm::handle)
        .with_state(web.clone())
        .merge(extra.layer(axum::middleware::from_fn(access::require_service)))
        .layer(axum::middleware::from_fn_with_state(web.clone(), access::require_token));
    let portal = portal_access::routes(&web, guarded.clone());
    let files = match &web.files {
        OutputFiles::Here(files) => files::routes(files.clone()),
        OutputFiles::At { .. } => Router::new(),
    };
    let agents = Router::new()
        .route(
            "/nodes/v1/{workspace}/{name}/{uid}/{node}/sync",
            post(nodes::sync).fallback(allow(&["POST"])),
        )
        .route(
            "/instances/v1/{workspace}/{name}/{uid}/{launch}/{instance}/sign-in",
            post(instances::sign_in).fallback(allow(&["POST"])),
        )
        .route_layer(axum::middleware::from_fn(agent_protocol::check_version));
    let app = agents
        .with_state(web.clone())
        .merge(files)
        .merge(portal)
        .fallback_service(guarded)
        .layer(DefaultBodyLimit::max(model::limits::MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn_with_state(web, access::check_host));
    with_common_layers(app)
}

/// The common headers, and an answer in place of a panic.
fn with_common_layers(app: Router) -> Router {
    app.layer(axum::middleware::from_fn(response::common_headers))
        .layer(CatchPanicLayer::custom(response::panicked))
}

/// The response to any other method on a route.
fn allow(
    methods: &'static [&'static str],
) -> impl Fn(Method) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |method| {
        let allowed = methods.to_vec();
        ready(response::of_failure(Failure::MethodNotAllowed { method, allowed }))
    }
}
