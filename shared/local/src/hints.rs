//! Hints in this process: a queue for each function, and the workers that call the handlers. Hints are
//! lost with the process; the schedule visits every target anyway.

use crate::queue::{Message, Queue};
use async_trait::async_trait;
use control::ports::{Hints, PortError};
use control::{Control, Error, Function};
use model::{NodeId, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use web::HeldRequests;

/// How long a failed message waits before it is handled again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Workers per function. They handle messages of different targets at the same time.
const WORKERS: usize = 4;

/// The queues of all functions.
#[derive(Debug)]
pub struct LocalHints {
    dispatcher: Queue<Sleep>,
    autoscaler: Queue<Sleep>,
    recovery: Queue<Sleep>,
    provisioner: Queue<Sleep>,
    held_requests: Arc<HeldRequests>,
}

impl LocalHints {
    /// Empty queues. Notifications of nodes wake these held requests.
    pub fn new(held_requests: Arc<HeldRequests>) -> Self {
        let [dispatcher, autoscaler, recovery, provisioner] = std::array::from_fn(|_| Queue::new());
        Self { dispatcher, autoscaler, recovery, provisioner, held_requests }
    }

    /// The next message whose target is not locked. It locks its target until it is dropped.
    pub fn take(&self, function: Function) -> Option<Message<'_, Sleep>> {
        self.queue(function).take()
    }

    fn queue(&self, function: Function) -> &Queue<Sleep> {
        match function {
            Function::Dispatcher => &self.dispatcher,
            Function::Autoscaler => &self.autoscaler,
            Function::Recovery => &self.recovery,
            Function::Provisioner => &self.provisioner,
        }
    }
}

#[async_trait]
impl Hints for LocalHints {
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError> {
        self.queue(function).send(target);
        Ok(())
    }

    fn notify_node(&self, node: &NodeId) {
        self.held_requests.notify(node);
    }
}

/// Starts the workers. Dropping the set drops queued messages and those that are being handled.
pub fn start_workers(hints: &Arc<LocalHints>, control: &Control) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for function in Function::ALL {
        for worker in 0..WORKERS {
            let (hints, control) = (Arc::clone(hints), control.clone());
            let handle = move |target| deliver(control.clone(), function, target);
            tasks.spawn(async move { hints.queue(function).work(worker, handle).await });
        }
        let hints = Arc::clone(hints);
        tasks.spawn(async move { hints.queue(function).retry_failed().await });
    }
    tasks
}

/// Handles one message.
///
/// # Errors
/// The pause after which the message is handled again.
async fn deliver(control: Control, function: Function, target: Target) -> Result<(), Sleep> {
    match catch_panic(Box::pin(control.reconcile(function, &target))).await {
        Some(Ok(())) => return Ok(()),
        Some(Err(error)) => {
            tracing::error!(?function, error = error.chain(), "a hint failed; it will be retried");
        }
        None => tracing::error!(?function, ?target, "a handler panicked; its hint will be retried"),
    }
    Err(tokio::time::sleep(RETRY_DELAY))
}

/// The outcome of a handler; `None` when it panicked. A panic must not end the worker, which serves
/// other targets too.
async fn catch_panic(
    handler: impl Future<Output = Result<(), Error>>,
) -> Option<Result<(), Error>> {
    let mut handler = pin!(handler);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uid;

    fn target(byte: u8) -> Target {
        let uid = Uid::from_bytes([byte; 16]);
        Target::Experiment { workspace: uid.clone(), name: "e".into(), uid }
    }

    #[tokio::test]
    async fn one_message_of_a_target_is_handled_at_a_time() {
        let hints = LocalHints::new(Arc::default());
        let function = Function::Dispatcher;
        for byte in [1, 1, 2] {
            hints.send(function, &target(byte)).await.unwrap();
        }
        let first = hints.take(function).unwrap();
        assert_eq!(first.target, target(1));
        hints.send(function, &target(1)).await.unwrap();
        let second = hints.take(function).unwrap();
        assert_eq!(second.target, target(2));
        assert!(hints.take(function).is_none(), "the target is locked");
        drop(first);
        let again = hints.take(function).unwrap();
        assert_eq!(again.target, target(1), "a hint that was sent in the meantime is not lost");
        assert!(hints.take(Function::Recovery).is_none(), "each function has its queue");
    }

    #[tokio::test]
    async fn a_panic_is_caught_before_and_after_an_await() {
        assert!(catch_panic(async { panic!("at once") }).await.is_none());
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert!(catch_panic(later).await.is_none());
        assert!(matches!(catch_panic(async { Ok(()) }).await, Some(Ok(()))));
    }
}
