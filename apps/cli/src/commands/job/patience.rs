//! A service that restarts is no reason for a command to give up that only waits.

use crate::client::is_unreachable;
use crate::talk;
use anyhow::Result;
use std::time::Duration;
use tokio::time::Instant;

/// How long a service may be gone.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Patience {
    gone_since: Option<Instant>,
}

impl Patience {
    /// Nothing, after a pause, if it is worth trying again.
    pub async fn bear<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => {
                if self.gone_since.take().is_some() {
                    talk::say("The service answers again.");
                }
                Ok(Some(value))
            }
            Err(error) if is_unreachable(&error) => {
                if self.gone_since.is_none() {
                    talk::say(format_args!("{error:#}; trying again for {} s", PATIENCE.as_secs()));
                }
                let since = *self.gone_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
