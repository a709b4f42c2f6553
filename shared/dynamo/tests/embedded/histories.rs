//! Linearizability of commits and reads, through client, socket and engine.

use crate::server::TableServer;
use std::sync::Arc;
use table::contract::histories;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dynamo_is_linearizable() {
    let server = TableServer::start().await;
    let checked = histories::check(Arc::new(server.storage().await), "dynamo", 0..300).await;
    checked.unwrap_or_else(|violation| panic!("{violation}"));
}
