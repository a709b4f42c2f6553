//! Every request of the swagger's examples is accepted, or refused only for what this version does
//! not support yet.

use std::path::PathBuf;
use wire::{Violations, codes};

fn directory() -> PathBuf {
    let reference = "../../../shared/reference/swagger/2018-05-01/examples";
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(reference)
}

/// `None` if there is no reference material beside this checkout.
fn request(example: &str) -> Option<Vec<u8>> {
    if !directory().is_dir() {
        eprintln!("SKIPPED: there is no reference material at {}", directory().display());
        return None;
    }
    let text = std::fs::read(directory().join(example)).expect("the example can be read");
    let example: serde_json::Value = serde_json::from_slice(&text).expect("the example is JSON");
    Some(example["parameters"]["parameters"].to_string().into_bytes())
}

/// The codes of a refusal; empty if there is none.
fn codes_of<T>(result: Result<T, Violations>) -> Vec<&'static str> {
    let codes =
        |violations: Violations| violations.iter().map(|violation| violation.code).collect();
    result.err().map(codes).unwrap_or_default()
}

#[test]
fn put_workspace() {
    let Some(body) = request("PutWorkspace.json") else { return };
    assert_eq!(wire::parse_workspace_create(&body).expect("accepted").location, "eastus");
}

#[test]
fn patch_workspace() {
    let Some(body) = request("PatchWorkspace.json") else { return };
    let tags = wire::parse_workspace_update(&body).expect("accepted").expect("has tags");
    assert_eq!(tags["key1"], "value1");
}

#[test]
fn put_cluster() {
    let Some(body) = request("PutCluster.json") else { return };
    assert_eq!(codes_of(wire::parse_cluster_create(&body)), [codes::MOUNT_NOT_SUPPORTED]);
}

#[test]
fn patch_cluster() {
    let Some(body) = request("PatchCluster.json") else { return };
    assert_eq!(wire::parse_cluster_update(&body).expect("accepted").ceiling(), 10);
}

#[test]
fn put_file_server() {
    let Some(body) = request("PutFileServer.json") else { return };
    assert_eq!(wire::parse_file_server_create(&body).expect("accepted").disk_count, 2);
}

#[test]
fn put_job() {
    let Some(body) = request("PutJob.json") else { return };
    assert_eq!(codes_of(wire::parse_job_create(&body)), [codes::CONTAINERS_NOT_SUPPORTED]);
}

/// An example that is added to the reference must get a test here.
#[test]
fn no_example_is_forgotten() {
    if request("PutJob.json").is_none() {
        return;
    }
    let mut names: Vec<String> = std::fs::read_dir(directory())
        .expect("the directory can be listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("Put") || name.starts_with("Patch"))
        .collect();
    names.sort();
    let known = [
        "PatchCluster.json",
        "PatchWorkspace.json",
        "PutCluster.json",
        // Its body is ignored.
        "PutExperiment.json",
        "PutFileServer.json",
        "PutJob.json",
        "PutWorkspace.json",
    ];
    assert_eq!(names, known);
}
