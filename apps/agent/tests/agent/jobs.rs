//! Jobs that end by themselves: their environment, their files, and what is reported about them.

use std::fs;

use protocol::{End, InputDirectory, MountSource, OutputDirectory};

use crate::support::job::{directory, variable};
use crate::support::{ControlPlane, Job, Node};

fn check_end(job: &Job, expected: &End) {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    assert_eq!(node.run(&control, job), *expected);
}

#[test]
fn the_output_and_the_exit_code_are_the_command_s() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("echo out; echo err >&2; echo $PWD | tee here | wc -l; exit 7");
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 7 });
    assert_eq!(node.list(&job, ""), ["execution.log", "stderr.txt", "stdout.txt"]);
    assert_eq!(node.read(&job, "stdout.txt"), "out\n1\n");
    assert_eq!(node.read(&job, "stderr.txt"), "err\n");
    let temp = node.root().join("jobs/workspace/experiment/job");
    assert_eq!(fs::read_to_string(temp.join("here")).unwrap().trim(), temp.display().to_string());
    let log: Vec<String> = node
        .read(&job, "execution.log")
        .lines()
        .map(|line| line.split_once("Z ").unwrap().1.to_owned())
        .collect();
    assert_eq!(
        log,
        [
            "Attempt 1 of job job on node node",
            "Command started",
            "Command ended with exit code 7",
            "Attempt ended: exit code 7"
        ]
    );
    let remembered = fs::read_to_string(node.root().join("agent/attempt.json")).unwrap();
    assert_eq!(remembered, "null\n");
}

#[test]
fn a_signal_s_exit_code_is_the_shell_s() {
    check_end(&Job::new("kill -9 $$"), &End::Exited { exit_code: 137 });
}

#[test]
fn a_job_that_signals_its_process_group_hits_only_itself() {
    check_end(&Job::new("trap '' TERM; kill 0; exit 5"), &End::Exited { exit_code: 5 });
}

#[test]
fn the_command_line_is_not_mangled() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let quotes = r#"printf '%s|' "a  b" 'c"d' \$HOME "$#" "$0" "$(echo x)" && echo "é
second line" # comment"#;
    let job = Job::new(quotes);
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout.txt"), "a  b|c\"d|$HOME|0|/bin/bash|x|é\nsecond line\n");
}

#[test]
fn bashrc_is_read_first_and_its_errors_are_harmless() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    fs::write(node.home().join(".bashrc"), "export FROM_BASHRC=yes\nfalse\n").unwrap();
    let job = Job::new("echo $FROM_BASHRC $?");
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout.txt"), "yes 0\n");
    fs::write(node.home().join(".bashrc"), "return 5\n").unwrap();
    assert_eq!(node.run(&control, &Job::new("")), End::Exited { exit_code: 0 });
}

/// As a tool in the file that waits for a lock.
#[test]
fn the_log_says_that_bashrc_is_waited_for() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    // What is left behind in the background does not count.
    let bashrc = "(while :; do sleep 0.1; done) &\nset -eu -o noclobber\nuntil [ -e ~/go ]; do sleep 0.1; done\n";
    fs::write(node.home().join(".bashrc"), bashrc).unwrap();
    let job = Job::new("cat /proc/$$/comm; exit 3");
    node.begin(&control, &job);
    let waiting = "Waiting for the shell to read ~/.bashrc (pid ";
    node.wait_for_output(&job, "execution.log", waiting);
    fs::write(node.home().join("go"), "").unwrap();
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 3 });
    assert_eq!(node.read(&job, "stdout.txt"), "bash\n");
    let log = node.read(&job, "execution.log");
    let pid = log.split(waiting).nth(1).and_then(|rest| rest.split(')').next());
    assert!(pid.is_some_and(|pid| pid.parse::<i32>().is_ok()), "{log}");
}

