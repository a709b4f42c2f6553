//! Hints in this process: a queue for each function, and the workers that hand its messages to the
//! handlers. They are lost with the process: the schedule visits every target.

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

/// After how long a failed message is handed out again.
const VISIBILITY: Duration = Duration::from_secs(1);

/// Messages of one function that are worked on at a time. They are of different targets.
const CONCURRENCY: usize = 4;

/// The queues of hints, one per function.
#[derive(Debug)]
pub struct LocalHints {
    dispatcher: Queue<Sleep>,
    autoscaler: Queue<Sleep>,
    recovery: Queue<Sleep>,
    held_requests: Arc<HeldRequests>,
}

const FUNCTIONS: [Function; 3] = [Function::Dispatcher, Function::Autoscaler, Function::Recovery];

impl LocalHints {
    /// Queues without messages.
    pub fn new(held_requests: Arc<HeldRequests>) -> Self {
        let [dispatcher, autoscaler, recovery] = std::array::from_fn(|_| Queue::new());
        Self { dispatcher, autoscaler, recovery, held_requests }
    }

    /// The next message whose target is free. Its target is locked until it is dropped.
    pub fn take(&self, function: Function) -> Option<Message<'_, Sleep>> {
        self.queue(function).take()
    }

    fn queue(&self, function: Function) -> &Queue<Sleep> {
        match function {
            Function::Dispatcher => &self.dispatcher,
            Function::Autoscaler => &self.autoscaler,
            Function::Recovery => &self.recovery,
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

/// Hands messages to the handlers until the tasks are dropped. What is queued then, or being
/// handled, is dropped with them.
pub fn work(hints: &Arc<LocalHints>, control: &Control) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for function in FUNCTIONS {
        for worker in 0..CONCURRENCY {
            let (hints, control) = (Arc::clone(hints), control.clone());
            let handle = move |target| deliver(control.clone(), function, target);
            tasks.spawn(async move { hints.queue(function).work(worker, handle).await });
        }
        let hints = Arc::clone(hints);
        tasks.spawn(async move { hints.queue(function).repeat().await });
    }
    tasks
}

/// # Errors
/// The pause after which the message is to be repeated.
async fn deliver(control: Control, function: Function, target: Target) -> Result<(), Sleep> {
    match caught(Box::pin(control.reconcile(function, &target))).await {
        Some(Ok(())) => return Ok(()),
        Some(Err(error)) => {
            tracing::error!(?function, error = error.chain(), "a hint failed and is repeated");
        }
        None => tracing::error!(?function, ?target, "a handler panicked; its hint is repeated"),
    }
    Err(tokio::time::sleep(VISIBILITY))
}

/// The outcome of a handler; none when it panicked. A panic of one target is not to end the worker,
/// which serves all of them.
async fn caught(handler: impl Future<Output = Result<(), Error>>) -> Option<Result<(), Error>> {
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
    async fn a_target_is_worked_on_one_message_at_a_time() {
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
        assert_eq!(again.target, target(1), "a hint that came meanwhile is not lost");
        assert!(hints.take(Function::Recovery).is_none(), "each function has its queue");
    }

    #[tokio::test]
    async fn a_panic_is_caught_before_and_after_an_await() {
        assert!(caught(async { panic!("at once") }).await.is_none());
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert!(caught(later).await.is_none());
        assert!(matches!(caught(async { Ok(()) }).await, Some(Ok(()))));
    }
}
