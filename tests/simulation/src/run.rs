//! Plays seeds: one, or many on all cores.

use crate::choices::Choices;
use crate::history::History;
use crate::scenario::{Options, Scenario};
use crate::trace::Trace;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The rule that was broken, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub seed: u64,
    /// Simulated milliseconds.
    pub at: i64,
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, at, what } = self;
        write!(formatter, "seed {seed} at {}.{:03} s: {what}", at / 1000, at % 1000)
    }
}

/// A history that was played.
#[derive(Debug)]
pub struct Played {
    pub failure: Option<Failure>,
    /// Every choice that was made.
    pub tape: Vec<u32>,
    pub trace: Vec<String>,
    pub steps: u64,
}

/// Plays one scenario. Equal arguments give equal histories.
pub fn play_scenario(scenario: &Scenario, tape: Option<Vec<u32>>, traced: bool) -> Played {
    let choices = match tape {
        None => Choices::from_seed(scenario.seed),
        Some(tape) => Choices::from_tape(tape),
    };
    let trace = if traced { Trace::kept() } else { Trace::default() };
    let mut history = History::new(Arc::new(scenario.clone()), choices, trace);
    let outcome = history.play();
    let mut state = history.sim.state();
    let failure = outcome.err().map(|what| Failure { seed: scenario.seed, at: state.now, what });
    let choices = std::mem::replace(&mut state.choices, Choices::from_tape(Vec::new()));
    Played { failure, tape: choices.into_tape(), trace: state.trace.take(), steps: state.step }
}

/// The history of a seed.
pub fn play(seed: u64, options: Options) -> Option<Failure> {
    play_scenario(&Scenario::draw(seed, options), None, false).failure
}

/// Plays seeds on all cores until one fails. Answers the failure of the lowest seed that was met, and
/// how many seeds were played.
pub fn play_all(seeds: Range<u64>, options: Options) -> (Option<Failure>, u64) {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let work = || {
        let mut played = 0;
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let scenario = Scenario::draw(seed, options);
            let outcome = play_scenario(&scenario, None, false);
            played += 1;
            if outcome.failure.is_some() {
                stop.store(true, Ordering::Relaxed);
                return (outcome.failure, played);
            }
        }
        (None, played)
    };
    let outcomes: Vec<(Option<Failure>, u64)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|it| it.join());
        joined.map(|it| it.expect("a history does not panic")).collect()
    });
    let played = outcomes.iter().map(|(_, played)| played).sum();
    let failures = outcomes.into_iter().filter_map(|(failure, _)| failure);
    (failures.min_by_key(|it| it.seed), played)
}
