//! The whole service in one process, on one machine: the same control plane and the same handlers
//! as on AWS, behind ports of its own.
//!
//! | on AWS | here |
//! | --- | --- |
//! | DynamoDB | [`engine`]: an embedded engine on one file |
//! | SQS FIFO queues | [`queue`]: in process, with the same rules |
//! | EventBridge schedule | [`schedule`] |
//! | EC2 instances | [`machines`]: agent processes, each with its own loopback address |

mod data_dir;
pub mod engine;
mod interrupt;
mod machines;
pub mod queue;
pub mod schedule;
mod service;

pub use control::usages::Quota;
pub use machines::{MachineOptions, ProcessMachines};
pub use queue::LocalHints;
pub use service::{Options, Service, StartError};
