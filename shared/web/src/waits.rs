//! Held requests: an agent that waits for news, and who tells it that there may be some.

use model::NodeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// One entry per node that ever asked; a node is a few dozen bytes, and nodes are limited.
#[derive(Debug, Default)]
pub struct Waits {
    nodes: Mutex<HashMap<NodeId, Arc<Notify>>>,
}

impl Waits {
    /// To be awaited after the state was read: a wake in between is not lost.
    pub fn of(&self, node: &NodeId) -> Arc<Notify> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(nodes.entry(node.clone()).or_default())
    }

    /// Wakes the request that waits now, or the next one that comes.
    pub fn wake(&self, node: &NodeId) {
        self.of(node).notify_one();
    }
}
