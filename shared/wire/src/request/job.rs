//! Creating jobs (docs/contract.md, "Jobs").

use super::environment::{self, SecretVariableInput};
use super::mounts::{self, MountsRequest};
use super::secret::SecretInput;
use super::{container, extensions, toolkit};
use crate::error::quoted;
use crate::read::{self, Fields, Place};
use crate::{ClusterId, FileServerId, Violation, Violations, codes, patterns, rules};
use model::{
    ContainerSettings, EnvironmentVariable, InputDirectory, Job, JobSpec, OutputDirectory,
    Priority, SweepRun, Toolkit, Uid, VmSize, limits, time,
};
use std::collections::HashSet;

const PRIORITY: [(&str, Priority); 3] =
    [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)];

/// The id under which the standard output directory is listed (docs/contract.md, "Output files").
pub(super) const STANDARD_OUTPUT: &str = "stdouterr";

/// `JobCreateParameters` of the contract: validated, with all defaults filled in.
#[expect(missing_docs, reason = "the fields are those of the contract")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    pub cluster: ClusterId,
    pub priority: Priority,
    pub node_count: u32,
    pub container: Option<ContainerSettings<SecretInput>>,
    pub toolkit: Toolkit,
    pub preparation: Option<String>,
    pub std_out_err_path_prefix: String,
    pub mounts: Option<MountsRequest>,
    pub input_directories: Option<Vec<InputDirectory>>,
    pub output_directories: Option<Vec<OutputDirectory>>,
    pub environment: Option<Vec<EnvironmentVariable>>,
    pub secrets: Option<Vec<SecretVariableInput>>,
    pub max_wall_clock_seconds: u64,
    pub max_retries: Option<u32>,
    pub sweep: Option<SweepRun>,
}

/// Parses `JobCreateParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_job_create(body: &[u8]) -> Result<JobRequest, Violations> {
    read::body(body, job)
}

pub(crate) fn job(body: &Fields<'_>) -> Option<JobRequest> {
    let properties = &body.required("properties")?.object()?;
    let cluster = properties.required("cluster").and_then(|place| cluster_id(&place));
    let priority = match properties.optional("schedulingPriority") {
        Some(place) => rules::one_of(&place, &PRIORITY),
        None => Some(Priority::default()),
    };
    let node_count = properties
        .required("nodeCount")
        .and_then(|place| place.whole_number(1..=limits::MAX_GANG_NODES));
    let container = container::container_settings(properties);
    let toolkit = toolkit::toolkit(properties);
    toolkit::check_width(properties, toolkit.as_ref(), node_count);
    let preparation = properties
        .optional("jobPreparation")
        .and_then(|place| rules::command_line(&place.object()?.required("commandLine")?));
    let prefix =
        properties.required("stdOutErrPathPrefix").and_then(|place| rules::path_prefix(&place));
    let mounts = mounts::mount_volumes(properties);
    let input_directories =
        directories(properties, "inputDirectories", input_directory, |directory| &directory.id);
    let output_directories =
        directories(properties, "outputDirectories", output_directory, |directory| &directory.id);
    let environment = environment::environment(properties);
    let max_wall_clock_seconds = max_wall_clock_seconds(properties);
    let extensions = extensions::of_job(properties);
    Some(JobRequest {
        cluster: cluster?,
        priority: priority?,
        node_count: node_count?,
        container,
        toolkit: toolkit?,
        preparation,
        std_out_err_path_prefix: prefix?,
        mounts,
        input_directories,
        output_directories,
        environment: environment.variables,
        secrets: environment.secrets,
        max_wall_clock_seconds: max_wall_clock_seconds?,
        max_retries: extensions.max_retries,
        sweep: extensions.sweep,
    })
}

fn cluster_id(reference: &Place<'_>) -> Option<ClusterId> {
    let place = reference.object()?.required("id")?;
    let text = place.text()?;
    let id = ClusterId::parse(text);
    if id.is_none() {
        place.invalid(&format!(
            "must be the id of a cluster, /subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/Microsoft.BatchAI/workspaces/{{workspace}}/clusters/{{name}}, but is {}",
            quoted(text)
        ));
    }
    id
}

