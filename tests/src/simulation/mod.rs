//! The simulation: one seed is one history of users, nodes, losses and crashes, played on the real
//! handlers and the real table code. After every step the invariants are checked; in the end quiet
//! comes, and everything must have come to rest. A failing seed replays exactly.

pub mod agent;
mod history;
mod invariants;
pub mod machines;
mod truth;

pub use history::{Failure, run};

/// Plays seeds on all cores. Each core stops at its first failure.
pub fn run_all(seeds: std::ops::Range<u64>) -> Vec<Failure> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let play = || {
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= seeds.end {
                return None;
            }
            if let Err(failure) = run(seed) {
                return Some(*failure);
            }
        }
    };
    std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..cores).map(|_| scope.spawn(play)).collect();
        tasks
            .into_iter()
            .filter_map(|task| task.join().expect("a history does not panic"))
            .collect()
    })
}