#[test]
fn the_log_says_when_bashrc_was_read() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    fs::write(node.home().join(".bashrc"), "until [ -e ~/go ]; do sleep 0.1; done\n").unwrap();
    let job = Job::new("until [ -e ~/end ]; do sleep 0.1; done");
    node.begin(&control, &job);
    node.wait_for_output(&job, "execution.log", "Waiting for the shell to read ~/.bashrc");
    fs::write(node.home().join("go"), "").unwrap();
    node.wait_for_output(&job, "execution.log", "The shell has read ~/.bashrc, after ");
    fs::write(node.home().join("end"), "").unwrap();
    assert_eq!(control.end_of(&node.id, &job.key()), End::Exited { exit_code: 0 });
    let log = node.read(&job, "execution.log");
    assert_eq!(log.matches("~/.bashrc").count(), 2, "{log}");
}

#[test]
fn a_job_sees_its_own_environment_and_nothing_else() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let job = Job::new("env -0 | sort -z | tr '\\0' '\\n'; cat $AZ_BATCHAI_MPI_HOST_FILE").with(
        |assignment| {
            assignment.environment = vec![variable("WHERE", "${AZ_BATCHAI_OUTPUT_MODEL}/x:$y")];
            assignment.secrets = vec![variable("PASSWORD", "p$1 'w")];
            assignment.input_directories =
                vec![InputDirectory { id: "DATA".into(), path: "$AZ_BATCHAI_JOB_TEMP/in".into() }];
            assignment.output_directories = vec![OutputDirectory {
                id: "MODEL".into(),
                path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
                path_suffix: Some("model".into()),
            }];
        },
    );
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    let root = node.root().display().to_string();
    let segment = &job.assignment.output_path_segment;
    let output = node.read(&job, "stdout.txt").replace(&root, "ROOT").replace(segment, "SEGMENT");
    let uid = &job.assignment.key.job_uid;
    let output = output.replace(uid, "UID");
    let own = ["HOME", "LANG", "LC_", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "_="];
    let proxies = ["http", "no_proxy", "HTTP", "NO_PROXY"];
    let shell = ["PWD", "SHLVL", "OLDPWD"];
    let inherited: Vec<&str> = [&own[..], &proxies, &shell].concat();
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !inherited.iter().any(|name| line.starts_with(name)))
        .collect();
    assert_eq!(
        lines,
        [
            "AZ_BATCHAI_ATTEMPT=1",
            "AZ_BATCHAI_INPUT_DATA=ROOT/jobs/workspace/experiment/job/in",
            "AZ_BATCHAI_JOB_MOUNT_ROOT=ROOT/jobs/workspace/experiment/job/mounts",
            "AZ_BATCHAI_JOB_TEMP=ROOT/jobs/workspace/experiment/job",
            "AZ_BATCHAI_JOB_TEMP_DIR=ROOT/jobs/",
            "AZ_BATCHAI_MOUNT_ROOT=ROOT/mounts",
            "AZ_BATCHAI_MPI_HOST_FILE=ROOT/jobs/workspace/experiment/job/hostfile",
            "AZ_BATCHAI_MPI_MASTER_NODE=localhost",
            "AZ_BATCHAI_NODE_ID=node",
            "AZ_BATCHAI_NUM_GPUS=0",
            "AZ_BATCHAI_NUM_GPUS_PER_NODE=0",
            "AZ_BATCHAI_OUTPUT_MODEL=ROOT/mounts/nfs/SEGMENT/outputs/model",
            "AZ_BATCHAI_SHARED_JOB_TEMP=ROOT/jobs/workspace/experiment/job/shared",
            "AZ_BATCHAI_STDOUTERR_DIR=ROOT/mounts/nfs/SEGMENT/stdouterr",
            "AZ_BATCH_HOST_LIST=127.0.1.1",
            "AZ_BATCH_MASTER_NODE=127.0.1.1:6000",
            "BATCHAI_ATTEMPT=UID/1/node",
            "BATCHAI_STOP_FILE=ROOT/jobs/workspace/experiment/job/stop-1",
            "OMPI_ALLOW_RUN_AS_ROOT=1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
            "OMPI_MCA_btl=tcp,self",
            "OMPI_MCA_btl_tcp_if_include=lo",
            "OMPI_MCA_oob_tcp_if_include=lo",
            "PASSWORD=p$1 'w",
            "WHERE=ROOT/mounts/nfs/SEGMENT/outputs/model/x:$y",
            "127.0.1.1 slots=1 max-slots=1",
        ]
    );
    assert!(node.file_server.join(segment).join("outputs/model").is_dir());
    assert!(!node.root().join("jobs/workspace/experiment/job/in").exists());
}

