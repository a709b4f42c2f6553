//! Assignments of nodes: converts records to messages of the protocol and opens their secrets.

use crate::containers::{Prepared, container};
use crate::mounts::mounts;
use crate::secrets::{Provided, opened};
use crate::toolkits::toolkit;
use crate::{Context, Error};
use lifecycle::report::attempt_key;
use model::{EnvironmentVariable, InvalidTransition, Job, Node, limits};
use protocol::{
    Administrator, Assignment, InputDirectory, NodeSetup, OutputDirectory, SetupTask, Variable,
};

pub(crate) async fn node_setup(
    context: &Context,
    node: &Node,
) -> Result<Provided<NodeSetup>, Error> {
    let cluster = context.table.cluster(&node.cluster).await?.ok_or(GONE)?;
    let setup_task = match &cluster.spec.setup_task {
        Some(task) => {
            let secrets = match opened(context, &task.secrets).await? {
                Ok(secrets) => secrets,
                Err(problem) => return Ok(Err(problem)),
            };
            Some(SetupTask {
                command_line: task.command_line.clone(),
                environment: variables(&task.environment),
                secrets,
                std_out_err_path_prefix: task.std_out_err_path_prefix.clone(),
                std_out_err_path_suffix: task.std_out_err_path_suffix.clone(),
            })
        }
        None => None,
    };
    let mounts = match mounts(context, cluster.spec.mounts.as_ref()).await? {
        Ok(mounts) => mounts,
        Err(problem) => return Ok(Err(problem)),
    };
    let account = &cluster.spec.user_account;
    let administrator = Administrator {
        user: account.admin_user_name.clone(),
        public_key: account.admin_user_ssh_public_key.clone(),
        password_hash: cluster.spec.administrator_password_hash.clone(),
    };
    let administrator = Some(administrator);
    Ok(Ok(NodeSetup { node_id: node.id.to_string(), mounts, setup_task, administrator }))
}

/// The part of this node in the running attempt of the job.
pub(crate) async fn assignment(
    context: &Context,
    node: &Node,
    job: &Job,
) -> Result<Provided<Assignment>, Error> {
    let attempt = job.state.attempt().ok_or(GONE)?;
    let rank = attempt.members.iter().position(|member| member.node == node.id).ok_or(GONE)? as u32;
    let hosts = attempt.members.iter().map(|member| member.address.clone()).collect();
    let spec = &job.spec;
    let (command_line, toolkit) = toolkit(&spec.toolkit);
    let secrets = match opened(context, spec.secrets.as_deref().unwrap_or_default()).await? {
        Ok(secrets) => secrets,
        Err(problem) => return Ok(Err(problem)),
    };
    let mounts = match mounts(context, spec.mounts.as_ref()).await? {
        Ok(mounts) => mounts,
        Err(problem) => return Ok(Err(problem)),
    };
    let prepared = container(context, spec.container.as_ref(), spec.preparation.as_ref()).await?;
    let Prepared { on_host, container } = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return Ok(Err(problem)),
    };
    let is_gang = attempt.members.len() > 1;
    let ssh_seed = is_gang.then(|| hex::encode(context.keys.ssh_seed(&job.uid, attempt.number)));
    Ok(Ok(Assignment {
        key: attempt_key(&attempt.reference(&job.reference())),
        node_id: node.id.to_string(),
        workspace: job.names.workspace.workspace.to_string(),
        experiment: job.names.experiment.to_string(),
        job: job.names.job.to_string(),
        hosts,
        rank,
        output_path_segment: wire::job_output_path_segment(job),
        std_out_err_path_prefix: spec.std_out_err_path_prefix.clone(),
        command_line,
        toolkit,
        ends_with_every_node: spec.toolkit.ends_with_every_node(),
        preparation_command_line: on_host,
        container,
        mounts,
        input_directories: input_directories(job),
        output_directories: output_directories(job),
        environment: variables(spec.environment.as_deref().unwrap_or_default()),
        secrets,
        ssh_seed,
        max_wall_clock_seconds: spec.max_wall_clock_seconds,
        stop_grace_seconds: limits::STOP_GRACE_SECONDS,
        output_tail_bytes: output_tail_bytes(context, job),
    }))
}

const GONE: InvalidTransition =
    InvalidTransition { what: "job", state: "gone", transition: "be assigned" };

/// Nodes report the end of output that the service cannot read. It reads file servers, and on one machine also the
/// directories in place of other storage.
fn output_tail_bytes(context: &Context, job: &Job) -> Option<u32> {
    let reads_volumes = context.settings.file_server_root.is_some();
    let storage = job.standard_output_storage();
    let is_readable = storage.is_some_and(|kind| kind.is_file_server() || reads_volumes);
    (!is_readable).then_some(limits::MAX_OUTPUT_TAIL_BYTES as u32)
}

fn variables(environment: &[EnvironmentVariable]) -> Vec<Variable> {
    let copy =
        |it: &EnvironmentVariable| Variable { name: it.name.clone(), value: it.value.clone() };
    environment.iter().map(copy).collect()
}

fn input_directories(job: &Job) -> Vec<InputDirectory> {
    let directories = job.spec.input_directories.iter().flatten();
    directories.map(|it| InputDirectory { id: it.id.clone(), path: it.path.clone() }).collect()
}

fn output_directories(job: &Job) -> Vec<OutputDirectory> {
    let directories = job.spec.output_directories.iter().flatten();
    directories
        .map(|it| OutputDirectory {
            id: it.id.clone(),
            path_prefix: it.path_prefix.clone(),
            path_suffix: it.path_suffix.clone(),
        })
        .collect()
}
