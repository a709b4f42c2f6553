//! What every implementation of a port must do, checked on each of them: what runs on AWS and what
//! runs on one machine are to differ in nothing that the control plane relies on.

#![expect(clippy::unwrap_used, reason = "a panic with the error is what a test has to say")]

#[path = "contracts/hints.rs"]
mod hints;
#[path = "contracts/http.rs"]
mod http;
#[path = "contracts/lists.rs"]
mod lists;
#[path = "contracts/machines.rs"]
mod machines;
#[path = "contracts/quotas.rs"]
mod quotas;
#[path = "contracts/references.rs"]
mod references;
#[path = "contracts/roles.rs"]
mod roles;
#[path = "contracts/units.rs"]
mod units;