#[test]
fn a_preparation_comes_first_and_may_fail() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let prepared = |preparation: &str| {
        let preparation = Some(preparation.to_owned());
        Job::new("cat made").with(|assignment| assignment.preparation_command_line = preparation)
    };
    let job = prepared("echo prep; echo prep-err >&2; echo made > made");
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout.txt"), "made\n");
    assert_eq!(node.read(&job, "stdout-job_prep.txt"), "prep\n");
    assert_eq!(node.read(&job, "stderr-job_prep.txt"), "prep-err\n");
    let job = prepared("exit 3");
    assert_eq!(node.run(&control, &job), End::PreparationFailed { exit_code: 3 });
    let files = ["execution.log", "stderr-job_prep.txt", "stdout-job_prep.txt"];
    assert_eq!(node.list(&job, ""), files, "the command never ran");
    assert!(node.read(&job, "execution.log").contains("Job preparation ended with exit code 3"));
}

#[test]
fn a_job_finds_nothing_of_the_one_before() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let elsewhere = node.file_server.join("elsewhere");
    fs::create_dir_all(elsewhere.join("deep")).unwrap();
    let job = Job::new("ls mounts/data; touch left-behind mounts/data/kept; ln -s / link")
        .with(|assignment| assignment.mounts = vec![directory(&elsewhere, "", "data")]);
    assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&job, "stdout.txt"), "deep\n");
    let temp = node.root().join("jobs/workspace/experiment/job");
    assert!(!temp.join("mounts/data").exists(), "unmounted when the job ends");
    let log = node.read(&job, "execution.log");
    assert!(log.contains("Mounted ") && log.contains("Unmounted "), "{log}");
    let next = Job::new("ls -A; ls -A mounts shared");
    assert_eq!(node.run(&control, &next), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&next, "stdout.txt"), "hostfile\nmounts\nshared\nmounts:\n\nshared:\n");
    assert!(elsewhere.join("kept").exists(), "what was mounted is the user's");
}

#[test]
fn what_a_job_asks_for_and_cannot_have_is_its_own_failure() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let server = node.file_server.clone();
    let problem = |node: &mut Node, job: &Job| match node.run(&control, job) {
        End::NotProvided { problem } => (problem.code, problem.message, problem.details),
        other => panic!("{other:?}"),
    };

    let escape = Job::new("true")
        .with(|assignment| assignment.mounts = vec![directory(&server, "..", "data")]);
    let (code, _, details) = problem(&mut node, &escape);
    assert_eq!(code, "NFSMountError");
    assert_eq!(details[1].1, "'..' must be a relative path without '..'");
    assert!(node.read(&escape, "execution.log").contains("Unable to mount the file server (data)"));

    std::os::unix::fs::symlink("/", server.join("link")).unwrap();
    let through_link = Job::new("true")
        .with(|assignment| assignment.mounts = vec![directory(&server, "link/etc", "data")]);
    let (code, _, details) = problem(&mut node, &through_link);
    assert_eq!(code, "NFSMountError");
    assert_eq!(details[1].1, "'link/etc' leads out of the file server");

    // Output beside the mounts would be lost with the node.
    for (root, mounts) in
        [("$AZ_BATCHAI_JOB_MOUNT_ROOT", "data"), ("$AZ_BATCHAI_MOUNT_ROOT", "nfs")]
    {
        let lost = Job::new("touch ran").with(|assignment| {
            assignment.mounts = vec![directory(&server, "", "data")];
            let path_prefix = format!("{root}/dat");
            assignment.output_directories =
                vec![OutputDirectory { id: "MODEL".into(), path_prefix, path_suffix: None }];
        });
        let (code, _, details) = problem(&mut node, &lost);
        assert_eq!((code.as_str(), details[1].1.as_str()), ("OutputPathNotMounted", mounts));
        assert!(details[0].1.contains("/dat/"), "{details:?}");
    }

    let command = Job::new("true").with(|assignment| {
        let source = MountSource::Command { command: "echo no such host; false".into() };
        assignment.mounts = vec![protocol::Mount { relative_mount_path: "x".into(), source }];
    });
    let (code, _, details) = problem(&mut node, &command);
    assert_eq!(code, "UnmanagedFileSystemMountError");
    assert_eq!(details[0], ("MountPath".to_owned(), "x".to_owned()));

    let climbing = Job::new("true").with(|assignment| assignment.experiment = "..".into());
    let (code, _, _) = problem(&mut node, &climbing);
    assert_eq!(code, "InvalidPath");

    // `/dev/full` would be a full disk for writes; this is one for directories.
    let full = Job::new("true")
        .with(|assignment| assignment.std_out_err_path_prefix = "/proc/no-space".into());
    let (code, message, details) = problem(&mut node, &full);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("NodeStorageError", "The node could not create a directory")
    );
    assert!(details[0].1.starts_with("/proc/no-space"), "{details:?}");

    assert_eq!(node.run(&control, &Job::new("true")), End::Exited { exit_code: 0 });
}

