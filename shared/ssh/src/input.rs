//! What a client has sent on a channel and a process has not read yet.
//!
//! The library that speaks the protocol opens the window of a channel again as soon as data arrives, whether it is
//! read or not. All that can be chosen is how far. Waiting for the process instead would stop the whole connection:
//! its other channels, and the output that the process may have to write before it reads on. So the window is
//! opened as far as there is room. Without any room, that is by two bytes, the least that opens it again, and the
//! connection reads nothing for a while whenever these have arrived (see [`crate::gate`]). That costs some bytes of
//! memory per second, which have a limit, too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
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
    bytes: VecDeque<u8>,
    has_ended: bool,
    /// Whether it was read since [`Input::has_moved`].
    has_moved: bool,
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
        state.bytes.extend(data);
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
        state.bytes = VecDeque::new();
        self.0.writable.notify_one();
    }

    /// Bytes that the client may send.
    pub fn room(&self) -> usize {
        limits::QUEUE_BYTES.saturating_sub(self.lock().bytes.len())
    }

    /// True when the client has to be slowed down.
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Whether it was read since this was last asked.
    pub fn has_moved(&self) -> bool {
        std::mem::take(&mut self.lock().has_moved)
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
    pub async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = self.lock();
                if !state.bytes.is_empty() {
                    let length = state.bytes.len().min(limits::INPUT_BYTES);
                    let bytes = state.bytes.drain(..length).collect();
                    if state.bytes.is_empty() {
                        // Gives the memory of a large queue back.
                        state.bytes = VecDeque::new();
                    }
                    self.0.writable.notify_one();
                    state.has_moved = true;
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

/// Passes on what arrives until its end, or until it is read no more. `to` is dropped then, which a process sees as the
/// end of its input.
pub async fn write_input(input: Input, mut to: impl AsyncWrite + Unpin) {
    while let Some(bytes) = input.next().await {
        if to.write_all(&bytes).await.is_err() {
            break;
        }
    }
    input.discard();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_has_room_again_when_it_is_read() {
        let input = Input::default();
        input.push(&vec![1; limits::QUEUE_BYTES - 1]).unwrap();
        assert_eq!(input.room(), 1);
        input.push(&[2]).unwrap();
        assert!(input.is_full());
        input.wait_for_room(Duration::from_millis(1)).await;
        assert!(!input.has_moved());
        let reader = input.clone();
        let read = tokio::spawn(async move { reader.next().await });
        input.wait_for_room(Duration::from_secs(60)).await;
        assert!(!input.is_full());
        assert_eq!(read.await.unwrap().unwrap(), [1; limits::INPUT_BYTES]);
        assert!(input.has_moved() && !input.has_moved());
        input.end();
        let mut last = Vec::new();
        while let Some(bytes) = input.next().await {
            last = bytes;
        }
        assert_eq!(last.last(), Some(&2));
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
