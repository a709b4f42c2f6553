//! The service refuses to start on a data directory that is in use or has a damaged database.

use super::service::{Service, program};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Starts a service, which must fail; returns its message.
fn start_refused(data_dir: &Path) -> String {
    // If it starts, it stops at the end of its input and exits with 0.
    let output = program(data_dir)
        .args(["local", "--listen", "127.0.0.1:0", "--stop-at-end-of-input"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it must not start: {message}");
    message
}

#[tokio::test]
async fn a_second_service_on_the_same_data_is_refused() {
    let service = Service::start();
    service.prepare(1).await;
    let endpoint = fs::read(service.data_dir().join("endpoint")).unwrap();
    let message = start_refused(service.data_dir());
    assert!(
        message.contains("another service uses") && message.contains("--data-dir"),
        "{message}"
    );
    assert_eq!(fs::read(service.data_dir().join("endpoint")).unwrap(), endpoint);
    service.submit("j", "true", json!({})).await;
    service.job_in("j", "succeeded").await;
}

/// Moves the content of SQLite's write-ahead log into the database file.
fn write_back(database: &Path) {
    let script = "import sqlite3, sys; database = sqlite3.connect(sys.argv[1]); \
        database.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall(); database.close()";
    let done = std::process::Command::new("python3").args(["-c", script]).arg(database).status();
    assert!(done.unwrap().success(), "Python can open the database");
}

/// Damages the database of a stopped service: the start must fail and leave the file unchanged.
fn check(service: &Service, damage: impl FnOnce(&mut Vec<u8>)) {
    let path = service.data_dir().join("batchai.db");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let message = start_refused(service.data_dir());
    assert!(message.contains("batchai.db") && message.contains("damaged"), "{message}");
    assert!(message.contains("restore"), "the message says what to do: {message}");
    assert!(fs::read(&path).unwrap() == bytes, "the damaged file must stay unchanged");
    fs::write(&path, whole).unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_reported_and_left_unchanged() {
    let mut service = Service::start();
    service.prepare(1).await;
    for number in 0..40 {
        service.create(&format!("/experiments/x{number}"), &json!({})).await;
    }
    assert_eq!(service.stop(), Some(0));
    write_back(&service.data_dir().join("batchai.db"));
    check(&service, |bytes| bytes.fill(b'x'));
    check(&service, |bytes| bytes.truncate(bytes.len() / 2));
    // Pages in the middle, like bad blocks of a disk.
    check(&service, |bytes| {
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 8192].fill(0xa5);
    });
    // With the original file, it starts and has all records.
    service.restart();
    let listed = service.get("/experiments").await;
    assert_eq!(listed["value"].as_array().map(Vec::len), Some(41), "{listed:#}");
}
