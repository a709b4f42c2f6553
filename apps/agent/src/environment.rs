//! The environment of a job, and the directories that its variables name (docs/contract.md,
//! "Directories on nodes" and "Environment variables"). Pure: nothing here reads the file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::{Assignment, Variable};

use crate::expand;
use crate::host::{DEFAULT_PATH, Host, JobPaths, MARKER};
use crate::launch::{LaunchPlan, on_one_machine};
use crate::paths::{PathError, absolute, relative};

/// Azure Batch's own port for coordination, part of `AZ_BATCH_MASTER_NODE`.
const MASTER_PORT: u16 = 6000;

/// Holds secrets: never printed, hence no `Debug`.
pub struct JobEnvironment {
    /// The variables of the job itself.
    pub own: BTreeMap<String, String>,
    /// What processes of users have on this node, where the job does not set it.
    base: BTreeMap<String, String>,
    /// `$AZ_BATCHAI_STDOUTERR_DIR`.
    pub stdouterr: PathBuf,
    /// The output directories, to be created. Input directories are the user's to create.
    pub outputs: Vec<PathBuf>,
}

impl JobEnvironment {
    pub fn new(
        host: &Host,
        paths: &JobPaths,
        assignment: &Assignment,
        gpus: &[String],
        launch: &LaunchPlan,
    ) -> Result<Self, PathError> {
        let mut service = service_variables(host, paths, assignment, gpus);
        service.extend(launch.variables.iter().cloned());
        let user = assignment.environment.iter();
        let given: BTreeMap<&str, String> = user
            .map(|variable| (variable.name.as_str(), expand_known(&variable.value, &service)))
            .collect();
        let segment = relative(&assignment.output_path_segment)?;
        let expand = |text: &str, service: &BTreeMap<String, String>| {
            expand::all(text, |name| service.get(name).or_else(|| given.get(name)).cloned())
        };

        let prefix = absolute(&expand(&assignment.std_out_err_path_prefix, &service))?;
        let stdouterr = prefix.join(&segment).join("stdouterr");
        service.insert("AZ_BATCHAI_STDOUTERR_DIR".into(), stdouterr.display().to_string());

        let mut outputs = Vec::new();
        for output in &assignment.output_directories {
            let prefix = absolute(&expand(&output.path_prefix, &service))?;
            let suffix = relative(&expand(output.path_suffix.as_deref().unwrap_or(""), &service))?;
            // Collected from components, as joining an empty suffix would leave a trailing slash.
            let path: PathBuf =
                prefix.join(&segment).join("outputs").join(suffix).components().collect();
            let name = format!("AZ_BATCHAI_OUTPUT_{}", output.id);
            service.insert(name, path.display().to_string());
            outputs.push(path);
        }
        for input in &assignment.input_directories {
            let path = expand(&input.path, &service);
            service.insert(format!("AZ_BATCHAI_INPUT_{}", input.id), path);
        }

        let mut own = service.clone();
        for given in [&assignment.environment, &assignment.secrets] {
            own.extend(user_variables(given, &service));
        }
        // Last, as the agent depends on it.
        own.insert(MARKER.into(), host.attempt_marker(&assignment.key));
        Ok(Self { own, base: host.base_environment(), stdouterr, outputs })
    }

    /// The environment of processes that run directly on the node.
    pub fn on_host(&self) -> BTreeMap<String, String> {
        let mut variables = self.base.clone();
        variables.extend(self.own.clone());
        variables
    }

    /// Puts a directory first in the `PATH`, also before what the user gave.
    pub fn put_first(variables: &mut BTreeMap<String, String>, programs: &Path) {
        let path = variables.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
        *path = format!("{}:{path}", programs.display());
    }
}

