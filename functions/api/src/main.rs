//! The Lambda function of the API: wiring only.

mod gateway;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use gateway::NodeRole;
use lambda_http::{Error, run};
use std::future::ready;
use std::sync::Arc;
use web::Web;

#[tokio::main]
async fn main() -> Result<(), Error> {
    aws::log();
    let control = aws::control().await?;
    let (access, node_role) = (Arc::new(gateway::access()?), NodeRole::of_environment()?);
    let web = Web { control, access, behind_proxy: true, held_requests: None };
    let add_sender = move |request: Request| ready(gateway::add_sender(request, &node_role));
    run(web::app(web, Router::new()).layer(map_request(add_sender))).await
}
