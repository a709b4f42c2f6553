//! The way of a program's output to its client. Every byte waits until the client's window has room for it, so at most
//! one buffer of each channel is held.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use russh::server::Msg;
use russh::{ChannelWriteHalf, Error};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits;

/// Number of the data type "standard error" (RFC 4254, section 5.2).
const STANDARD_ERROR: u32 = 1;

type Stream = Box<dyn AsyncRead + Send + Unpin>;

/// Standard output and standard error of a program.
pub struct Output {
    output: Option<Stream>,
    errors: Option<Stream>,
    buffers: (BytesMut, BytesMut),
    activity: Activity,
}

/// Whether output is on its way. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<AtomicU64>);

impl Activity {
    /// Changes when output was read and when it was sent: odd while it is being sent.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Output {
    /// Both, or a terminal, which has no standard error.
    pub fn new(output: Stream, errors: Option<Stream>) -> Self {
        let activity = Activity::default();
        Self { output: Some(output), errors, buffers: Default::default(), activity }
    }

    /// See [`Activity`].
    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Sends everything, until both have ended.
    ///
    /// # Errors
    /// When the client has gone.
    pub async fn send(mut self, to: &ChannelWriteHalf<Msg>) -> Result<(), Error> {
        while self.send_next(to).await? {}
        Ok(())
    }

    async fn send_next(&mut self, to: &ChannelWriteHalf<Msg>) -> Result<bool, Error> {
        let (from_output, from_errors) = &mut self.buffers;
        let (is_error, length) = tokio::select! {
            length = read(&mut self.output, from_output) => (false, length),
            length = read(&mut self.errors, from_errors) => (true, length),
        };
        let has_ended = !matches!(length, Some(Ok(1..)));
        if has_ended {
            // A terminal reports an error at its end.
            *(if is_error { &mut self.errors } else { &mut self.output }) = None;
            return Ok(self.output.is_some() || self.errors.is_some());
        }
        self.activity.advance();
        if is_error {
            to.extended_data_bytes(STANDARD_ERROR, from_errors.split().freeze()).await?;
        } else {
            to.data_bytes(from_output.split().freeze()).await?;
        }
        self.activity.advance();
        Ok(true)
    }
}

/// Sends a message on standard error, as the server's own.
pub async fn send_message(to: &ChannelWriteHalf<Msg>, message: &str) -> Result<(), Error> {
    to.extended_data_bytes(STANDARD_ERROR, format!("{message}\r\n").into_bytes()).await
}

async fn read(from: &mut Option<Stream>, buffer: &mut BytesMut) -> Option<io::Result<usize>> {
    match from {
        Some(stream) => {
            buffer.reserve(limits::OUTPUT_BYTES);
            Some(stream.read_buf(buffer).await)
        }
        None => std::future::pending().await,
    }
}
