//! Contract tests: each port is tested on all its implementations, so that AWS and one machine behave
//! the same for the control plane.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

#[path = "contracts/cluster_views.rs"]
mod cluster_views;
#[path = "contracts/cost.rs"]
mod cost;
#[path = "contracts/files.rs"]
mod files;
#[path = "contracts/hints.rs"]
mod hints;
#[path = "contracts/http.rs"]
mod http;
#[path = "contracts/lists.rs"]
mod lists;
#[path = "contracts/machines.rs"]
mod machines;
#[path = "contracts/metrics.rs"]
mod metrics;
#[path = "contracts/mounts.rs"]
mod mounts;
#[path = "contracts/portal.rs"]
mod portal;
#[path = "contracts/quotas.rs"]
mod quotas;
#[path = "contracts/references.rs"]
mod references;
#[path = "contracts/roles.rs"]
mod roles;
#[path = "contracts/sign_ins.rs"]
mod sign_ins;
#[path = "contracts/stores.rs"]
mod stores;
#[path = "contracts/units.rs"]
mod units;
#[path = "contracts/viewer_cost.rs"]
mod viewer_cost;
