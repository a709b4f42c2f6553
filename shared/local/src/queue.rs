//! Hints in this process, by the rules of SQS FIFO: one message of a group at a time, in order;
//! what fails is handed out again after a while; what stands in the queue already is not added
//! twice. Lost with the process: the schedule looks at everything that is not at rest.

use async_trait::async_trait;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use control::ports::{Function, Hints, PortError};
use control::trigger::Trigger;
use control::{Control, autoscaler, dispatcher, recovery};
use model::{NodeId, Uid, Wake};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use web::Waits;

/// After how long a failed message is handed out again.
const VISIBILITY: Duration = Duration::from_secs(1);

/// Messages of one function that are worked on at a time. They are of different resources.
const CONCURRENCY: usize = 4;

#[derive(Debug, Default)]
pub struct LocalHints {
    queues: Mutex<HashMap<Function, Queue>>,
    added: HashMap<Function, Notify>,
    waits: Arc<Waits>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Wake>,
    /// Groups of which a message is being worked on.
    locked: BTreeSet<Uid>,
}

const FUNCTIONS: [Function; 3] = [Function::Dispatcher, Function::Autoscaler, Function::Recovery];

impl LocalHints {
    pub fn new(waits: Arc<Waits>) -> Self {
        let added = FUNCTIONS.iter().map(|function| (*function, Notify::new())).collect();
        Self { queues: Mutex::default(), added, waits }
    }

    /// The next message whose group is free; its group is locked until [`LocalHints::done`].
    pub fn take(&self, function: Function) -> Option<Wake> {
        let mut queues = self.queues();
        let queue = queues.entry(function).or_default();
        let position = queue.waiting.iter().position(|wake| !queue.locked.contains(wake.uid()))?;
        let wake = queue.waiting.remove(position)?;
        queue.locked.insert(wake.uid().clone());
        Some(wake)
    }

    /// The message was worked on: its group is free.
    pub fn done(&self, function: Function, wake: &Wake) {
        self.queues().entry(function).or_default().locked.remove(wake.uid());
        self.announce(function);
    }

    fn add(&self, function: Function, wake: &Wake) {
        {
            let mut queues = self.queues();
            let queue = queues.entry(function).or_default();
            if queue.waiting.contains(wake) {
                return;
            }
            queue.waiting.push_back(wake.clone());
        }
        self.announce(function);
    }

    fn announce(&self, function: Function) {
        if let Some(added) = self.added.get(&function) {
            added.notify_one();
        }
    }

    async fn next(&self, function: Function) -> Wake {
        loop {
            if let Some(wake) = self.take(function) {
                // Another worker may find another group free.
                self.announce(function);
                return wake;
            }
            match self.added.get(&function) {
                Some(added) => added.notified().await,
                None => std::future::pending().await,
            }
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Function, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Hints for LocalHints {
    async fn send(&self, function: Function, wake: &Wake) -> Result<(), PortError> {
        self.add(function, wake);
        Ok(())
    }

    fn wake_node(&self, node: &NodeId) {
        self.waits.wake(node);
    }
}

/// Hands messages to the handlers until the tasks are dropped.
pub fn work(hints: &Arc<LocalHints>, control: &Control) -> tokio::task::JoinSet<()> {
    let mut workers = tokio::task::JoinSet::new();
    for function in FUNCTIONS {
        for _ in 0..CONCURRENCY {
            let (hints, control) = (Arc::clone(hints), control.clone());
            workers.spawn(async move {
                loop {
                    let wake = hints.next(function).await;
                    let failed = !deliver(&control, function, &wake).await;
                    hints.done(function, &wake);
                    if failed {
                        tokio::time::sleep(VISIBILITY).await;
                        hints.add(function, &wake);
                    }
                }
            });
        }
    }
    workers
}

/// Whether the handler took the message.
pub async fn deliver(control: &Control, function: Function, wake: &Wake) -> bool {
    let mut message = SqsMessage::default();
    message.message_id = Some("local".to_owned());
    message.body = serde_json::to_string(wake).ok();
    message.attributes.insert("MessageGroupId".to_owned(), wake.uid().to_string());
    let mut event = SqsEvent::default();
    event.records.push(message);
    match call(control, function, Trigger::Hints(event)).await {
        Ok(response) => response.batch_item_failures.is_empty(),
        Err(error) => {
            tracing::error!(?function, %error, "a message failed");
            false
        }
    }
}

/// Calls the function's handler as Lambda would.
pub async fn call(
    control: &Control,
    function: Function,
    trigger: Trigger,
) -> Result<aws_lambda_events::sqs::SqsBatchResponse, control::Error> {
    match function {
        Function::Dispatcher => dispatcher::handle(control, trigger).await,
        Function::Autoscaler => autoscaler::handle(control, trigger).await,
        Function::Recovery => recovery::handle(control, trigger).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake(byte: u8) -> Wake {
        let uid = Uid::from_bytes([byte; 16]);
        Wake::Experiment { workspace: uid.clone(), name: "e".into(), uid }
    }

    #[test]
    fn a_group_is_worked_on_one_message_at_a_time() {
        let hints = LocalHints::new(Arc::default());
        let function = Function::Dispatcher;
        hints.add(function, &wake(1));
        hints.add(function, &wake(1));
        hints.add(function, &wake(2));
        assert_eq!(hints.take(function), Some(wake(1)));
        hints.add(function, &wake(1));
        assert_eq!(hints.take(function), Some(wake(2)));
        assert_eq!(hints.take(function), None, "the group is locked");
        hints.done(function, &wake(1));
        assert_eq!(hints.take(function), Some(wake(1)), "what came meanwhile is not lost");
        assert_eq!(hints.take(Function::Recovery), None, "each function has its queue");
    }
}
