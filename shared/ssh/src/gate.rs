//! A connection whose input can be shut for a while, but not its output: for a client that sends more than is
//! read, see [`crate::input`].

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::input::Input;
use crate::limits;

/// The gate of one connection. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Ready when the gate opens again.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// How often in a row there was no movement.
    stuck: u32,
    /// How long the last pause was.
    length: Duration,
}

impl Gate {
    /// Counts data for `input`, which is full. When nothing is read of it, too, the connection reads nothing until there
    /// is room, or for one pause. Pauses become longer.
    pub fn note_full(&self, input: &Input) {
        let mut state = self.lock();
        let (shortest, longest) = limits::PAUSES;
        if input.has_moved() {
            (state.stuck, state.length) = (0, Duration::ZERO);
            return;
        }
        state.stuck += 1;
        // A process that waits for its own output to be read goes on when the client opens that window.
        if state.stuck > limits::STUCK {
            let length = (state.length * 2).clamp(shortest, longest);
            state.length = length;
            let input = input.clone();
            state.pause = Some(Box::pin(async move { input.wait_for_room(length).await }));
        }
    }

    fn poll_open(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if let Some(pause) = &mut state.pause {
            ready!(pause.as_mut().poll(context));
            state.pause = None;
        }
        Poll::Ready(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream behind a gate.
pub struct Gated<S> {
    stream: S,
    gate: Gate,
}

impl<S> Gated<S> {
    /// Of the stream and its gate.
    pub fn new(stream: S, gate: Gate) -> Self {
        Self { stream, gate }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gated<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let it = self.get_mut();
        ready!(it.gate.poll_open(context));
        Pin::new(&mut it.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gated<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn pauses_become_longer_until_the_input_is_read() {
        let input = Input::default();
        input.push(&vec![1; limits::QUEUE_BYTES]).unwrap();
        let gate = Gate::default();
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Gated::new(near, gate.clone());
        let (shortest, longest) = limits::PAUSES;
        for _ in 0..limits::STUCK {
            gate.note_full(&input);
        }
        for expected in [Duration::ZERO, shortest, shortest * 2, shortest * 4] {
            // Output is not paused.
            near.write_all(b"x").await.unwrap();
            far.write_all(b"x").await.unwrap();
            let begun = Instant::now();
            near.read_u8().await.unwrap();
            // The clock of tokio has milliseconds.
            assert!(begun.elapsed().abs_diff(expected) < Duration::from_millis(2), "{expected:?}");
            gate.note_full(&input);
        }
        for _ in 0..10 {
            gate.note_full(&input);
        }
        assert_eq!(gate.lock().length, longest);
        input.next().await.unwrap();
        gate.note_full(&input);
        assert_eq!(gate.lock().stuck, 0);
    }
}
