//! Errors of opening the database, grouped by what the operator does about them. Later errors are
//! [`table::Error`]s.

use rusqlite::ErrorCode;
use std::path::Path;
use table::Error;

/// Why a database is not opened. The file is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is damaged.
    #[error(
        "{path} is damaged ({problem}). It was not changed. Move it away to start empty, or restore a copy of it"
    )]
    Damaged {
        /// Path of the file.
        path: String,
        /// What SQLite reports.
        problem: String,
    },
    /// The file is not a database of this service.
    #[error(
        "{path} is not a database of this service. It was not changed. Move it away, or choose another data directory"
    )]
    Foreign {
        /// Path of the file.
        path: String,
    },
    /// The file has the format of an older version, which cannot be read.
    #[error(
        "{path} was written by an older version of this service, whose format cannot be read. It was not changed. Move the data directory away to start empty"
    )]
    Former {
        /// Path of the file.
        path: String,
    },
    /// The file has the schema of a newer version.
    #[error(
        "{path} was written by a newer version of this service (schema {found}; this version reads up to {known}). It was not changed. Install the newer version, or choose another data directory"
    )]
    Newer {
        /// Path of the file.
        path: String,
        /// Schema version of the file.
        found: i64,
        /// Highest schema version that can be read.
        known: i64,
    },
    /// The file cannot be opened.
    #[error("{path} could not be opened")]
    Inaccessible {
        /// Path of the file.
        path: String,
        /// The error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// With less free space than this the disk counts as full: some pages of the database and its log.
const NO_SPACE_BYTES: u64 = 256 * 1024;

/// Converts an error of the database. SQLite reports a full disk as an I/O error where it does not
/// write by itself (the index of the log, a delayed allocation), so the file system is asked.
pub(crate) fn table_error(error: rusqlite::Error, path: &Path) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::StorageFull(error.into()),
        Some(ErrorCode::SystemIoFailure) if is_full(path) => Error::StorageFull(error.into()),
        _ => Error::other(error),
    }
}

fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|status| status.f_bavail.saturating_mul(status.f_frsize) < NO_SPACE_BYTES)
}
