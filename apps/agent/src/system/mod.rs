//! What the agent needs of Linux: processes, mounts, and commands with a time limit.

pub mod helper;
pub mod kernel_log;
pub mod leftovers;
pub mod mount_table;
pub mod oom_score;
pub mod run_control;
pub mod shell_start;
pub mod watchdog;
pub use ::processes;
pub mod slot;
pub mod supervised;
pub mod workers;
