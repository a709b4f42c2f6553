//! Commands that wait continue through a restart of the service.

use crate::client::is_unreachable;
use crate::stderr;
use anyhow::Result;
use std::time::Duration;
use tokio::time::Instant;

/// How long the service may be unreachable.
const TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// Tolerates an outage of the service during repeated requests.
#[derive(Default)]
pub struct OutageTolerance {
    unreachable_since: Option<Instant>,
}

impl OutageTolerance {
    /// Returns `None` after a pause if the request should be repeated.
    pub async fn check<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => {
                if self.unreachable_since.take().is_some() {
                    stderr::message("Connected again.");
                }
                Ok(Some(value))
            }
            Err(error) if is_unreachable(&error) => {
                if self.unreachable_since.is_none() {
                    let seconds = TIMEOUT.as_secs();
                    stderr::message(format_args!("{error:#}; retrying for up to {seconds}s"));
                }
                let since = *self.unreachable_since.get_or_insert_with(Instant::now);
                if since.elapsed() > TIMEOUT {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
