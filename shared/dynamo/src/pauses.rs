//! Pauses between repetitions. They double, with jitter, so that callers that were refused together
//! do not return together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A source of random numbers from 0 to 1.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Repetitions without progress before a caller gives up: about two seconds in total.
const REPETITIONS: u32 = 7;

#[derive(Clone)]
pub(crate) struct Pauses {
    jitter: Jitter,
}

impl Pauses {
    pub(crate) fn new(jitter: Jitter) -> Self {
        Self { jitter }
    }

    /// Waits before the repetition with this number, from 0. Returns `false` if there were enough.
    pub(crate) async fn wait(&self, repetition: u32) -> bool {
        match pause(repetition, (self.jitter)()) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            None => false,
        }
    }
}

/// Half of the pause is fixed, the other half is random.
fn pause(repetition: u32, chance: f64) -> Option<Duration> {
    let whole = FIRST.saturating_mul(2_u32.saturating_pow(repetition)).min(LONGEST);
    (repetition < REPETITIONS).then(|| whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
}

impl fmt::Debug for Pauses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pauses")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chance: f64) -> Vec<u128> {
        (0..).map_while(|it| pause(it, chance)).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_end() {
        assert_eq!(all(1.0), [20, 40, 80, 160, 320, 640, 1000]);
        assert_eq!(all(0.0), [10, 20, 40, 80, 160, 320, 500]);
    }

    #[test]
    fn jitter_outside_its_range_is_clamped() {
        assert_eq!(all(-5.0), all(0.0));
        assert_eq!(all(7.0), all(1.0));
    }
}
