//! Group commit: many submitters, one writer thread. Requests that wait at the same time are
//! written
//! as one group. Each gets its own answer, only after its whole group is on disk.
//!
//! The capacity of the queue is a total weight: submitters wait for room in the order of their
//! arrival. A request in the queue is carried out even if its submitter stopped waiting.

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::collections::VecDeque;
use tokio::sync::{Semaphore, oneshot};

/// Writes groups of requests.
pub(crate) trait Disk {
    type Request;
    type Answer;

    /// Carries out the requests in order. On return, all of them are on disk or have failed.
    /// Returns one answer per request, in their order.
    fn write(&mut self, group: &[Self::Request]) -> Vec<Self::Answer>;

    /// Called after each group, when its answers are sent.
    fn maintain(&mut self);
}

/// The writer thread ended. The request may have been carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the writer of the database stopped")]
pub(crate) struct Stopped;

pub(crate) struct Queue<R, A> {
    state: Mutex<State<R, A>>,
    arrived: Condvar,
    /// Remaining capacity, by weight.
    room: Semaphore,
    capacity: u32,
    max_group: usize,
}

struct State<R, A> {
    waiting: VecDeque<Waiting<R, A>>,
    /// Whether the writer sleeps until a request arrives.
    parked: bool,
    closed: bool,
}

struct Waiting<R, A> {
    request: R,
    weight: u32,
    answer: oneshot::Sender<A>,
}

impl<R, A> Queue<R, A> {
    /// A queue for requests of at most `capacity` in total weight, written in groups of at most
    /// `max_group`.
    pub(crate) fn new(capacity: u32, max_group: usize) -> Self {
        let state = State { waiting: VecDeque::new(), parked: false, closed: false };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            room: Semaphore::new(capacity as usize),
            capacity,
            max_group,
        }
    }

    /// Waits for room, then for the request to be on disk.
    ///
    /// # Errors
    /// [`Stopped`] when the queue is closed or the writer failed.
    pub(crate) async fn submit(&self, request: R, weight: u32) -> Result<A, Stopped> {
        let weight = weight.clamp(1, self.capacity);
        // The writer returns the room when it takes the request.
        self.room.acquire_many(weight).await.map_err(|_| Stopped)?.forget();
        let (answer, answered) = oneshot::channel();
        self.push(Waiting { request, weight, answer })?;
        answered.await.map_err(|_| Stopped)
    }

    fn push(&self, waiting: Waiting<R, A>) -> Result<(), Stopped> {
        let mut state = self.lock();
        if state.closed {
            return Err(Stopped);
        }
        state.waiting.push_back(waiting);
        let wake = std::mem::take(&mut state.parked);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Refuses new requests. The writer ends when the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.arrived.notify_one();
    }

    /// The writer thread: runs until the queue is closed and empty.
    pub(crate) fn run(&self, disk: &mut impl Disk<Request = R, Answer = A>) {
        let _stopped = OnStop(self);
        let mut requests = Vec::new();
        let mut answers = Vec::new();
        while self.collect(&mut requests, &mut answers) {
            let written = disk.write(&requests);
            debug_assert_eq!(written.len(), answers.len());
            for (sender, answer) in answers.drain(..).zip(written) {
                // The submitter may have stopped waiting; its request is carried out anyway.
                let _ = sender.send(answer);
            }
            requests.clear();
            disk.maintain();
        }
    }

    /// Takes the next group. Returns `false` if there will be none.
    fn collect(&self, requests: &mut Vec<R>, answers: &mut Vec<oneshot::Sender<A>>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            state.parked = true;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.parked = false;
        let count = state.waiting.len().min(self.max_group);
        let mut room = 0;
        for Waiting { request, weight, answer } in state.waiting.drain(..count) {
            room += weight as usize;
            requests.push(request);
            answers.push(answer);
        }
        drop(state);
        self.room.add_permits(room);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State<R, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Releases all waiting submitters when the writer ends, for whatever reason.
struct OnStop<'a, R, A>(&'a Queue<R, A>);

impl<R, A> Drop for OnStop<'_, R, A> {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut self.0.lock().waiting);
        drop(left);
    }
}

impl<R, A> std::fmt::Debug for Queue<R, A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Queue")
    }
}
