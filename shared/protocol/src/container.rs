//! The container of a job on a node.

use serde::{Deserialize, Serialize};

/// The container that the job preparation and all processes of a job run in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// The name of the image with its registry; without one, an image of Docker Hub.
    pub image: String,
    /// Needed to pull the image. Absent: everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RegistryCredentials>,
    /// Size of `/dev/shm`, in the notation of Docker. Absent: the engine decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
    /// The job preparation. The one of the assignment fails: agents that do not know containers would run it, and then
    /// the job, on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation_command_line: Option<String>,
}

/// Credentials of a private registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryCredentials {
    /// The user.
    pub username: String,
    /// Decrypted; never logged.
    pub password: String,
}
