//! What the agent needs of Linux: processes, mounts, and commands that must come back.

pub mod helper;
pub mod leftovers;
pub mod minder;
pub mod mount_table;
pub mod orders;
pub use ::processes;
pub mod slot;
pub mod supervised;
pub mod workers;
