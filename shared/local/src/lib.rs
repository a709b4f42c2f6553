//! The whole service in one process on one machine: the same control plane and handlers as on AWS, with
//! other implementations of the ports.
//!
//! | on AWS | here |
//! | --- | --- |
//! | DynamoDB | SQLite, one file |
//! | SQS FIFO queues | [`hints`]: queues in this process, with the same guarantees |
//! | EventBridge schedule | [`schedule`] |
//! | EC2 instances | [`machines`]: agent processes, each with a loopback address of its own |

#![warn(missing_docs)]

mod data_dir;
mod error;
mod gpus;
mod hints;
mod interrupt;
mod job_user;
mod machines;
mod queue;
mod schedule;
mod service;
mod sync;

pub use error::StartError;
pub use hints::LocalHints;
pub use machines::{MachineOptions, ProcessMachines};
pub use model::{Locations, Quota};
pub use queue::Message;
pub use service::{Options, Service};
