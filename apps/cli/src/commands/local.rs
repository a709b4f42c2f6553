//! `batchai local`: runs the whole service in this process.

use crate::environment::Environment;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::{Format, Output};
use crate::wiring::{LocalOptions, LocalService, Locations, MappedVolume, Quota};
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The time that running jobs have to write a checkpoint when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// The interval of the schedule, which reconciles active resources even without a hint.
const TICK_MILLIS: u64 = 500;

/// This executable, also after its file was replaced, or where another user cannot find it.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Run the service on this machine
///
/// Each node is a group of processes and each file server a directory on this machine. All state is
/// in the data directory (--data-dir) and survives restarts and crashes.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Loopback address and port to listen on; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8470", value_parser = loopback)]
    listen: SocketAddr,
    /// Maximum number of nodes of all clusters together
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=250))]
    max_nodes: u32,
    /// Core quota for each priority (dedicated, lowpriority), per subscription and region
    #[arg(long, value_name = "N", default_value_t = Quota::DEFAULT.cores)]
    max_cores: u32,
    /// Core quota of the whole service: all subscriptions, regions and priorities together
    #[arg(long, value_name = "N", default_value_t = Quota::DEFAULT.total_cores)]
    max_total_cores: u32,
    /// Cluster quota, per subscription and region
    #[arg(long, value_name = "N", default_value_t = Quota::DEFAULT.clusters)]
    max_clusters: u32,
    /// Locations in which workspaces can be created, separated by commas
    ///
    /// All are this machine. The default includes regions of Azure, so that published scripts work.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "local,eastus,eastus2,westus,westus2,northeurope,westeurope"
    )]
    locations: Locations,
    /// User (name or id) that nodes and jobs run as; requires root
    ///
    /// Without this option they run as the user of the service, and every job can read the files of
    /// the service, including its token.
    #[arg(long, value_name = "USER")]
    job_user: Option<String>,
    /// Use a directory of this machine in place of a volume of a cloud; can be given several times
    ///
    /// URL is https://ACCOUNT.file.core.windows.net/SHARE (an Azure file share),
    /// https://ACCOUNT.blob.core.windows.net/CONTAINER (a blob container), s3://BUCKET, or
    /// lustre://DNS_NAME/MOUNT_NAME. DIR must exist. Any other volume is a directory below the data
    /// directory, made when it is first mounted: azure/files/ACCOUNT/SHARE,
    /// azure/blobs/ACCOUNT/CONTAINER, s3/BUCKET or lustre/DNS_NAME/MOUNT_NAME.
    #[arg(long = "map", value_name = "URL=DIR")]
    mapped_volumes: Vec<MappedVolume>,
    /// GPUs that nodes share, as CUDA_VISIBLE_DEVICES names them, separated by commas; `none` for none
    ///
    /// A node of a VM size with GPUs gets as many of them, and no other node gets the same. Default: those
    /// that nvidia-smi lists. On a machine without GPUs, nodes of every size run without.
    #[arg(long, value_name = "IDS", value_parser = gpu_ids)]
    gpus: Option<Gpus>,
    /// Container engine of jobs with containerSettings, with its global options
    ///
    /// Without this option: docker, or podman where docker does not work.
    #[arg(long, value_name = "COMMAND")]
    container_engine: Option<String>,
    /// Options added to the command that starts a container, separated by blanks
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    container_options: Option<String>,
    /// Seconds until an idle node that no job needs is removed
    #[arg(long, value_name = "N", default_value_t = 30)]
    idle_seconds: u64,
    /// Stop at the end of stdin, so that the service ends with its parent process
    #[arg(long, hide = true)]
    stop_at_end_of_input: bool,
}

const HELP: &str = "\
Ctrl-C or SIGTERM stops the service: running jobs have 10 seconds to write a checkpoint and return
to the queue. A second Ctrl-C or SIGTERM ends the service at once.

Clients need the token in the file `token` of the data directory, which only its owner can read.
The other commands read it from there. BATCHAI_TOKEN replaces it.";

