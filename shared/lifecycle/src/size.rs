//! Whether a new record fits into the table for good: as it is, and with all that may be added to
//! it while it exists. What does not is refused at once, and not when the job is to be queued again.

use model::{Cluster, Job};
use table::Record;
use table::limits::{MAX_ITEM_BYTES, size_of};

/// A record that grows after it was created.
pub trait GrowingRecord: Record {
    const WHAT: &'static str;

    /// Bytes that are added to it, at most.
    fn growth_bytes(&self) -> usize;
}

impl GrowingRecord for Job {
    const WHAT: &'static str = "job with the mounts of its cluster";

    fn growth_bytes(&self) -> usize {
        self.growth_bytes()
    }
}

impl GrowingRecord for Cluster {
    const WHAT: &'static str = "cluster";

    fn growth_bytes(&self) -> usize {
        self.growth_bytes()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "The {what} takes {bytes} bytes when it is stored, but at most {most} leave room for what happens to it; put long texts into files on a file server"
)]
pub struct TooLarge {
    what: &'static str,
    bytes: usize,
    most: usize,
}

/// # Errors
/// [`TooLarge`] when the record could not be written at its largest.
pub fn check<R: GrowingRecord>(record: &R) -> Result<(), TooLarge> {
    let most = MAX_ITEM_BYTES - record.growth_bytes();
    // A record without JSON cannot be written at all, which the commit reports.
    let bytes = size_of(record).unwrap_or_default();
    if bytes <= most { Ok(()) } else { Err(TooLarge { what: R::WHAT, bytes, most }) }
}
