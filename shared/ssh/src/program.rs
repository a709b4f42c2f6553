//! One session: a program, from its start to its end, and the streams between it and its client.

use std::io;
use std::pin::pin;

use crate::channels::Streams;
use crate::input::write_input;
use crate::limits;
use crate::output::{Output, send_message};
use crate::signals::{Signal, name_of};
use crate::spawn::{Exit, Process, Request, Running, Size, Spawn};
use russh::server::{Handle, Msg};
use russh::{ChannelWriteHalf, Error};

/// Exit code of a program that could not be started, as in a shell.
const NOT_STARTED: u32 = 126;

/// What a client asks of a program that runs.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// To be sent a signal.
    Signal(Signal),
    /// To have another size of the terminal.
    Resize(Size),
}

/// A session that was accepted.
pub struct Session {
    /// The way to the client.
    pub client: ChannelWriteHalf<Msg>,
    /// Of the connection; for what the other does not send.
    pub handle: Handle,
    /// From the client.
    pub streams: Streams,
}

impl Session {
    /// Runs the program until it has ended or the client has gone.
    pub async fn run(mut self, spawn: &dyn Spawn, request: Request) {
        let has_terminal = request.terminal.is_some();
        let process = match spawn.spawn(request).await {
            Ok(process) => process,
            Err(error) => {
                tracing::warn!(%error, "a program could not be started");
                let _ = self.refuse(&error).await;
                return;
            }
        };
        let Process { input, output, errors, mut running } = process;
        let writing = tokio::spawn(write_input(self.streams.input.clone(), input));
        let output = Output::new(output, errors);
        let closed = self.streams.closed.clone();
        let ended = tokio::select! {
            biased;
            () = closed.cancelled() => None,
            exit = self.follow(output, running.as_mut(), has_terminal) => exit.ok(),
        };
        self.streams.input.discard();
        // What was not written by now is not read by anybody.
        writing.abort();
        let _ = writing.await;
        let Some(exit) = ended else { return running.hang_up().await };
        // An error means that the client has gone in the meantime.
        let _ = tokio::select! {
            () = closed.cancelled() => Ok(()),
            sent = self.send_end(exit) => sent,
        };
    }

    /// Passes on output and orders until the program has ended and its output has been sent.
    async fn follow(
        &mut self,
        output: Output,
        running: &mut dyn Running,
        has_terminal: bool,
    ) -> Result<Exit, Error> {
        let activity = output.activity();
        let mut sending = pin!(output.send(&self.client));
        let mut is_sent = false;
        let mut exit = None;
        let mut seen = activity.count();
        loop {
            match exit {
                Some(exit) if is_sent => return Ok(exit),
                Some(_) | None => {}
            }
            let is_draining = has_terminal && exit.is_some();
            tokio::select! {
                sent = &mut sending, if !is_sent => {
                    sent?;
                    is_sent = true;
                }
                end = running.wait(), if exit.is_none() => exit = Some(end.map_err(Error::IO)?),
                order = self.streams.orders.recv() => match order {
                    Some(Order::Signal(signal)) => running.signal(signal),
                    Some(Order::Resize(size)) => running.resize(size),
                    None => return Err(Error::Disconnect),
                },
                () = tokio::time::sleep(limits::TERMINAL_DRAIN), if is_draining => {
                    let now = activity.count();
                    is_sent = now == seen && now.is_multiple_of(2);
                    seen = now;
                }
            }
        }
    }

    async fn refuse(&self, error: &io::Error) -> Result<(), Error> {
        send_message(&self.client, &format!("The program could not be started: {error}")).await?;
        self.client.eof().await?;
        self.client.exit_status(NOT_STARTED).await?;
        self.client.close().await
    }

    async fn send_end(&self, exit: Exit) -> Result<(), Error> {
        self.client.eof().await?;
        match exit {
            Exit::Code(code) => self.client.exit_status(code.into()).await?,
            Exit::Signal { number, core_dumped } => {
                let (id, name) = (self.client.id(), name_of(number));
                let sent = self.handle.exit_signal_request(
                    id,
                    name,
                    core_dumped,
                    String::new(),
                    String::new(),
                );
                sent.await.map_err(|()| Error::SendError)?;
            }
        }
        self.client.close().await
    }
}
