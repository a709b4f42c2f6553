//! Output must be on a mount: what is written elsewhere below a mount root is lost with the node. A set-up task may
//! mount what the service does not know, so behind one only the node can tell. An output directory below a root with no
//! mounts at all is accepted: a published recipe has one (Horovod-PyTorch), and needs only its logs.

use crate::refusal::Refusal;
use model::{
    ClusterSpec, JOB_MOUNT_ROOT, JobSpec, MOUNT_ROOT, MountVolumes, below_mount, below_root,
};

/// Refuses a job whose output would be on no mount.
///
/// # Errors
/// With the first such path.
pub fn require_job_output(cluster: &ClusterSpec, spec: &JobSpec) -> Result<(), Refusal> {
    let own = mounts(spec.mounts.as_ref());
    let of_cluster = mounts(cluster.mounts.as_ref());
    let mut roots = vec![(JOB_MOUNT_ROOT, &own)];
    if cluster.setup_task.is_none() {
        roots.push((MOUNT_ROOT, &of_cluster));
    }
    for (root, mounts) in roots {
        require(&spec.std_out_err_path_prefix, root, mounts)?;
        for output in spec.output_directories.iter().flatten().filter(|_| !mounts.is_empty()) {
            require(&output.path_prefix, root, mounts)?;
        }
    }
    Ok(())
}

fn mounts(volumes: Option<&MountVolumes>) -> Vec<&str> {
    volumes.map(MountVolumes::relative_paths).unwrap_or_default()
}

/// Refuses a cluster whose set-up task would write its output to no mount.
///
/// # Errors
/// With the path.
pub fn require_setup_output(spec: &ClusterSpec) -> Result<(), Refusal> {
    match &spec.setup_task {
        Some(task) => {
            let mounts = mounts(spec.mounts.as_ref());
            require(&task.std_out_err_path_prefix, MOUNT_ROOT, &mounts)
        }
        None => Ok(()),
    }
}

fn require(path: &str, root: &'static str, mounts: &[&str]) -> Result<(), Refusal> {
    let Some(relative) = below_root(path, root) else { return Ok(()) };
    if mounts.iter().any(|mount| below_mount(&relative, mount).is_some()) {
        return Ok(());
    }
    let mounts = mounts.iter().map(|&mount| mount.to_owned()).collect();
    Err(Refusal::NotOnAMount { path: path.to_owned(), root, mounts })
}

