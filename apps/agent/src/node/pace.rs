//! When to ask again.

use std::time::Duration;

use protocol::SyncRequest;
use tokio::time::Instant;

use crate::link::{Backoff, LinkError};

/// Never ask more often than this while nothing has changed.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// What was asked last, and when the same may be asked again.
pub struct Pace {
    last: Option<SyncRequest>,
    not_before: Instant,
    backoff: Backoff,
}

impl Pace {
    pub fn new() -> Self {
        Self { last: None, not_before: Instant::now(), backoff: Backoff::default() }
    }

    /// News is told at once; the same again only when it is time.
    pub fn not_before(&self, request: &SyncRequest) -> Instant {
        if self.last.as_ref() == Some(request) { self.not_before } else { Instant::now() }
    }

    /// `ask_again` counts from when the request was sent.
    pub fn answered(&mut self, request: SyncRequest, sent: Instant, ask_again: Duration) {
        self.backoff.succeeded();
        self.last = Some(request);
        self.not_before = sent + ask_again.max(SHORTEST_PAUSE);
    }

    pub fn failed(&mut self, request: SyncRequest, error: &LinkError) {
        self.last = Some(request);
        self.not_before = Instant::now() + self.backoff.failed(error);
    }
}
