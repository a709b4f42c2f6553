//! Runs seeds: one, or many on all cores.

use crate::choices::Choices;
use crate::history::History;
use crate::scenario::{Options, Scenario};
use crate::trace::Trace;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The invariant that was violated, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub seed: u64,
    /// Simulated milliseconds.
    pub at: i64,
    pub violation: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, at, violation } = self;
        write!(formatter, "seed {seed} at {}.{:03} s: {violation}", at / 1000, at % 1000)
    }
}

/// The result of one history.
#[derive(Debug)]
pub struct RunResult {
    pub failure: Option<Failure>,
    /// All choices of the history.
    pub tape: Vec<u32>,
    pub trace: Vec<String>,
    pub steps: u64,
}

/// Runs one scenario. Equal arguments give equal histories.
pub fn run_scenario(scenario: &Scenario, tape: Option<Vec<u32>>, traced: bool) -> RunResult {
    let choices = match tape {
        None => Choices::from_seed(scenario.seed),
        Some(tape) => Choices::from_tape(tape),
    };
    let trace = if traced { Trace::recording() } else { Trace::default() };
    let mut history = History::new(Arc::new(scenario.clone()), choices, trace);
    let outcome = history.run();
    let mut state = history.sim.state();
    let failure = outcome.err();
    let failure =
        failure.map(|violation| Failure { seed: scenario.seed, at: state.now, violation });
    let choices = std::mem::replace(&mut state.choices, Choices::from_tape(Vec::new()));
    RunResult { failure, tape: choices.into_tape(), trace: state.trace.take(), steps: state.step }
}

/// Runs the history of a seed.
pub fn run_seed(seed: u64, options: Options) -> Option<Failure> {
    run_scenario(&Scenario::generate(seed, options), None, false).failure
}

/// Runs seeds on all cores until one fails. Returns the failure with the lowest seed of those found,
/// and the number of histories.
pub fn run_seeds(seeds: Range<u64>, options: Options) -> (Option<Failure>, u64) {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let work = || {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let scenario = Scenario::generate(seed, options);
            let outcome = run_scenario(&scenario, None, false);
            count += 1;
            if outcome.failure.is_some() {
                stop.store(true, Ordering::Relaxed);
                return (outcome.failure, count);
            }
        }
        (None, count)
    };
    let outcomes: Vec<(Option<Failure>, u64)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|it| it.join());
        joined.map(|it| it.expect("a history does not panic")).collect()
    });
    let count = outcomes.iter().map(|(_, count)| count).sum();
    let failures = outcomes.into_iter().filter_map(|(failure, _)| failure);
    (failures.min_by_key(|it| it.seed), count)
}