/// `constraints.maxWallClockTime`, in ISO 8601 or in the form of the swagger's default, `7.00:00:00`,
/// which users copy.
fn max_wall_clock_seconds(properties: &Fields<'_>) -> Option<u64> {
    let Some(constraints) = properties.optional("constraints") else {
        return Some(limits::MAX_WALL_CLOCK_SECONDS);
    };
    let Some(place) = constraints.object()?.optional("maxWallClockTime") else {
        return Some(limits::MAX_WALL_CLOCK_SECONDS);
    };
    let text = place.text()?;
    let seconds = time::parse_duration_seconds(text).or_else(|| time_span_seconds(text));
    let allowed = seconds.filter(|seconds| (1..=limits::MAX_WALL_CLOCK_SECONDS).contains(seconds));
    if allowed.is_none() {
        place.invalid(&format!(
            "must be an ISO 8601 duration above zero and up to {}, such as PT1H30M, but is {}",
            time::format_duration_seconds(limits::MAX_WALL_CLOCK_SECONDS),
            quoted(text)
        ));
    }
    allowed
}

/// `days.hours:minutes:seconds`, or without the days.
fn time_span_seconds(text: &str) -> Option<u64> {
    let (days, clock) = text.split_once('.').unwrap_or(("0", text));
    let days: u64 = days.parse().ok()?;
    let mut parts = clock.split(':').map(str::parse::<u64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let is_clock = parts.next().is_none() && hours < 24 && minutes < 60 && seconds < 60;
    // Computed only then: it may overflow otherwise.
    let of_day = is_clock.then(|| hours * 3600 + minutes * 60 + seconds)?;
    days.checked_mul(86_400)?.checked_add(of_day)
}

fn directories<'a, T>(
    properties: &Fields<'a>,
    list: &str,
    read: impl Fn(&Fields<'a>) -> Option<T>,
    id: impl Fn(&T) -> &str,
) -> Option<Vec<T>> {
    let directories = rules::list_of(&properties.optional(list)?, limits::MAX_DIRECTORIES, read);
    let mut ids = HashSet::new();
    for (place, directory) in &directories {
        if !ids.insert(id(directory)) {
            place.invalid(&format!("must not have the id {} of another entry", id(directory)));
        }
    }
    Some(directories.into_iter().map(|(_, directory)| directory).collect())
}

fn input_directory(directory: &Fields<'_>) -> Option<InputDirectory> {
    let id = directory_id(directory);
    let path = directory.required("path").and_then(|place| rules::non_empty(&place));
    Some(InputDirectory { id: id?, path: path? })
}

fn output_directory(directory: &Fields<'_>) -> Option<OutputDirectory> {
    let id = directory_id(directory);
    if id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(STANDARD_OUTPUT)) {
        directory.invalid("must not have the id stdouterr, under which standard output is listed");
    }
    let prefix = directory.required("pathPrefix").and_then(|place| rules::path_prefix(&place));
    let suffix = directory.optional("pathSuffix").and_then(|place| rules::relative_path(&place));
    Some(OutputDirectory { id: id?, path_prefix: prefix?, path_suffix: suffix })
}

/// The id becomes part of the name of a variable, `AZ_BATCHAI_INPUT_{id}`.
fn directory_id(directory: &Fields<'_>) -> Option<String> {
    rules::matching(&directory.required("id")?, &[&patterns::DIRECTORY_ID])
}

impl JobRequest {
    /// The file servers that must be read before [`Self::into_spec`].
    pub fn file_servers(&self) -> impl Iterator<Item = &FileServerId> {
        self.mounts.iter().flat_map(|mounts| &mounts.file_servers).map(|mount| &mount.server)
    }

