//! `batchai sweep` with the real binary.

use super::service::{Service, until};
use serde_json::{Value, json};
use std::fs;

/// Each run is for a while in a directory with the others that run, and prints how many they are.
const COUNT_RUNS: &str = "cd $AZ_BATCHAI_MOUNT_ROOT/nfs && mkdir -p running && touch running/$$ && sleep 0.5; ls running | wc -l; sleep 0.5; rm running/$$; echo $BATCHAI_PARAMS and $BATCHAI_PARAM_n";

fn job_file(service: &Service, command: &str) -> String {
    let path = service.root().join("job.json");
    let job = json!({ "properties": {
        "nodeCount": 1,
        "customToolkitSettings": { "commandLine": command },
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
    }});
    fs::write(&path, job.to_string()).unwrap();
    path.display().to_string()
}

/// Exit code, stdout and stderr.
fn batchai(service: &Service, line: &str) -> (Option<i32>, String, String) {
    let output = service.batchai(&line.split(' ').collect::<Vec<_>>());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn runs(service: &Service, sweep: &str) -> Vec<Value> {
    let (code, stdout, stderr) = batchai(service, &format!("sweep show {sweep} -o json"));
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_runs_every_combination_and_never_more_than_its_limit() {
    let service = Service::start();
    service.prepare(3).await;
    let file = job_file(&service, COUNT_RUNS);
    let sweep = format!("sweep -f {file} -c c -n s --param lr=0.1,0.01 --param n=1:3");

    let (code, plan, stderr) = batchai(&service, &format!("{sweep} --dry-run"));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(plan.lines().count(), 7, "{plan}");
    assert!(plan.contains("s-6-lr0p01-n3  0.01  3"), "{plan}");
    let (code, _, stderr) = batchai(&service, "sweep show s");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("experiment e has no sweep"), "{stderr}");

    let (code, _, stderr) = batchai(&service, &format!("{sweep} --max-parallel 2"));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("Submitted 6 runs as sweep s of experiment e."), "{stderr}");
    until("a run waits for others", async || {
        let reason = |run: &Value| {
            run["properties"]["extensions"]["waitingReason"]["code"] == "WaitsForSweep"
        };
        runs(&service, "s").iter().any(reason).then_some(())
    })
    .await;
    for number in 1..=6 {
        let lr = if number <= 3 { ("0.1", "0p1") } else { ("0.01", "0p01") };
        let n = (number - 1) % 3 + 1;
        let name = format!("s-{number}-lr{}-n{n}", lr.1);
        service.job_in(&name, "succeeded").await;
        let output = service.output(&name, ".", "stdout.txt").await;
        let (count, parameters) = output.trim().split_once('\n').unwrap();
        assert!(["1", "2"].contains(&count), "{count} runs at a time");
        assert_eq!(parameters, format!("--lr {} --n {n} and {n}", lr.0));
    }

    // A repetition finds the same runs.
    let (code, _, stderr) = batchai(&service, &format!("{sweep} --max-parallel 2"));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(runs(&service, "S").len(), 6, "names of sweeps are found without regard to case");
    let (_, table, summary) = batchai(&service, "sweep show s");
    assert!(table.starts_with("RUN "), "{table}");
    assert!(summary.contains("6 runs: 6 succeeded."), "{summary}");
    let (_, list, _) = batchai(&service, "sweep list");
    assert!(
        list.lines().nth(1).is_some_and(|line| line.starts_with("s     6     0       0        6")),
        "{list}"
    );
    let (code, _, stderr) = batchai(&service, "sweep show other");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("has no sweep other; it has s"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_is_terminated_as_a_whole() {
    let service = Service::start();
    service.prepare(2).await;
    let file = job_file(&service, "sleep 600");
    let line = format!("sweep -f {file} -c c -n s --param n=1:4 --max-parallel 1");
    assert_eq!(batchai(&service, &line).0, Some(0));
    service.job_in("s-1-n1", "running").await;
    let (code, _, stderr) = batchai(&service, "sweep terminate s");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("Terminated 4 runs of sweep s."), "{stderr}");
    for run in runs(&service, "s") {
        assert_eq!(run["properties"]["executionState"], "failed", "{run:#}");
    }
    let (_, _, stderr) = batchai(&service, "sweep terminate s");
    assert!(stderr.contains("All runs of sweep s have ended."), "{stderr}");
}

/// The worst of four runs would go on for ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_worse_than_the_median_is_stopped() {
    let service = Service::start();
    service.prepare(4).await;
    let train = r#"trap 'echo stopped; exit 0' TERM; for step in $(seq 1000); do echo "{\"step\": $step, \"loss\": $BATCHAI_PARAM_n}"; [ $BATCHAI_PARAM_n != 9 ] || sleep 0.6; done"#;
    // It begins when the others have reported.
    let file = job_file(&service, &format!("[ $BATCHAI_PARAM_n != 9 ] || sleep 3; {train}"));
    let line = format!(
        "sweep -f {file} -c c -n s --param n=9,1,2,3 --metric loss --stop-worse-than median --stop-after-step 4"
    );
    assert_eq!(batchai(&service, &line).0, Some(0));
    // Each has its own time: nodes are launched, then metrics come with heartbeats.
    service.job_in("s-4-n3", "succeeded").await;
    service.job_in("s-1-n9", "running").await;
    let stopped = service.job_in("s-1-n9", "failed").await;
    let error = &stopped["properties"]["executionInfo"]["errors"][0];
    assert_eq!(error["code"], "JobStoppedEarly", "{stopped:#}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(" is 9, worse than 2, the median of 3 other runs"), "{message}");
    assert!(service.output("s-1-n9", ".", "stdout.txt").await.ends_with("stopped\n"));
    let (_, table, _) = batchai(&service, "sweep show s");
    let order: Vec<&str> = table.lines().skip(1).filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(order, ["s-2-n1", "s-3-n2", "s-4-n3", "s-1-n9"], "{table}");
    let (_, list, _) = batchai(&service, "sweep list");
    assert!(list.contains("s-2-n1"), "{list}");
}

#[tokio::test]
async fn what_a_sweep_says_is_checked() {
    let service = Service::start();
    service.prepare(1).await;
    let put = async |sweep: Value| {
        let body = super::api::job("true", json!({ "extensions": { "sweep": sweep } }));
        service.put("/experiments/e/jobs/a", &body).await.error(400).1
    };
    for (sweep, expected) in [
        (json!({}), "sweep.name"),
        (json!({ "name": "a b" }), "sweep.name"),
        (json!({ "name": "s", "maxParallel": 0 }), "sweep.maxParallel"),
        (json!({ "name": "s", "maxParallel": 101 }), "sweep.maxParallel"),
        (json!({ "name": "s", "earlyStopping": {} }), "must have objective"),
        (
            json!({ "name": "s", "objective": { "metric": "loss", "goal": "best" } }),
            "objective.goal",
        ),
        (json!({ "name": "s", "parameters": [{ "name": "a" }] }), "parameters[0].value"),
        (
            json!({ "name": "s", "parameters": [{ "name": "a", "value": "1" }, { "name": "a", "value": "2" }] }),
            "of another entry",
        ),
    ] {
        let message = put(sweep).await;
        assert!(message.contains(expected), "{expected}: {message}");
    }
}
