//! What each function reads from its environment: exactly the variables that the template sets for it
//! (`tests/tests/infra.rs` compares them).

use crate::variables::{EnvironmentError, Variables};
use crate::{NodeRole, QueueUrls};
use control::{Function, Provider, Settings};
use model::{Locations, Quota, limits};
use std::path::PathBuf;

/// Settings of every function that changes records.
///
/// | variable | meaning |
/// | --- | --- |
/// | `TABLE_NAME` | the DynamoDB table |
/// | `DISPATCHER_QUEUE_URL`, `AUTOSCALER_QUEUE_URL`, `RECOVERY_QUEUE_URL`, `PROVISIONER_QUEUE_URL` | the SQS FIFO queues |
/// | `IDLE_SECONDS` | how long idle nodes beyond demand are kept; default 300 |
/// | `MAX_NODES` | maximum number of nodes of the stack; default 100 |
/// | `MAX_CORES`, `MAX_CLUSTERS` | cores of each priority, and clusters, per subscription and region; default 1000 and 200 |
/// | `MAX_TOTAL_CORES` | cores of all subscriptions, regions and priorities together; default 2000 |
/// | `LOCATIONS` | where workspaces can be created, separated by commas; default the function's own region (`AWS_REGION`) |
#[derive(Debug)]
pub struct ControlSettings {
    /// `TABLE_NAME`.
    pub table: String,
    /// The queues of hints.
    pub queues: QueueUrls,
    /// The operator's settings.
    pub settings: Settings,
}

impl ControlSettings {
    /// Parses the variables.
    ///
    /// # Errors
    /// When a required variable is not set, or one is invalid.
    pub fn parse(variables: &Variables<'_>) -> Result<Self, EnvironmentError> {
        let queues = QueueUrls {
            dispatcher: variables.required("DISPATCHER_QUEUE_URL")?,
            autoscaler: variables.required("AUTOSCALER_QUEUE_URL")?,
            recovery: variables.required("RECOVERY_QUEUE_URL")?,
            provisioner: variables.required("PROVISIONER_QUEUE_URL")?,
        };
        let quota = Quota {
            clusters: variables.small_number("MAX_CLUSTERS", Quota::DEFAULT.clusters)?,
            cores: variables.small_number("MAX_CORES", Quota::DEFAULT.cores)?,
            total_cores: variables.small_number("MAX_TOTAL_CORES", Quota::DEFAULT.total_cores)?,
        };
        let settings = Settings {
            idle_seconds: variables.number("IDLE_SECONDS", limits::IDLE_SECONDS_DEFAULT)?,
            max_nodes: variables.small_number("MAX_NODES", limits::MAX_NODES_PER_CLUSTER)?,
            quota,
            locations: locations(variables)?,
            file_server_root: None,
            provider: Provider::Ec2,
            shows_local_paths: false,
        };
        Ok(Self { table: variables.required("TABLE_NAME")?, queues, settings })
    }
}

fn locations(variables: &Variables<'_>) -> Result<Locations, EnvironmentError> {
    const NAME: &str = "LOCATIONS";
    let text = variables.optional(NAME).or_else(|| variables.optional("AWS_REGION"));
    let text = text.ok_or(EnvironmentError::Missing(NAME))?;
    let rule = "names of locations, separated by commas";
    text.parse().map_err(|_| EnvironmentError::Invalid(NAME, rule))
}

/// Settings of a function that reconciles.
#[derive(Debug)]
pub struct ReconcilerSettings {
    /// Settings of every function that changes records.
    pub control: ControlSettings,
    /// The file system, for the one function that creates file shares.
    pub file_system: Option<FileSystemSettings>,
}

impl ReconcilerSettings {
    /// Parses the variables of this function.
    ///
    /// # Errors
    /// When a required variable is not set, or one is invalid.
    pub fn parse(function: Function, variables: &Variables<'_>) -> Result<Self, EnvironmentError> {
        let file_system = match function {
            Function::Provisioner => Some(FileSystemSettings::parse(variables)?),
            Function::Dispatcher | Function::Autoscaler | Function::Recovery => None,
        };
        Ok(Self { control: ControlSettings::parse(variables)?, file_system })
    }
}

/// The EFS file system of the stack.
#[derive(Debug)]
pub struct FileSystemSettings {
    /// `STACK_NAME`: the tag of what the stack creates.
    pub stack: String,
    /// `FILE_SYSTEM_ID`, such as `fs-0123456789abcdef0`.
    pub id: String,
    /// `FILE_SYSTEM_ROOT`: where this function has it mounted.
    pub root: PathBuf,
}

impl FileSystemSettings {
    fn parse(variables: &Variables<'_>) -> Result<Self, EnvironmentError> {
        Ok(Self {
            stack: variables.required("STACK_NAME")?,
            id: variables.required("FILE_SYSTEM_ID")?,
            root: variables.required("FILE_SYSTEM_ROOT")?.into(),
        })
    }
}

/// The KMS key that protects the key of the service.
#[derive(Debug)]
pub struct KeySettings {
    /// `STACK_NAME`: the encryption context.
    pub stack: String,
    /// `KMS_KEY_ARN`.
    pub arn: String,
}

impl KeySettings {
    fn parse(variables: &Variables<'_>) -> Result<Self, EnvironmentError> {
        Ok(Self {
            stack: variables.required("STACK_NAME")?,
            arn: variables.required("KMS_KEY_ARN")?,
        })
    }
}

