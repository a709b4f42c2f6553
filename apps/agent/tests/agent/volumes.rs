//! Volumes of clouds. Programs in place of those that mount record how they are called, and bind a directory.

use std::fs;
use std::path::Path;

use protocol::{End, Mount, MountSource, NodePhase, SecretText};

use crate::support::Job;
use crate::support::mounting::{MountingNode, can_mount};

/// Not of the form of anything else.
const KEY: &str = "c2VjcmV0+key/of==";

fn at(relative_mount_path: &str, source: MountSource) -> Mount {
    Mount { relative_mount_path: relative_mount_path.into(), source }
}

fn share(path: &str) -> Mount {
    let source = MountSource::AzureFileShare {
        host: "lab.file.core.windows.net".into(),
        share: "logs".into(),
        sub_directory: "of jobs/2018".into(),
        account: "lab".into(),
        key: SecretText(KEY.into()),
        file_mode: "0640".into(),
        directory_mode: "0750".into(),
    };
    at(path, source)
}

fn container(path: &str) -> Mount {
    let source = MountSource::AzureBlobContainer {
        account: "lab".into(),
        container: "data".into(),
        key: SecretText(KEY.into()),
        options: Some("-o attr_timeout=240  --read-only=true".into()),
    };
    at(path, source)
}

fn bucket(path: &str, read_only: bool) -> Mount {
    let (bucket, prefix) = ("lab".into(), if read_only { "a/b".into() } else { String::new() });
    let options = read_only.then(|| "--region eu-west-1".to_owned());
    at(path, MountSource::S3Bucket { bucket, prefix, read_only, options })
}

fn lustre(path: &str) -> Mount {
    let source = MountSource::LustreFileSystem {
        dns_name: "fs-0.fsx.eu-west-1.amazonaws.com".into(),
        mount_name: "abc".into(),
        options: Some("ro".into()),
    };
    at(path, source)
}

