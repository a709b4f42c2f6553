//! `batchai doctor`: checks a deployment, and says what to do about what it finds.
//!
//! It only reads. What it needs of AWS it gets from the AWS CLI, as this program has no AWS SDK.

mod aws;
mod check;
mod connection;
mod identity;
mod instances;
mod machine;
mod resources;
mod stack;
mod telemetry;

use crate::context::{self, Context};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::json::Json;
use crate::profiles::Profiles;
use anyhow::Result;
use check::{Check, Status};
use clap::Args;
use std::path::PathBuf;

/// Check a deployment
///
/// Checks the connection, the token, the versions, clusters and file servers. For `batchai local` also
/// this machine: data directory, disk, port, programs, container engine, GPUs and kernel. With --stack
/// also the resources on AWS: alarms, dead letters, leaked instances, errors and missing permissions.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Name of the CloudFormation stack to check, with the AWS CLI and its credentials
    #[arg(long, value_name = "NAME", value_parser = stack::name)]
    stack: Option<String>,
}

const HELP: &str = "\
The exit status is 1 if there is a problem. With `-o name` only the names of problems and warnings
are printed.

The checks of a stack need the AWS CLI (https://aws.amazon.com/cli), a region (AWS_REGION) and
credentials (AWS_PROFILE) that may read: cloudformation:DescribeStacks and ListStackResources,
cloudwatch:DescribeAlarms and GetMetricData, sqs:GetQueueAttributes, ec2:DescribeInstances,
logs:FilterLogEvents, and s3:GetObject in the bucket of the stack.";

/// `data_dir` is the one of `batchai local`.
pub async fn run(
    context: Context,
    environment: Environment,
    data_dir: Option<PathBuf>,
    arguments: Arguments,
) -> Result<Exit> {
    let mut checks = Vec::new();
    checks.extend(profile(&context, &context::profiles(&environment)));
    let is_usable = connection::check(&context, &mut checks).await;
    if context.profile.is_none() && context.client.is_local() {
        let is_running = checks.iter().any(|it| it.name == "endpoint" && it.status == Status::Ok);
        let endpoint = context.client.endpoint();
        machine::check(data_dir.as_deref(), endpoint, is_running, &mut checks).await;
    }
    let mut inventory = None;
    if is_usable {
        inventory = resources::check(&context, &mut checks).await;
    }
    if let Some(stack) = &arguments.stack {
        let token = context.client.token().await.ok().flatten();
        let service = stack::Service { endpoint: context.client.endpoint(), token: token.as_ref() };
        stack::check(stack, &service, inventory.as_ref(), context.output.now, &mut checks).await;
    }
    print(&context, &checks)?;
    let has_problem = checks.iter().any(|check| check.status == Status::Problem);
    Ok(if has_problem { Exit::FAILURE } else { Exit::SUCCESS })
}

fn profile(context: &Context, profiles: &Profiles) -> Option<Check> {
    let name = &context.profile.as_ref()?.name;
    let path = profiles.path()?;
    let shown = path.display();
    Some(match profiles.is_exposed() {
        true => Check::problem(
            "profile",
            format!("other users can read the tokens in {shown}"),
            format!("Run: chmod 600 '{shown}'"),
        ),
        false => Check::ok("profile", format!("{name}, in {shown}")),
    })
}

#[cfg(test)]
pub fn screen(output: &crate::output::Output) -> String {
    use crate::output::{View as _, rows};
    let checks = [
        Check::ok("endpoint", "http://127.0.0.1:8470 answers in 1 ms"),
        Check::ok("encryption", "none is needed on this machine"),
        Check::ok("clock", "this machine and the service agree"),
        Check::ok("token", "accepted"),
        Check::ok("version", "service 0.1.0, this program 0.1.0"),
        Check::ok("roles", "owner of the service: may do everything"),
        Check::ok("data directory", "/data/batchai"),
        Check::warning(
            "disk",
            "6.1 GiB free at /data/batchai",
            "Free some space, or choose another disk with --data-dir DIR",
        ),
        Check::ok("bash", "/bin/bash"),
        Check::ok("python3", "Python 3.11.2"),
        Check::skipped(
            "mpirun",
            "not installed; needed by Horovod, CNTK, Chainer and MPI jobs, and `batchai run --mpi`",
            "",
        ),
        Check::problem(
            "cluster main/gpu",
            "The set-up task failed with exit code 1 (SetupTaskFailed)",
            "See: batchai cluster show gpu -g batchai -w main",
        ),
    ];
    let table: Vec<_> = checks.iter().map(|check| check.columns(output.now)).collect();
    rows(&table, &output.layout())
}

fn print(context: &Context, checks: &[Check]) -> Result<()> {
    let rows = checks
        .iter()
        .filter(|check| !context.output.is_quiet() || check.needs_attention())
        .map(|check| Json::parse(&serde_json::to_string(check)?))
        .collect::<Result<Vec<_>>>()?;
    context.output.list::<Check>(rows, "")
}
