//! The service as one process: wires the ports, serves, stops.

use crate::data_dir::DataDir;
use crate::hints::{self, LocalHints};
use crate::job_user::{self, OwnedDirectories};
use crate::machines::{MachineOptions, ProcessMachines};
use crate::{interrupt, schedule};
use control::directories::DiskDirectories;
use control::keys::Keys;
use control::ports::{Clock, Directories};
use control::system::{RandomIds, SystemClock};
use control::uptime::Uptime;
use control::{Context, Control, Parts, Settings};
use model::{Locations, Quota};
use processes::User;
use sqlite::{OpenError, Sqlite};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use web::{Access, HeldRequests, Web};

/// The settings of a service on one machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Must be a loopback address.
    pub listen: SocketAddr,
    /// Database, keys, machines and file servers.
    pub data_dir: PathBuf,
    /// The most nodes, of all clusters together.
    pub max_nodes: u32,
    /// What a region of a subscription may use, and the whole service.
    pub quota: Quota,
    /// Where workspaces can be created.
    pub locations: Locations,
    /// The token that requests must have; one is created and stored when there is none.
    pub token: Option<String>,
    /// How long idle nodes beyond demand stay, in seconds.
    pub idle_seconds: u64,
    /// How often the schedule reconciles all active targets.
    pub tick_millis: u64,
    /// Name or id of the user that agents and jobs run as. Needs root. Without it they run as the user of the service
    /// and can read all its files.
    pub job_user: Option<String>,
    /// Program and arguments that become the keeper of a machine ([`processes::keeper::main`]).
    pub keeper_command: Vec<OsString>,
    /// How an agent is started: program and first arguments.
    pub agent_command: Vec<OsString>,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant describes it and its fields")]
pub enum StartError {
    #[error(
        "{0} is not a loopback address; the local service listens on loopback only, for example on 127.0.0.1:8470"
    )]
    NotLoopback(SocketAddr),
    #[error("{path} cannot be used: {source}")]
    DataDir { path: String, source: std::io::Error },
    #[error("another service uses {path}; stop it first, or use another --data-dir")]
    AlreadyServed { path: String },
    #[error("{path} does not contain a key; restore it, or the secrets in the database are lost")]
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
        "{path} is closed to the user {user}, who runs the jobs; use a --data-dir that the user can reach, for example /var/lib/batchai"
    )]
    Unreachable { path: String, user: String },
    #[error(transparent)]
    Database(#[from] OpenError),
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// A running service. Dropping it leaves the nodes running; [`Service::stop`] ends them.
pub struct Service {
    address: SocketAddr,
    data_dir: DataDir,
    machines: Arc<ProcessMachines>,
    workers: JoinSet<()>,
    tasks: Vec<JoinHandle<()>>,
    server: JoinHandle<()>,
    control: Control,
}

impl Service {
    /// # Errors
    /// When the address, the data directory or the database cannot be used.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        let job_user = options.job_user.as_deref().map(job_user::find).transpose()?;
        let data_dir = DataDir::open(&options.data_dir)?;
        let keys = Keys::derive(&data_dir.master_key()?);
        let token = data_dir.token(options.token.as_deref())?;
        let storage = Arc::new(Sqlite::open(data_dir.database())?);
        data_dir.close_database()?;
        let unusable = |path: PathBuf| {
            move |source| StartError::DataDir { path: path.display().to_string(), source }
        };
        let directories = prepare_directories(&data_dir, job_user.as_ref())?;
        let machines = ProcessMachines::adopt(MachineOptions {
            directory: data_dir.machines(),
            keeper_command: options.keeper_command.clone(),
            agent_command: options.agent_command.clone(),
            endpoint_file: data_dir.endpoint(),
            max_nodes: options.max_nodes,
            user: job_user,
        })
        .map_err(unusable(data_dir.machines()))?;
        let listener = listen(options.listen).await?;
        let address = listener.local_addr().map_err(unusable(data_dir.endpoint()))?;
        data_dir.write_endpoint(&format!("http://{address}"))?;
        let held_requests = Arc::new(HeldRequests::default());
        let hints = Arc::new(LocalHints::new(Arc::clone(&held_requests)));
        let control = Control::new(Context::new(Parts {
            table: Table::new(Arc::clone(&storage) as _),
            machines: Arc::clone(&machines) as _,
            directories,
            hints: Arc::clone(&hints) as _,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            keys: Arc::new(keys),
            settings: Settings {
                idle_seconds: options.idle_seconds,
                max_nodes: options.max_nodes,
                quota: options.quota,
                locations: options.locations,
                file_server_root: data_dir.file_servers(),
                shows_local_paths: true,
            },
            uptime: Arc::new(Uptime::starting_at(SystemClock.now())),
        }));
        let access = Arc::new(Access { token, loopback_only: true });
        let web = Web {
            control: control.clone(),
            access,
            behind_proxy: false,
            held_requests: Some(held_requests),
        };
        let app = web::app(web, interrupt::routes(Arc::clone(&machines)));
        let server = tokio::spawn(serve(listener, app));
        machines.serve(control.clone());
        let workers = hints::work(&hints, &control);
        let tick = Duration::from_millis(options.tick_millis);
        let tasks = vec![
            schedule::start(control.clone(), tick),
            schedule::start_sweeping(storage, Arc::clone(&machines), control.clone()),
        ];
        Ok(Self { address, data_dir, machines, workers, tasks, server, control })
    }

    /// Where the service listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file that contains the token of the service.
    pub fn token_file(&self) -> PathBuf {
        self.data_dir.token_file()
    }

    /// The control plane of this service.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops the service: no further jobs start, nodes get notice and report, and running jobs go back to the queue. What
    /// is left after the grace period, or when `hurry` completes, is killed.
    pub async fn stop(mut self, grace: Duration, hurry: impl Future<Output = ()>) {
        for task in &self.tasks {
            task.abort();
        }
        self.workers.abort_all();
        self.machines.stop(grace, hurry).await;
        self.server.abort();
    }
}

/// Creates the directories of file servers and machines, and lets the user of the jobs reach them.
fn prepare_directories(
    data_dir: &DataDir,
    job_user: Option<&User>,
) -> Result<Arc<dyn Directories>, StartError> {
    let inner = DiskDirectories { root: data_dir.file_servers() };
    let prepare = |path: &Path| {
        std::fs::create_dir_all(path)?;
        job_user.map_or(Ok(()), |_| job_user::open_to_pass(path))
    };
    for path in [data_dir.root().to_owned(), data_dir.file_servers(), data_dir.machines()] {
        prepare(&path)
            .map_err(|source| StartError::DataDir { path: path.display().to_string(), source })?;
    }
    let Some(user) = job_user.cloned() else { return Ok(Arc::new(inner)) };
    job_user::check_reach(&user, &data_dir.machines())?;
    let owned = OwnedDirectories { inner, user };
    owned.take_over().map_err(|source| StartError::DataDir {
        path: data_dir.file_servers().display().to_string(),
        source,
    })?;
    Ok(Arc::new(owned))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

async fn serve(listener: TcpListener, app: axum::Router) {
    if let Err(error) = axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |stream| {
            // Small responses are sent at once instead of being joined with later ones.
            let _ = stream.set_nodelay(true);
        }),
        app,
    )
    .await
    {
        tracing::error!(%error, "the server ended");
    }
}
