//! Linearizability of commits and reads: group commit gives every caller its own answer, and reads
//! on snapshots see all commits that were acknowledged before they began.

use sqlite::Sqlite;
use std::sync::Arc;
use table::contract::histories;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_is_linearizable() {
    let directory = tempfile::tempdir().expect("a directory for the database");
    let store = Sqlite::open(directory.path().join("batchai.db")).expect("a new database");
    let checked = histories::check(Arc::new(store), "sqlite", 0..1000).await;
    checked.unwrap_or_else(|violation| panic!("{violation}"));
}
