//! Which files are opened, and which are refused and left unchanged.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

use rusqlite::Connection;
use sqlite::{OpenError, Sqlite};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use table::{Attributes, Body, Condition, Key, Storage, Write, WriteKind};
use tempfile::TempDir;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("batchai.db");
    (directory, path)
}

/// Checks that the file is refused and unchanged, and that the message says what to do.
#[track_caller]
fn refused(path: &Path, advice: &str) -> OpenError {
    let before = fs::read(path).unwrap();
    let error = Sqlite::open(path).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("batchai.db") && message.contains(advice), "{message}");
    assert!(fs::read(path).unwrap() == before, "the file is unchanged");
    error
}

async fn fill(path: &Path) {
    let store = Sqlite::open(path).unwrap();
    for number in 0..200 {
        let key = Key { pk: "p".to_owned(), sk: format!("{number}") };
        let body = Body::text(format!("\"{}\"", "x".repeat(1000)));
        let kind = WriteKind::Put { attributes: Attributes::default(), body };
        store.commit(vec![Write { key, kind, condition: Condition::Always }]).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let (_directory, path) = directory();
    fill(&path).await;
    let whole = fs::read(&path).unwrap();
    let check = |damage: fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = refused(&path, "restore a copy");
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    };
    check(|bytes| bytes.fill(b'x'));
    check(|bytes| bytes[..16].fill(0));
    check(|bytes| bytes.truncate(bytes.len() / 2));
    check(|bytes| bytes.clear());
    check(|bytes| {
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 8192].fill(0xa5);
    });
    fs::write(&path, whole).unwrap();
    Sqlite::open(&path).unwrap();
}

#[test]
fn a_database_of_another_program_is_refused() {
    let (_directory, path) = directory();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let error = refused(&path, "choose another data directory");
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

#[test]
fn a_database_of_the_former_version_is_refused() {
    let (_directory, path) = directory();
    let script = "PRAGMA journal_mode = WAL; CREATE TABLE _config (key TEXT, value TEXT);
        CREATE TABLE _tables (table_name TEXT); CREATE TABLE batchai (pk TEXT, sk TEXT)";
    Connection::open(&path).unwrap().execute_batch(script).unwrap();
    let error = refused(&path, "Move the data directory away");
    assert!(matches!(error, OpenError::Former { .. }), "{error:?}");
}

#[test]
fn a_newer_schema_is_refused() {
    let (_directory, path) = directory();
    drop(Sqlite::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let error = refused(&path, "Install that version");
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn every_file_is_readable_to_its_owner_only() {
    let (directory, path) = directory();
    drop(Sqlite::open(&path).unwrap());
    // The mode that a careless copy may have.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = Sqlite::open(&path).unwrap();
    store.sweep(model::Timestamp(0)).await.unwrap();
    let mut files = 0;
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and the index of the log");
}

#[test]
fn leftovers_of_an_interrupted_creation_are_replaced() {
    let (directory, path) = directory();
    fs::write(directory.path().join("batchai.db.new"), b"half of it").unwrap();
    fs::write(directory.path().join("batchai.db.new-wal"), b"half of it").unwrap();
    drop(Sqlite::open(&path).unwrap());
    drop(Sqlite::open(&path).unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn an_unwritable_directory_is_reported() {
    let error = Sqlite::open("/proc/batchai.db").unwrap_err();
    assert!(matches!(error, OpenError::Inaccessible { .. }), "{error:?}");
    let (directory, _) = directory();
    let error = Sqlite::open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::Inaccessible { .. }), "{error:?}");
}
