//! Events on the node: from its threads, signals, and a deadline.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::{AttemptKey, Problem};
use serde::Deserialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::attempt::AttemptEvent;
use crate::clock::Countdown;
use crate::ec2::{self, Metadata};
use crate::gpus::health;
use crate::host::Host;
use crate::metrics;

/// The notice that SIGTERM stands for: a machine that shuts down gives its services about this time.
pub const SHUTDOWN_NOTICE_SECONDS: u64 = 5;

#[derive(Debug)]
pub enum Event {
    Attempt {
        key: AttemptKey,
        news: AttemptEvent,
    },
    SetupOver(Result<(), Problem>),
    /// The services of the setup have ended and its mounts are removed.
    SetupUndone,
    /// The machine is about to be interrupted.
    Interrupted {
        notice_seconds: u64,
    },
    /// A GPU has failed.
    GpuFailed(Problem),
    DeadlineReached,
}

pub struct Inbox {
    sender: UnboundedSender<Event>,
    receiver: UnboundedReceiver<Event>,
    shutdown: Signal,
    interruption: Signal,
    /// Contains the notice when the signal `interruption` arrives.
    interruption_file: PathBuf,
    /// Until `DeadlineReached` is due.
    pub countdown: Option<Countdown>,
}

impl Inbox {
    pub fn open(interruption_file: PathBuf) -> io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        Ok(Self {
            sender,
            receiver,
            shutdown: signal(SignalKind::terminate())?,
            interruption: signal(SignalKind::user_defined2())?,
            interruption_file,
            countdown: None,
        })
    }

    pub fn sender(&self) -> UnboundedSender<Event> {
        self.sender.clone()
    }

    /// Reports the interruption of this EC2 instance, once.
    pub fn watch_for_interruption(&self, metadata: Metadata) {
        let sender = self.sender();
        tokio::spawn(async move {
            let notice_seconds = ec2::watch(metadata).await;
            // An error means that the agent ends.
            drop(sender.send(Event::Interrupted { notice_seconds }));
        });
    }

    /// Measures the node, at once and in every period, and checks its GPUs until one has failed, which is reported.
    pub fn watch_health(&self, host: Arc<Host>, period: Duration) {
        let sender = self.sender();
        tokio::spawn(async move {
            // The drivers of GPUs may not work yet.
            let mut checked = Ok(Ok(Vec::new()));
            // An error means that the agent ends.
            while let Ok(Ok(gpus)) = checked {
                host.known().metrics = metrics::measure(gpus);
                tokio::time::sleep(period).await;
                let host = Arc::clone(&host);
                let check = move || health::check(&host, &|| false);
                checked = tokio::task::spawn_blocking(check).await;
            }
            if let Ok(Err(problem)) = checked {
                host.known().metrics = None;
                drop(sender.send(Event::GpuFailed(problem)));
            }
        });
    }

    /// The next event. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Event {
        let time_is_up = async {
            match &mut self.countdown {
                Some(countdown) => countdown.run_down().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(event) = self.receiver.recv() => event,
            _ = self.shutdown.recv() => {
                Event::Interrupted { notice_seconds: SHUTDOWN_NOTICE_SECONDS }
            }
            _ = self.interruption.recv() => Event::Interrupted { notice_seconds: self.notice() },
            () = time_is_up => {
                self.countdown = None;
                Event::DeadlineReached
            }
        }
    }

    /// A notice that cannot be read counts as the shortest one.
    fn notice(&self) -> u64 {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Notice {
            notice_seconds: u64,
        }
        let read = std::fs::read(&self.interruption_file)
            .and_then(|text| Ok(serde_json::from_slice::<Notice>(&text)?));
        match read {
            Ok(notice) => notice.notice_seconds,
            Err(error) => {
                tracing::warn!(%error, "the interruption notice cannot be read");
                SHUTDOWN_NOTICE_SECONDS
            }
        }
    }
}
