//! Creating jobs (section 3.5).

use super::environment::{self, PlainSecret};
use super::mounts::{self, MountsRequest};
use super::toolkit;
use crate::read::{self, Fields, Place};
use crate::{ClusterId, FileServerId, Violations, codes, rules};
use model::{
    EnvironmentVariable, InputDirectory, Job, JobSpec, OutputDirectory, Priority, Uid, limits, time,
};
use std::collections::HashSet;

const PRIORITY: [(&str, Priority); 3] =
    [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)];

/// The id under which the standard output directory is listed (section 3.7).
pub(super) const STANDARD_OUTPUT: &str = "stdouterr";

/// `JobCreateParameters` of the contract, with all rules kept and all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    pub cluster: ClusterId,
    pub priority: Priority,
    pub node_count: u32,
    pub command_line: String,
    pub preparation: Option<String>,
    pub std_out_err_path_prefix: String,
    pub mounts: Option<MountsRequest>,
    pub input_directories: Option<Vec<InputDirectory>>,
    pub output_directories: Option<Vec<OutputDirectory>>,
    pub environment: Option<Vec<EnvironmentVariable>>,
    pub secrets: Option<Vec<PlainSecret>>,
    pub max_wall_clock_seconds: u64,
}

pub fn parse_job_create(body: &[u8]) -> Result<JobRequest, Violations> {
    read::body(body, |fields| job(&fields.required("properties")?.object()?))
}

fn job(properties: &Fields<'_>) -> Option<JobRequest> {
    let cluster = properties.required("cluster").and_then(|place| cluster_id(&place));
    let priority = match properties.optional("schedulingPriority") {
        Some(place) => rules::one_of(&place, &PRIORITY),
        None => Some(Priority::default()),
    };
    let node_count = properties
        .required("nodeCount")
        .and_then(|place| place.whole_number(1..=limits::MAX_GANG_NODES));
    refuse_containers(properties);
    let command_line = toolkit::command_line(properties);
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
    Some(JobRequest {
        cluster: cluster?,
        priority: priority?,
        node_count: node_count?,
        command_line: command_line?,
        preparation,
        std_out_err_path_prefix: prefix?,
        mounts,
        input_directories,
        output_directories,
        environment: environment.variables,
        secrets: environment.secrets,
        max_wall_clock_seconds: max_wall_clock_seconds?,
    })
}

fn cluster_id(reference: &Place<'_>) -> Option<ClusterId> {
    let place = reference.object()?.required("id")?;
    let text = place.text()?;
    let id = ClusterId::parse(text);
    if id.is_none() {
        place.invalid(&format!(
            "must be the id of a cluster, /subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/Microsoft.BatchAI/workspaces/{{workspace}}/clusters/{{name}}, but is {}",
            rules::quoted(text)
        ));
    }
    id
}

fn refuse_containers(properties: &Fields<'_>) {
    if let Some(place) = properties.optional("containerSettings") {
        place.refuse(
            codes::CONTAINERS_NOT_SUPPORTED,
            "is not supported in this version: jobs run directly on the node; install what they need with jobPreparation or the cluster's setupTask",
        );
    }
}

/// `constraints.maxWallClockTime`. Besides ISO 8601 it takes the form of the swagger's own default,
/// `7.00:00:00`, which people copy from there.
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
            rules::quoted(text)
        ));
    }
    allowed
}

/// `days.hours:minutes:seconds`.
fn time_span_seconds(text: &str) -> Option<u64> {
    let (days, clock) = text.split_once('.').filter(|(_, clock)| clock.contains(':'))?;
    let days: u64 = days.parse().ok()?;
    days.checked_mul(86_400)?.checked_add(time::parse_duration_seconds(clock)?)
}

fn directories<'a, T>(
    properties: &Fields<'a>,
    list: &str,
    read: impl Fn(&Fields<'a>) -> Option<T>,
    id: impl Fn(&T) -> &str,
) -> Option<Vec<T>> {
    let directories = rules::list_of(&properties.optional(list)?, read);
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

/// The id ends the name of a variable, `AZ_BATCHAI_INPUT_{id}`, so it can only have such characters.
fn directory_id(directory: &Fields<'_>) -> Option<String> {
    let place = directory.required("id")?;
    let id = place.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if id.is_empty() || id.len() > 64 || !id.chars().all(plain) {
        place.invalid(&format!(
            "must be 1 to 64 letters, digits or underscores, but is {}",
            rules::quoted(id)
        ));
        return None;
    }
    Some(id.to_owned())
}

impl JobRequest {
    /// The file servers that have to be looked up before [`Self::into_spec`].
    pub fn file_servers(&self) -> impl Iterator<Item = &FileServerId> {
        self.mounts.iter().flat_map(|mounts| &mounts.file_servers).map(|mount| &mount.server)
    }

    /// What the service keeps: secrets sealed, file servers found.
    ///
    /// `seal` encrypts the value of a secret; `resolve` finds the uid of a file server, and each
    /// one that it does not find is a violation `FileServerNotFound`.
    pub fn into_spec(
        self,
        mut seal: impl FnMut(&str) -> String,
        resolve: impl Fn(&FileServerId) -> Option<Uid>,
    ) -> Result<JobSpec, Violations> {
        Ok(JobSpec {
            priority: self.priority,
            node_count: self.node_count,
            command_line: self.command_line,
            preparation: self.preparation,
            std_out_err_path_prefix: self.std_out_err_path_prefix,
            mounts: self.mounts.map(|mounts| mounts.resolved(&resolve)).transpose()?,
            input_directories: self.input_directories,
            output_directories: self.output_directories,
            environment: self.environment,
            secrets: self.secrets.map(|secrets| environment::sealed(secrets, &mut seal)),
            max_wall_clock_seconds: self.max_wall_clock_seconds,
        })
    }

    /// Whether this asks for what the job already is, so that creating it again changes nothing.
    /// Values of secrets cannot be compared; secrets count as the same by name.
    pub fn is_same_as(&self, existing: &Job) -> bool {
        // Taken apart, so that a field that is added here cannot be forgotten.
        let Self {
            cluster,
            priority,
            node_count,
            command_line,
            preparation,
            std_out_err_path_prefix,
            mounts,
            input_directories,
            output_directories,
            environment,
            secrets,
            max_wall_clock_seconds,
        } = self;
        let spec = &existing.spec;
        let secrets = secrets.as_deref().unwrap_or_default();
        ClusterId::parse(&existing.cluster_id).as_ref() == Some(cluster)
            && *priority == spec.priority
            && *node_count == spec.node_count
            && *command_line == spec.command_line
            && *preparation == spec.preparation
            && *std_out_err_path_prefix == spec.std_out_err_path_prefix
            && mounts::same_mounts(mounts.as_ref(), spec.mounts.as_ref())
            && same_list(input_directories, &spec.input_directories)
            && same_list(output_directories, &spec.output_directories)
            && same_list(environment, &spec.environment)
            && environment::same_names(secrets, spec.secrets.as_deref().unwrap_or_default())
            && *max_wall_clock_seconds == spec.max_wall_clock_seconds
    }
}

/// No list is the same as an empty one.
fn same_list<T: PartialEq>(requested: &Option<Vec<T>>, stored: &Option<Vec<T>>) -> bool {
    requested.as_deref().unwrap_or_default() == stored.as_deref().unwrap_or_default()
}
