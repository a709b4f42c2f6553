//! Sign-in: an agent that knows only its launch and its instance requests the id of its node.
//!
//! It signs in at every start, as the answer stays the same. Until it is answered, what an earlier
//! agent process started continues under its supervisor.

use crate::ec2::{Membership, Metadata, Signer, membership};
use crate::link::{Access, Backoff, Link};
use crate::options::{AgentOptions, ClusterName, Identity};
use protocol::{SignInRequest, SignInResponse};
use tokio::time::sleep;

/// The node that the agent is of, and the link with which it reports.
pub struct SignedIn {
    pub cluster: ClusterName,
    pub node: String,
    pub link: Link,
}

/// The node of this agent; `None` when the instance is not needed. Asks until it is answered: an
/// instance that is never answered is terminated by the control plane.
///
/// # Errors
/// When no client can be made.
pub async fn sign_in(options: &AgentOptions) -> anyhow::Result<Option<SignedIn>> {
    let (membership, access) = match &options.identity {
        Identity::Node { cluster, node, token } => {
            let access = Access::Token(token.clone());
            let link = Link::new(&options.endpoint, access)?.of_node(cluster, node);
            return Ok(Some(SignedIn { cluster: cluster.clone(), node: node.clone(), link }));
        }
        Identity::Launch { cluster, launch, token } => {
            let membership = Membership { cluster: cluster.clone(), launch: launch.clone() };
            (membership, Access::Token(token.clone()))
        }
        Identity::Instance { region, metadata, .. } => {
            let membership = membership(&mut Metadata::new(metadata)?).await;
            tracing::info!(cluster = membership.cluster.name, launch = membership.launch, "tags");
            let signer = Signer::new(Metadata::new(metadata)?, region);
            (membership, Access::Signature(Box::new(signer)))
        }
    };
    let Membership { cluster, launch } = membership;
    let link = Link::new(&options.endpoint, access)?;
    let mut link = link.of_sign_in(&cluster, &launch, &options.instance);
    let mut backoff = Backoff::default();
    let request = SignInRequest { address: options.address.clone() };
    loop {
        match link.sign_in(&request).await {
            Ok(SignInResponse::Node { node_id: node, token }) => {
                let link = link.with_token(token).of_node(&cluster, &node);
                return Ok(Some(SignedIn { cluster, node, link }));
            }
            Ok(SignInResponse::Leave) => return Ok(None),
            Err(error) => sleep(backoff.failed(&error)).await,
        }
    }
}