/// What is mounted below a root, for the message.
pub(crate) fn mounted(root: &str, mounts: &[String]) -> String {
    match mounts {
        [] => format!("nothing is mounted below ${root}"),
        mounts => format!("below ${root} there are {}", mounts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{job, manual_cluster};
    use model::{OutputDirectory, SetupTask, UnmanagedMount};

    fn mounts(paths: &[&str]) -> Option<MountVolumes> {
        let mount = |path: &&str| UnmanagedMount {
            mount_command: "mount -t tmpfs none".to_owned(),
            relative_mount_path: (*path).to_owned(),
        };
        let unmanaged_file_systems = paths.iter().map(mount).collect();
        Some(MountVolumes { unmanaged_file_systems, ..MountVolumes::default() })
    }

    fn cluster(paths: &[&str]) -> ClusterSpec {
        ClusterSpec { mounts: mounts(paths), ..manual_cluster(1).spec }
    }

    /// The refusal of a job with this output directory, on a cluster with mounts at `nfs` and `a/b`. The job has one at
    /// `own`.
    fn refused(path_prefix: &str) -> Option<String> {
        let directory = OutputDirectory {
            id: "MODEL".to_owned(),
            path_prefix: path_prefix.to_owned(),
            path_suffix: None,
        };
        let spec = JobSpec {
            std_out_err_path_prefix: "${AZ_BATCHAI_MOUNT_ROOT}/nfs/logs".to_owned(),
            output_directories: Some(vec![directory]),
            mounts: mounts(&["own"]),
            ..job("a", 1).spec
        };
        let refusal = require_job_output(&cluster(&["nfs", "/a//b/"]), &spec).err()?;
        Some(refusal.to_string())
    }

    #[test]
    fn output_below_a_mount_root_is_on_a_mount() {
        for path in [
            "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "$AZ_BATCHAI_MOUNT_ROOT//./nfs/x",
            "$AZ_BATCHAI_MOUNT_ROOT/a/b/c",
            "${AZ_BATCHAI_JOB_MOUNT_ROOT}/own",
            "/elsewhere/nsf",
            "$AZ_BATCHAI_JOB_TEMP/x",
            "$AZ_BATCHAI_MOUNT_ROOTS/x",
        ] {
            assert_eq!(refused(path), None, "{path}");
        }
        let lost = "what is written there is lost with the node";
        let below = "below $AZ_BATCHAI_MOUNT_ROOT there are nfs, /a//b/";
        for path in ["nsf", "nfs2", "a", "a/bc", ""] {
            let path = format!("$AZ_BATCHAI_MOUNT_ROOT/{path}");
            let expected = format!("The path {path} is on no mount: {below}; {lost}");
            assert_eq!(refused(&path), Some(expected));
        }
        let refusal = refused("$AZ_BATCHAI_JOB_MOUNT_ROOT/nfs").expect("on the cluster's mount");
        assert!(refusal.contains("below $AZ_BATCHAI_JOB_MOUNT_ROOT there are own"), "{refusal}");
    }

    #[test]
    fn where_nothing_is_mounted_only_logs_are_refused() {
        let directory = |path_prefix: &str| OutputDirectory {
            id: "MODEL".to_owned(),
            path_prefix: path_prefix.to_owned(),
            path_suffix: None,
        };
        let spec = JobSpec {
            std_out_err_path_prefix: "$AZ_BATCHAI_JOB_MOUNT_ROOT/own".to_owned(),
            output_directories: Some(vec![directory("$AZ_BATCHAI_MOUNT_ROOT/external")]),
            mounts: mounts(&["own"]),
            ..job("a", 1).spec
        };
        assert_eq!(require_job_output(&cluster(&[]), &spec), Ok(()));
        assert!(require_job_output(&cluster(&["other"]), &spec).is_err());
        let logs =
            JobSpec { std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/x".to_owned(), ..spec };
        assert!(require_job_output(&cluster(&[]), &logs).is_err());
    }

    #[test]
    fn a_set_up_task_may_mount_more_but_not_for_its_own_output() {
        let task = |prefix: &str| SetupTask {
            command_line: "mount".to_owned(),
            environment: Vec::new(),
            secrets: Vec::new(),
            std_out_err_path_prefix: prefix.to_owned(),
            std_out_err_path_suffix: String::new(),
        };
        let spec = JobSpec {
            std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/other".to_owned(),
            ..job("a", 1).spec
        };
        let of_task = |prefix| ClusterSpec { setup_task: Some(task(prefix)), ..cluster(&["nfs"]) };
        assert!(require_job_output(&cluster(&["nfs"]), &spec).is_err());
        assert_eq!(require_job_output(&of_task("/tmp"), &spec), Ok(()));
        assert_eq!(require_setup_output(&of_task("$AZ_BATCHAI_MOUNT_ROOT/nfs")), Ok(()));
        assert_eq!(require_setup_output(&cluster(&[])), Ok(()));
        let refusal = require_setup_output(&of_task("$AZ_BATCHAI_MOUNT_ROOT/other"));
        let nothing = ClusterSpec { mounts: None, ..of_task("$AZ_BATCHAI_MOUNT_ROOT/nfs") };
        assert!(refusal.is_err());
        let refusal = require_setup_output(&nothing).expect_err("refused").to_string();
        assert!(refusal.contains("nothing is mounted below $AZ_BATCHAI_MOUNT_ROOT"), "{refusal}");
    }
}
