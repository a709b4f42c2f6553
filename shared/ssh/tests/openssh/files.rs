//! Copying files: scp with the SFTP subsystem and without, and sftp.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::process::Command;

use crate::fixture::{Node, text};

async fn succeed(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs the commands of an `sftp -b` file.
async fn sftp(node: &Node, commands: &str) -> (bool, String) {
    let client = node.admit("one");
    let batch = node.path("input").join("batch");
    fs::write(&batch, commands).unwrap();
    let output = client.program("sftp").arg("-b").arg(&batch).arg(&client.host).output();
    let output = output.await.unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

fn fill(path: &Path, bytes: usize) {
    let content: Vec<u8> = (0..bytes).map(|index| (index * 31 % 251) as u8).collect();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn scp_copies_in_both_directions_with_modes_and_times() {
    let node = Node::start().await;
    let client = node.admit("one");
    let (here, there) = (node.path("here"), node.path("one"));
    fs::create_dir_all(here.join("tree/below")).unwrap();
    fill(&here.join("tree/below/large"), 5 << 20);
    fs::write(here.join("tree/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(here.join("tree/tool"), fs::Permissions::from_mode(0o750)).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(here.join("tree/tool")).unwrap().set_modified(long_ago).unwrap();
    // With the subsystem, and with the program of that name on the node.
    for (option, target) in [("-s", "new"), ("-O", "old")] {
        let from = format!("{}/tree", here.display());
        let remote = format!("{}:{target}", client.host);
        succeed(client.program("scp").args([option, "-rp", &from, &remote])).await;
        let copied = there.join(target);
        let read = |path: &Path| fs::read(path).unwrap();
        assert!(read(&copied.join("below/large")) == read(&here.join("tree/below/large")));
        let (tool, copy) = (here.join("tree/tool"), copied.join("tool"));
        assert_eq!(copy.metadata().unwrap().mode(), tool.metadata().unwrap().mode(), "{option}");
        assert_eq!(copy.metadata().unwrap().mtime(), tool.metadata().unwrap().mtime(), "{option}");
        let back = here.join(target);
        let from = format!("{remote}/below/large");
        succeed(client.program("scp").args([option, &from]).arg(&back)).await;
        assert!(read(&back) == read(&here.join("tree/below/large")), "{option}");
    }
}

#[tokio::test]
async fn sftp_lists_and_changes_files() {
    let node = Node::start().await;
    let directory = node.path("one");
    for number in 0..250 {
        fs::write(directory.join(format!("file{number:03}")), "x").unwrap();
    }
    fs::create_dir(directory.join("empty")).unwrap();
    let own = directory.canonicalize().unwrap();
    let (is_done, shown) = sftp(
        &node,
        "pwd\nls -1\nmkdir made\nrename file000 made/moved\nln -s moved made/link\nln file001 made/hard\n\
         chmod 600 made/moved\nrm file002\nrmdir empty\nls -l made\n",
    )
    .await;
    assert!(is_done, "{shown}");
    assert!(shown.contains(&format!("working directory: {}", own.display())), "{shown}");
    assert_eq!(shown.matches("\nfile").count(), 250);
    assert_eq!(fs::read_link(directory.join("made/link")).unwrap(), Path::new("moved"));
    let mode = |name: &str| directory.join(name).metadata().unwrap().mode() & 0o777;
    assert_eq!(mode("made/moved"), 0o600);
    assert_eq!(directory.join("file001").metadata().unwrap().nlink(), 2);
    assert!(!directory.join("file002").exists() && !directory.join("empty").exists());
    assert!(shown.contains("-rw-------"), "{shown}");
}

#[tokio::test]
async fn errors_name_their_cause() {
    let node = Node::start().await;
    fs::create_dir_all(node.path("one").join("full/x")).unwrap();
    let (is_done, shown) = sftp(&node, "get missing\n").await;
    assert!(!is_done && shown.contains("not found"), "{shown}");
    let (is_done, shown) = sftp(&node, "rmdir full\n").await;
    assert!(!is_done && shown.contains("Failure"), "{shown}");
}
