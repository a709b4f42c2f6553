//! The vocabulary of the whole-system tests: a control plane on real handlers and real table code,
//! with a clock, ids and instances that a test decides.

pub mod api;
pub mod binaries;
pub mod fleet;
pub mod lambda_runtime;
pub mod moto;
pub mod python;
pub mod stage;
pub mod table_server;
pub mod world;
