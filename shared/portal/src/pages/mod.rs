//! The pages.

pub(crate) mod cluster;
pub(crate) mod home;
pub(crate) mod job;
pub(crate) mod job_actions;
pub(crate) mod job_definition;
pub(crate) mod job_files;
pub(crate) mod job_logs;
pub(crate) mod json;
pub(crate) mod overview;
pub(crate) mod queue;
pub(crate) mod signed_out;

use crate::failure::Failure;

/// The answer to a path without a page.
pub(crate) async fn missing() -> Failure {
    Failure::not_found("There is no such page")
}
