//! Instances on EC2: the only crate that names its SDK.
//!
//! A launch is one call of CreateFleet of type `instant`, with the launch template of the stack and an
//! override for each pool: an instance type in a subnet. Its id is the idempotency token and a tag.
//! Every instance is tagged with its stack, cluster and launch; nothing else is remembered about it.

#![warn(missing_docs)]

mod describe;
mod errors;
mod fleet;
mod launch;
mod machines;
mod prices;
mod settings;
mod tags;
mod terminate;

pub use machines::Ec2Machines;
pub use settings::{LaunchSettings, Subnet, launching, terminating};
