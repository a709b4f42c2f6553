//! The sign-in of instances that do not know their node (see the `protocol` crate).

use crate::agent_access::{self, AgentAccess};
use crate::{Failure, Web, response};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Json, Path, Request, State};
use axum::response::Response;
use control::Error;
use http::{HeaderMap, StatusCode};
use model::{ClusterRef, Instance, LaunchId, Uid};
use protocol::{SignInRequest, SignInResponse};

/// Workspace, name and uid of the cluster; launch; instance.
type Segments = (String, String, String, String, String);

pub(crate) async fn sign_in(
    State(web): State<Web>,
    path: Result<Path<Segments>, PathRejection>,
    request: Request,
) -> Response {
    response::respond(match path {
        Ok(Path((workspace, name, uid, launch, instance))) => {
            let path = [&workspace, &name, &uid, &launch, &instance].map(String::as_str);
            sign_in_or_fail(&web, path, request).await
        }
        Err(_) => Err(malformed().into()),
    })
}

fn malformed() -> Error {
    Error::invalid("InvalidInstance", "The path is not that of an instance")
}

async fn sign_in_or_fail(
    web: &Web,
    [workspace, name, uid, launch, instance]: [&str; 5],
    request: Request,
) -> Result<Response, Failure> {
    let cluster = ClusterRef {
        workspace: Uid::parse(workspace).ok_or_else(malformed)?,
        name: name.to_ascii_lowercase(),
        uid: Uid::parse(uid).ok_or_else(malformed)?,
    };
    let launch: LaunchId = Uid::parse(launch).ok_or_else(malformed)?;
    agent_access::require_instance(web, &cluster, &launch, instance, &request)?;
    let Json(SignInRequest { address }): Json<SignInRequest> = Json::from_request(request, &())
        .await
        .map_err(|refused| Error::invalid("InvalidRequestContent", refused.body_text()))?;
    let instance = Instance::parse(instance, &address).ok_or_else(|| {
        Error::invalid("InvalidInstance", "instance must be a plain id, and address an IP address")
    })?;
    let node = web.control.nodes.sign_in(&cluster, &launch, &instance).await?;
    let answer = match node {
        Some(node) => SignInResponse::Node {
            token: match web.access.agents {
                AgentAccess::Tokens => Some(web.control.context.keys.node_token(&cluster, &node)),
                AgentAccess::VerifiedInstances => None,
            },
            node_id: node.to_string(),
        },
        None => SignInResponse::Leave,
    };
    Ok(response::json(StatusCode::OK, HeaderMap::new(), &answer))
}
