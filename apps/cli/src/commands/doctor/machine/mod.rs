//! Whether this machine can run `batchai local` and its jobs.
//!
//! What only some jobs need and is not installed is no problem: the check says which jobs need it.

mod data_dir;
mod kernel;
mod network;
mod programs;

use super::check::Check;
use std::path::Path;

/// Adds the checks of this directory. `is_running`: the service answers, so its port is used by itself.
pub async fn check(
    data_dir: Option<&Path>,
    endpoint: &str,
    is_running: bool,
    checks: &mut Vec<Check>,
) {
    if let Some(data_dir) = data_dir {
        checks.push(data_dir::permissions(data_dir));
        checks.push(data_dir::disk(data_dir));
    }
    if !is_running {
        checks.extend(network::port(endpoint));
    }
    checks.push(network::node_addresses());
    checks.extend(programs::check().await);
    checks.push(kernel::control_groups());
    checks.push(kernel::user_namespaces());
}
