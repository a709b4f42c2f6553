//! Files between this machine and a file server: whole trees, only what differs, and on from where an earlier transfer
//! ended.

pub mod download;
mod local;
mod progress;
mod remote;
pub mod upload;

pub use local::{LocalFile, sha256};
pub use progress::{Progress, human_bytes};
pub use remote::{Entry, check_name, find, join, list, list_tree, relative};

use crate::client::{ServiceError, is_denied, is_unreachable};
use std::time::Duration;

/// Most bytes in one request (docs/api.md, "Files").
const CHUNK_BYTES: usize = 4 << 20;

/// Files that are transferred at one time.
const PARALLEL: usize = 4;

/// How often a file is tried again without a new byte, and how long to wait before the first time; then twice as long.
const RETRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Whether a transfer can succeed when it is continued: the connection broke, the service is busy, the link has
/// expired, or another request was faster.
fn can_continue(error: &anyhow::Error) -> bool {
    let temporary = |error: &ServiceError| match error.status {
        409 => ["UploadOffsetMismatch", "UploadInUse", "UploadIncomplete"]
            .contains(&error.code.as_str()),
        429 | 502 | 503 | 504 => true,
        _ => false,
    };
    is_unreachable(error)
        || is_denied(error)
        || error.downcast_ref::<ServiceError>().is_some_and(temporary)
}
