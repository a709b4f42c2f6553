//! The ports of the control plane on AWS, and the start of the Lambda functions.

#![warn(missing_docs)]

mod environment;
pub mod events;
mod function;
mod gateway;
mod hints;
mod logs;
mod machines;

pub use aws_config::SdkConfig;
pub use environment::{EnvironmentError, config, control, required};
pub use function::serve;
pub use gateway::{NodeRole, Sender, sender};
pub use hints::{QueueUrls, SqsHints};
pub use logs::log;
pub use machines::NoMachines;
