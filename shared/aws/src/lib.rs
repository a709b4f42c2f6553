//! The ports of the control plane on AWS, and the start of the Lambda functions.

#![warn(missing_docs)]

mod absent;
mod copies;
mod environment;
pub mod events;
mod failures;
mod file_shares;
mod function;
mod gateway;
mod hints;
mod http_client;
mod issuer;
mod logs;
mod machines;
mod master_key;
mod remote_files;
mod secret_store;
pub mod settings;
mod variables;

pub use aws_config::SdkConfig;
pub use copies::S3Copies;
pub use environment::{Api, Files, Portal, api, config, control, files};
pub use file_shares::EfsShares;
pub use function::serve;
pub use gateway::{NodeRole, Sender, sender};
pub use hints::{QueueUrls, SqsHints};
pub use logs::log;
pub use machines::NoMachines;
pub use master_key::{MissingKey, master_key};
pub use remote_files::RemoteFiles;
pub use secret_store::AwsSecretStore;
pub use variables::{EnvironmentError, Variables, required};
