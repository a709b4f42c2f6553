//! Random concurrent histories: several tasks read and commit on a few items, every invocation and
//! response is recorded in real-time order, and a checker searches for a sequential order of the
//! calls
//! that explains them.
//!
//! The seed determines the calls of the tasks, but not their interleaving: a seed that failed may
//! need
//! several runs to fail again.

mod model;
mod task;

use crate::Storage;
use model::{Call, Outcome, Registers};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use task::Task;

/// Tasks, and calls of each. The search for an order takes exponential time in both, so the seeds
/// alternate between few long tasks and more short ones.
const SIZES: [(usize, usize); 2] = [(3, 6), (4, 4)];

/// A history that no sequential order of its calls explains.
#[derive(Debug)]
pub struct Violation {
    /// The seed of the history.
    pub seed: u64,
    history: Vec<String>,
}

/// Runs a history for each seed, each in its own partition. `run` distinguishes this run from
/// others on the same table. Needs a runtime with several threads.
///
/// # Errors
/// The first history that is not linearizable.
///
/// # Panics
/// When the storage reports an error that is neither a conflict nor throttling.
pub async fn check(
    storage: Arc<dyn Storage>,
    run: &str,
    seeds: Range<u64>,
) -> Result<(), Violation> {
    for seed in seeds {
        play(Arc::clone(&storage), format!("{run}/{seed}"), seed).await?;
    }
    Ok(())
}

async fn play(storage: Arc<dyn Storage>, partition: String, seed: u64) -> Result<(), Violation> {
    let recorder = Recorder::default();
    let (tasks, calls) = SIZES[seed as usize % SIZES.len()];
    let task = |number| Task::new(Arc::clone(&storage), &partition, recorder.clone(), seed, number);
    let running: Vec<_> = (0..tasks).map(|number| tokio::spawn(task(number).play(calls))).collect();
    for task in running {
        task.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    // A final read of all items detects lost writes.
    task(tasks).read_all().await;
    recorder.check(seed)
}

/// The calls in the order of their starts and ends.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    tester: LinearizabilityTester<usize, Registers>,
    history: Vec<String>,
}

impl Recorder {
    fn invoked(&self, task: usize, call: Call) {
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        record.history.push(format!("{task} calls {call}"));
        record.tester.on_invoke(task, call).expect("a task makes one call at a time");
    }

    fn returned(&self, task: usize, outcome: Outcome) {
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        record.history.push(format!("{task} gets {outcome}"));
        record.tester.on_return(task, outcome).expect("the task made a call");
    }

    fn check(&self, seed: u64) -> Result<(), Violation> {
        let record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match record.tester.is_consistent() {
            true => Ok(()),
            false => Err(Violation { seed, history: record.history.clone() }),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "the history of seed {} is not linearizable:", self.seed)?;
        self.history.iter().try_for_each(|event| writeln!(formatter, "  {event}"))
    }
}
