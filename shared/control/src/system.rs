//! The clock and the random ids of this process: the one place that reads them.

use crate::ports::{Clock, Ids};
use model::{Timestamp, Uid};

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

#[derive(Debug)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn uid(&self) -> Uid {
        Uid::from_bytes(rand::random())
    }
}
