//! Opening of the database: an existing file is checked before anything may write to it, and a new
//! file appears complete or not at all.

use crate::OpenError;
use crate::rows::SCHEMA;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Identifies a database of this service ("batc").
const APPLICATION_ID: i64 = 0x6261_7463;

const SCHEMA_VERSION: i64 = 1;

/// Readable by the owner only: the table has encrypted secrets and digests of tokens.
const MODE: u32 = 0o600;

/// A connection waits only if another process has the file open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Cached pages of the writer. No other connection writes, so they stay valid; a miss is a copy
/// from the kernel's cache.
const WRITER_CACHE_KIB: i64 = 2 * 1024;

/// Cached pages of a reader. Every commit invalidates them.
const READER_CACHE_KIB: i64 = 512;

/// Space that the log keeps when it starts over: overwriting existing blocks is cheaper for the
/// file system than growing the file.
const LOG_BYTES_KEPT: i64 = 16 * 1024 * 1024;

/// Checks or creates the file, and opens the connection that writes.
pub(crate) fn writer(path: &Path) -> Result<Connection, OpenError> {
    match std::fs::metadata(path) {
        Ok(_) => check(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(inaccessible(path, error)),
    }
    let connect = || -> rusqlite::Result<Connection> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        Ok(connection)
    };
    let connection = connect().map_err(|error| inaccessible(path, error))?;
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match std::fs::set_permissions(&file, Permissions::from_mode(MODE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(inaccessible(path, error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(connection)
}

/// A read-only connection.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// Only one thread at a time uses a connection, so SQLite's own locks are not needed.
fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Builds the database under another name and renames it, so that a crash leaves no partial
/// database.
fn create(path: &Path) -> Result<(), OpenError> {
    let draft = beside(path, ".new");
    let create = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for leftover in ["", "-wal", "-shm", "-journal"] {
            remove(&beside(&draft, leftover))?;
        }
        OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
        let connection = connect(&draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        connection.execute_batch(SCHEMA)?;
        connection.close().map_err(|(_, error)| error)?;
        File::open(&draft)?.sync_all()?;
        std::fs::rename(&draft, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()?;
        Ok(())
    };
    create().map_err(|source| OpenError::Inaccessible { path: path.display().to_string(), source })
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads the whole file with SQLite, on a read-only connection.
fn check(path: &Path) -> Result<(), OpenError> {
    let named = || path.display().to_string();
    let damaged = |problem: String| OpenError::Damaged { path: named(), problem };
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        return Err(damaged("it is empty".to_owned()));
    }
    match inspect(path) {
        Ok(Found { former: true, .. }) => Err(OpenError::Former { path: named() }),
        Ok(Found { application, .. }) if application != APPLICATION_ID => {
            Err(OpenError::Foreign { path: named() })
        }
        Ok(Found { version, .. }) if version > SCHEMA_VERSION => {
            Err(OpenError::Newer { path: named(), found: version, known: SCHEMA_VERSION })
        }
        Ok(Found { problem: Some(problem), .. }) => Err(damaged(problem)),
        Ok(_) => Ok(()),
        Err(error) => Err(match error.sqlite_error_code() {
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure,
            ) => inaccessible(path, error),
            _ => damaged(error.to_string()),
        }),
    }
}

/// What an existing file contains.
struct Found {
    application: i64,
    version: i64,
    /// Whether it has the tables of the database engine of older versions.
    former: bool,
    problem: Option<String>,
}

fn inspect(path: &Path) -> rusqlite::Result<Found> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let former = connection.query_row(
        "SELECT count(*) > 0 FROM sqlite_schema WHERE name = '_tables'",
        [],
        |row| row.get(0),
    )?;
    let mut problem = None;
    if application == APPLICATION_ID && version <= SCHEMA_VERSION {
        let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        problem = (answer != "ok").then_some(answer);
    }
    Ok(Found { application, version, former, problem })
}

fn inaccessible(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> OpenError {
    OpenError::Inaccessible { path: path.display().to_string(), source: source.into() }
}

/// The path with a suffix appended to its last name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
