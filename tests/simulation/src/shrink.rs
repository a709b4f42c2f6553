//! Shrinks a failing history: fewer kinds of faults, fewer events, milder choices, while it still
//! violates the same invariant.

use crate::faults::FaultKind;
use crate::run::{Failure, RunResult, run_scenario};
use crate::scenario::{Mode, Options, Scenario};

/// A short history that still fails.
#[derive(Debug)]
pub struct Shrunk {
    pub scenario: Scenario,
    pub failure: Failure,
    pub trace: Vec<String>,
    /// How many histories were run.
    pub tries: u32,
}

struct Search {
    scenario: Scenario,
    tape: Vec<u32>,
    failure: Failure,
    tries: u32,
}

/// `None` when the seed does not fail.
pub fn shrink(seed: u64, options: Options) -> Option<Shrunk> {
    let scenario = Scenario::generate(seed, options);
    let RunResult { failure, tape, .. } = run_scenario(&scenario, None, false);
    let mut search = Search { scenario, tape, failure: failure?, tries: 1 };
    loop {
        let before = (search.scenario.events.len(), search.disturbances());
        search.drop_kinds();
        search.drop_events();
        search.soften_choices();
        if (search.scenario.events.len(), search.disturbances()) == before {
            break;
        }
    }
    let run = run_scenario(&search.scenario, Some(search.tape.clone()), true);
    let Search { scenario, failure, tries, .. } = search;
    Some(Shrunk { scenario, failure, trace: run.trace, tries })
}

/// The violated invariant, without names and numbers.
fn invariant(violation: &str) -> String {
    let words = violation
        .split_whitespace()
        .filter(|word| word.chars().all(|c| c.is_ascii_alphabetic() || c == ',' || c == ':'));
    words.take(6).collect::<Vec<_>>().join(" ")
}

impl Search {
    fn disturbances(&self) -> usize {
        self.tape.iter().filter(|choice| **choice > 0).count()
    }

    fn still_fails(&mut self, scenario: Scenario, tape: Vec<u32>) -> bool {
        self.tries += 1;
        let run = run_scenario(&scenario, Some(tape), false);
        let same = |it: &Failure| invariant(&it.violation) == invariant(&self.failure.violation);
        match run.failure {
            Some(failure) if same(&failure) => {
                (self.scenario, self.tape, self.failure) = (scenario, run.tape, failure);
                true
            }
            _ => false,
        }
    }

    fn drop_kinds(&mut self) {
        for kind in FaultKind::ALL {
            if self.scenario.kinds.has(kind) {
                let scenario = self.scenario.without(kind);
                // Without the kind, the recorded choices may not fit: try the mildest choices too.
                let tape = self.tape.clone();
                if !self.still_fails(scenario.clone(), tape) {
                    self.still_fails(scenario, Vec::new());
                }
            }
        }
        if self.scenario.mode == Mode::OneProcess {
            let scenario = Scenario { deletes_all: false, ..self.scenario.clone() };
            self.still_fails(scenario, self.tape.clone());
        }
    }

    /// Removes spans of events, larger ones first.
    fn drop_events(&mut self) {
        let mut span = self.scenario.events.len() / 2;
        while span > 0 {
            let mut start = 0;
            while start < self.scenario.events.len() {
                let mut scenario = self.scenario.clone();
                let end = (start + span).min(scenario.events.len());
                scenario.events.drain(start..end);
                if !self.still_fails(scenario, self.tape.clone()) {
                    start += span;
                }
            }
            span /= 2;
        }
    }

    /// The mildest choices in layout of those that were drawn.
    fn soften_choices(&mut self) {
        if self.still_fails(self.scenario.clone(), Vec::new()) {
            return;
        }
        let mut span = self.tape.len() / 2;
        while span > 0 && self.tries < 6000 {
            let mut start = 0;
            while start < self.tape.len() {
                let end = (start + span).min(self.tape.len());
                let mut tape = self.tape.clone();
                let disturbing = tape[start..end].iter().any(|choice| *choice > 0);
                tape[start..end].fill(0);
                if disturbing {
                    self.still_fails(self.scenario.clone(), tape);
                }
                start += span;
            }
            span /= 2;
        }
    }
}