#[test]
fn a_second_attempt_keeps_the_first_one_s_logs_apart() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let first =
        Job::new("echo attempt $AZ_BATCHAI_ATTEMPT; mkdir -p $AZ_BATCHAI_STDOUTERR_DIR/plots");
    assert_eq!(node.run(&control, &first), End::Exited { exit_code: 0 });
    let second = first.clone().attempt(2);
    assert_eq!(node.run(&control, &second), End::Exited { exit_code: 0 });
    let third = first.clone().attempt(3);
    assert_eq!(node.run(&control, &third), End::Exited { exit_code: 0 });
    assert_eq!(node.read(&first, "attempt-1/stdout.txt"), "attempt 1\n");
    assert_eq!(node.read(&first, "attempt-2/stdout.txt"), "attempt 2\n");
    assert_eq!(node.read(&first, "stdout.txt"), "attempt 3\n");
    let files = ["execution.log", "stderr.txt", "stdout.txt"];
    assert_eq!(node.list(&first, "attempt-1"), files);
    assert_eq!(
        node.list(&first, ""),
        [&["attempt-1", "attempt-2"], &files[..1], &["plots"], &files[1..]].concat()
    );
}

#[test]
fn what_a_job_leaves_is_noticed_after_many_that_left_nothing() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    let mut run = |name: &str, command_line: &str| {
        let job = Job::new(command_line).with(|assignment| assignment.job = name.into());
        assert_eq!(node.run(&control, &job), End::Exited { exit_code: 0 });
        std::thread::sleep(std::time::Duration::from_millis(30));
        node.read(&job, "stdout.txt")
    };
    // The last one mounts something, if it may, which changes no directory of the agent.
    let traces = [
        "touch left",
        "touch shared/left",
        "touch mounts/left",
        "touch ../left ../../left ../../../left",
        "echo evil > hostfile",
        "mount -t tmpfs tmpfs shared && touch shared/left || true",
    ];
    for trace in traces {
        for next in ["job", "another"] {
            for _ in 0..3 {
                run("job", "true");
            }
            run("job", trace);
            let seen = run(next, "ls -A . .. ../.. ../../.. mounts shared; cat hostfile");
            let expected = format!(
                ".:\nhostfile\nmounts\nshared\n\n..:\n{next}\n\n../..:\nexperiment\n\n\
                ../../..:\nworkspace\n\nmounts:\n\nshared:\n127.0.1.1 slots=1 max-slots=1\n"
            );
            assert_eq!(seen, expected, "after '{trace}'");
        }
    }
}
