//! The ports of the control plane on AWS, and what the Lambda functions start with.

mod environment;
pub mod events;
mod hints;
mod machines;

pub use environment::{EnvironmentError, access, control, log};
pub use hints::{QueueUrls, SqsHints};
pub use machines::NoMachines;
