//! The identity of the agent that sends a request.
//!
//! With tokens, the token of a launch lets an instance sign in under the id that it names, and the
//! answer has the token of the node that it is. So instances of one launch have to trust each other.
//! Where the edge verifies instances, each can only speak for itself.

use crate::{Failure, Web, access};
use axum::extract::Request;
use control::nodes::AgentIdentity;
use control::{ApiError, ApiErrorKind, Error};
use model::{ClusterRef, LaunchId, NodeId};

/// How agents prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentAccess {
    /// By bearer tokens that the service derives from its key: one per launch, one per node.
    Tokens,
    /// The edge has verified the instance and added a [`VerifiedInstance`] to the extensions of the
    /// request.
    VerifiedInstances,
}

/// The id of the instance that sent a request, as the edge verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedInstance(pub String);

impl VerifiedInstance {
    /// Of the `userId` of an assumed role, `{role id}:{session name}`. EC2 names the session of an
    /// instance's role by the id of the instance (IAM User Guide, "Unique identifiers").
    pub fn of_assumed_role(user_id: &str) -> Option<Self> {
        let (_, session) = user_id.split_once(':')?;
        session.starts_with("i-").then(|| Self(session.to_owned()))
    }
}

const NO_INSTANCE: Failure = Failure::Unauthenticated("The request is not that of an instance");

/// Requires that the request is that of this instance of the launch.
///
/// # Errors
/// 401 without a valid token or a verified instance, 403 for another instance.
pub(crate) fn require_instance(
    web: &Web,
    cluster: &ClusterRef,
    launch: &LaunchId,
    instance: &str,
    request: &Request,
) -> Result<(), Failure> {
    match web.access.agents {
        AgentAccess::Tokens => {
            let token = access::bearer(request.headers()).unwrap_or_default();
            match web.control.context.keys.is_launch_token(cluster, launch, token) {
                true => Ok(()),
                false => Err(Failure::Unauthenticated("The token does not belong to this launch")),
            }
        }
        AgentAccess::VerifiedInstances => match verified(request) {
            Some(verified) if verified == instance => Ok(()),
            Some(_) => Err(other_instance()),
            None => Err(NO_INSTANCE),
        },
    }
}

/// The identity of the sender of a request for this node.
///
/// # Errors
/// 401 without a valid token or a verified instance.
pub(crate) fn identify(
    web: &Web,
    cluster: &ClusterRef,
    node: &NodeId,
    request: &Request,
) -> Result<AgentIdentity, Failure> {
    match web.access.agents {
        AgentAccess::Tokens => {
            let token = access::bearer(request.headers()).unwrap_or_default();
            match web.control.context.keys.is_node_token(cluster, node, token) {
                true => Ok(AgentIdentity::Node),
                false => Err(Failure::Unauthenticated("The token does not belong to this node")),
            }
        }
        AgentAccess::VerifiedInstances => match verified(request) {
            Some(instance) => Ok(AgentIdentity::Instance(instance.to_owned())),
            None => Err(NO_INSTANCE),
        },
    }
}

fn verified(request: &Request) -> Option<&str> {
    request.extensions().get::<VerifiedInstance>().map(|it| it.0.as_str())
}

fn other_instance() -> Failure {
    let message = "The caller is another instance";
    Error::from(ApiError::new(ApiErrorKind::Denied, "AuthorizationFailed", message)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_of_an_instance_names_it() {
        let instance = |text| VerifiedInstance::of_assumed_role(text).map(|it| it.0);
        assert_eq!(instance("AROAEXAMPLE:i-0123"), Some("i-0123".to_owned()));
        for other in ["AROAEXAMPLE:alice", "AROAEXAMPLE", "i-0123", ""] {
            assert_eq!(instance(other), None, "{other}");
        }
    }
}
