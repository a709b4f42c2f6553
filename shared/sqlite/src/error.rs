//! What can go wrong: when the database is opened, by what the operator does about it; later, as
//! [`table::Error`].

use rusqlite::ErrorCode;
use std::path::Path;
use table::Error;

/// Why a database is not opened. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{path} is damaged ({problem}); it was left as it is. Move it away to start empty, or restore a copy of it"
    )]
    Damaged { path: String, problem: String },
    #[error(
        "{path} is not a database of this service; it was left as it is. Move it away, or choose another data directory"
    )]
    Foreign { path: String },
    #[error(
        "{path} was written by an earlier version of this service, whose database cannot be read; it was left as it is. Move the data directory away to start empty"
    )]
    Former { path: String },
    #[error(
        "{path} was written by a newer version of this service (schema {found}, this version reads up to {known}); it was left as it is. Install that version, or choose another data directory"
    )]
    Newer { path: String, found: i64, known: i64 },
    #[error("{path} could not be opened")]
    Inaccessible {
        path: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Less than this is no space: in bytes, some pages of the database and its log.
const NO_SPACE_BYTES: u64 = 256 * 1024;

/// An error of the database as one of the table. SQLite reports a full disk as an I/O error where
/// it does not write by itself (the index of the log, a delayed allocation), so the file system
/// is asked.
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
