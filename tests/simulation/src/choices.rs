//! The choices of a running history: generated from its seed and recorded on a tape, so that some of
//! them can be replaced. 0 is always the mildest choice: no fault, the shortest delay.

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
    /// Always 0, not recorded.
    Mild,
}

impl Choices {
    pub fn from_seed(seed: u64) -> Self {
        Self { source: Source::Seed(Box::new(StdRng::seed_from_u64(seed))), tape: Vec::new() }
    }

    /// The choices of a tape, and the mildest choices after its end.
    pub fn from_tape(tape: Vec<u32>) -> Self {
        Self { source: Source::Tape(tape), tape: Vec::new() }
    }

    pub fn use_mildest(&mut self) {
        self.source = Source::Mild;
    }

    /// All choices so far.
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
