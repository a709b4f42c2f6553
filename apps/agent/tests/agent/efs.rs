//! File servers on EFS. A program in place of `mount` records its arguments and binds a directory.

use std::fs;

use protocol::{End, Mount, MountSource, NodePhase};

use crate::support::Job;
use crate::support::mounting::{MountingNode, can_mount};

fn efs(relative_mount_path: &str, sub_directory: &str) -> Mount {
    Mount {
        relative_mount_path: relative_mount_path.into(),
        source: MountSource::Efs {
            file_system: "fs-0123456789abcdef0".into(),
            access_point: "fsap-0123456789abcdef0".into(),
            sub_directory: sub_directory.into(),
            options: Some("ro,noatime".into()),
        },
    }
}

#[test]
fn an_access_point_is_mounted_once_and_unmounted_at_the_end() {
    if !can_mount() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("file"), "").unwrap();
    let script = format!(
        "echo \"$@\" >> {0}/calls; exec /bin/mount --bind {1} \"${{@: -1}}\"",
        data.path().display(),
        data.path().display()
    );
    let mut host = MountingNode::new(&[efs("share", "data/deep")]).with("mount", &script);
    host.start();
    host.control.wait_until_idle("node");
    let job_mount = efs("own", "");
    let job =
        Job::new("ls $AZ_BATCHAI_MOUNT_ROOT/share $AZ_BATCHAI_JOB_MOUNT_ROOT/own | grep file")
            .with(|assignment| assignment.mounts = vec![job_mount]);
    assert_eq!(host.node.run(&host.control, &job), End::Exited { exit_code: 0 });
    assert_eq!(host.node.read(&job, "stdout.txt"), "file\nfile\n");
    let options =
        "-t efs -o tls,iam,accesspoint=fsap-0123456789abcdef0,ro,noatime fs-0123456789abcdef0";
    let calls = fs::read_to_string(data.path().join("calls")).unwrap();
    let expected = [":/data/deep ", ":/ "].map(|directory| format!("{options}{directory}"));
    assert_eq!(calls.lines().count(), 2, "{calls}");
    for (call, expected) in calls.lines().zip(expected) {
        assert!(call.starts_with(&expected), "{call}");
    }
    host.node.leave(&host.control, 5);
    assert!(host.node.agent_exit().success());
    assert!(!host.mounted(""));
    assert!(data.path().join("file").exists());
}

#[test]
fn an_image_without_the_mount_helper_is_named() {
    let script = "echo \"mount: $5: unknown filesystem type 'efs'.\" >&2; exit 32";
    let mut host = MountingNode::new(&[efs("share", "")]).with("mount", script);
    host.start();
    let NodePhase::Failed { problem } = host.control.wait_for_phase("node") else { panic!() };
    assert_eq!(problem.code, "NFSMountError");
    let reason = &problem.details[1].1;
    assert!(reason.starts_with("The image of the node has no amazon-efs-utils:"), "{reason}");
}