    /// A TensorFlow job has at most one worker per GPU, or per node where nodes have no GPU
    /// (docs/contract.md, "Toolkits"). `vm_size` is that of its cluster.
    ///
    /// # Errors
    /// When the job has more workers.
    pub fn check_workers(&self, vm_size: &str) -> Result<(), Violations> {
        let Toolkit::TensorFlow(settings) = &self.toolkit else { return Ok(()) };
        let nodes = self.node_count;
        let workers = settings.worker_count.unwrap_or(nodes);
        let most = nodes * VmSize::of(vm_size).gpus.max(1);
        if workers <= most {
            return Ok(());
        }
        let predicate = format!(
            "must be at most {most}, the number of GPUs of {nodes} node(s) of size {vm_size}, but is {workers}"
        );
        let target = "properties.tensorFlowSettings.workerCount";
        Err(Violation::new(codes::INVALID_PARAMETER, target, &predicate).into())
    }

    /// The stored form: secrets encrypted, file servers resolved.
    ///
    /// `seal` encrypts a secret, `resolve` returns the uid of a file server.
    ///
    /// # Errors
    /// `FileServerNotFound` for each file server that `resolve` does not find.
    pub fn into_spec(
        self,
        mut seal: impl FnMut(&str) -> String,
        resolve: impl Fn(&FileServerId) -> Option<Uid>,
    ) -> Result<JobSpec, Violations> {
        let mounts = self.mounts.map(|mounts| mounts.resolved(&mut seal, &resolve)).transpose()?;
        let container = self
            .container
            .map(|container| container.map_password(|password| password.into_stored(&mut seal)));
        Ok(JobSpec {
            priority: self.priority,
            node_count: self.node_count,
            container,
            toolkit: self.toolkit,
            preparation: self.preparation,
            std_out_err_path_prefix: self.std_out_err_path_prefix,
            mounts,
            input_directories: self.input_directories,
            output_directories: self.output_directories,
            environment: self.environment,
            secrets: self.secrets.map(|secrets| environment::stored(secrets, &mut seal)),
            max_wall_clock_seconds: self.max_wall_clock_seconds,
            max_retries: self.max_retries,
            sweep: self.sweep.map(Box::new),
        })
    }

    /// Whether the job already is as requested, so that a repeated request changes nothing. Values of
    /// secrets cannot be compared; secrets are compared by name.
    pub fn is_same_as(&self, existing: &Job) -> bool {
        // Destructured, so that a new field cannot be forgotten.
        let Self {
            cluster,
            priority,
            node_count,
            container,
            toolkit,
            preparation,
            std_out_err_path_prefix,
            mounts,
            input_directories,
            output_directories,
            environment,
            secrets,
            max_wall_clock_seconds,
            max_retries,
            sweep,
        } = self;
        let spec = &existing.spec;
        let secrets = secrets.as_deref().unwrap_or_default();
        cluster.names == *existing.cluster_workspace()
            && cluster.name == existing.cluster_names.name
            && *priority == spec.priority
            && *node_count == spec.node_count
            && container::same_container(container.as_ref(), spec.container.as_ref())
            && *toolkit == spec.toolkit
            && *preparation == spec.preparation
            && *std_out_err_path_prefix == spec.std_out_err_path_prefix
            && mounts::same_mounts(mounts.as_ref(), spec.mounts.as_ref())
            && same_list(input_directories, &spec.input_directories)
            && same_list(output_directories, &spec.output_directories)
            && same_list(environment, &spec.environment)
            && environment::same_secrets(secrets, spec.secrets.as_deref().unwrap_or_default())
            && *max_wall_clock_seconds == spec.max_wall_clock_seconds
            && max_retries.unwrap_or_default() == spec.max_retries.unwrap_or_default()
            && sweep.as_ref() == spec.sweep.as_deref()
    }
}

/// An absent list equals an empty one.
fn same_list<T: PartialEq>(requested: &Option<Vec<T>>, stored: &Option<Vec<T>>) -> bool {
    requested.as_deref().unwrap_or_default() == stored.as_deref().unwrap_or_default()
}
