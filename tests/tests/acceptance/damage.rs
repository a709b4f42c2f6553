//! What the service refuses to work on: a data directory that is taken, or whose database is damaged.

use super::service::{Service, program};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Starts a service that cannot; answers what it said.
fn refused(data_dir: &Path) -> String {
    // Should it start, it stops at once at the end of its input, with success.
    let output = program(data_dir)
        .args(["local", "--listen", "127.0.0.1:0", "--stop-at-end-of-input"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it must not start: {said}");
    said
}

#[tokio::test]
async fn a_second_service_on_the_same_data_is_refused() {
    let service = Service::start();
    service.prepare(1).await;
    let endpoint = fs::read(service.data_dir().join("endpoint")).unwrap();
    let said = refused(service.data_dir());
    assert!(said.contains("another service uses") && said.contains("--data-dir"), "{said}");
    assert_eq!(fs::read(service.data_dir().join("endpoint")).unwrap(), endpoint);
    service.submit("j", "true", json!({})).await;
    service.job_in("j", "succeeded").await;
}

/// Moves all that is in SQLite's log into the database itself, as any program that opens it may do.
fn write_back(database: &Path) {
    let script = "import sqlite3, sys; database = sqlite3.connect(sys.argv[1]); \
        database.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall(); database.close()";
    let done = std::process::Command::new("python3").args(["-c", script]).arg(database).status();
    assert!(done.unwrap().success(), "Python can open the database");
}

/// Damages the database of a stopped service and has it refused, its bytes untouched.
fn check(service: &Service, damage: impl FnOnce(&mut Vec<u8>)) {
    let path = service.data_dir().join("batchai.db");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let said = refused(service.data_dir());
    assert!(said.contains("batchai.db") && said.contains("damaged"), "{said}");
    assert!(said.contains("restore"), "it says what to do: {said}");
    assert!(fs::read(&path).unwrap() == bytes, "what is damaged may be all there is: untouched");
    fs::write(&path, whole).unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_told_and_left_as_it_is() {
    let mut service = Service::start();
    service.prepare(1).await;
    for number in 0..40 {
        service.make(&format!("/experiments/x{number}"), &json!({})).await;
    }
    assert_eq!(service.stop(), Some(0));
    write_back(&service.data_dir().join("batchai.db"));
    check(&service, |bytes| bytes.fill(b'x'));
    check(&service, |bytes| bytes.truncate(bytes.len() / 2));
    // Pages in the middle, as of a disk that lost some blocks.
    check(&service, |bytes| {
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 8192].fill(0xa5);
    });
    // Whole again, it starts, and nothing is lost.
    service.start_again();
    let listed = service.get("/experiments").await;
    assert_eq!(listed["value"].as_array().map(Vec::len), Some(41), "{listed:#}");
}
