//! Held requests (long polling): an agent's request waits until the state of its node changes.
//!
//! A notification wakes every request that is held for the node. A request counts as held from before
//! its first read of the state, so no change is missed. One mutex guards all requests.

use super::sync::{Mutex, MutexGuard, PoisonError};
use model::NodeId;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// The requests of agents that are being held, by node.
#[derive(Debug, Default)]
pub struct HeldRequests {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By node and number. A node has several when its agent has abandoned a request whose connection
    /// the service does not yet know to be closed.
    requests: BTreeMap<(NodeId, u64), Request>,
    /// The number of the next request.
    begun: u64,
}

#[derive(Debug, Default)]
struct Request {
    /// Whether a notification arrived after the last read of the state began.
    notified: bool,
    waker: Option<Waker>,
}

impl HeldRequests {
    /// Holds a request: reads the state, and again after each notification, until `has_update` holds
    /// or `limit` completes. Returns the state that was read last.
    ///
    /// # Errors
    /// Those of the reads.
    pub async fn hold<T, E, F>(
        &self,
        node: &NodeId,
        limit: impl Future<Output = ()>,
        first: impl Future<Output = Result<T, E>>,
        mut again: impl FnMut() -> F,
        has_update: impl Fn(&T) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        // Registered before the state is read: a notification in between is not lost.
        let wait = self.begin(node);
        let mut limit = pin!(limit);
        let mut state = first.await?;
        while !has_update(&state) && wait.is_notified_before(limit.as_mut()).await {
            state = again().await?;
        }
        Ok(state)
    }

    /// Wakes every request that is held for the node. A later request reads the new state anyway.
    pub fn notify(&self, node: &NodeId) {
        let mut wakers = Vec::new();
        let mut held = self.lock();
        let all = (node.clone(), u64::MIN)..=(node.clone(), u64::MAX);
        for (_, request) in held.requests.range_mut(all) {
            request.notified = true;
            wakers.extend(request.waker.take());
        }
        drop(held);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The number of requests that are being held.
    pub fn len(&self) -> usize {
        self.lock().requests.len()
    }

    /// Whether no request is being held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn begin(&self, node: &NodeId) -> Wait<'_> {
        let mut held = self.lock();
        held.begun += 1;
        let key = (node.clone(), held.begun);
        held.requests.insert(key.clone(), Request::default());
        drop(held);
        Wait { held_requests: self, key }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being held. It is dropped with its response or its connection.
struct Wait<'a> {
    held_requests: &'a HeldRequests,
    key: (NodeId, u64),
}

impl Wait<'_> {
    /// Waits for a notification; `false` when `limit` completed first.
    async fn is_notified_before(&self, mut limit: Pin<&mut impl Future<Output = ()>>) -> bool {
        poll_fn(|context| {
            // Polled first, so that a stream of notifications cannot hold the request beyond it.
            if limit.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            self.poll_notified(context).map(|()| true)
        })
        .await
    }

    fn poll_notified(&self, context: &Context<'_>) -> Poll<()> {
        let mut held = self.held_requests.lock();
        // The entry exists as long as `self`.
        let Some(request) = held.requests.get_mut(&self.key) else { return Poll::Ready(()) };
        if std::mem::take(&mut request.notified) {
            return Poll::Ready(());
        }
        request.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.held_requests.lock().requests.remove(&self.key);
    }
}
