//! The whole stack on this machine: the resources of template.yaml in moto, the functions as processes under the
//! Runtime API with the environment that the template gives them, agents as instances. The test plays the AWS
//! services in between: the HTTP API, the event source mappings, the schedules, EventBridge and instance metadata.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

#[path = "aws/deliveries.rs"]
mod deliveries;
#[path = "aws/functions.rs"]
mod functions;
#[path = "aws/gateway.rs"]
mod gateway;
#[path = "aws/instances.rs"]
mod instances;
#[path = "aws/metadata.rs"]
mod metadata;
#[path = "aws/portal.rs"]
mod portal;
#[path = "aws/recorder.rs"]
mod recorder;
#[path = "aws/region.rs"]
mod region;
#[path = "aws/signature.rs"]
mod signature;
#[path = "aws/sweep.rs"]
mod sweep;

use region::{Region, eventually};
use std::time::Duration;
use sweep::{LONG_JOB, Person, Sweep, resource};

#[tokio::test(flavor = "multi_thread")]
async fn the_experiment_of_the_demo_runs_to_its_end_and_survives_an_interruption() {
    if !instances::can_mount() {
        eprintln!("skipped: instances mount file systems, which only root may do");
        return;
    }
    let region = Region::start().await;
    let person = Person::new(&region.endpoint);
    let http = tls::Servers::WithoutTls.client().build().unwrap();
    let answer = http.get(format!("{}/subscriptions", region.endpoint)).send().await;
    assert_eq!(answer.unwrap().status(), 401, "no token");

    let sweep = Sweep::submit(&person, &region).await;
    let portal = tokio::spawn(portal::follows(&region));
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let has_checkpoint = async || sweep.has_checkpoint(LONG_JOB).then_some(());
    eventually("a checkpoint of the long job", minutes(3), has_checkpoint).await;
    let instance = sweep.instance_of(&person, &region, LONG_JOB).await;
    region.machines.interrupt(&instance, Duration::from_secs(10)).await;

    let all_ended = async || {
        let mut states = Vec::new();
        for job in &sweep.jobs {
            states.push(sweep.state(&person, job).await);
        }
        assert!(!states.iter().any(|it| it == "failed"), "{states:?}");
        states.iter().all(|it| it == "succeeded").then_some(())
    };
    eventually("all jobs have ended", minutes(6), all_ended).await;
    for job in &sweep.jobs {
        let record = person.get(&sweep.path(job)).await;
        let attempts =
            record["properties"]["extensions"]["attempts"].as_array().map_or(0, Vec::len);
        assert_eq!(attempts, if job == LONG_JOB { 2 } else { 1 }, "{job}: {record}");
        let result = sweep.result(&person, job).await;
        assert!(result["testAccuracy"].as_f64().unwrap() > 0.5, "{job}: {result}");
        let resumed = result["timesResumed"].as_u64().unwrap();
        assert_eq!(resumed, u64::from(job == LONG_JOB), "{job}: {result}");
    }

    portal.await.expect("a browser followed the experiment");
    let scaled_to_zero = async || {
        let cluster = person.get(&resource("/clusters/spot")).await;
        let nothing_left = cluster["properties"]["currentNodeCount"] == 0;
        (nothing_left && region.machines.running().is_empty()).then_some(())
    };
    eventually("the cluster has scaled to zero", minutes(2), scaled_to_zero).await;
    for instance in region.machines.seen() {
        assert!(instance.is_spot, "{instance:?}");
        assert_eq!(instance.tags["batchai:stack"], "lab", "{instance:?}");
    }

    person.delete(&resource("")).await;
    let is_deleted = async || {
        let nothing_left = std::fs::read_dir(region.files.path()).unwrap().next().is_none();
        (person.status(&resource("")).await == 404 && nothing_left).then_some(())
    };
    eventually("the workspace is deleted with everything in it", minutes(2), is_deleted).await;
    region.check_roles();
}
