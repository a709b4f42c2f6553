//! The settings of a Lambda function in its environment, and the clients that are created from them
//! once per cold start.

use crate::{QueueUrls, SqsHints};
use aws_config::SdkConfig;
use control::directories::DiskDirectories;
use control::keys::Keys;
use control::ports::{Ids, Machines};
use control::system::{RandomIds, SystemClock};
use control::uptime::Uptime;
use control::{Context, Control, Parts, Provider, Settings};
use dynamo::DynamoDb;
use model::{Locations, Quota, limits};
use std::path::PathBuf;
use std::sync::Arc;
use table::Table;

/// A setting that is missing or invalid; a variable and what it must be.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A required variable is not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// A variable has an invalid value.
    #[error("the environment variable {0} must be {1}")]
    Invalid(&'static str, &'static str),
}

/// Region, credentials and endpoints of the clients of a function.
pub async fn config() -> SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}

/// The control plane of this stack, with the instances of `machines`.
///
/// | variable | meaning |
/// | --- | --- |
/// | `TABLE_NAME` | the DynamoDB table |
/// | `DISPATCHER_QUEUE_URL`, `AUTOSCALER_QUEUE_URL`, `RECOVERY_QUEUE_URL`, `PROVISIONER_QUEUE_URL` | the SQS FIFO queues |
/// | `MASTER_KEY` | 64 hexadecimal digits, from which the keys of secrets, links and node tokens are derived |
/// | `IDLE_SECONDS` | how long idle nodes beyond demand are kept; default 300 |
/// | `MAX_NODES` | maximum number of nodes of the stack; default 100 |
/// | `MAX_CORES`, `MAX_CLUSTERS` | cores of each priority, and clusters, per subscription and region; default 1000 and 200 |
/// | `MAX_TOTAL_CORES` | cores of all subscriptions, regions and priorities together; default 2000 |
/// | `LOCATIONS` | where workspaces can be created, separated by commas; default the function's own region (`AWS_REGION`) |
/// | `FILE_SYSTEM_ROOT` | where the stack's file system is mounted; default `/mnt/batchai` |
///
/// # Errors
/// When a required variable is not set, or one is invalid.
pub fn control(
    config: &SdkConfig,
    machines: Arc<dyn Machines>,
) -> Result<Control, EnvironmentError> {
    let urls = QueueUrls {
        dispatcher: required("DISPATCHER_QUEUE_URL")?,
        autoscaler: required("AUTOSCALER_QUEUE_URL")?,
        recovery: required("RECOVERY_QUEUE_URL")?,
        provisioner: required("PROVISIONER_QUEUE_URL")?,
    };
    let ids: Arc<dyn Ids> = Arc::new(RandomIds);
    let root = optional("FILE_SYSTEM_ROOT").unwrap_or_else(|| "/mnt/batchai".to_owned());
    let root = PathBuf::from(root);
    let client = aws_sdk_dynamodb::Client::new(config);
    let storage = DynamoDb::new(client, required("TABLE_NAME")?, Arc::new(rand::random));
    Ok(Control::new(Context::new(Parts {
        table: Table::new(Arc::new(storage)),
        machines,
        directories: Arc::new(DiskDirectories { root: root.clone() }),
        hints: Arc::new(SqsHints::new(aws_sdk_sqs::Client::new(config), urls, Arc::clone(&ids))),
        clock: Arc::new(SystemClock),
        ids,
        keys: Arc::new(Keys::derive(&master_key()?)),
        settings: Settings {
            idle_seconds: number("IDLE_SECONDS", limits::IDLE_SECONDS_DEFAULT)?,
            max_nodes: small_number("MAX_NODES", limits::MAX_NODES_PER_CLUSTER)?,
            quota: Quota {
                clusters: small_number("MAX_CLUSTERS", Quota::DEFAULT.clusters)?,
                cores: small_number("MAX_CORES", Quota::DEFAULT.cores)?,
                total_cores: small_number("MAX_TOTAL_CORES", Quota::DEFAULT.total_cores)?,
            },
            locations: locations()?,
            file_server_root: root,
            provider: Provider::Ec2,
            shows_local_paths: false,
        },
        uptime: Arc::new(Uptime::always()),
    })))
}

fn master_key() -> Result<[u8; 32], EnvironmentError> {
    const NAME: &str = "MASTER_KEY";
    let text = required(NAME)?;
    let mut key = [0; 32];
    hex::decode_to_slice(&text, &mut key)
        .map_err(|_| EnvironmentError::Invalid(NAME, "64 hexadecimal digits"))?;
    Ok(key)
}

fn locations() -> Result<Locations, EnvironmentError> {
    const NAME: &str = "LOCATIONS";
    let text = optional(NAME).or_else(|| optional("AWS_REGION"));
    let text = text.ok_or(EnvironmentError::Missing(NAME))?;
    let rule = "names of locations, separated by commas";
    text.parse().map_err(|_| EnvironmentError::Invalid(NAME, rule))
}

fn small_number(name: &'static str, default: u32) -> Result<u32, EnvironmentError> {
    let found = number(name, default.into())?;
    found.try_into().map_err(|_| EnvironmentError::Invalid(name, "a small whole number"))
}

fn number(name: &'static str, default: u64) -> Result<u64, EnvironmentError> {
    match optional(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| EnvironmentError::Invalid(name, "a whole number")),
    }
}

/// The value of a variable.
///
/// # Errors
/// When it is not set, or empty.
pub fn required(name: &'static str) -> Result<String, EnvironmentError> {
    optional(name).ok_or(EnvironmentError::Missing(name))
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads a function's environment")]
fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
