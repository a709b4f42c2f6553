//! The whole service in one process, on one machine: the same control plane and the same handlers
//! as on AWS, behind ports of its own.
//!
//! | on AWS | here |
//! | --- | --- |
//! | DynamoDB | SQLite, one file |
//! | SQS FIFO queues | [`hints`]: in process, with the same rules |
//! | EventBridge schedule | [`schedule`] |
//! | EC2 instances | [`machines`]: agent processes, each with its own loopback address |

#![warn(missing_docs)]

mod data_dir;
mod hints;
mod interrupt;
mod job_user;
mod machines;
mod queue;
mod schedule;
mod service;
mod sync;

pub use hints::LocalHints;
pub use machines::{MachineOptions, ProcessMachines};
pub use model::{Locations, Quota};
pub use queue::Message;
pub use service::{Options, Service, StartError};
