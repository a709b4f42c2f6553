//! Hints in this process, by the rules of SQS FIFO: one message of a target at a time, in order;
//! what fails is handed out again after a while; what is queued already is not added twice. Lost
//! with the process: the schedule visits every target.

use async_trait::async_trait;
use control::ports::{Hints, PortError};
use control::{Control, Function};
use model::{NodeId, Target, Uid};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use web::Waits;

/// After how long a failed message is handed out again.
const VISIBILITY: Duration = Duration::from_secs(1);

/// Messages of one function that are worked on at a time. They are of different targets.
const CONCURRENCY: usize = 4;

#[derive(Debug, Default)]
pub struct LocalHints {
    queues: Mutex<HashMap<Function, Queue>>,
    added: HashMap<Function, Notify>,
    waits: Arc<Waits>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Target>,
    /// Targets of which a message is being worked on.
    locked: BTreeSet<Uid>,
}

const FUNCTIONS: [Function; 3] = [Function::Dispatcher, Function::Autoscaler, Function::Recovery];

impl LocalHints {
    pub fn new(waits: Arc<Waits>) -> Self {
        let added = FUNCTIONS.iter().map(|function| (*function, Notify::new())).collect();
        Self { queues: Mutex::default(), added, waits }
    }

    /// The next message whose target is free; the target is locked until [`LocalHints::done`].
    pub fn take(&self, function: Function) -> Option<Target> {
        let mut queues = self.queues();
        let queue = queues.entry(function).or_default();
        let free = |target: &Target| !queue.locked.contains(target.uid());
        let position = queue.waiting.iter().position(free)?;
        let target = queue.waiting.remove(position)?;
        queue.locked.insert(target.uid().clone());
        Some(target)
    }

    /// The message was worked on: its target is free.
    pub fn done(&self, function: Function, target: &Target) {
        self.queues().entry(function).or_default().locked.remove(target.uid());
        self.announce(function);
    }

    fn add(&self, function: Function, target: &Target) {
        {
            let mut queues = self.queues();
            let queue = queues.entry(function).or_default();
            if queue.waiting.contains(target) {
                return;
            }
            queue.waiting.push_back(target.clone());
        }
        self.announce(function);
    }

    fn announce(&self, function: Function) {
        if let Some(added) = self.added.get(&function) {
            added.notify_one();
        }
    }

    async fn next(&self, function: Function) -> Target {
        loop {
            if let Some(target) = self.take(function) {
                // Another worker may find another target free.
                self.announce(function);
                return target;
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
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError> {
        self.add(function, target);
        Ok(())
    }

    fn notify_node(&self, node: &NodeId) {
        self.waits.notify(node);
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
                    let target = hints.next(function).await;
                    let failed = !deliver(&control, function, &target).await;
                    hints.done(function, &target);
                    if failed {
                        tokio::time::sleep(VISIBILITY).await;
                        hints.add(function, &target);
                    }
                }
            });
        }
    }
    workers
}

/// Whether the message is done with.
async fn deliver(control: &Control, function: Function, target: &Target) -> bool {
    match Box::pin(control.reconcile(function, target)).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(?function, error = error.chain(), "a hint failed and is repeated");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(byte: u8) -> Target {
        let uid = Uid::from_bytes([byte; 16]);
        Target::Experiment { workspace: uid.clone(), name: "e".into(), uid }
    }

    #[test]
    fn a_target_is_worked_on_one_message_at_a_time() {
        let hints = LocalHints::new(Arc::default());
        let function = Function::Dispatcher;
        hints.add(function, &target(1));
        hints.add(function, &target(1));
        hints.add(function, &target(2));
        assert_eq!(hints.take(function), Some(target(1)));
        hints.add(function, &target(1));
        assert_eq!(hints.take(function), Some(target(2)));
        assert_eq!(hints.take(function), None, "the target is locked");
        hints.done(function, &target(1));
        assert_eq!(hints.take(function), Some(target(1)), "a hint that came meanwhile is not lost");
        assert_eq!(hints.take(Function::Recovery), None, "each function has its queue");
    }
}
