//! The SSH server of a node: password-less sessions between the nodes of a job, and the administrator's login.
//!
//! [`Server`] accepts connections, [`Policy`] says who may log in and in which surroundings, and a [`Spawn`] starts
//! the processes: [`HostSpawn`] on this host, another one in a container. Nobody else logs in: a key of an attempt
//! is accepted from [`Policy::admit`] to [`Policy::revoke`], and sessions end with it.
//!
//! Refused logins are logged at level `info` with peer, user and reason, never with a key or a password.

#![warn(missing_docs)]

mod channels;
mod client_files;
mod connection;
mod environment;
mod forward;
mod gate;
mod host;
mod input;
mod keys;
mod limits;
mod output;
mod policy;
mod program;
mod server;
mod signals;
mod spawn;

pub mod client;
pub mod sftp;

pub use client_files::{ClientFile, ClientHost, STAND_IN, client_files, client_programs};
pub use environment::is_accepted as is_variable_accepted;
pub use host::HostSpawn;
pub use keys::{KeyError, KeyPair, PublicKey};
pub use policy::{Access, Administrator, Password, PasswordError, Policy};
pub use server::{Server, serve_connection};
pub use signals::Signal;
pub use spawn::{Exit, Process, Program, Request, Running, Size, Spawn, Terminal};
