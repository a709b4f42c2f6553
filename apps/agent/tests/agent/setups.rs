//! The setup of a node: mounts, the setup task, its failures and its services.

use std::fs;

use protocol::{End, MountSource, NodePhase};

use crate::support::job::{directory, setup_task, variable};
use crate::support::node::{is_alive, signal};
use crate::support::{ControlPlane, Job, Node, wait_until};

fn output(node: &Node, name: &str) -> String {
    let path = node.file_server.join("sub/rg/cluster/uuid").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_setup_task_runs_once_and_its_output_is_kept() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        let mut task = setup_task("echo $GREETING $NAME; ls -d $AZ_BATCHAI_MOUNT_ROOT/nfs >&2");
        task.environment = vec![variable("GREETING", "hello")];
        task.secrets = vec![variable("NAME", "$AZ_BATCHAI_NODE_ID")];
        setup.setup_task = Some(task);
    });
    node.start_agent(&control);
    assert_eq!(control.wait_for_phase("node"), NodePhase::Ready);
    assert_eq!(output(&node, "stdout-node.txt"), "hello node\n");
    let mount = node.root().join("mounts/nfs");
    assert_eq!(output(&node, "stderr-node.txt"), format!("{}\n", mount.display()));
    assert!(output(&node, "execution-node.log").contains("Setup task ended with exit code 0"));
    node.kill_agent();
    control.change("node", |script| script.requests.clear());
    node.start_agent(&control);
    control.wait_until_idle("node");
    control.change("node", |script| {
        assert_eq!(script.requests[0].phase, NodePhase::Ready, "at once");
    });
    assert_eq!(output(&node, "stdout-node.txt"), "hello node\n");
}

#[test]
fn a_machine_that_was_restarted_is_set_up_again() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        setup.setup_task = Some(setup_task("echo again"));
    });
    node.start_agent(&control);
    control.wait_until_idle("node");
    node.kill_agent();
    let memory = node.root().join("agent/setup.json");
    let text = fs::read_to_string(&memory).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot.trim()), "{text}");
    fs::write(&memory, text.replace(boot.trim(), "another")).unwrap();
    control.change("node", |script| script.requests.clear());
    node.start_agent(&control);
    control.wait_until_idle("node");
    assert_eq!(output(&node, "stdout-node.txt"), "again\nagain\n");
}

#[test]
fn a_setup_that_fails_is_explained_and_tried_again_by_the_next_agent() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        setup.setup_task = Some(setup_task("echo try; test -e $AZ_BATCHAI_MOUNT_ROOT/nfs/ok"));
    });
    node.start_agent(&control);
    let NodePhase::Failed { problem } = control.wait_for_phase("node") else { panic!() };
    assert_eq!(problem.code, "SetupTaskFailed");
    assert_eq!(problem.details[0], ("ExitCode".to_owned(), "1".to_owned()));
    let files: Vec<_> = problem.details.iter().filter(|(name, _)| name.starts_with("St")).collect();
    assert!(files[0].1.ends_with("uuid/stdout-node.txt"), "{files:?}");
    assert!(files[1].1.ends_with("uuid/stderr-node.txt"), "{files:?}");
    fs::write(node.file_server.join("ok"), "").unwrap();
    node.kill_agent();
    control.change("node", |script| script.requests.clear());
    node.start_agent(&control);
    assert_eq!(control.wait_for_phase("node"), NodePhase::Ready);
    assert_eq!(output(&node, "stdout-node.txt"), "try\ntry\n");
}

#[test]
fn a_setup_that_is_under_way_survives_its_agent() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        let wait = "while [ ! -e $AZ_BATCHAI_MOUNT_ROOT/nfs/go ]; do sleep 0.01; done";
        setup.setup_task = Some(setup_task(&format!("echo begun; {wait}; echo done")));
    });
    node.start_agent(&control);
    let begun = node.file_server.join("sub/rg/cluster/uuid/stdout-node.txt");
    wait_until("the setup task", || fs::read_to_string(&begun).is_ok_and(|text| !text.is_empty()));
    control.change("node", |script| {
        assert!(script.requests.iter().all(|request| request.phase == NodePhase::Preparing));
    });
    node.kill_agent();
    node.start_agent(&control);
    fs::write(node.file_server.join("go"), "").unwrap();
    assert_eq!(control.wait_for_phase("node"), NodePhase::Ready);
    assert_eq!(output(&node, "stdout-node.txt"), "begun\ndone\n", "once");
}

#[test]
fn a_setup_task_that_is_killed_with_its_supervisor_is_run_again() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        let kill = "echo killed > $AZ_BATCHAI_MOUNT_ROOT/nfs/killed; kill -9 $PPID $$";
        let once = format!("echo run; test -e $AZ_BATCHAI_MOUNT_ROOT/nfs/killed || {{ {kill}; }}");
        setup.setup_task = Some(setup_task(&once));
    });
    node.start_agent(&control);
    assert_eq!(control.wait_for_phase("node"), NodePhase::Ready);
    assert_eq!(output(&node, "stdout-node.txt"), "run\nrun\n");
}

