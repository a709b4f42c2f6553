//! Jobs of several nodes in containers: SSH from container to container, with the client of the image or without one.

use std::path::Path;
use std::process::Command;

use protocol::{End, Progress, Toolkit};

use crate::support::containers::{
    contained, containers, has_podman, use_podman, use_podman_with, with_container,
};
use crate::support::{Gang, Job};

const SUCCESS: End = End::Exited { exit_code: 0 };

/// Runs the job on both nodes, which must have no container afterwards.
fn run(gang: &mut Gang, job: &Job) -> End {
    let job = &job.clone().with(|it| it.ssh_seed = Some("4d".repeat(32)));
    let (on_master, on_member) = gang.begin(job);
    gang.control.desire("b", on_member.run());
    gang.control.wait_for_progress("b", &job.key(), &Progress::Running);
    gang.control.desire("a", on_master.run());
    let end = gang.control.end_of("a", &job.key());
    assert_eq!(gang.member.stop(&gang.control, &on_member, 10), End::Stopped);
    gang.control.wait_until_idle("a");
    gang.control.wait_until_idle("b");
    for node in [&gang.master, &gang.member] {
        assert_eq!(containers(node), Vec::<String>::new());
        assert_eq!(node.processes(job), Vec::<i32>::new());
    }
    end
}

/// The programs of this machine in the container, `ssh` and `mpirun` among them.
fn use_programs_of_the_host(agent: &mut Command) {
    let paths = ["/usr", "/etc/alternatives", "/etc/openmpi"];
    let paths = paths.iter().filter(|path| Path::new(path).exists());
    let options: String = paths.map(|path| format!(" --volume {path}:{path}:ro")).collect();
    use_podman_with(agent, &options);
}

#[test]
fn containers_reach_each_other_without_an_ssh_of_the_image() {
    if !has_podman() {
        return;
    }
    let mut gang = Gang::with(use_podman);
    let command = "ssh -V; test -e /prepared-a && echo here; \
        ssh 127.0.1.2 'ls /prepared-*; echo $AZ_BATCHAI_NODE_ID $FROM_IMAGE in $(basename $PWD)'; \
        echo text | ssh 127.0.1.2 'cat; exit 7'; echo $?";
    let job = with_container(contained(command), |container| {
        container.preparation_command_line = Some("touch /prepared-$AZ_BATCHAI_NODE_ID".into());
    });
    assert_eq!(run(&mut gang, &job), SUCCESS);
    let errors = gang.master.read(&job, "stderr.txt");
    let expected = "here\n/prepared-b\nb yes in job\ntext\n7\n";
    assert_eq!(gang.master.read(&job, "stdout.txt"), expected, "{errors}");
    assert!(errors.contains("this client does not know"), "this is not OpenSSH: {errors}");
}

#[test]
fn files_of_containers_are_copied_between_nodes() {
    if !has_podman() || !Path::new("/usr/bin/sftp").exists() {
        return;
    }
    let mut gang = Gang::with(use_programs_of_the_host);
    let command = "export PATH=$PATH:/usr/bin; echo text > f; scp -q f 127.0.1.2:/only-in-container && \
        scp -q 127.0.1.2:/only-in-container back && cat back; ssh 127.0.1.2 cat /only-in-container";
    let job = contained(command);
    let end = run(&mut gang, &job);
    let errors = gang.master.read(&job, "stderr.txt");
    assert_eq!(
        (end, gang.master.read(&job, "stdout.txt").as_str()),
        (SUCCESS, "text\ntext\n"),
        "{errors}"
    );
    assert!(!Path::new("/only-in-container").exists());
}

#[test]
fn mpirun_starts_ranks_in_the_containers_of_both_nodes() {
    if !has_podman() || !Path::new("/usr/bin/mpirun").exists() {
        return;
    }
    let mut gang = Gang::with(use_programs_of_the_host);
    let command_line =
        "echo rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE on $AZ_BATCHAI_NODE_ID $FROM_IMAGE"
            .to_owned();
    let job = contained("exit 99").with(|job| {
        job.toolkit = Toolkit::CustomMpi { command_line, process_count: Some(4) };
        job.environment =
            vec![crate::support::job::variable("PATH", "/bin:/usr/local/sbin:/usr/bin:/usr/sbin")];
    });
    let end = run(&mut gang, &job);
    let errors = gang.master.read(&job, "stderr.txt");
    assert_eq!(end, SUCCESS, "{errors}");
    let output = gang.master.read(&job, "stdout.txt");
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    let rank = |rank, node| format!("rank {rank} of 4 on {node} yes");
    assert_eq!(lines, [rank(0, "a"), rank(1, "a"), rank(2, "b"), rank(3, "b")], "{errors}");
}
