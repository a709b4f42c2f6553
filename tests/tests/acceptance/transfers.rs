//! Files both ways with the real binary: `batchai file-server ls`, `upload`, `download` and `rm`.

use super::service::{Service, program};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Takes far longer to send than the client takes to begin.
const LARGE_BYTES: u64 = 512 << 20;

struct Transfer {
    service: Service,
    /// A directory of the client.
    here: PathBuf,
}

impl Transfer {
    async fn start() -> Self {
        let service = Service::start();
        service.prepare(1).await;
        let here = service.root().join("here");
        fs::create_dir(&here).unwrap();
        Self { service, here }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.service.data_dir());
        command.env("BATCHAI_RESOURCE_GROUP", "g").env("BATCHAI_WORKSPACE", "w");
        command.arg("file-server").args(arguments).current_dir(&self.here).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.success(), text(stdout), text(stderr))
    }

    /// What a command says on stderr.
    #[track_caller]
    fn said(&self, arguments: &[&str]) -> String {
        let (succeeded, _, stderr) = self.run(arguments);
        assert!(succeeded, "{arguments:?}: {stderr}");
        stderr.trim().to_owned()
    }

    #[track_caller]
    fn refusal(&self, arguments: &[&str]) -> String {
        let (succeeded, stdout, stderr) = self.run(arguments);
        assert!(!succeeded, "{arguments:?}: {stdout}{stderr}");
        stderr
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.here.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn share(&self) -> PathBuf {
        self.service.file_server()
    }

    /// The only upload that has begun.
    fn begun(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.share().join(".batchai-temp")).ok()?;
        entries
            .map(|it| it.unwrap().path())
            .find(|it| fs::metadata(it).is_ok_and(|it| it.len() > 0))
    }
}

