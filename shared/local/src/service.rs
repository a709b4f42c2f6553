//! The service as one process: connects the ports, serves requests, stops.

use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::hints::{self, LocalHints};
use crate::job_user::{self, OwnedDirectories};
use crate::machines::{MachineOptions, ProcessMachines};
use crate::volumes::{LocalShares, MappedVolume, VolumeDirectories};
use crate::{gpus, interrupt, schedule};
use control::directories::DiskDirectories;
use control::files::MountedFiles;
use control::keys::Keys;
use control::ports::{Clock, FileShares};
use control::secrets::NoSecretStore;
use control::system::{RandomIds, SystemClock};
use control::uptime::Uptime;
use control::{Context, Control, Parts, Provider, Settings};
use model::{Locations, Quota};
use processes::User;
use sqlite::Sqlite;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use web::{Access, AgentAccess, FilesWeb, HeldRequests, OutputFiles, PeopleAccess, Web};

/// The operator's options.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on; must be a loopback address.
    pub listen: SocketAddr,
    /// The directory of everything that is stored.
    pub data_dir: PathBuf,
    /// The maximum number of nodes of the whole service.
    pub max_nodes: u32,
    /// Quotas of each region of a subscription, and of the whole service.
    pub quota: Quota,
    /// Where workspaces can be created.
    pub locations: Locations,
    /// The service's own token. Without one, a random token is created and stored in the data directory.
    pub token: Option<String>,
    /// How long idle nodes beyond demand are kept.
    pub idle_seconds: u64,
    /// The interval at which the schedule visits all active targets.
    pub tick_millis: u64,
    /// Name or id of the user that agents and jobs run as. Needs root. Without it they run as the user
    /// of the service and can read all its files.
    pub job_user: Option<String>,
    /// Directories of this machine in place of volumes of a cloud. Any other volume is a directory below the data
    /// directory.
    pub mapped_volumes: Vec<MappedVolume>,
    /// Ids of the GPUs that nodes share, as `CUDA_VISIBLE_DEVICES` takes them. Without this option, those that
    /// `nvidia-smi` lists.
    pub gpus: Option<Vec<String>>,
    /// Program and arguments of a machine's keeper ([`processes::keeper::main`]).
    pub keeper_command: Vec<OsString>,
    /// The command of an agent: program and first arguments.
    pub agent_command: Vec<OsString>,
}

/// A running service. Dropping it leaves its nodes running; [`Service::stop`] stops them.
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
    /// Starts the service.
    ///
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
        let shares = prepare_shares(&data_dir, job_user.as_ref(), options.mapped_volumes)?;
        let machines = ProcessMachines::adopt(MachineOptions {
            directory: data_dir.machines(),
            keeper_command: options.keeper_command.clone(),
            agent_command: options.agent_command.clone(),
            endpoint_file: data_dir.endpoint(),
            max_nodes: options.max_nodes,
            gpus: gpus::chosen(options.gpus).await,
            user: job_user,
        })
        .map_err(unusable(data_dir.machines()))?;
        let listener = listen(options.listen).await?;
        let address = listener.local_addr().map_err(unusable(data_dir.endpoint()))?;
        data_dir.write_endpoint(&format!("http://{address}"))?;
        let held_requests = Arc::new(HeldRequests::default());
        let hints = Arc::new(LocalHints::new(Arc::clone(&held_requests)));
        let files = MountedFiles { root: data_dir.file_servers() };
        let control = Control::new(Context::new(Parts {
            table: Table::new(Arc::clone(&storage) as _),
            machines: Arc::clone(&machines) as _,
            file_shares: Arc::new(shares),
            shared_files: Arc::new(files.clone()),
            secret_store: Arc::new(NoSecretStore),
            hints: Arc::clone(&hints) as _,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            keys: Arc::new(keys),
            settings: Settings {
                idle_seconds: options.idle_seconds,
                max_nodes: options.max_nodes,
                quota: options.quota,
                locations: options.locations,
                file_server_root: Some(data_dir.file_servers()),
                provider: Provider::Processes,
                shows_local_paths: true,
            },
            uptime: Arc::new(Uptime::starting_at(SystemClock.now())),
        }));
        let mounted = files.clone();
        let files = FilesWeb::here(&control, files, token.clone());
        let access = Arc::new(Access {
            people: PeopleAccess::Tokens { service: token },
            loopback_only: true,
            agents: AgentAccess::Tokens,
        });
        let web = Web {
            control: control.clone(),
            access,
            behind_proxy: false,
            files: OutputFiles::Here(files),
            held_requests: Some(held_requests),
            portal: web::PortalSignIn::Links(Arc::default()),
        };
        let app = web::app(web, interrupt::routes(Arc::clone(&machines)));
        let server = tokio::spawn(serve(listener, app));
        machines.serve(control.clone());
        let workers = hints::start_workers(&hints, &control);
        let tick = Duration::from_millis(options.tick_millis);
        let tasks = vec![
            schedule::start(control.clone(), tick),
            schedule::start_sweeping(storage, Arc::clone(&machines), mounted, control.clone()),
        ];
        Ok(Self { address, data_dir, machines, workers, tasks, server, control })
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with the service's own token.
    pub fn token_file(&self) -> PathBuf {
        self.data_dir.token_file()
    }

    /// The control plane of this service, for measurements.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops the service: no further jobs start, nodes are interrupted and send their final reports, and
    /// running jobs return to the queue. Processes that still run after `grace`, or when `hurry`
    /// completes, are killed.
    pub async fn stop(mut self, grace: Duration, hurry: impl Future<Output = ()>) {
        for task in &self.tasks {
            task.abort();
        }
        self.workers.abort_all();
        self.machines.stop(grace, hurry).await;
        self.server.abort();
    }
}

/// The directories of file servers, and those in place of volumes of a cloud.
fn prepare_shares(
    data_dir: &DataDir,
    job_user: Option<&User>,
    mapped: Vec<MappedVolume>,
) -> Result<LocalShares, StartError> {
    let file_servers = prepare_directories(data_dir, job_user)?;
    let links = data_dir.file_servers();
    let volumes = VolumeDirectories::open(data_dir.root(), &links, mapped, job_user.cloned())?;
    Ok(LocalShares { file_servers, volumes })
}

/// Creates the directories of file servers and machines, and lets the user of the jobs reach them.
fn prepare_directories(
    data_dir: &DataDir,
    job_user: Option<&User>,
) -> Result<Arc<dyn FileShares>, StartError> {
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
            // Small responses are sent immediately, not joined with later ones.
            let _ = stream.set_nodelay(true);
        }),
        app,
    )
    .await
    {
        tracing::error!(%error, "the server failed");
    }
}
