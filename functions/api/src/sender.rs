//! Who sends a request, as the edge verified it.

use aws::{NodeRole, Sender};
use axum::extract::Request;
use web::{VerifiedInstance, VerifiedPerson};

/// The request with its sender, if it has one.
pub fn added(mut request: Request, node_role: &NodeRole) -> Request {
    match aws::sender(&request, node_role) {
        Some(Sender::Person { subject }) => {
            request.extensions_mut().insert(VerifiedPerson(subject));
        }
        Some(Sender::NodeRole { user_id }) => {
            let instance = VerifiedInstance::of_assumed_role(&user_id);
            instance.map(|instance| request.extensions_mut().insert(instance));
        }
        None => {}
    }
    request
}
