//! The clock of the system and its source of randomness, which nothing else reads.

use crate::ports::{Clock, Ids};
use model::{Timestamp, Uid};

/// The clock of the system.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everything else takes")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        Timestamp(i64::try_from(since_epoch).unwrap_or(i64::MAX))
    }
}

/// Random ids.
#[derive(Debug)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn uid(&self) -> Uid {
        Uid::from_bytes(rand::random())
    }
}
