//! The pages.

pub(crate) mod cluster;
pub(crate) mod compare;
pub(crate) mod experiment;
pub(crate) mod experiments;
pub(crate) mod home;
pub(crate) mod json;
pub(crate) mod overview;
pub(crate) mod queue;
pub(crate) mod runs;
pub(crate) mod signed_out;

use crate::failure::Failure;

/// The answer to a path without a page.
pub(crate) async fn missing() -> Failure {
    Failure::not_found("There is no such page")
}
