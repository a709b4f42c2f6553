//! The ports of the control plane on AWS, and the start of the Lambda functions.

#![warn(missing_docs)]

mod environment;
pub mod events;
mod function;
mod hints;
mod machines;

pub use environment::{EnvironmentError, access, control, log};
pub use function::serve;
pub use hints::{QueueUrls, SqsHints};
pub use machines::NoMachines;
