//! The service as one process: wires the ports, serves, stops.

use crate::data_dir::DataDir;
use crate::hints::{self, LocalHints};
use crate::machines::{MachineOptions, ProcessMachines};
use crate::{interrupt, schedule};
use control::directories::DiskDirectories;
use control::keys::Keys;
use control::ports::Clock;
use control::system::{RandomIds, SystemClock};
use control::uptime::Uptime;
use control::{Context, Control, Parts, Settings};
use model::{Locations, Quota};
use sqlite::{OpenError, Sqlite};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use web::{Access, HeldRequests, Web};

#[derive(Clone, Debug)]
pub struct Options {
    /// Must be a loopback address.
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub max_nodes: u32,
    /// What a region of a subscription may use, and the whole service.
    pub quota: Quota,
    /// Where workspaces can be created.
    pub locations: Locations,
    /// The token that requests must show; one is made and kept when there is none.
    pub token: Option<String>,
    /// How long idle nodes beyond demand stay.
    pub idle_seconds: u64,
    /// How often the schedule looks at everything that is not at rest.
    pub tick_millis: u64,
    /// How an agent is started: program and first arguments.
    pub node_command: Vec<OsString>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{0} is not a loopback address; the local service listens on loopback only, for example on 127.0.0.1:8470"
    )]
    NotLoopback(SocketAddr),
    #[error("{path} cannot be used: {source}")]
    DataDir { path: String, source: std::io::Error },
    #[error("another server works on {path}; stop it first, or use another --data-dir")]
    AlreadyServed { path: String },
    #[error("{path} does not hold a key; restore it, or the secrets in the database are lost")]
    Key { path: String },
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
        let data_dir = DataDir::open(&options.data_dir)?;
        let keys = Keys::derive(&data_dir.master_key()?);
        let token = data_dir.token(options.token.as_deref())?;
        let storage = Arc::new(Sqlite::open(data_dir.database())?);
        let unusable = |path: PathBuf| {
            move |source| StartError::DataDir { path: path.display().to_string(), source }
        };
        std::fs::create_dir_all(data_dir.file_servers())
            .map_err(unusable(data_dir.file_servers()))?;
        let machines = ProcessMachines::adopt(MachineOptions {
            directory: data_dir.machines(),
            node_command: options.node_command.clone(),
            endpoint_file: data_dir.endpoint(),
            max_nodes: options.max_nodes,
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
            directories: Arc::new(DiskDirectories { root: data_dir.file_servers() }),
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

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn token_file(&self) -> PathBuf {
        self.data_dir.token_file()
    }

    /// For figures: the control plane of this service.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops: no further jobs start, nodes get notice and say their last word, jobs that ran go
    /// back to the queue. What is left after the grace, or when `hurry` says so, is killed.
    pub async fn stop(mut self, grace: Duration, hurry: impl Future<Output = ()>) {
        for task in &self.tasks {
            task.abort();
        }
        self.workers.abort_all();
        self.machines.stop(grace, hurry).await;
        self.server.abort();
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

async fn serve(listener: TcpListener, app: axum::Router) {
    if let Err(error) = axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |stream| {
            // Small answers are not held back to be joined with later ones.
            let _ = stream.set_nodelay(true);
        }),
        app,
    )
    .await
    {
        tracing::error!(%error, "the server ended");
    }
}
