//! The vocabulary of the whole-system tests: a control plane on real handlers and real table code,
//! with a clock, dice, machines and faults that a test (or a seed) decides.

pub mod faults;
pub mod simulation;
pub mod world;