pub async fn run(
    output: Output,
    data_dir: PathBuf,
    environment: Environment,
    arguments: Arguments,
) -> Result<Exit> {
    let is_default = environment.data_dir.as_ref() == Some(&data_dir);
    let mut interrupt =
        signal(SignalKind::interrupt()).context("cannot install a signal handler")?;
    let mut terminate =
        signal(SignalKind::terminate()).context("cannot install a signal handler")?;
    let service = LocalService::start(LocalOptions {
        listen: arguments.listen,
        data_dir: data_dir.clone(),
        max_nodes: arguments.max_nodes,
        quota: Quota {
            clusters: arguments.max_clusters,
            cores: arguments.max_cores,
            total_cores: arguments.max_total_cores,
        },
        locations: arguments.locations,
        token: environment.token,
        idle_seconds: arguments.idle_seconds,
        tick_millis: TICK_MILLIS,
        job_user: arguments.job_user,
        mapped_volumes: arguments.mapped_volumes,
        gpus: arguments.gpus.map(|Gpus(ids)| ids),
        keeper_command: vec![OWN_PROGRAM.into(), "keep".into()],
        agent_command: agent_command(arguments.container_engine, arguments.container_options),
    })
    .await
    .with_context(|| format!("cannot start the service in {}", data_dir.display()))?;
    let access = Access {
        url: format!("http://{}", service.address()),
        data: data_dir.display().to_string(),
        token: service.token_file().display().to_string(),
        is_default,
    };
    announce(&output, &access)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = end_of_input(), if arguments.stop_at_end_of_input => {}
    }
    output
        .message("Stopping. Running jobs return to the queue. Press Ctrl-C again to stop at once.");
    let mut forced = false;
    let force = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        forced = true;
    };
    service.stop(GRACE, force).await;
    if forced {
        return Ok(Exit::INTERRUPTED);
    }
    output.message("Stopped.");
    Ok(Exit::SUCCESS)
}

fn agent_command(engine: Option<String>, options: Option<String>) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![OWN_PROGRAM.into(), "agent".into()];
    for (name, value) in [("--container-engine", engine), ("--container-options", options)] {
        command.extend(value.into_iter().flat_map(|value| [name.into(), value.into()]));
    }
    command
}

/// What a user needs to connect to the service.
struct Access {
    url: String,
    data: String,
    token: String,
    /// Whether the other commands use this data directory by default.
    is_default: bool,
}

fn announce(output: &Output, access: &Access) -> Result<()> {
    let Access { url, data, token, .. } = access;
    match output.format {
        Format::Table | Format::Wide => output.print(banner(access)),
        Format::Name => output.print(url),
        Format::Json | Format::Yaml => {
            let access = json!({ "endpoint": url, "dataDir": data, "tokenFile": token });
            output.value(&Json::parse(&access.to_string())?)
        }
    }
}

fn banner(access: &Access) -> String {
    let Access { url, data, token, is_default } = access;
    let export = if *is_default { String::new() } else { format!("BATCHAI_DATA_DIR='{data}' ") };
    format!(
        "The service is running.

  URL              {url}
  Data directory   {data}
  Token file       {token}
  Portal           batchai portal opens it in a browser

Next, in another terminal:

  export {export}BATCHAI_WORKSPACE=vision
  batchai workspace create vision
  batchai file-server create nfs
  batchai cluster create spot --vm-priority lowpriority --min 0 --max 4 --nfs nfs

See `batchai --help` for the next steps. Press Ctrl-C to stop the service.
"
    )
}

async fn end_of_input() {
    let read = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    // An error counts as the end of stdin.
    let _ = tokio::task::spawn_blocking(read).await;
}

/// Ids of GPUs. A type of its own, as clap takes an option with a list as one that is repeated.
#[derive(Clone)]
struct Gpus(Vec<String>);

fn gpu_ids(text: &str) -> Result<Gpus, String> {
    let ids: Vec<String> = match text {
        "none" => Vec::new(),
        list => list.split(',').map(str::to_owned).collect(),
    };
    let is_id = |id: &String| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_once = |(position, id): (usize, &String)| !ids[..position].contains(id);
    if ids.iter().all(is_id) && ids.iter().enumerate().all(is_once) {
        Ok(Gpus(ids))
    } else {
        Err("ids have the form 0,1 or GPU-1b2c…,GPU-3d4e…, each once; `nvidia-smi -L` lists them"
            .to_owned())
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "an address has the form 127.0.0.1:8470".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only loopback addresses are allowed (127.0.0.1 or [::1]), because clients can run \
             commands on this machine; to connect from another machine, use an SSH tunnel"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_named_once() {
        assert_eq!(gpu_ids("GPU-1,2").ok().unwrap().0, ["GPU-1", "2"]);
        assert!(gpu_ids("none").ok().unwrap().0.is_empty());
        for wrong in ["", "0,", "0,0", "a b"] {
            assert!(gpu_ids(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_allowed() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:8470").is_ok());
        assert!(loopback("0.0.0.0:8470").is_err() && loopback("10.0.0.4:8470").is_err());
        assert!(loopback("localhost").is_err());
    }
}
