//! The pages.

pub(crate) mod access;
pub(crate) mod cluster;
pub(crate) mod cluster_form;
mod cluster_timeline;
pub(crate) mod compare;
pub(crate) mod entrance;
pub(crate) mod expected_start;
pub(crate) mod experiment;
pub(crate) mod experiments;
pub(crate) mod file_server;
pub(crate) mod file_server_form;
pub(crate) mod file_servers;
pub(crate) mod forms;
pub(crate) mod home;
pub(crate) mod job;
pub(crate) mod job_actions;
pub(crate) mod job_definition;
pub(crate) mod job_files;
pub(crate) mod job_form;
pub(crate) mod job_logs;
pub(crate) mod job_nodes;
pub(crate) mod json;
pub(crate) mod overview;
pub(crate) mod queue;
pub(crate) mod runs;
pub(crate) mod signed_out;
pub(crate) mod tokens;
pub(crate) mod uploads;
pub(crate) mod usage;

use crate::failure::Failure;

/// The answer to a path without a page.
pub(crate) async fn missing() -> Failure {
    Failure::not_found("There is no such page")
}