/// What the user gave, with the service's variables in it replaced. Any other dollar sign in a value
/// is the user's business.
pub fn user_variables(
    given: &[Variable],
    service: &BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> {
    given.iter().map(|variable| (variable.name.clone(), expand_known(&variable.value, service)))
}

fn expand_known(value: &str, service: &BTreeMap<String, String>) -> String {
    expand::known(value, |name| service.get(name).cloned())
}

fn service_variables(
    host: &Host,
    paths: &JobPaths,
    assignment: &Assignment,
    gpus: &[String],
) -> BTreeMap<String, String> {
    let first = assignment.hosts.first().map_or("", String::as_str);
    let master = if assignment.hosts.len() > 1 { first } else { "localhost" };
    let pairs = [
        ("AZ_BATCHAI_MOUNT_ROOT", host.mounts().display().to_string()),
        ("AZ_BATCHAI_JOB_MOUNT_ROOT", paths.mounts.display().to_string()),
        ("AZ_BATCHAI_JOB_TEMP", paths.temp.display().to_string()),
        // The documented example ends in a slash.
        ("AZ_BATCHAI_JOB_TEMP_DIR", format!("{}/", host.jobs().display())),
        ("AZ_BATCHAI_SHARED_JOB_TEMP", paths.shared.display().to_string()),
        ("AZ_BATCHAI_MPI_HOST_FILE", paths.host_file.display().to_string()),
        ("AZ_BATCHAI_NUM_GPUS", gpus.len().to_string()),
        ("AZ_BATCHAI_NUM_GPUS_PER_NODE", gpus.len().to_string()),
        ("AZ_BATCH_HOST_LIST", assignment.hosts.join(",")),
        ("AZ_BATCHAI_MPI_MASTER_NODE", master.to_owned()),
        ("AZ_BATCH_MASTER_NODE", format!("{first}:{MASTER_PORT}")),
        // These three are ours.
        ("BATCHAI_STOP_FILE", paths.stop_file.display().to_string()),
        ("AZ_BATCHAI_ATTEMPT", assignment.key.number.to_string()),
        ("AZ_BATCHAI_NODE_ID", host.node_id.clone()),
    ];
    let mut variables: BTreeMap<_, _> =
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if assignment.hosts.len() > 1 && on_one_machine(&assignment.hosts) {
        // Two nodes of one name and one user would have one session directory of Open MPI.
        variables.insert("TMPDIR".to_owned(), paths.scratch.display().to_string());
    }
    if host.gpu_share.is_some() {
        // The other GPUs of the machine belong to other nodes.
        variables.insert("CUDA_VISIBLE_DEVICES".to_owned(), gpus.join(","));
    }
    variables
}

/// One line per node, with the number of its processes. With one slot a plain `mpirun` starts one process per node,
/// which is the default of `processCount` (docs/contract.md, "Toolkits").
pub fn host_file(hosts: &[String], slots: u32) -> String {
    hosts.iter().map(|host| format!("{host} slots={slots} max-slots={slots}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use crate::system::supervised::Supervisors;
    use protocol::{AttemptKey, InputDirectory, OutputDirectory};

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.into(), value: value.into() }
    }

    fn assignment() -> Assignment {
        Assignment {
            key: AttemptKey {
                experiment_uid: "e".into(),
                job_name: "job".into(),
                job_uid: "u".into(),
                number: 2,
            },
            node_id: "n1".into(),
            workspace: "ws".into(),
            experiment: "exp".into(),
            job: "job".into(),
            hosts: vec!["10.0.0.5".into(), "10.0.0.4".into()],
            rank: 0,
            output_path_segment: "sub/rg/job/uuid".into(),
            std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
            command_line: "true".into(),
            toolkit: protocol::Toolkit::Custom,
            ends_with_every_node: false,
            preparation_command_line: None,
            container: None,
            mounts: vec![],
            input_directories: vec![],
            output_directories: vec![],
            environment: vec![],
            secrets: vec![],
            ssh_seed: None,
            max_wall_clock_seconds: 60,
            stop_grace_seconds: 1,
            output_tail_bytes: None,
        }
    }

    fn environment(assignment: &Assignment) -> Result<JobEnvironment, PathError> {
        let host = Host {
            disk_patience: std::time::Duration::ZERO,
            containers: crate::runtime::ContainerOptions::default(),
            root: "/r".into(),
            node_id: "n1".into(),
            drivers: None,
            gpu_share: None,
            cluster_uid: "c".into(),
            keeper: None,
            inherited: vec![("PATH".into(), "/bin".into())],
            supervisors: Supervisors::default(),
            workers: Arc::default(),
            known: Mutex::default(),
        };
        let gpus = ["0", "1", "2", "3"].map(str::to_owned);
        let launch = LaunchPlan {
            variables: vec![("FROM_PLAN".into(), "p".into())],
            ..LaunchPlan::default()
        };
        JobEnvironment::new(&host, &host.job_paths(assignment)?, assignment, &gpus, &launch)
    }

    #[test]
    fn the_service_s_variables_are_those_of_batch_ai() {
        let all = environment(&assignment()).unwrap().on_host();
        let text: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "AZ_BATCHAI_ATTEMPT=2",
                "AZ_BATCHAI_JOB_MOUNT_ROOT=/r/jobs/ws/exp/job/mounts",
                "AZ_BATCHAI_JOB_TEMP=/r/jobs/ws/exp/job",
                "AZ_BATCHAI_JOB_TEMP_DIR=/r/jobs/",
                "AZ_BATCHAI_MOUNT_ROOT=/r/mounts",
                "AZ_BATCHAI_MPI_HOST_FILE=/r/jobs/ws/exp/job/hostfile",
                "AZ_BATCHAI_MPI_MASTER_NODE=10.0.0.5",
                "AZ_BATCHAI_NODE_ID=n1",
                "AZ_BATCHAI_NUM_GPUS=4",
                "AZ_BATCHAI_NUM_GPUS_PER_NODE=4",
                "AZ_BATCHAI_SHARED_JOB_TEMP=/r/jobs/ws/exp/job/shared",
                "AZ_BATCHAI_STDOUTERR_DIR=/r/mounts/nfs/sub/rg/job/uuid/stdouterr",
                "AZ_BATCH_HOST_LIST=10.0.0.5,10.0.0.4",
                "AZ_BATCH_MASTER_NODE=10.0.0.5:6000",
                "BATCHAI_ATTEMPT=u/2/n1",
                "BATCHAI_STOP_FILE=/r/jobs/ws/exp/job/stop-2",
                "FROM_PLAN=p",
                "LANG=C.UTF-8",
                "PATH=/bin",
            ]
        );
    }

    #[test]
    fn directories_and_values_may_name_variables() {
        let mut assignment = assignment();
        assignment.hosts.truncate(1);
        assignment.environment = vec![
            variable("SHARE", "$AZ_BATCHAI_MOUNT_ROOT/nfs"),
            variable("PATH", "/x:$PATH"),
            variable("AZ_BATCHAI_NUM_GPUS", "1"),
            variable(MARKER, "none"),
        ];
        assignment.secrets =
            vec![variable("KEY", "a$b${AZ_BATCHAI_OUTPUT_MODEL}"), variable("SHARE", "s3cret")];
        assignment.std_out_err_path_prefix = "${SHARE}".into();
        let output = |id: &str, suffix: Option<&str>| OutputDirectory {
            id: id.into(),
            path_prefix: "$SHARE/$UNDEFINED".into(),
            path_suffix: suffix.map(str::to_owned),
        };
        assignment.output_directories =
            vec![output("MODEL", None), output("LOGS", Some("logs/tb"))];
        assignment.input_directories = vec![InputDirectory {
            id: "DATA".into(),
            path: "$AZ_BATCHAI_JOB_MOUNT_ROOT/in".into(),
        }];
        let environment = environment(&assignment).unwrap();
        let base = "/r/mounts/nfs/sub/rg/job/uuid";
        assert_eq!(environment.stdouterr, PathBuf::from(format!("{base}/stdouterr")));
        let paths = [format!("{base}/outputs"), format!("{base}/outputs/logs/tb")];
        assert_eq!(environment.outputs, paths.clone().map(PathBuf::from));
        let variables = environment.on_host();
        assert_eq!(variables["AZ_BATCHAI_OUTPUT_MODEL"], paths[0]);
        assert_eq!(variables["AZ_BATCHAI_OUTPUT_LOGS"], paths[1]);
        assert_eq!(variables["AZ_BATCHAI_INPUT_DATA"], "/r/jobs/ws/exp/job/mounts/in");
        assert_eq!(variables["AZ_BATCHAI_MPI_MASTER_NODE"], "localhost");
        assert_eq!(variables["PATH"], "/x:$PATH");
        assert_eq!(variables["KEY"], format!("a$b{}", paths[0]));
        assert_eq!(variables["SHARE"], "s3cret");
        assert_eq!(variables["AZ_BATCHAI_NUM_GPUS"], "1");
        assert_eq!(variables[MARKER], "u/2/n1");
    }

    #[test]
    fn nothing_climbs() {
        let refused = |change: &dyn Fn(&mut Assignment)| {
            let mut assignment = assignment();
            change(&mut assignment);
            environment(&assignment).err().unwrap().to_string()
        };
        let text = refused(&|job| job.job = "..".into());
        assert_eq!(text, "'..' cannot be the name of a file or directory");
        let text = refused(&|job| job.output_path_segment = "a/../../b".into());
        assert_eq!(text, "'a/../../b' must be a relative path without '..'");
        let text = refused(&|job| job.std_out_err_path_prefix = "$AZ_BATCHAI_MOUNT_ROOT/..".into());
        assert!(text.starts_with("'/r/mounts/..' must be an absolute path"), "{text}");
        let text = refused(&|job| {
            job.output_directories = vec![OutputDirectory {
                id: "X".into(),
                path_prefix: "$AZ_BATCHAI_MOUNT_ROOT".into(),
                path_suffix: Some("../x".into()),
            }];
        });
        assert_eq!(text, "'../x' must be a relative path without '..'");
    }

    #[test]
    fn every_host_has_a_line() {
        assert_eq!(
            host_file(&["10.0.0.5".into(), "10.0.0.4".into()], 4),
            "10.0.0.5 slots=4 max-slots=4\n10.0.0.4 slots=4 max-slots=4\n"
        );
    }
}
