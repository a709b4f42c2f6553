//! The vocabulary of the whole-system tests: a control plane on real handlers and real table code,
//! with a clock, dice, machines and faults that a test (or a seed) decides.

pub mod api;
pub mod binaries;
pub mod faults;
pub mod lambda_runtime;
pub mod moto;
pub mod python;
pub mod simulation;
pub mod stage;
pub mod table_server;
pub mod world;
