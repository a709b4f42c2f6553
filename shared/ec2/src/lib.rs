//! Instances on EC2: the only crate that names its SDK.
//!
//! A launch is one call of CreateFleet of type `instant`, with a launch template and an override for each
//! pool: an instance type in a subnet. The template is that of the stack, or a copy of it (`templates`). Its id is the idempotency token and a tag.
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
mod templates;
mod terminate;

pub use machines::Ec2Machines;
pub use settings::{LaunchSettings, Subnet, launching, terminating};
