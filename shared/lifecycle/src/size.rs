//! Whether a new record fits into the table for its whole life: as it is now, and with the most
//! that
//! may be added later. A record that does not fit is refused at its creation, not when the job has
//! to
//! be requeued.

use model::{Cluster, Job};
use table::Record;
use table::limits::{MAX_ITEM_BYTES, size_of};

/// A record that grows after its creation.
pub trait GrowingRecord: Record {
    /// The record in error messages.
    const WHAT: &'static str;

    /// The most bytes that are added to it.
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

/// The record does not fit into the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "The {what} takes {bytes} bytes in the table, but only {most} leave room for later additions; move long texts to files on a file server"
)]
pub struct TooLarge {
    what: &'static str,
    bytes: usize,
    most: usize,
}

/// Checks the size of a new record.
///
/// # Errors
/// [`TooLarge`] when the record at its largest does not fit into one item.
pub fn check<R: GrowingRecord>(record: &R) -> Result<(), TooLarge> {
    let most = MAX_ITEM_BYTES - record.growth_bytes();
    // A record without JSON cannot be written at all, which the commit reports.
    let bytes = size_of(record).unwrap_or_default();
    if bytes <= most { Ok(()) } else { Err(TooLarge { what: R::WHAT, bytes, most }) }
}
