//! When the next request is sent.

use std::time::Duration;

use protocol::SyncRequest;
use tokio::time::Instant;

use crate::link::{Backoff, LinkError, jittered};

/// The shortest pause between two equal requests.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// The last request, and when an equal one may be sent.
pub struct Pace {
    last: Option<SyncRequest>,
    not_before: Instant,
    backoff: Backoff,
}

impl Pace {
    pub fn new() -> Self {
        Self { last: None, not_before: Instant::now(), backoff: Backoff::default() }
    }

    /// Whether `request` reports the same as the last one.
    pub fn is_repetition(&self, request: &SyncRequest) -> bool {
        self.last.as_ref().is_some_and(|last| last.reports_the_same_as(request))
    }

    /// When `request` may be sent: at once if it reports something else than the last one.
    pub fn not_before(&self, request: &SyncRequest) -> Instant {
        if self.is_repetition(request) { self.not_before } else { Instant::now() }
    }

    /// `ask_again` counts from the time the request was sent.
    pub fn answered(&mut self, request: SyncRequest, sent: Instant, ask_again: Duration) {
        self.backoff.succeeded();
        self.last = Some(request);
        self.not_before = sent + jittered(ask_again).max(SHORTEST_PAUSE);
    }

    pub fn failed(&mut self, request: SyncRequest, error: &LinkError) {
        self.last = Some(request);
        self.not_before = Instant::now() + self.backoff.failed(error);
    }
}
