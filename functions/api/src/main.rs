//! The Lambda function of the API: wiring only.

mod sender;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use lambda_http::{Error, run};
use std::future::ready;
use std::sync::Arc;
use web::{Access, AgentAccess, OutputFiles, PeopleAccess, PortalIssuer, PortalSignIn, Web};

#[tokio::main]
async fn main() -> Result<(), Error> {
    aws::log(aws::required("STACK_NAME")?);
    let aws::Api { control, owner, node_role, files_url, portal } =
        aws::api(&aws::config().await, Arc::new(aws::NoMachines)).await?;
    let people = PeopleAccess::VerifiedPeople { owner };
    let agents = AgentAccess::VerifiedInstances;
    let access = Arc::new(Access { people, loopback_only: false, agents });
    let files = OutputFiles::At { url: files_url };
    let portal = portal.map_or(PortalSignIn::Closed, sign_in);
    let web = Web { control, access, behind_proxy: true, files, held_requests: None, portal };
    let add_sender = move |request: Request| ready(sender::added(request, &node_role));
    run(web::app(web, Router::new()).layer(map_request(add_sender))).await
}

fn sign_in(aws::Portal { settings, http }: aws::Portal) -> PortalSignIn {
    let aws::settings::PortalSettings { issuer, client_id, client_secret } = settings;
    PortalSignIn::Issuer(Arc::new(PortalIssuer::new(http, issuer, client_id, client_secret)))
}
