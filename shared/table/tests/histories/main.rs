//! Linearizability of the implementation in memory. The checker must also find each planted defect.

mod broken;

use broken::{Broken, Defect};
use std::sync::Arc;
use table::Memory;
use table::contract::histories;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_is_linearizable() {
    let checked = histories::check(Arc::new(Memory::new()), "memory", 0..3000).await;
    checked.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_planted_defect_is_found() {
    const HISTORIES: u64 = 3000;
    for defect in Defect::ALL {
        let checked = histories::check(Arc::new(Broken::new(defect)), "broken", 0..HISTORIES).await;
        let violation = checked.expect_err(&format!("{defect:?} is not found"));
        println!("{defect:?}: found by history {}", violation.seed + 1);
    }
}

/// The wrapper alone is not reported as a defect.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrapper_without_a_defect_is_linearizable() {
    let sound = Arc::new(Broken::new(Defect::None));
    let checked = histories::check(sound, "sound", 0..500).await;
    checked.unwrap_or_else(|violation| panic!("{violation}"));
}
