//! A full disk fails the requests that need space, but not the service.

use super::service::Service;
use reqwest::Method;
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, whose mount needs root privileges.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(path).output().ok()?;
        mounted.status.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that an open file does not block the removal of the directory.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for size in [65536, 4096, 512, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test]
async fn a_full_disk_fails_requests_and_not_the_service() {
    let root = tempfile::tempdir().unwrap();
    let disk = root.path().join("disk");
    // Dropped after the service, which is created later.
    let Some(disk) = SmallDisk::mount(&disk) else {
        println!("skipped: this test must run as root to mount a small file system");
        return;
    };
    let data_dir = disk.0.join("data");
    let service = Service::start_in(root, data_dir, &[]);
    service.prepare(1).await;
    let filler = disk.0.join("filler");
    fill(&filler);
    let mut failed = None;
    for number in 0..200 {
        let body = json!({ "location": "local", "tags": { "t": "x".repeat(200) } });
        let answer = service.put(&format!("x{number}"), &body).await;
        match answer.status {
            200 => {}
            _ => {
                failed = Some(answer);
                break;
            }
        }
    }
    let failed = failed.expect("on a full disk nothing can be stored");
    let (code, message) = failed.error(507);
    assert_eq!(code, "StorageFull", "{message}");
    assert!(!message.contains('/'), "the message has no path: {message}");
    // Stored records can be read, and the failed one does not exist.
    service.get("/clusters/c").await;
    let missing = service.ask(Method::GET, "/experiments/new", None).await;
    assert_eq!(missing.status, 404);

    let local = service.root().join("local");
    fs::write(&local, vec![1; 100_000]).unwrap();
    let local = local.display().to_string();
    let refused = service.batchai(&["file-server", "upload", "nfs", &local]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("The disk of the file server is full"), "{message}");
    let left = fs::read_dir(service.file_server().join(".batchai-temp"));
    assert_eq!(left.map_or(0, Iterator::count), 0, "nothing is left behind");

    fs::remove_file(&filler).unwrap();
    service.create("/experiments/new", &json!({})).await;
    service.submit("j", "echo again", json!({})).await;
    service.job_in("j", "succeeded").await;
    assert_eq!(service.output("j", ".", "stdout.txt").await, "again\n");
}