/// Settings of the function `api`.
#[derive(Debug)]
pub struct ApiSettings {
    /// Settings of every function that changes records.
    pub control: ControlSettings,
    /// The KMS key.
    pub key: KeySettings,
    /// `OWNER_PRINCIPAL`: the subject that may do everything.
    pub owner: String,
    /// `NODE_ROLE_ARN`: the role of the stack's instances.
    pub node_role: NodeRole,
    /// `FILES_URL`: the function `files`, without a slash at the end.
    pub files_url: String,
    /// The sign-in to the portal, if it is open.
    pub portal: Option<PortalSettings>,
}

/// The sign-in to the portal.
#[derive(Debug)]
pub struct PortalSettings {
    /// `PORTAL_ISSUER`: the URL of the OpenID Connect issuer.
    pub issuer: String,
    /// `PORTAL_CLIENT_ID`: the id of the portal at the issuer. The portal is closed without it.
    pub client_id: String,
    /// `PORTAL_CLIENT_SECRET_ARN`: where the secret of that client is stored, for issuers that demand one.
    pub client_secret: Option<String>,
}

impl PortalSettings {
    fn parse(variables: &Variables<'_>) -> Result<Option<Self>, EnvironmentError> {
        let Some(client_id) = variables.optional("PORTAL_CLIENT_ID") else { return Ok(None) };
        Ok(Some(Self {
            issuer: variables.required("PORTAL_ISSUER")?,
            client_id,
            client_secret: variables.optional("PORTAL_CLIENT_SECRET_ARN"),
        }))
    }
}

impl ApiSettings {
    /// Parses the variables.
    ///
    /// # Errors
    /// When a required variable is not set, or one is invalid.
    pub fn parse(variables: &Variables<'_>) -> Result<Self, EnvironmentError> {
        let role = variables.required("NODE_ROLE_ARN")?;
        let role_rule = EnvironmentError::Invalid("NODE_ROLE_ARN", "the ARN of a role");
        let files_url = variables.required("FILES_URL")?;
        Ok(Self {
            control: ControlSettings::parse(variables)?,
            key: KeySettings::parse(variables)?,
            owner: variables.required("OWNER_PRINCIPAL")?,
            node_role: NodeRole::parse(&role).ok_or(role_rule)?,
            files_url: files_url.trim_end_matches('/').to_owned(),
            portal: PortalSettings::parse(variables)?,
        })
    }
}

/// Settings of the function `files`.
#[derive(Debug)]
pub struct FilesSettings {
    /// `TABLE_NAME`: the DynamoDB table.
    pub table: String,
    /// The KMS key.
    pub key: KeySettings,
    /// `OWNER_PRINCIPAL`: the subject that may do everything.
    pub owner: String,
    /// `FILE_SYSTEM_ROOT`: where the file system is mounted.
    pub root: PathBuf,
    /// `ARTIFACT_BUCKET`: the bucket of copies of large files.
    pub bucket: String,
}

impl FilesSettings {
    /// Parses the variables.
    ///
    /// # Errors
    /// When a required variable is not set.
    pub fn parse(variables: &Variables<'_>) -> Result<Self, EnvironmentError> {
        Ok(Self {
            table: variables.required("TABLE_NAME")?,
            key: KeySettings::parse(variables)?,
            owner: variables.required("OWNER_PRINCIPAL")?,
            root: variables.required("FILE_SYSTEM_ROOT")?.into(),
            bucket: variables.required("ARTIFACT_BUCKET")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, value: &str) -> Result<ApiSettings, String> {
        let find = |asked: &str| {
            let good = match asked {
                "NODE_ROLE_ARN" => "arn:aws:iam::123456789012:role/node",
                "MAX_NODES" => "7",
                _ => "x",
            };
            let numbers = ["IDLE_SECONDS", "MAX_CLUSTERS", "MAX_CORES", "MAX_TOTAL_CORES"];
            let good = if numbers.contains(&asked) { "" } else { good };
            Some(if asked == name { value } else { good }.to_owned())
        };
        ApiSettings::parse(&Variables::new(&find)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let settings = parsed("FILES_URL", "https://x.on.aws/").unwrap();
        assert_eq!(settings.files_url, "https://x.on.aws");
        assert_eq!(settings.control.settings.max_nodes, 7);
        assert_eq!(settings.control.settings.quota, Quota::DEFAULT);
        assert_eq!(settings.portal.unwrap().client_id, "x");
        assert!(parsed("PORTAL_CLIENT_ID", "").unwrap().portal.is_none());
        for (name, value, expected) in [
            ("TABLE_NAME", "", "the environment variable TABLE_NAME is not set"),
            ("PORTAL_ISSUER", "", "the environment variable PORTAL_ISSUER is not set"),
            (
                "NODE_ROLE_ARN",
                "x",
                "the environment variable NODE_ROLE_ARN must be the ARN of a role",
            ),
            ("MAX_NODES", "-1", "the environment variable MAX_NODES must be a whole number"),
            (
                "MAX_CORES",
                "4294967296",
                "the environment variable MAX_CORES must be a small whole number",
            ),
        ] {
            assert_eq!(parsed(name, value).unwrap_err(), expected);
        }
    }
}
