//! Since when nodes can reach this control plane. Leases do not run while it is unreachable: before the
//! start of the service, and while its process is stopped or its machine is suspended.

use model::{Timestamp, limits};
use std::sync::{Mutex, PoisonError};

/// Since when the service has been reachable without a pause.
#[derive(Debug)]
pub struct Uptime(Option<Mutex<Times>>);

#[derive(Clone, Copy, Debug)]
struct Times {
    since: Timestamp,
    /// When this process last ran, as far as it knows.
    alive_at: Timestamp,
}

impl Uptime {
    /// Of a service that starts now, and calls [`Uptime::reachable_since`] at every pass of its
    /// schedule.
    pub fn starting_at(now: Timestamp) -> Self {
        Self(Some(Mutex::new(Times { since: now, alive_at: now })))
    }

    /// Of a service whose endpoint does not stop with a process (API Gateway). Its outages show as many
    /// nodes that are silent at the same time (see `scheduler::recovery`).
    pub fn always() -> Self {
        Self(None)
    }

    /// Since when nodes could reach the service without a pause. A forward jump of the clock counts
    /// as a pause.
    pub fn reachable_since(&self, now: Timestamp) -> Timestamp {
        let Some(times) = &self.0 else { return Timestamp(0) };
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        if now.seconds_since(times.alive_at) >= limits::PAUSE_SECONDS {
            tracing::warn!(
                seconds = now.seconds_since(times.alive_at),
                "the service did not run; leases restart"
            );
            times.since = now;
        }
        times.alive_at = now;
        times.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_restarts_all_leases() {
        let at = |seconds: u64| Timestamp(1_000_000).plus_seconds(seconds);
        let uptime = Uptime::starting_at(at(0));
        assert_eq!(uptime.reachable_since(at(1)), at(0));
        assert_eq!(uptime.reachable_since(at(limits::PAUSE_SECONDS)), at(0), "a pass a while ago");
        let resumed = at(limits::PAUSE_SECONDS + 60);
        assert_eq!(uptime.reachable_since(resumed), resumed);
        assert_eq!(uptime.reachable_since(resumed.plus_seconds(1)), resumed);
        assert_eq!(Uptime::always().reachable_since(at(100)), Timestamp(0));
    }
}
