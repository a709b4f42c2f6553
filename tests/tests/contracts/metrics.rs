//! Metrics of jobs in the API: in lists they cost one range for each page, and nothing where no job has any.

use http::{Method, StatusCode};
use model::{Job, JobMetrics, MetricCurve, MetricPoint, Name};
use serde_json::{Value, json};
use table::Writes;
use tests::api::{Api, SERVICE_TOKEN};
use tests::harness::{Harness, JobSpec, manual, path};

const JOBS_PATH: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/experiments/e/jobs";

/// A finished job of the experiment; `step`: it has reported one.
fn copy(of: &Job, uid: model::Uid, name: &str, step: Option<u64>) -> (Job, Option<JobMetrics>) {
    let mut job = Job { uid, version: 1, has_metrics: step.is_some(), ..of.clone() };
    job.names.job = Name::new(name);
    let point = |step| MetricPoint { step, value: 0.5, minimum: 0.25, maximum: 1.0 };
    let curve = |step| MetricCurve {
        name: "loss".to_owned(),
        attempt: 1,
        points: vec![point(0), point(step)],
    };
    let metrics = step.map(|step| JobMetrics {
        job: job.reference(),
        version: 1,
        attempt: 1,
        sweep: None,
        metrics: vec![curve(step)],
    });
    (job, metrics)
}

async fn pages(api: &Api, size: usize) -> Vec<Value> {
    let mut next = Some(format!("{JOBS_PATH}?api-version=2018-05-01&maxresults={size}"));
    let mut jobs = Vec::new();
    while let Some(link) = next {
        let (status, page) = api.call(Method::GET, &link, Some(SERVICE_TOKEN), "").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        jobs.extend(page["value"].as_array().unwrap().clone());
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    jobs
}

#[tokio::test]
async fn a_page_has_the_metrics_of_its_jobs_for_one_range() {
    let harness = Harness::new(1).await;
    let control = &harness.environment.control;
    harness.put_cluster("c", &manual(0, "requeue")).await;
    harness.submit(&JobSpec::new("first", "c")).await.unwrap();
    let first = control.jobs.get(&path(), &Name::new("first")).await.unwrap();
    let api = Api::new(&harness.environment);
    let before = cost_of_pages(&harness, &api).await;
    let mut writes = Writes::default();
    for number in 0..30_u64 {
        let step = (number % 3 == 0).then_some(number + 1);
        let (job, metrics) =
            copy(&first, control.context.new_uid(), &format!("j{number:02}"), step);
        writes.create(&job);
        metrics.iter().for_each(|metrics| writes.create(metrics));
    }
    control.context.table.commit(writes).await.unwrap();
    for size in [1, 2, 7, 100] {
        let jobs = pages(&api, size).await;
        assert_eq!(jobs.len(), 31);
        for job in &jobs {
            let name = job["name"].as_str().unwrap();
            let number: Option<u64> = name.strip_prefix('j').and_then(|it| it.parse().ok());
            let expected = number.filter(|number| number % 3 == 0).map(|number| {
                json!([{ "name": "loss", "step": number + 1, "value": 0.5, "minimum": 0.25, "maximum": 1.0 }])
            });
            let shown = job["properties"]["extensions"].get("metrics");
            assert_eq!(shown, expected.as_ref(), "{name} on pages of {size}");
        }
    }
    let after = cost_of_pages(&harness, &api).await;
    // The page of 31 jobs is larger, too.
    assert!(after - before <= 12.0, "{before} without metrics, {after} with some");
    let (status, job) = api
        .call(
            Method::GET,
            &format!("{JOBS_PATH}/j03?api-version=2018-05-01"),
            Some(SERVICE_TOKEN),
            "",
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{job}");
    let curve = &job["properties"]["extensions"]["metrics"][0]["curve"];
    assert_eq!(curve.as_array().map(Vec::len), Some(2), "{job:#}");
}

/// The read units of a list.
async fn cost_of_pages(harness: &Harness, api: &Api) -> f64 {
    let units = || harness.environment.table().consumed().read_units;
    let before = units();
    pages(api, 100).await;
    units() - before
}
