//! The harness of the whole-system tests: the control plane with its production handlers and table
//! code, and a clock, ids and instances that a test controls.

pub mod api;
pub mod binaries;
pub mod browser;
pub mod environment;
pub mod fleet;
pub mod function_url;
pub mod harness;
pub mod issuer;
pub mod lambda_api;
pub mod lambda_events;
pub mod lambda_runtime;
pub mod lambda_stack;
pub mod moto;
pub mod python;
pub mod queues;
pub mod stores;
pub mod streamed;
pub mod table_server;
pub mod template;
