//! What a node had run out of when a command of a job failed: a disk, or memory.
//!
//! It is looked for only then, and reported only with evidence: a job that fails on a node with enough of everything
//! is not excused, and one that succeeds is not examined.

mod disk;
mod memory;

use std::path::PathBuf;

use protocol::{ScarceResource, Shortage};

pub use memory::OomKills;

/// A command that failed.
pub struct Failure {
    pub exit_code: i32,
    /// What the kernel had counted when the first process of the attempt was started.
    pub before: OomKills,
    /// Where the job writes, the likeliest first.
    pub paths: Vec<PathBuf>,
}

/// The shortage that explains a failure. Memory first: a job that was killed for it did not fail for its disk.
pub fn find(failure: Failure) -> Option<Shortage> {
    let Failure { exit_code, before, paths } = failure;
    let found = |resource| move |evidence| Shortage { resource, evidence };
    memory::find(exit_code, before)
        .map(found(ScarceResource::Memory))
        .or_else(|| disk::find(paths).map(found(ScarceResource::Disk)))
}
