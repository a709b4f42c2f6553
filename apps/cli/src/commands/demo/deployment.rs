//! The resources that the demonstration created.

use super::sweep::JobPlan;
use crate::client::{Address, Client};
use std::path::PathBuf;

pub struct Deployment {
    pub client: Client,
    pub cluster: Address,
    pub jobs: Address,
    pub plans: Vec<JobPlan>,
    /// The directory of the file server on this machine.
    pub files: PathBuf,
}
