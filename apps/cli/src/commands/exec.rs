//! `batchai cluster exec` and `batchai job exec`: the administrator's login to a node, with the OpenSSH client.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use resources::{Cluster, Node};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

#[derive(Args)]
pub struct ExecArguments {
    /// Name of the cluster or the job
    #[arg(value_parser = crate::names::resource_name)]
    pub name: String,
    /// Id of the node; the first one by default, which is the master of a job
    #[arg(short, long, value_parser = crate::names::resource_name)]
    node: Option<String>,
    /// Private key of the administrator; without it, ssh tries its own keys and asks for the password
    #[arg(short, long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Forward a port of this machine: [ADDRESS:]PORT:HOST:PORT, as with `ssh -L`
    #[arg(short = 'L', long = "forward", value_name = "FORWARD")]
    forward: Vec<String>,
    /// Only forward ports; run no command
    #[arg(short = 'N', long, conflicts_with = "command", requires = "forward")]
    no_command: bool,
    /// The command; a shell without one
    #[arg(last = true)]
    command: Vec<String>,
}

/// The options of `az batchai cluster node exec` and `az batchai job node exec`.
#[derive(Args)]
pub struct AzureExecArguments {
    /// Id of the node [default: the first one]
    #[arg(short, long, value_name = "ID", value_parser = crate::names::resource_name)]
    node_id: Option<String>,
    /// The command line; without it, ports are forwarded only
    #[arg(long, value_name = "COMMAND LINE", required_unless_present = "address")]
    exec: Option<String>,
    /// Forward a port of this machine: [ADDRESS:]PORT:HOST:PORT
    #[arg(short = 'L', long, value_name = "FORWARD")]
    address: Vec<String>,
    /// Private key of the administrator; without it, ssh tries its own keys and asks for the password
    #[arg(short = 'k', long, value_name = "FILE")]
    ssh_private_key: Option<PathBuf>,
}

impl AzureExecArguments {
    /// The same in our form. `name` is that of the cluster or the job.
    pub fn of(self, name: String) -> ExecArguments {
        ExecArguments {
            name,
            node: self.node_id,
            identity: self.ssh_private_key,
            forward: self.address,
            no_command: self.exec.is_none(),
            command: self.exec.into_iter().collect(),
        }
    }
}

/// `resource` has the operation `listRemoteLoginInformation`; `cluster` has the administrator.
pub async fn run(
    context: &Context,
    resource: &Address,
    cluster: &Address,
    arguments: &ExecArguments,
) -> Result<Exit> {
    let name = &arguments.name;
    let logins = resource.join(&["listRemoteLoginInformation"]);
    let logins = context.client.list_by_post(&logins, &[]).await?;
    let mut nodes: Vec<Node> = Vec::with_capacity(logins.len());
    for login in logins {
        nodes.push(login.read()?);
    }
    let node = match &arguments.node {
        Some(id) => nodes.iter().find(|node| node.node_id == *id).ok_or_else(|| {
            anyhow!(
                "{name} has no node {id} that accepts logins; without --node, the first is taken"
            )
        })?,
        None => nodes.first().ok_or_else(|| {
            anyhow!("{name} has no node that accepts logins: nodes do once they are allocated")
        })?,
    };
    let cluster: Cluster = context.client.get(cluster).await?.read()?;
    let Some(account) = cluster.properties.user_account_settings else {
        bail!("the service does not say who may log in to the cluster {}", cluster.name);
    };
    let mut ssh = ssh(node, &account.admin_user_name, arguments);
    let error = ssh.exec();
    Err(error).context("cannot start ssh: install the OpenSSH client")
}

/// The host key is remembered by the id of the node, as addresses are used again.
fn ssh(node: &Node, user: &str, arguments: &ExecArguments) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "StrictHostKeyChecking=accept-new", "-o"]);
    ssh.arg(format!("HostKeyAlias={}", node.node_id));
    ssh.args(["-l", user, "-p", &node.port.to_string()]);
    if let Some(identity) = &arguments.identity {
        ssh.arg("-i").arg(identity);
    }
    for forward in &arguments.forward {
        ssh.args(["-L", forward]);
    }
    if arguments.no_command {
        ssh.arg("-N");
    }
    ssh.arg(&node.ip_address).arg("--").args(&arguments.command);
    ssh
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        exec: ExecArguments,
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let node: Node = serde_json::from_value(
            serde_json::json!({ "nodeId": "tvm-1", "ipAddress": "10.0.0.4", "port": 2222 }),
        )
        .unwrap();
        let arguments = Line::try_parse_from(line.split(' ')).unwrap().exec;
        let ssh = ssh(&node, "alice", &arguments);
        let words: Vec<_> = ssh.get_args().map(|word| word.to_string_lossy()).collect();
        let line = words.join(" ");
        let always = "-o StrictHostKeyChecking=accept-new -o HostKeyAlias=tvm-1 -l alice -p 2222 ";
        assert_eq!(line.strip_prefix(always), Some(expected));
    }

    #[test]
    fn the_arguments_become_those_of_ssh() {
        check("exec c", "10.0.0.4 --");
        check("exec c -- nvidia-smi -l", "10.0.0.4 -- nvidia-smi -l");
        check("exec j -i key -L 1:h:2 -L 3:h:4 -N", "-i key -L 1:h:2 -L 3:h:4 -N 10.0.0.4 --");
    }
}
