//! Every choice that a history makes while it runs: drawn from its seed, and recorded on a tape, so
//! that a part of the choices can be replaced by the mildest one. 0 is always the mildest choice: no
//! fault, the shortest delay.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

#[derive(Debug)]
pub struct Choices {
    source: Source,
    tape: Vec<u32>,
}

#[derive(Debug)]
enum Source {
    Seed(Box<StdRng>),
    Tape(Vec<u32>),
    /// From here on nothing disturbs.
    Mild,
}

impl Choices {
    pub fn from_seed(seed: u64) -> Self {
        Self { source: Source::Seed(Box::new(StdRng::seed_from_u64(seed))), tape: Vec::new() }
    }

    /// What is on the tape; behind its end the mildest choices.
    pub fn from_tape(tape: Vec<u32>) -> Self {
        Self { source: Source::Tape(tape), tape: Vec::new() }
    }

    pub fn become_mild(&mut self) {
        self.source = Source::Mild;
    }

    /// Everything that was chosen so far.
    pub fn into_tape(self) -> Vec<u32> {
        self.tape
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u32) -> u32 {
        let choice = match &mut self.source {
            Source::Seed(rng) => ((u64::from(rng.next_u32()) * u64::from(end)) >> 32) as u32,
            Source::Tape(tape) => tape.get(self.tape.len()).copied().unwrap_or(0).min(end - 1),
            Source::Mild => return 0,
        };
        self.tape.push(choice);
        choice
    }

    /// True with a probability in thousandths.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) >= 1000 - per_mille.min(1000)
    }
}
