//! The contract of storage, on the implementation in memory.

use std::sync::Arc;
use table::{Memory, contract};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_contract() {
    contract::run_all(Arc::new(Memory::new()), "memory", &[]).await;
}
