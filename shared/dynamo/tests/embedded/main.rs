//! Storage on DynamoDB against an embedded engine behind a socket, as another process reaches it.

mod faults;
mod histories;
mod repetitions;
mod schema;
mod server;

use server::TableServer;
use std::sync::Arc;
use table::contract;

/// No deviations. Differences between the engine and DynamoDB are tested elsewhere: it has no
/// conflicting transactions and no throttling (`repetitions` injects their answers), and it accepts
/// an empty prefix in a query (a test of `storage` inspects the request).
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dynamo_keeps_the_contract() {
    let server = TableServer::start().await;
    contract::run_all(Arc::new(server.storage().await), "dynamo", &[]).await;
}
