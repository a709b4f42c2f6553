//! A queue of messages in this process with the guarantees of a FIFO queue with message groups: messages
//! of one target are handled in order and one at a time, those of different targets concurrently. A
//! message that is already queued is not added again. A failed message is retried after a pause, during
//! which its target stays locked and its worker continues with others.
//!
//! One mutex guards messages, locks and wakers. Each message that becomes available wakes an idle worker.
//! Messages are lost with the process.

use super::sync::{Mutex, MutexGuard, PoisonError};
use model::{Target, Uid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A queue of targets. `P` is the future of the pause before a failed message is retried.
#[derive(Debug)]
pub struct Queue<P> {
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    queued: VecDeque<Target>,
    /// Targets of which a message is being handled, or failed and will be retried.
    locked: BTreeSet<Uid>,
    /// In the order in which they failed: all pauses have the same length.
    failed: VecDeque<(P, Target)>,
    /// The wakers of idle workers, by the worker's number.
    idle: BTreeMap<usize, Waker>,
    /// The waker of the task that retries; set while no message has failed.
    retrier: Option<Waker>,
}

impl<P: Future> Queue<P> {
    /// An empty queue.
    pub fn new() -> Self {
        let state = State {
            queued: VecDeque::new(),
            locked: BTreeSet::new(),
            failed: VecDeque::new(),
            idle: BTreeMap::new(),
            retrier: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// Adds a message. If one of its target is being handled, it is handled afterwards.
    pub fn send(&self, target: &Target) {
        let mut state = self.lock();
        if !state.queued.contains(target) {
            state.queued.push_back(target.clone());
            wake_worker(state);
        }
    }

    /// The next message whose target is not locked. It locks its target until it is dropped.
    pub fn take(&self) -> Option<Message<'_, P>> {
        let target = self.lock().take()?;
        Some(Message { queue: self, target, pause: None })
    }

    /// Handles messages forever. A handler that fails returns the pause before the retry. `worker` is a
    /// number that no other worker has.
    pub async fn work<F>(&self, worker: usize, mut handle: impl FnMut(Target) -> F)
    where
        F: Future<Output = Result<(), P>>,
    {
        loop {
            let mut message = self.next(worker).await;
            message.pause = handle(message.target.clone()).await.err();
        }
    }

    /// Retries failed messages forever. One task per queue runs this.
    pub async fn retry_failed(&self) {
        loop {
            let (pause, target) = poll_fn(|context| {
                let mut state = self.lock();
                if let Some(failed) = state.failed.pop_front() {
                    return Poll::Ready(failed);
                }
                state.retrier = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
            pause.await;
            let mut state = self.lock();
            state.requeue(target);
            wake_worker(state);
        }
    }

    async fn next(&self, worker: usize) -> Message<'_, P> {
        let _idle = Idle { queue: self, worker };
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(target) = state.take() {
                return Poll::Ready(Message { queue: self, target, pause: None });
            }
            state.idle.insert(worker, context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl<P> Queue<P> {
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> State<P> {
    /// The position of the first message whose target is not locked.
    fn first_available(&self) -> Option<usize> {
        self.queued.iter().position(|target| !self.locked.contains(target.uid()))
    }

    fn take(&mut self) -> Option<Target> {
        let target = self.queued.remove(self.first_available()?)?;
        self.locked.insert(target.uid().clone());
        Some(target)
    }

    /// Puts a failed message after those of other targets, but before later ones of its own target.
    fn requeue(&mut self, target: Target) {
        self.locked.remove(target.uid());
        self.queued.retain(|it| *it != target);
        let later = self.queued.iter().position(|it| it.uid() == target.uid());
        self.queued.insert(later.unwrap_or(self.queued.len()), target);
    }
}

/// Wakes an idle worker if a message is available.
fn wake_worker<P>(mut state: MutexGuard<'_, State<P>>) {
    let woken = state.first_available().and_then(|_| state.idle.pop_first());
    drop(state);
    if let Some((_, waker)) = woken {
        waker.wake();
    }
}

/// A message that is being handled. Dropping it unlocks its target, or keeps it locked for the pause if
/// the handler failed. This holds too when the handler panics or is aborted.
#[derive(Debug)]
pub struct Message<'a, P> {
    queue: &'a Queue<P>,
    /// The target of the hint.
    pub target: Target,
    pause: Option<P>,
}

impl<P> Drop for Message<'_, P> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        if let Some(pause) = self.pause.take() {
            state.failed.push_back((pause, self.target.clone()));
            let retrier = state.retrier.take();
            drop(state);
            retrier.into_iter().for_each(Waker::wake);
        } else {
            state.locked.remove(self.target.uid());
            wake_worker(state);
        }
    }
}

/// A worker that waits for a message. When it stops waiting, it wakes another worker for the remaining
/// messages.
struct Idle<'a, P> {
    queue: &'a Queue<P>,
    worker: usize,
}

impl<P> Drop for Idle<'_, P> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.idle.remove(&self.worker);
        wake_worker(state);
    }
}
