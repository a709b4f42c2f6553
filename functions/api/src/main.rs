//! The Lambda function of the API: wiring only.

use lambda_http::{Error, run};
use std::sync::Arc;
use web::{Access, AgentAccess, Web};

#[tokio::main]
async fn main() -> Result<(), Error> {
    aws::log();
    let control = aws::control().await?;
    let access = Arc::new(Access {
        token: aws::access()?,
        loopback_only: false,
        agents: AgentAccess::Tokens,
    });
    let web = Web { control, access, behind_proxy: true, held_requests: None };
    run(web::app(web, axum::Router::new())).await
}
