//! Why the service cannot start.

use sqlite::OpenError;
use std::net::SocketAddr;

/// Why the service cannot start; each message says what to do.
#[expect(missing_docs, reason = "the messages say what each field is")]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{0} is not a loopback address; the local service listens on loopback only, for example on 127.0.0.1:8470"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot use {path}: {source}")]
    DataDir { path: String, source: std::io::Error },
    #[error("another service uses {path}; stop it first, or use another --data-dir")]
    AlreadyServed { path: String },
    #[error("{path} does not hold a key; restore it, or the secrets in the database are lost")]
    Key { path: String },
    #[error("only root can run jobs as another user (--job-user)")]
    NotRoot,
    #[error(
        "there is no user {name} on this machine; create one, for example with `useradd -r {name}`"
    )]
    NoSuchUser { name: String },
    #[error("the user of the jobs (--job-user) must not be root")]
    JobUserIsRoot,
    #[error(
        "the user {user}, who runs the jobs, cannot reach {path}; use a --data-dir that the user can reach, for example /var/lib/batchai"
    )]
    Unreachable { path: String, user: String },
    #[error("cannot map {volume} to {path} (--map): {source}")]
    MappedDirectory { volume: String, path: String, source: std::io::Error },
    #[error("{volume} is mapped twice (--map)")]
    MappedTwice { volume: String },
    #[error(transparent)]
    Database(#[from] OpenError),
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
}
