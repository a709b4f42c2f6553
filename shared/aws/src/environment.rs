//! The clients of a function, created once per cold start, and the control plane on them.

use crate::absent::Absent;
use crate::copies::S3Copies;
use crate::file_shares::EfsShares;
use crate::issuer::IssuerHttp;
use crate::master_key::{MissingKey, master_key};
use crate::remote_files::RemoteFiles;
use crate::secret_store::AwsSecretStore;
use crate::settings::{
    ApiSettings, ControlSettings, FilesSettings, PortalSettings, ReconcilerSettings,
};
use crate::variables::{EnvironmentError, Variables, of_process};
use crate::{NodeRole, SqsHints};
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use control::directories::DiskDirectories;
use control::files::MountedFiles;
use control::keys::Keys;
use control::ports::{Clock, DownloadCopies, FileShares, Ids, Machines, SecretStore, SharedFiles};
use control::system::{RandomIds, SystemClock};
use control::uptime::Uptime;
use control::{Context, Control, Function, Parts};
use dynamo::DynamoDb;
use std::sync::Arc;
use std::time::Duration;
use table::Table;

/// How long one invocation of the function `files` copies a large file before the client has to ask again.
const COPY_TIME_LIMIT: Duration = Duration::from_secs(50);

/// See [`prompt`].
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2500);

/// Region, credentials and endpoints of the clients of a function.
pub async fn config() -> SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}

/// The configuration of clients whose calls take milliseconds. One that hangs must not use up the invocation: three
/// tries end within the reserve before its timeout.
fn prompt(config: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT);
    config.to_builder().timeout_config(timeouts.build()).build()
}

/// The control plane of a function that reconciles, with the instances of `machines`.
///
/// # Errors
/// When a variable of [`ReconcilerSettings`] is missing or invalid.
pub fn control(
    config: &SdkConfig,
    function: Function,
    machines: Arc<dyn Machines>,
) -> Result<Control, EnvironmentError> {
    let settings = ReconcilerSettings::parse(function, &Variables::new(&of_process))?;
    let file_shares: Arc<dyn FileShares> = match settings.file_system {
        None => Arc::new(Absent),
        Some(file_system) => Arc::new(EfsShares::new(
            aws_sdk_efs::Client::new(config),
            file_system.stack,
            file_system.id,
            DiskDirectories { root: file_system.root },
        )),
    };
    let ports = Ports {
        machines,
        file_shares,
        shared_files: Arc::new(Absent),
        secret_store: Arc::new(Absent),
        keys: Arc::new(Keys::absent()),
    };
    let table = table(config, &settings.control.table);
    Ok(control_with(config, settings.control, table, ports))
}

/// The function `api`.
pub struct Api {
    /// Its control plane.
    pub control: Control,
    /// The subject that may do everything.
    pub owner: String,
    /// The role of the stack's instances.
    pub node_role: NodeRole,
    /// The URL of the function `files`.
    pub files_url: String,
    /// The sign-in to the portal, if it is open.
    pub portal: Option<Portal>,
}

/// The sign-in to the portal.
pub struct Portal {
    /// Its settings.
    pub settings: PortalSettings,
    /// Sends requests to the issuer.
    pub http: Arc<dyn oidc::Http>,
}

/// The control plane of the function `api`, with the instances of `machines`.
///
/// # Errors
/// When a variable of [`ApiSettings`] is missing or invalid, or the key of the stack cannot be used.
pub async fn api(config: &SdkConfig, machines: Arc<dyn Machines>) -> Result<Api, EnvironmentError> {
    let ApiSettings { control, key, owner, node_role, files_url, portal } =
        ApiSettings::parse(&Variables::new(&of_process))?;
    let table = table(config, &control.table);
    let kms = aws_sdk_kms::Client::new(&prompt(config));
    let master = master_key(&kms, &table, &key, MissingKey::Create).await?;
    let keys = Arc::new(Keys::derive(&master));
    let remote_files =
        RemoteFiles::new(files_url.clone(), Arc::clone(&keys), Arc::new(SystemClock));
    let secrets = AwsSecretStore::new(
        aws_sdk_secretsmanager::Client::new(config),
        aws_sdk_ssm::Client::new(config),
    );
    let ports = Ports {
        machines,
        file_shares: Arc::new(Absent),
        shared_files: Arc::new(remote_files),
        secret_store: Arc::new(secrets),
        keys,
    };
    let control = control_with(config, control, table, ports);
    let portal = portal.map(|settings| Portal { settings, http: Arc::new(IssuerHttp::new()) });
    Ok(Api { control, owner, node_role, files_url, portal })
}

/// The function `files`.
pub struct Files {
    /// The file servers.
    pub files: MountedFiles,
    /// The table, which it may only read.
    pub table: Table,
    /// The keys of links.
    pub keys: Arc<Keys>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The subject that may do everything.
    pub owner: String,
    /// Copies of large files.
    pub copies: Arc<dyn DownloadCopies>,
}

/// The parts of the function `files`.
///
/// # Errors
/// When a variable of [`FilesSettings`] is missing, or the key of the stack cannot be used.
pub async fn files(config: &SdkConfig) -> Result<Files, EnvironmentError> {
    let settings = FilesSettings::parse(&Variables::new(&of_process))?;
    let table = table(config, &settings.table);
    let kms = aws_sdk_kms::Client::new(&prompt(config));
    let master = master_key(&kms, &table, &settings.key, MissingKey::Fail).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = aws_sdk_s3::Client::new(config);
    let copies = S3Copies::new(client, settings.bucket, Arc::clone(&clock), COPY_TIME_LIMIT);
    Ok(Files {
        files: MountedFiles { root: settings.root },
        table,
        keys: Arc::new(Keys::derive(&master)),
        clock,
        owner: settings.owner,
        copies: Arc::new(copies),
    })
}

fn table(config: &SdkConfig, name: &str) -> Table {
    let client = aws_sdk_dynamodb::Client::new(&prompt(config));
    Table::new(Arc::new(DynamoDb::new(client, name, Arc::new(rand::random))))
}

/// The ports that differ between functions.
struct Ports {
    machines: Arc<dyn Machines>,
    file_shares: Arc<dyn FileShares>,
    shared_files: Arc<dyn SharedFiles>,
    secret_store: Arc<dyn SecretStore>,
    keys: Arc<Keys>,
}

fn control_with(
    config: &SdkConfig,
    settings: ControlSettings,
    table: Table,
    ports: Ports,
) -> Control {
    let ids: Arc<dyn Ids> = Arc::new(RandomIds);
    let queues = aws_sdk_sqs::Client::new(&prompt(config));
    Control::new(Context::new(Parts {
        table,
        machines: ports.machines,
        file_shares: ports.file_shares,
        shared_files: ports.shared_files,
        secret_store: ports.secret_store,
        hints: Arc::new(SqsHints::new(queues, settings.queues, Arc::clone(&ids))),
        clock: Arc::new(SystemClock),
        ids,
        keys: ports.keys,
        settings: settings.settings,
        uptime: Arc::new(Uptime::always()),
    }))
}
