//! The vocabulary of the whole-system tests: a control plane on real handlers and real table code,
//! with a clock, ids and instances that a test decides.

pub mod api;
pub mod binaries;
pub mod environment;
pub mod fleet;
pub mod harness;
pub mod lambda_runtime;
pub mod moto;
pub mod python;
pub mod table_server;
