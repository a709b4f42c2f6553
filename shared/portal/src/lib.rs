//! The portal: pages in front of the API.
//!
//! The rule of this crate: a page knows nothing but answers of the REST API, which it calls in the same process, as
//! the person who looks at it. So it shows nothing that the API would refuse, and can do nothing that the API cannot.
//! One page is a handler, a struct of its template and a template, all of the same name.

#![warn(missing_docs)]

mod api;
mod assets;
mod failure;
mod headers;
mod links;
mod pages;
mod shell;
mod states;
mod text;

pub use headers::Policy;
pub use pages::signed_out::SignIn;

use axum::Router;
use axum::response::Redirect;
use axum::routing::{any, get, post};

/// The first page. Not `/portal/`: routes of gateways below a path need a name.
pub const HOME: &str = "/portal/home";

/// What all pages share.
#[derive(Clone)]
pub(crate) struct Portal {
    /// The API. It authenticates a request by what the page's own request has.
    api: Router,
}

/// The pages. A request must have what `api` needs to authenticate it: a header `Authorization`, or an extension.
pub fn pages(api: Router) -> Router {
    let workspace = Router::new()
        .route("/", get(pages::overview::page))
        .route("/queue", get(pages::queue::page))
        .route("/experiments", get(pages::experiments::page).post(pages::experiments::create))
        .route("/experiments/{experiment}", get(pages::experiment::page))
        .route(
            "/experiments/{experiment}/new-job",
            get(pages::job_form::new).post(pages::job_form::submit_new),
        )
        .route("/experiments/{experiment}/delete", post(pages::experiments::delete))
        .route("/experiments/{experiment}/compare", get(pages::compare::page))
        .route("/clusters", get(pages::overview::page).post(pages::cluster_form::create))
        .route("/clusters/{cluster}", get(pages::cluster::page))
        .route("/clusters/{cluster}/delete", post(pages::cluster_form::delete))
        .route("/clusters/{cluster}/scale", post(pages::cluster::scale))
        .merge(storage())
        .nest("/experiments/{experiment}/jobs/{job}", job())
        .fallback(pages::missing);
    Router::new()
        .route("/portal", get(|| async { Redirect::to(HOME) }))
        .route("/portal/", get(|| async { Redirect::to(HOME) }))
        .route(HOME, get(pages::home::page))
        .route("/portal/open", get(pages::home::open))
        .route("/portal/api/{*path}", get(pages::json::answer))
        .nest("/portal/workspaces/{subscription}/{group}/{workspace}", workspace)
        .route("/portal/{*path}", any(pages::missing))
        .with_state(Portal { api })
}

/// Files, access and usage.
fn storage() -> Router<Portal> {
    Router::new()
        .route("/fileServers", get(pages::file_servers::page).post(pages::file_server_form::create))
        .route("/fileServers/{server}", get(pages::file_server::page))
        .route("/fileServers/{server}/download", get(pages::file_server::download))
        .route("/fileServers/{server}/delete", post(pages::file_server::delete))
        .route("/fileServers/{server}/remove", post(pages::file_server_form::remove))
        .route("/fileServers/{server}/uploads", post(pages::uploads::begin))
        .route("/access", get(pages::access::page))
        .route("/access/assign", post(pages::access::assign))
        .route("/access/{assignment}/remove", post(pages::access::remove))
        .route("/access/tokens", post(pages::tokens::create))
        .route("/access/tokens/{token}/revoke", post(pages::tokens::revoke))
        .route("/usage", get(pages::usage::page))
}

fn job() -> Router<Portal> {
    Router::new()
        .route("/", get(pages::job::page))
        .route("/logs", get(pages::job_logs::list))
        .route("/files", get(pages::job_files::page))
        .route("/terminate", post(pages::job_actions::terminate))
        .route("/delete", post(pages::job_actions::delete))
        .route("/again", post(pages::job_actions::again))
        .route("/clone", get(pages::job_form::clone).post(pages::job_form::submit_clone))
}

/// Style sheets, scripts and images, which anybody may read: they have no data.
pub fn assets() -> Router {
    Router::new().route("/portal/assets/{name}", get(assets::answer))
}

/// The page after signing in, which goes on to a page of the portal.
pub fn entrance(to: &str) -> String {
    pages::entrance::page(to)
}

/// A page for someone who has not signed in, or whose session has ended. `page` is the one that was asked for.
pub fn signed_out(message: &str, way: SignIn, page: Option<&str>) -> axum::response::Response {
    pages::signed_out::page(message, way, page)
}
