//! Storage on DynamoDB against an embedded engine behind a socket, as another process reaches it.

mod faults;
mod histories;
mod repetitions;
mod schema;
mod server;

use server::TableServer;
use std::sync::Arc;
use table::contract;

/// No case is excused: the engine differs from DynamoDB in what it lacks (transactions that meet,
/// throttling, the sweep of expired items), not in what it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dynamo_keeps_the_contract() {
    let server = TableServer::start().await;
    contract::run_all(Arc::new(server.storage().await), "dynamo", &[]).await;
}