/// Records its arguments in `calls`, and in `files` the files that they name with their modes. Binds `data` at the
/// argument that is below the mount root.
fn recorder(place: &Path) -> String {
    let script = r#"echo "$(basename "$0") $*" >> PLACE/calls
for argument in "$@"; do
  file=${argument#--config-file=}; file=${file#credentials=}; file=${file%%,*}
  if [ -f "$file" ]; then (echo "mode $(stat -c %a "$file")"; cat "$file") >> PLACE/files; fi
  case "$argument" in */mounts/*) target=$argument ;; esac
done
exec /bin/mount --bind PLACE/data "$target""#;
    script.replace("PLACE", &place.display().to_string())
}

/// A node with recorders. `at_cluster` are mounted by its setup.
fn node(place: &Path, at_cluster: &[Mount]) -> MountingNode {
    fs::create_dir(place.join("data")).unwrap();
    fs::write(place.join("data/file"), "").unwrap();
    let script = recorder(place);
    let node = MountingNode::new(at_cluster);
    node.with("mount", &script).with("blobfuse2", &script).with("mount-s3", &script)
}

/// What was recorded, with `ROOT` in place of the root of the node, and without the names of caches.
fn recorded(host: &MountingNode, place: &Path, file: &str) -> String {
    let text = fs::read_to_string(place.join(file)).unwrap();
    let root = host.node.root().display().to_string();
    let lines = text.lines().map(|line| match line.split_once("/blob-caches/") {
        Some((before, _)) => format!("{before}/blob-caches/NAME"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n").replace(&root, "ROOT")
}

/// The files below a directory that contain a text.
fn holders(directory: &Path, text: &str) -> Vec<String> {
    let found = std::process::Command::new("grep")
        .args(["-rlF", "--exclude-dir=programs", "--", text])
        .arg(directory)
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn azure_storage_is_mounted_with_its_key_in_a_file() {
    if !can_mount() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut host = node(place.path(), &[share("logs"), container("data")]);
    host.start();
    host.control.wait_until_idle("node");
    let job = Job::new(
        "cd $AZ_BATCHAI_JOB_MOUNT_ROOT; ls own/logs own/data $AZ_BATCHAI_MOUNT_ROOT/{logs,data} | grep file",
    )
    .with(|assignment| assignment.mounts = vec![share("own/logs"), container("own/data")]);
    assert_eq!(host.node.run(&host.control, &job), End::Exited { exit_code: 0 });
    assert_eq!(host.node.read(&job, "stdout.txt"), "file\nfile\nfile\nfile\n");
    assert!(host.mounted("mounts/logs") && !host.mounted("jobs"));
    insta::assert_snapshot!(recorded(&host, place.path(), "calls"), @r"
    mount -t cifs //lab.file.core.windows.net/logs/of jobs/2018 ROOT/mounts/logs -o credentials=ROOT/agent/mount-credentials.conf,vers=3.0,file_mode=0640,dir_mode=0750,serverino
    blobfuse2 mount ROOT/mounts/data --config-file=ROOT/agent/mount-credentials.yaml -o attr_timeout=240 --read-only=true
    mount -t cifs //lab.file.core.windows.net/logs/of jobs/2018 ROOT/jobs/workspace/experiment/job/mounts/own/logs -o credentials=ROOT/agent/mount-credentials.conf,vers=3.0,file_mode=0640,dir_mode=0750,serverino
    blobfuse2 mount ROOT/jobs/workspace/experiment/job/mounts/own/data --config-file=ROOT/agent/mount-credentials.yaml -o attr_timeout=240 --read-only=true
    ");
    insta::assert_snapshot!(recorded(&host, place.path(), "files"), @r#"
    mode 600
    username=lab
    password=c2VjcmV0+key/of==
    mode 600
    allow-other: true
    logging:
      type: syslog
      level: log_warning
    components:
      - libfuse
      - file_cache
      - attr_cache
      - azstorage
    file_cache:
      path: "ROOT/agent/blob-caches/NAME
    azstorage:
      type: block
      endpoint: "https://lab.blob.core.windows.net"
      account-name: "lab"
      container: "data"
      mode: key
      account-key: "c2VjcmV0+key/of=="
    mode 600
    username=lab
    password=c2VjcmV0+key/of==
    mode 600
    allow-other: true
    logging:
      type: syslog
      level: log_warning
    components:
      - libfuse
      - file_cache
      - attr_cache
      - azstorage
    file_cache:
      path: "ROOT/agent/blob-caches/NAME
    azstorage:
      type: block
      endpoint: "https://lab.blob.core.windows.net"
      account-name: "lab"
      container: "data"
      mode: key
      account-key: "c2VjcmV0+key/of=="
    "#);
    // The key is in no file of the node: no log, no journal, no configuration.
    assert_eq!(holders(host.node.place(), KEY), Vec::<String>::new());
    let log = host.node.read(&job, "execution.log");
    assert!(log.contains("Mounted //lab.file.core.windows.net/logs/of jobs/2018 at "), "{log}");
    assert!(log.contains("Mounted https://lab.blob.core.windows.net/data at "), "{log}");
    host.node.leave(&host.control, 5);
    assert!(host.node.agent_exit().success());
    assert!(!host.mounted("") && place.path().join("data/file").exists());
    assert!(!host.node.root().join("agent/blob-caches").read_dir().unwrap().any(|_| true));
}

#[test]
fn buckets_and_lustre_are_mounted_as_the_instance() {
    if !can_mount() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut host = node(place.path(), &[bucket("s3", false), lustre("fast")]);
    host.start();
    host.control.wait_until_idle("node");
    let job = Job::new("ls $AZ_BATCHAI_JOB_MOUNT_ROOT/part $AZ_BATCHAI_MOUNT_ROOT/{s3,fast}")
        .with(|assignment| assignment.mounts = vec![bucket("part", true)]);
    assert_eq!(host.node.run(&host.control, &job), End::Exited { exit_code: 0 });
    assert_eq!(host.node.read(&job, "stdout.txt").matches("file\n").count(), 3);
    insta::assert_snapshot!(recorded(&host, place.path(), "calls"), @r"
    mount-s3 lab ROOT/mounts/s3 --allow-other --allow-delete --allow-overwrite
    mount -t lustre -o relatime,flock,ro fs-0.fsx.eu-west-1.amazonaws.com@tcp:/abc ROOT/mounts/fast
    mount-s3 lab ROOT/jobs/workspace/experiment/job/mounts/part --allow-other --prefix a/b/ --read-only --region eu-west-1
    ");
    host.node.leave(&host.control, 5);
    assert!(host.node.agent_exit().success());
    assert!(!host.mounted(""));
}

/// The problem of a node whose setup fails, without what it cannot mount with.
fn refused(host: MountingNode) -> (String, String, String) {
    let mut host = host;
    host.start();
    let NodePhase::Failed { problem } = host.control.wait_for_phase("node") else { panic!() };
    assert_eq!(holders(host.node.place(), KEY), Vec::<String>::new());
    (problem.code, problem.message, problem.details[1].1.clone())
}

#[test]
fn what_is_missing_on_the_node_is_named() {
    let helper = "echo \"mount: bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program.\" >&2; exit 32";
    let (code, message, reason) = refused(MountingNode::new(&[share("x")]).with("mount", helper));
    assert_eq!((code.as_str(), message.as_str()), ("AZFMountError", "Unable to mount Azure File"));
    assert!(reason.contains("install cifs-utils"), "{reason}");
    let (code, _, reason) = refused(MountingNode::new(&[lustre("x")]).with("mount", helper));
    assert_eq!(code, "LustreMountError");
    assert!(reason.contains("install the Lustre client"), "{reason}");
    let (code, message, reason) = refused(MountingNode::new(&[container("x")]));
    let expected = ("BFSMountError", "unable to mount blob fuse file system");
    assert_eq!((code.as_str(), message.as_str()), expected);
    assert!(reason.contains("install blobfuse2"), "{reason}");
    let (code, _, reason) = refused(MountingNode::new(&[bucket("x", true)]));
    assert_eq!(code, "S3MountError");
    assert!(reason.contains("(mount-s3)"), "{reason}");
}

#[test]
fn what_a_program_writes_about_the_key_is_hidden() {
    let script = format!("echo 'error 13: {KEY} is wrong' >&2; exit 13");
    let (code, _, reason) = refused(MountingNode::new(&[share("x")]).with("mount", &script));
    assert_eq!(code, "AZFMountError");
    assert_eq!(reason, "exit status: 13: error 13: (hidden) is wrong");
    let script = script.replace("exit 13", "exit 1");
    let (_, _, reason) = refused(MountingNode::new(&[container("x")]).with("blobfuse2", &script));
    assert_eq!(reason, "exit status: 1: error 13: (hidden) is wrong");
}

#[test]
fn a_job_whose_mount_fails_ends_with_the_code_of_its_kind() {
    let mut host = MountingNode::new(&[]).with("mount", "echo denied; exit 32");
    host.start();
    host.control.wait_until_idle("node");
    let job = Job::new("true").with(|assignment| assignment.mounts = vec![share("own")]);
    let End::NotProvided { problem } = host.node.run(&host.control, &job) else { panic!() };
    assert_eq!(problem.code, "AZFMountError");
    assert_eq!(problem.details[0].1, "own");
    let log = host.node.read(&job, "execution.log");
    assert!(log.contains("Unable to mount Azure File (own): exit status: 32: denied"), "{log}");
}
