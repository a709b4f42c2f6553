//! `POST /local/v1/nodes/{node}/interrupt`: interrupts a node, as EC2 interrupts a spot instance.

use crate::machines::ProcessMachines;
use axum::Router;
use axum::extract::{Json, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use control::{ApiError, ApiErrorKind, Error};
use http::StatusCode;
use model::{NodeId, limits};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Interruption {
    #[serde(default = "spot_notice")]
    notice_seconds: u64,
}

fn spot_notice() -> u64 {
    limits::SPOT_NOTICE_SECONDS
}

/// The longest notice, in seconds: the node is kept that long.
const LONGEST_NOTICE_SECONDS: u64 = 3600;

pub fn routes(machines: Arc<ProcessMachines>) -> Router {
    Router::new().route("/local/v1/nodes/{node}/interrupt", post(interrupt)).with_state(machines)
}

async fn interrupt(
    State(machines): State<Arc<ProcessMachines>>,
    Path(node): Path<String>,
    body: Result<Json<Interruption>, axum::extract::rejection::JsonRejection>,
) -> Response {
    web::respond(interrupt_or_fail(&machines, &node, body).await)
}

async fn interrupt_or_fail(
    machines: &Arc<ProcessMachines>,
    node: &str,
    body: Result<Json<Interruption>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Error> {
    let Json(interruption) =
        body.map_err(|refused| Error::invalid("InvalidRequestContent", refused.body_text()))?;
    if interruption.notice_seconds > LONGEST_NOTICE_SECONDS {
        let message = format!("noticeSeconds must be at most {LONGEST_NOTICE_SECONDS}");
        return Err(Error::invalid("InvalidParameter", message));
    }
    let missing = || {
        let message = format!("The running node {} is not found", node.escape_debug());
        ApiError::new(ApiErrorKind::NotFound, "NodeNotFound", message)
    };
    let id = NodeId::parse(node).ok_or_else(missing)?;
    match machines.interrupt(&id, interruption.notice_seconds).await {
        true => Ok(StatusCode::ACCEPTED.into_response()),
        false => Err(missing().into()),
    }
}
