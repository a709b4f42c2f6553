//! `batchai local`: the whole service in this process.

use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Output};
use crate::wiring::{LocalOptions, LocalService, Quota};
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// What jobs get to write a checkpoint when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// How often it looks after what is not at rest, without being asked.
const TICK_MILLIS: u64 = 500;

/// This program, also when its file was replaced or lies where another user cannot find it.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Run the whole service on this machine
///
/// Clusters are groups of processes here, and file servers directories. Everything is kept in the
/// data directory (--data-dir) and is there again after the next start, also after a crash.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Address to listen on, of this machine only; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8470", value_parser = loopback)]
    listen: SocketAddr,
    /// Most nodes, of all clusters together
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=250))]
    max_nodes: u32,
    /// Most cores of each priority (dedicated, lowpriority), per subscription and region
    #[arg(long, value_name = "N", default_value_t = Quota::DEFAULT.cores)]
    max_cores: u32,
    /// Most clusters, per subscription and region
    #[arg(long, value_name = "N", default_value_t = Quota::DEFAULT.clusters)]
    max_clusters: u32,
    /// User (name or id) that nodes and jobs run as; needs root
    ///
    /// Without it they run as the user of this service: every job can read its files, the token included.
    #[arg(long, value_name = "USER")]
    job_user: Option<String>,
    /// How long a node that nobody needs stays
    #[arg(long, value_name = "N", default_value_t = 30)]
    idle_seconds: u64,
    /// Stop when stdin ends: a parent that dies takes its service with it
    #[arg(long, hide = true)]
    stop_at_end_of_input: bool,
}

const HELP: &str = "\
The first Ctrl-C (or SIGTERM) stops it in order: nodes get notice, running jobs can write a
checkpoint and go back to the queue. The second one ends it at once.

Requests need the token that is in the file `token` of the data directory, readable by you only;
the other commands find it there. BATCHAI_TOKEN sets another one.";

pub async fn run(
    output: Output,
    data_dir: PathBuf,
    environment: Environment,
    arguments: Arguments,
) -> Result<Exit> {
    let is_default = environment.data_dir.as_ref() == Some(&data_dir);
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let service = LocalService::start(LocalOptions {
        listen: arguments.listen,
        data_dir: data_dir.clone(),
        max_nodes: arguments.max_nodes,
        quota: Quota { clusters: arguments.max_clusters, cores: arguments.max_cores },
        token: environment.token,
        idle_seconds: arguments.idle_seconds,
        tick_millis: TICK_MILLIS,
        job_user: arguments.job_user,
        keeper_command: vec![OWN_PROGRAM.into(), "keep".into()],
        agent_command: vec![OWN_PROGRAM.into(), "agent".into()],
    })
    .await
    .with_context(|| format!("cannot start the service in {}", data_dir.display()))?;
    let facts = Facts {
        url: format!("http://{}", service.address()),
        data: data_dir.display().to_string(),
        token: service.token_file().display().to_string(),
        is_default,
    };
    announce(&output, &facts)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = end_of_input(), if arguments.stop_at_end_of_input => {}
    }
    output.say("Stopping: jobs that run go back to the queue. Ctrl-C again ends it at once.");
    let mut hurried = false;
    let hurry = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        hurried = true;
    };
    service.stop(GRACE, hurry).await;
    if hurried {
        return Ok(Exit::INTERRUPTED);
    }
    output.say("Stopped.");
    Ok(Exit::SUCCESS)
}

/// What a person needs to reach the service.
struct Facts {
    url: String,
    data: String,
    token: String,
    /// Whether the other commands find the data directory without being told.
    is_default: bool,
}

fn announce(output: &Output, facts: &Facts) -> Result<()> {
    let Facts { url, data, token, .. } = facts;
    match output.format {
        Format::Table => output.print(banner(facts)),
        Format::Quiet => output.print(url),
        Format::Json => {
            let facts = json!({ "endpoint": url, "dataDir": data, "tokenFile": token });
            output.print(format_args!("{facts:#}"))
        }
    }
}

fn banner(facts: &Facts) -> String {
    let Facts { url, data, token, is_default } = facts;
    let export = if *is_default { String::new() } else { format!("BATCHAI_DATA_DIR='{data}' ") };
    format!(
        "Batch AI runs on this machine.

  Address   {url}
  Data      {data}
  Token     {token}

Next, in another terminal:

  export {export}BATCHAI_WORKSPACE=vision
  batchai workspace create vision
  batchai file-server create nfs
  batchai cluster create spot --vm-priority lowpriority --min 0 --max 4 --nfs nfs

`batchai --help` goes on from there. Ctrl-C stops the service.
"
    )
}

async fn end_of_input() {
    let read = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    // A stdin that cannot be read has ended as well.
    let _ = tokio::task::spawn_blocking(read).await;
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "an address looks like 127.0.0.1:8470".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the service runs commands for whoever reaches it, so it listens on loopback \
             addresses only (127.0.0.1 or [::1]); use an SSH tunnel from elsewhere"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_to_this_machine_only() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:8470").is_ok());
        assert!(loopback("0.0.0.0:8470").is_err() && loopback("10.0.0.4:8470").is_err());
        assert!(loopback("localhost").is_err());
    }
}