fn all_files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_tree_goes_there_and_back() {
    let transfer = Transfer::start().await;
    for number in [1, 2, 10] {
        transfer.write(&format!("data/part-{number}.csv"), &"x".repeat(number * 1000));
    }
    transfer.write("data/a b/ü.txt", "deep");
    transfer.write("data/empty", "");
    transfer.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(transfer.here.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("/etc", transfer.here.join("data/etc")).unwrap();
    let said = transfer.said(&["upload", "nfs", "data", "run.sh", "--to", "code/v1"]);
    assert_eq!(said, "Left out data/etc: not a file.\nUploaded 6 files (13 KiB) to nfs:/code/v1.");
    let mode = fs::metadata(transfer.share().join("code/v1/run.sh")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o755, "it stays a program");

    transfer.write("data/part-2.csv", &"y".repeat(2000));
    let said = transfer.said(&["upload", "nfs", "data", "--to", "/code/v1/"]);
    assert!(said.ends_with("Uploaded 1 file (2.0 KiB) to nfs:/code/v1; 4 unchanged."), "{said}");

    let (_, listed, _) = transfer.run(&["ls", "nfs:code", "-r"]);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(
        names,
        [
            "PATH",
            "code/v1/",
            "code/v1/data/",
            "code/v1/data/a b/",
            "code/v1/data/a b/ü.txt",
            "code/v1/data/empty",
            "code/v1/data/part-1.csv",
            "code/v1/data/part-2.csv",
            "code/v1/data/part-10.csv",
            "code/v1/run.sh",
        ],
        "{listed}"
    );
    let (_, listed, _) = transfer.run(&["ls", "nfs:code/v1/run.sh", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["path"], "code/v1/run.sh");
    assert_eq!(listed[0]["properties"]["contentLength"], 10);
    let (_, listed, _) = transfer.run(&["ls"]);
    assert!(listed.contains("nfs"), "without a name, the file servers are listed: {listed}");

    let said = transfer.said(&["download", "nfs", "code/v1/data", "--to", "back"]);
    assert_eq!(said, "Downloaded 5 files (13 KiB) to back.");
    let files = all_files(&transfer.here.join("back/data"));
    assert_eq!(files, ["a b/ü.txt", "empty", "part-1.csv", "part-10.csv", "part-2.csv"]);
    for file in &files {
        let read = |from: &str| fs::read(transfer.here.join(from).join(file)).unwrap();
        assert!(read("data") == read("back/data"), "{file}");
    }
    let said = transfer.said(&["download", "nfs", "code/v1/data", "--to", "back"]);
    assert!(said.ends_with("; 5 unchanged."), "{said}");
}

#[tokio::test]
async fn removals_are_asked_for() {
    let transfer = Transfer::start().await;
    transfer.write("a/b", "x");
    transfer.said(&["upload", "nfs", "a"]);
    let refusal = transfer.refusal(&["rm", "nfs", "a/b"]);
    assert!(refusal.contains("--yes"), "without a terminal nobody is asked: {refusal}");
    let refusal = transfer.refusal(&["rm", "-y", "nfs", "a"]);
    assert!(
        refusal.contains("a is a directory; to remove it with all its files, add -r"),
        "{refusal}"
    );
    assert!(transfer.refusal(&["rm", "-ry", "nfs", "/"]).contains("file-server delete nfs"));
    assert_eq!(transfer.said(&["rm", "-ry", "nfs", "a"]), "Removed a.");
    assert!(
        transfer.refusal(&["rm", "-ry", "nfs", "a"]).contains("There is no file or directory a")
    );
    let refusal = transfer.refusal(&["ls", "nfs:a"]);
    assert!(
        refusal.contains("there is no file or directory a on the file server nfs"),
        "{refusal}"
    );
    assert!(transfer.refusal(&["download", "nfs", "a"]).contains("no file or directory a"));
    assert!(transfer.refusal(&["upload", "nosuch", "a"]).contains("FileServerNotFound"));
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let transfer = Transfer::start().await;
    transfer.write("x", "x");
    symlink("/etc", transfer.share().join("out")).unwrap();
    for path in ["..", "../x", "a/../../x"] {
        let refusal = transfer.refusal(&["upload", "nfs", "x", "--to", path]);
        assert!(refusal.contains("without `..`"), "{path}: {refusal}");
        assert!(transfer.refusal(&["rm", "-ry", "nfs", path]).contains("without `..`"));
        assert!(transfer.refusal(&["ls", &format!("nfs:{path}")]).contains("without `..`"));
    }
    let refusal = transfer.refusal(&["upload", "nfs", "x", "--to", "out"]);
    assert!(refusal.contains("out is not a directory of the file server"), "{refusal}");
    assert!(transfer.refusal(&["download", "nfs", "out/passwd"]).contains("no file or directory"));
    assert!(!Path::new("/etc/x").exists());
}

/// The client is killed. What has arrived stays where nobody sees it, and is not sent again: the damage that it got
/// meanwhile is still there at the end, and found.
#[tokio::test]
async fn an_upload_continues_after_its_client_was_killed() {
    let transfer = Transfer::start().await;
    let large = fs::File::create(transfer.here.join("large.bin")).unwrap();
    large.set_len(LARGE_BYTES).unwrap();
    large.write_all_at(b"begin", 0).unwrap();
    large.write_all_at(b"end", LARGE_BYTES - 3).unwrap();
    let mut client = transfer.command(&["upload", "nfs", "large.bin"]).spawn().unwrap();
    let begin = Instant::now();
    let part = loop {
        if let Some(part) = transfer.begun() {
            break part;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "the upload does not begin");
        std::thread::sleep(Duration::from_millis(1));
    };
    client.kill().unwrap();
    client.wait().unwrap();
    // A chunk may still be on its way.
    std::thread::sleep(Duration::from_millis(300));
    let arrived = fs::metadata(&part).unwrap().len();
    assert!(arrived < LARGE_BYTES, "the client was killed in the middle");
    assert_eq!(transfer.said(&["ls", "nfs"]), "No files.");

    fs::OpenOptions::new().write(true).open(&part).unwrap().write_all_at(b"X", 1).unwrap();
    let refusal = transfer.refusal(&["upload", "nfs", "large.bin"]);
    assert!(refusal.contains("ChecksumMismatch"), "{refusal}");
    assert_eq!(transfer.said(&["ls", "nfs"]), "No files.");
    assert!(transfer.begun().is_none(), "nothing is left");

    let said = transfer.said(&["upload", "nfs", "large.bin"]);
    assert_eq!(said, "Uploaded 1 file (512 MiB) to nfs:/.");
    assert_eq!(
        transfer.said(&["upload", "nfs", "large.bin"]),
        "Uploaded 0 files (0 B) to nfs:/; 1 unchanged."
    );
    let stored = fs::metadata(transfer.share().join("large.bin")).unwrap();
    assert_eq!(stored.len(), LARGE_BYTES);
}

/// A part that an earlier download left is continued, and its bytes are checked with the others.
#[tokio::test]
async fn a_download_continues_and_is_checked() {
    let transfer = Transfer::start().await;
    let content: String = (0..3_000_000).map(|number| format!("{number}\n")).collect();
    fs::write(transfer.share().join("numbers.txt"), &content).unwrap();
    let (_, listed, _) = transfer.run(&["ls", "nfs", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let modified = listed[0]["properties"]["lastModified"].as_str().unwrap();
    let version: String = modified.chars().filter(char::is_ascii_digit).collect();
    let part = transfer.here.join(format!(".numbers.txt.{}-{version}.part", content.len()));
    fs::write(&part, format!("X{}", &content[1..9_000_000])).unwrap();
    let refusal = transfer.refusal(&["download", "nfs", "numbers.txt"]);
    assert!(refusal.contains("another checksum"), "{refusal}");
    assert!(!part.exists() && !transfer.here.join("numbers.txt").exists());
    fs::write(&part, &content[..9_000_000]).unwrap();
    transfer.said(&["download", "nfs", "numbers.txt"]);
    assert!(!part.exists());
    assert!(fs::read_to_string(transfer.here.join("numbers.txt")).unwrap() == content);
}

#[tokio::test]
async fn an_uploaded_script_runs_as_a_job_of_another_user() {
    let place = tempfile::tempdir().unwrap();
    if fs::metadata(place.path()).unwrap().uid() != 0 {
        return eprintln!("skipped: only root can run jobs as another user");
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data_dir = place.path().join("data");
    let service = Service::start_in(place, data_dir, &["--job-user", "nobody"]);
    service.prepare(1).await;
    let script = service.root().join("run.sh");
    fs::write(&script, "#!/bin/sh\nid -un > $(dirname $0)/who; cat $0\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let script = script.display().to_string();
    let uploaded = service.batchai(&["file-server", "upload", "nfs", &script, "--to", "code"]);
    assert!(uploaded.status.success(), "{uploaded:?}");
    service.submit("j", "$AZ_BATCHAI_MOUNT_ROOT/nfs/code/run.sh", json!({})).await;
    service.job_in("j", "succeeded").await;
    let who = fs::read_to_string(service.file_server().join("code/who")).unwrap();
    assert_eq!(who, "nobody\n", "the job can read the file and write its directory");
}
