//! What a client has sent on a channel and a process has not read yet.
//!
//! The library that speaks the protocol opens the window of a channel again as soon as data arrives, whether it is
//! read or not, and offers no way to leave it closed. Waiting for the process instead would stop the whole connection:
//! its other channels, and the output that the process may have to write before it reads on. So while a process
//! does not read, the window is opened by a few bytes only, and the connection pauses a little whenever
//! these have arrived. That costs some bytes of memory per second, which have a limit, too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use crate::limits;

/// The queue of one channel. Clones are the same queue.
#[derive(Clone, Debug, Default)]
pub struct Input(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is data, or it is the end.
    readable: Notify,
    /// There is room, or nobody reads any more.
    writable: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    has_ended: bool,
    is_discarded: bool,
}

/// More has arrived than the queue may hold.
#[derive(Debug)]
pub struct Overflow;

impl Input {
    /// Appends what has arrived.
    pub fn push(&self, data: &[u8]) -> Result<(), Overflow> {
        let mut state = self.lock();
        if state.is_discarded {
            return Ok(());
        }
        if state.bytes.len() + data.len() > limits::LARGEST_QUEUE_BYTES {
            return Err(Overflow);
        }
        state.bytes.extend_from_slice(data);
        self.0.readable.notify_one();
        Ok(())
    }

    /// Nothing more will arrive.
    pub fn end(&self) {
        self.lock().has_ended = true;
        self.0.readable.notify_one();
    }

    /// Nobody reads any more: what is there and what will come is of no use.
    pub fn discard(&self) {
        let mut state = self.lock();
        state.is_discarded = true;
        state.bytes = BytesMut::new();
        self.0.writable.notify_one();
    }

    /// True when the client has to be slowed down.
    pub fn is_full(&self) -> bool {
        self.lock().bytes.len() > limits::QUEUE_BYTES
    }

    /// Waits until the queue is not full, for at most `limit`.
    pub async fn wait_for_room(&self, limit: Duration) {
        let room = async {
            while self.is_full() {
                self.0.writable.notified().await;
            }
        };
        // At the end of the time it is still full.
        let _ = tokio::time::timeout(limit, room).await;
    }

    /// The next bytes, or `None` at the end.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.lock();
                if !state.bytes.is_empty() {
                    let bytes = state.bytes.split().freeze();
                    self.0.writable.notify_one();
                    return Some(bytes);
                }
                if state.has_ended || state.is_discarded {
                    return None;
                }
            }
            self.0.readable.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pauses of a connection whose processes do not read: longer and longer.
#[derive(Debug)]
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(limits::SLOW_PAUSES.0)
    }
}

impl Pauses {
    /// Waits for room in a full queue, for one pause.
    pub async fn pause(&mut self, input: &Input) {
        input.wait_for_room(self.0).await;
        if input.is_full() {
            self.0 = (self.0 * 2).min(limits::SLOW_PAUSES.1);
        } else {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_has_room_again_when_it_is_read() {
        let input = Input::default();
        input.push(&[1; limits::QUEUE_BYTES + 1]).unwrap();
        assert!(input.is_full());
        let mut pauses = Pauses::default();
        pauses.pause(&input).await;
        assert_eq!(pauses.0, limits::SLOW_PAUSES.0 * 2);
        let reader = input.clone();
        let read = tokio::spawn(async move { reader.next().await });
        input.wait_for_room(Duration::from_secs(60)).await;
        assert!(!input.is_full());
        assert_eq!(read.await.unwrap().unwrap().len(), limits::QUEUE_BYTES + 1);
        input.end();
        assert_eq!(input.next().await, None);
    }

    #[tokio::test]
    async fn a_queue_has_a_limit_until_it_is_discarded() {
        let input = Input::default();
        input.push(&vec![1; limits::LARGEST_QUEUE_BYTES]).unwrap();
        assert!(input.push(&[1]).is_err());
        input.discard();
        assert!(!input.is_full());
        input.push(&[1]).unwrap();
        assert_eq!(input.next().await, None);
    }
}
