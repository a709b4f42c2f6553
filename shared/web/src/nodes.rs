//! The endpoint of agents (see the `protocol` crate). Requests are held where the server can hold them.

use crate::{Failure, Web, agent_access, response};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Json, Path, Request, State};
use axum::response::Response;
use control::Error;
use control::nodes::{AgentIdentity, has_update};
use http::{HeaderMap, StatusCode};
use model::{ClusterRef, NodeId, Uid, limits};
use protocol::{SyncRequest, SyncResponse};
use std::time::Duration;

/// How soon an agent asks again that has got something new, where requests can be held.
const UPDATE_ASK_MILLIS: u64 = 1000;

pub(crate) async fn sync(
    State(web): State<Web>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    request: Request,
) -> Response {
    response::respond(match path {
        Ok(Path((workspace, name, uid, node))) => {
            sync_or_fail(&web, [&workspace, &name, &uid, &node], request).await
        }
        Err(_) => Err(malformed().into()),
    })
}

fn malformed() -> Error {
    Error::invalid("InvalidNode", "The path is not that of a node")
}

async fn sync_or_fail(
    web: &Web,
    [workspace, name, uid, node]: [&str; 4],
    request: Request,
) -> Result<Response, Failure> {
    let cluster = ClusterRef {
        workspace: Uid::parse(workspace).ok_or_else(malformed)?,
        name: name.to_ascii_lowercase(),
        uid: Uid::parse(uid).ok_or_else(malformed)?,
    };
    let node = NodeId::parse(node).ok_or_else(malformed)?;
    let agent = agent_access::identify(web, &cluster, &node, &request)?;
    let wait = wait_seconds(request.headers());
    let Json(observed): Json<SyncRequest> = Json::from_request(request, &())
        .await
        .map_err(|refused| Error::invalid("InvalidRequestContent", refused.body_text()))?;
    let state = held(web, &cluster, &node, &agent, &observed, wait).await?;
    Ok(response::json(StatusCode::OK, HeaderMap::new(), &state))
}

/// Responds as soon as there is an update for the agent, or when `longest` is over.
async fn held(
    web: &Web,
    cluster: &ClusterRef,
    node: &NodeId,
    agent: &AgentIdentity,
    observed: &SyncRequest,
    longest: Duration,
) -> Result<SyncResponse, Error> {
    let nodes = &web.control.nodes;
    let Some(held_requests) = web.held_requests.as_ref().filter(|_| !longest.is_zero()) else {
        return nodes.sync(cluster, node, agent, observed).await;
    };
    let limit = tokio::time::sleep(longest);
    let first = nodes.sync(cluster, node, agent, observed);
    let again = || nodes.current(cluster, node, agent, observed);
    let has_news = |state: &SyncResponse| has_update(observed, &state.desired);
    let mut state = held_requests.hold(node, limit, first, again, has_news).await?;
    // A request that can be held costs nothing: it is repeated soon, or immediately after it was held.
    state.ask_again_millis = match has_update(observed, &state.desired) {
        true => state.ask_again_millis.min(UPDATE_ASK_MILLIS),
        false => 0,
    };
    Ok(state)
}

/// How long the agent allows the request to be held: `Prefer: wait=N` (RFC 7240).
fn wait_seconds(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get("prefer")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(',').find_map(|part| part.trim().strip_prefix("wait=")))
        .and_then(|seconds| seconds.trim().parse::<u64>().ok())
        .unwrap_or(0);
    Duration::from_secs(seconds.min(limits::LONG_POLL_SECONDS))
}
