//! Metrics of jobs: printed ones and those in a file, while the job runs and after its end. The agent is killed in
//! between.

use super::processes;
use super::service::{Service, until};
use serde_json::{Value, json};
use std::fs;

/// A command that reports a step with `report` until `release` creates a file, and ends with `last`.
fn script(report: &str, last: &str) -> String {
    let go = "$AZ_BATCHAI_MOUNT_ROOT/nfs/go";
    format!(
        "step=0; until [ -e {go} ]; do step=$((step + 1)); {report}; sleep 0.2; done; {last}; exit 0"
    )
}

/// A metric of a job, if it has been reported.
fn metric(job: &Value, name: &str) -> Option<Value> {
    let metrics = job["properties"]["extensions"]["metrics"].as_array()?;
    metrics.iter().find(|metric| metric["name"] == name).cloned()
}

/// Waits until the latest step of the loss of a running job is higher than `step`; returns it.
async fn progress(service: &Service, job: &str, step: u64) -> u64 {
    until(&format!("{job} reports a step after {step}"), async || {
        let latest = metric(&service.job(job).await, "loss")?["step"].as_u64().unwrap();
        (latest > step).then_some(latest)
    })
    .await
}

fn kill_agents(service: &Service) {
    let agents = service.processes().into_iter();
    let is_agent = |pid: &u32| processes::describe(*pid).contains(" agent --endpoint-file ");
    let agents: Vec<u32> = agents.filter(is_agent).collect();
    assert!(!agents.is_empty(), "there are agents");
    agents.into_iter().for_each(|pid| processes::signal(pid, "KILL"));
}

#[tokio::test]
async fn metrics_are_shown_while_a_job_runs_and_after_its_end() {
    let service = Service::start();
    service.prepare(2).await;
    let printed = script(
        r#"echo "noise $step"; echo "{\"step\": $step, \"loss\": 0.5, \"done\": false, \"rate\": NaN}""#,
        r#"printf '{"step": 1000000, "loss": 0.125}'"#,
    );
    service.submit("printed", &printed, json!({})).await;
    let file = "$AZ_BATCHAI_OUTPUT_OUT/metrics.jsonl";
    let written = script(
        &format!("echo '{{\"loss\": 2, \"train/accuracy\": 0.75}}' >> {file}"),
        &format!("echo '{{\"epoch\": 1000000, \"loss\": 4}}' >> {file}"),
    );
    let output = json!([{ "id": "OUT", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" }]);
    service.submit("written", &written, json!({ "outputDirectories": output })).await;
    service.submit("silent", "echo '{\"step\": 1}'", json!({})).await;

    let before = [progress(&service, "printed", 0).await, progress(&service, "written", 0).await];
    kill_agents(&service);
    let after = [
        progress(&service, "printed", before[0]).await,
        progress(&service, "written", before[1]).await,
    ];
    fs::write(service.file_server().join("go"), "").unwrap();
    let values = [("printed", 0.125, 0.125, 0.5), ("written", 4.0, 2.0, 4.0)];
    for ((name, value, minimum, maximum), after) in values.into_iter().zip(after) {
        let job = service.job_in(name, "succeeded").await;
        assert_eq!(super::api::attempts(&job), 1, "{job:#}");
        let loss = metric(&job, "loss").unwrap();
        let curve = loss["curve"].as_array().unwrap();
        let steps: Vec<u64> = curve.iter().map(|point| point["step"].as_u64().unwrap()).collect();
        assert_eq!(steps[0], 1, "also what an agent read that was killed: {job:#}");
        assert!(steps.is_sorted() && steps.len() <= 16 && after > 1, "{job:#}");
        let latest = json!({
            "name": "loss", "step": 1_000_000, "value": value, "minimum": minimum, "maximum": maximum,
            "curve": curve,
        });
        assert_eq!(loss, latest, "{job:#}");
        assert_eq!(metric(&job, "rate"), None, "{job:#}");
    }
    service.job_in("silent", "succeeded").await;
    are_listed_shown_and_removed(&service).await;
}

async fn are_listed_shown_and_removed(service: &Service) {
    let listed = service.get("/experiments/e/jobs").await;
    let jobs = listed["value"].as_array().unwrap();
    let names: Vec<_> = jobs.iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["printed", "silent", "written"]);
    assert!(metric(&jobs[1], "loss").is_none(), "{:#}", jobs[1]);
    for job in [&jobs[0], &jobs[2]] {
        let loss = metric(job, "loss").unwrap();
        assert_eq!((&loss["step"], loss.get("curve")), (&json!(1_000_000), None), "{job:#}");
    }
    let shown = service.batchai(&["job", "show", "written"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    let line = "loss            4     step 1000000  min 2     max 4";
    assert!(text.contains(line), "{text}\n{}", String::from_utf8_lossy(&shown.stderr));

    let path = "/experiments/e/jobs/written";
    let answer = service.ask(reqwest::Method::DELETE, path, None).await;
    service.finish(path, &answer).await;
    service.submit("written", "true", json!({})).await;
    let anew = service.job_in("written", "succeeded").await;
    assert_eq!(metric(&anew, "loss"), None, "of the job that had the name: {anew:#}");
}
