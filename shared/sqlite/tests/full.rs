//! A full disk: commits report it, nothing is lost, and commits succeed again once there is space.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

use sqlite::Sqlite;
use std::path::Path;
use std::process::Command;
use table::{Attributes, Body, Condition, Error, Key, Range, Storage, Write, WriteKind};

/// A separate file system, mounted until this is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` without the privilege to mount.
    fn mount(kib: usize) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(directory.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn put(number: usize, bytes: usize) -> Write {
    let body = Body::text(format!("\"{}\"", "x".repeat(bytes)));
    Write {
        key: Key { pk: "p".to_owned(), sk: format!("{number:06}") },
        kind: WriteKind::Put { attributes: Attributes::default(), body },
        condition: Condition::Absent,
    }
}

async fn stored(store: &Sqlite) -> Vec<String> {
    let range = Range { pk: "p".to_owned(), prefix: String::new(), after: None, limit: None };
    store.range(&range).await.unwrap().into_iter().map(|item| item.key.sk).collect()
}

async fn commit_until_full(store: &Sqlite, acknowledged: &mut Vec<String>, first: usize) {
    for number in first.. {
        let write = put(number, 2000);
        let sk = write.key.sk.clone();
        match store.commit(vec![write]).await {
            Ok(()) => acknowledged.push(sk),
            Err(Error::StorageFull(_)) => return,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_reported_and_recovered() {
    let Some(disk) = Disk::mount(2048) else {
        eprintln!("skipped: a file system cannot be mounted here");
        return;
    };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 512 * 1024]).unwrap();
    let path = disk.path().join("batchai.db");
    let store = Sqlite::open(&path).unwrap();
    let mut acknowledged = Vec::new();
    commit_until_full(&store, &mut acknowledged, 0).await;
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    assert_eq!(stored(&store).await, acknowledged);
    // Concurrent commits share groups; each gets the error.
    let waiting = (0..20).map(|number| store.commit(vec![put(500_000 + number, 20_000)]));
    for answer in futures::future::join_all(waiting).await {
        assert!(matches!(answer, Err(Error::StorageFull(_))), "{answer:?}");
    }
    std::fs::remove_file(&ballast).unwrap();
    let before = acknowledged.len();
    commit_until_full(&store, &mut acknowledged, 100_000).await;
    assert!(acknowledged.len() > before + 10, "{} after {before}", acknowledged.len());
    assert_eq!(stored(&store).await, acknowledged);
    drop(store);
    assert_eq!(stored(&Sqlite::open(&path).unwrap()).await, acknowledged, "after a restart");
}