#[test]
fn a_setup_task_that_kills_its_supervisor_each_time_fails() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        setup.setup_task = Some(setup_task("echo run; kill -9 $PPID; sleep 1000"));
    });
    node.start_agent(&control);
    let NodePhase::Failed { problem } = control.wait_for_phase("node") else { panic!() };
    assert_eq!(problem.code, "SetupTaskFailed");
    assert_eq!(output(&node, "stdout-node.txt"), "run\nrun\nrun\n");
}

#[test]
fn a_setup_that_is_cut_short_by_leaving_has_not_failed() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        setup.setup_task = Some(setup_task("echo begun; exec sleep 1000"));
    });
    node.start_agent(&control);
    let output = node.file_server.join("sub/rg/cluster/uuid/stdout-node.txt");
    wait_until("the task", || fs::read_to_string(&output).is_ok_and(|text| !text.is_empty()));
    node.leave(&control, 3600);
    assert!(node.agent_exit().success());
    control.change("node", |script| {
        let last = script.requests.pop().unwrap();
        assert_eq!(last.phase, NodePhase::Left);
        assert!(script.requests.iter().all(|request| request.phase == NodePhase::Preparing));
    });
}

#[test]
fn a_mount_that_fails_fails_the_node() {
    let refused = |change: &dyn Fn(&mut protocol::NodeSetup)| {
        let control = ControlPlane::start();
        let mut node = Node::new(&control, "node", |setup| change(setup));
        node.start_agent(&control);
        match control.wait_for_phase("node") {
            NodePhase::Failed { problem } => (problem.code, problem.details[1].1.clone()),
            other => panic!("{other:?}"),
        }
    };
    let (code, reason) = refused(&|setup| setup.mounts[0].relative_mount_path = "../x".into());
    assert_eq!(code, "NFSMountError");
    assert_eq!(reason, "'../x' must be a relative path without '..'");
    let (_, reason) = refused(&|setup| {
        let MountSource::Directory { root, .. } = setup.mounts[0].source.clone() else { panic!() };
        setup.mounts.push(directory(root.as_ref(), "", "nfs/inside"));
    });
    assert_eq!(reason, "'nfs/inside' leads into another mount");
    let (code, reason) = refused(&|setup| {
        setup.mounts[0].source =
            MountSource::Command { command: "echo denied; sh -c 'exit 32'".into() };
    });
    assert_eq!(code, "UnmanagedFileSystemMountError");
    assert_eq!(reason, "exit status: 32: denied");
}

#[test]
fn services_of_the_setup_outlive_jobs_and_end_with_the_node() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |setup| {
        let service = "setsid sleep 1000 & echo $! > $AZ_BATCHAI_MOUNT_ROOT/nfs/pid";
        setup.setup_task = Some(setup_task(service));
    });
    node.start_agent(&control);
    control.wait_until_idle("node");
    let pid: i32 =
        fs::read_to_string(node.file_server.join("pid")).unwrap().trim().parse().unwrap();
    let job = Job::new("echo ready; sleep 1000");
    node.begin(&control, &job);
    node.wait_for_output(&job, "stdout.txt", "ready");
    // Even the last resort spares it.
    signal(node.supervisor(&job), rustix::process::Signal::KILL);
    let end = control.end_of("node", &job.key());
    assert!(matches!(end, End::Lost { .. }), "{end:?}");
    assert!(is_alive(pid));
    control.wait_until_idle("node");
    node.leave(&control, 5);
    assert!(node.agent_exit().success());
    assert!(!is_alive(pid));
}

#[test]
fn a_real_mount_is_made_kept_and_taken_away() {
    let can_mount = std::process::Command::new("unshare").args(["-m", "true"]).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        return; // Only root may mount.
    }
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "node", |_| {});
    let data = node.file_server.join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "").unwrap();
    let command = format!("mount --bind {}", data.display());
    let mount = protocol::Mount {
        relative_mount_path: "bound".into(),
        source: MountSource::Command { command },
    };
    control.change("node", |script| script.setup.mounts.push(mount.clone()));
    node.start_agent(&control);
    control.wait_until_idle("node");
    let job =
        Job::new("ls $AZ_BATCHAI_MOUNT_ROOT/bound $AZ_BATCHAI_JOB_MOUNT_ROOT/bound | grep file")
            .with(|assignment| assignment.mounts = vec![mount]);
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout.txt"), "file\nfile\n");
    let mounted = |part: &str| {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.contains(&format!("{}/{part}", node.root().display()))
    };
    assert!(mounted("mounts/bound") && !mounted("jobs"));
    node.leave(&control, 5);
    assert!(node.agent_exit().success());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(&node.root().display().to_string()), "{table}");
    assert!(data.join("file").exists());
}
