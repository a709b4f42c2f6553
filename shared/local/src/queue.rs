//! A queue of messages in this process, by the rules of SQS FIFO: one message of a target at a
//! time, in order, those of different targets in parallel. A message that is queued already is not added
//! twice. A failed message is repeated after a pause, during which its target stays locked and its
//! worker handles others.
//!
//! One mutex guards messages, locks and idle workers. For every message that
//! becomes free a worker is woken, if one is idle. Messages are lost with the process.

use super::sync::{Mutex, MutexGuard, PoisonError};
use model::{Target, Uid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// `P` is the pause before a failed message is repeated.
#[derive(Debug)]
pub struct Queue<P> {
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    waiting: VecDeque<Target>,
    /// Targets of which a message is being handled, or has failed and is to be repeated.
    locked: BTreeSet<Uid>,
    /// In the order in which they failed: the pauses are of one length.
    failed: VecDeque<(P, Target)>,
    /// Workers that wait for a message, by number.
    idle: BTreeMap<usize, Waker>,
    /// Set while nothing has failed.
    repeater: Option<Waker>,
}

impl<P: Future> Queue<P> {
    pub fn new() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            locked: BTreeSet::new(),
            failed: VecDeque::new(),
            idle: BTreeMap::new(),
            repeater: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// A message that is sent while another of its target is being handled comes after that one.
    pub fn send(&self, target: &Target) {
        let mut state = self.lock();
        if !state.waiting.contains(target) {
            state.waiting.push_back(target.clone());
            wake_worker(state);
        }
    }

    /// The next message whose target is free. Its target is locked until it is dropped.
    pub fn take(&self) -> Option<Message<'_, P>> {
        let target = self.lock().take()?;
        Some(Message { queue: self, target, pause: None })
    }

    /// Handles messages for ever. A handler that fails answers the pause before the repetition.
    /// Each worker has a number of its own.
    pub async fn work<F>(&self, worker: usize, mut handle: impl FnMut(Target) -> F)
    where
        F: Future<Output = Result<(), P>>,
    {
        loop {
            let mut message = self.next(worker).await;
            message.pause = handle(message.target.clone()).await.err();
        }
    }

    /// Repeats failed messages for ever. One task per queue runs this.
    pub async fn repeat(&self) {
        loop {
            let (pause, target) = poll_fn(|context| {
                let mut state = self.lock();
                if let Some(failed) = state.failed.pop_front() {
                    return Poll::Ready(failed);
                }
                state.repeater = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
            pause.await;
            let mut state = self.lock();
            state.repeat(target);
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
    /// Where the first message is that can be handled now.
    fn free(&self) -> Option<usize> {
        self.waiting.iter().position(|target| !self.locked.contains(target.uid()))
    }

    fn take(&mut self) -> Option<Target> {
        let target = self.waiting.remove(self.free()?)?;
        self.locked.insert(target.uid().clone());
        Some(target)
    }

    /// Behind the messages of other targets, before later ones of its own.
    fn repeat(&mut self, target: Target) {
        self.locked.remove(target.uid());
        self.waiting.retain(|it| *it != target);
        let later = self.waiting.iter().position(|it| it.uid() == target.uid());
        self.waiting.insert(later.unwrap_or(self.waiting.len()), target);
    }
}

/// Wakes an idle worker if there is a message for it.
fn wake_worker<P>(mut state: MutexGuard<'_, State<P>>) {
    let woken = state.free().and_then(|_| state.idle.pop_first());
    drop(state);
    if let Some((_, waker)) = woken {
        waker.wake();
    }
}

/// A message that is being handled. When it is dropped its target is free, or locked until the end
/// of the pause; also when the handler panics or is aborted.
#[derive(Debug)]
pub struct Message<'a, P> {
    queue: &'a Queue<P>,
    /// What is to be reconciled.
    pub target: Target,
    pause: Option<P>,
}

impl<P> Drop for Message<'_, P> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        if let Some(pause) = self.pause.take() {
            state.failed.push_back((pause, self.target.clone()));
            let repeater = state.repeater.take();
            drop(state);
            repeater.into_iter().for_each(Waker::wake);
        } else {
            state.locked.remove(self.target.uid());
            wake_worker(state);
        }
    }
}

/// A worker that waits for a message. When it ends, having taken one or not, another is woken for
/// what it leaves.
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
