//! Held requests: agents that wait for news, and the notification that there may be some.

use model::NodeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One entry per node of which a request is being held.
#[derive(Debug, Default)]
pub struct Waits {
    nodes: Mutex<HashMap<NodeId, Arc<Notify>>>,
}

/// A request that is being held. Begun before the state is read, so that no notification is lost.
#[derive(Debug)]
pub struct Wait<'a> {
    waits: &'a Waits,
    node: NodeId,
    notify: Arc<Notify>,
}

impl Waits {
    pub fn begin(&self, node: &NodeId) -> Wait<'_> {
        let notify = Arc::clone(self.nodes().entry(node.clone()).or_default());
        Wait { waits: self, node: node.clone(), notify }
    }

    /// Wakes the request that waits now, if any. A later one reads the state itself.
    pub fn notify(&self, node: &NodeId) {
        if let Some(notify) = self.nodes().get(node) {
            notify.notify_one();
        }
    }

    /// How many nodes have a request that is being held.
    pub fn len(&self) -> usize {
        self.nodes().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Notify>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait<'_> {
    pub async fn notified(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut nodes = self.waits.nodes();
        // The map's own and this one: nobody else waits for this node.
        if Arc::strong_count(&self.notify) <= 2 {
            nodes.remove(&self.node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_notification_between_begin_and_wait_is_not_lost_and_nothing_is_left() {
        let waits = Waits::default();
        let node = NodeId::parse("n1").expect("a valid id");
        let (one, two) = (waits.begin(&node), waits.begin(&node));
        waits.notify(&node);
        one.notified().await;
        drop(one);
        assert_eq!(waits.len(), 1, "another request still waits");
        drop(two);
        assert!(waits.is_empty());
        waits.notify(&node);
        assert!(waits.is_empty(), "nobody waits");
    }
}
