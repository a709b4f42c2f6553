//! Sign-in: an agent that knows only its launch and its instance requests the id of its node.
//!
//! It signs in at every start, as the answer stays the same. Until it is answered, what an earlier
//! agent process started continues under its supervisor.

use crate::link::{Backoff, Link};
use crate::options::{AgentOptions, NodeName};
use protocol::{SignInRequest, SignInResponse};
use tokio::time::sleep;

/// The node that the agent is of, and the token with which it reports.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedIn {
    pub node: String,
    pub token: String,
}

/// The node of this agent; `None` when the instance is not needed. Asks until it is answered: an
/// instance that is never answered is terminated by the control plane.
///
/// # Errors
/// When no client can be made.
pub async fn sign_in(options: &AgentOptions) -> anyhow::Result<Option<SignedIn>> {
    let launch = match &options.node {
        NodeName::Known(node) => {
            return Ok(Some(SignedIn { node: node.clone(), token: options.token.clone() }));
        }
        NodeName::BySignIn { launch } => launch,
    };
    let mut link = Link::of_launch(options, launch)?;
    let mut backoff = Backoff::default();
    let request = SignInRequest { address: options.address.clone() };
    loop {
        match link.sign_in(&request).await {
            Ok(SignInResponse::Node { node_id: node, token }) => {
                let token = token.unwrap_or_else(|| options.token.clone());
                return Ok(Some(SignedIn { node, token }));
            }
            Ok(SignInResponse::Leave) => return Ok(None),
            Err(error) => sleep(backoff.failed(&error)).await,
        }
    }
}
