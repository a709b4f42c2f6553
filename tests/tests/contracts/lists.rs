//! Long lists: every page has the same cost, and no entry is repeated or missing during writes.

use control::Control;
use http::{Method, StatusCode};
use model::{Job, Name};
use serde_json::Value;
use std::collections::BTreeSet;
use table::Writes;
use tests::api::{Api, SERVICE_TOKEN};
use tests::harness::{Harness, JobSpec, manual, path};

const JOBS: usize = 10_000;
const PER_TRANSACTION: usize = 90;
const JOBS_PATH: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/experiments/e/jobs?api-version=2018-05-01&maxresults=100";

/// Copies of a job with other names.
fn copies(of: &Job, control: &Control, numbers: impl Iterator<Item = usize>) -> Vec<Job> {
    let copy = |number: usize| {
        let mut job = of.clone();
        job.names.job = Name::new(format!("j{number:05}"));
        job.uid = control.context.new_uid();
        job.version = 1;
        job
    };
    numbers.map(copy).collect()
}

async fn store(harness: &Harness, jobs: &[Job]) {
    for some in jobs.chunks(PER_TRANSACTION) {
        let mut writes = Writes::default();
        for job in some {
            writes.create(job);
        }
        harness.environment.table().commit(writes).await.unwrap();
    }
}

fn names_on(page: &Value) -> Vec<String> {
    let jobs = page["value"].as_array().expect("a list");
    jobs.iter().map(|job| job["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn ten_thousand_jobs_page_by_page() {
    let harness = Harness::new(1).await;
    let control = &harness.environment.control;
    harness.put_cluster("c", &manual(0, "requeue")).await;
    harness.submit(&JobSpec::new("first", "c")).await.unwrap();
    let first = control.jobs.get(&path(), &Name::new("first")).await.unwrap();
    store(&harness, &copies(&first, control, (0..JOBS).map(|number| 2 * number))).await;
    let api = Api::new(&harness.environment);
    let units = || control.context.table.consumed().read_units;

    let mut seen = Vec::new();
    let mut costs = Vec::new();
    let mut next = Some(JOBS_PATH.to_owned());
    let mut pages = 0;
    while let Some(link) = next {
        let before = units();
        let (status, page) = api.call(Method::GET, &link, Some(SERVICE_TOKEN), "").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        costs.push(units() - before);
        seen.extend(names_on(&page));
        next = page["nextLink"].as_str().map(str::to_owned);
        pages += 1;
        if pages == 40 {
            // Others write: behind us, before us, and a removal of what is still to come.
            store(&harness, &copies(&first, control, [1, 19_999].into_iter())).await;
            let gone = control.jobs.get(&path(), &Name::new("j19990")).await.unwrap();
            let mut writes = Writes::default();
            writes.remove(&gone);
            control.context.table.commit(writes).await.unwrap();
        }
    }
    let different: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(different.len(), seen.len(), "no job is listed twice");
    assert!(seen.contains(&"j19999".to_owned()) && !seen.contains(&"j19990".to_owned()));
    // What was there all the time is there: `first` and all copies but the removed one.
    assert_eq!(seen.len(), JOBS + 1 - 1 + 1);
    assert_eq!(pages, seen.len().div_ceil(100));
    // The last page is shorter; all others cost the same but for rounding.
    costs.pop();
    let (least, most) =
        costs.iter().fold((f64::MAX, 0.0_f64), |(least, most), it| (least.min(*it), most.max(*it)));
    assert!(most - least <= 1.0, "costs of pages: {least} to {most}");
}

#[tokio::test]
async fn a_continuation_token_belongs_to_its_list() {
    let harness = Harness::new(2).await;
    harness.put_cluster("c", &manual(0, "requeue")).await;
    for name in ["a", "b"] {
        harness.submit(&JobSpec::new(name, "c")).await.unwrap();
    }
    let api = Api::new(&harness.environment);
    let one = JOBS_PATH.replace("maxresults=100", "maxresults=1");
    let (_, page) = api.call(Method::GET, &one, Some(SERVICE_TOKEN), "").await;
    assert_eq!(names_on(&page), ["a"]);
    let link = page["nextLink"].as_str().expect("a second page").to_owned();
    let (_, second) = api.call(Method::GET, &link, Some(SERVICE_TOKEN), "").await;
    assert_eq!(names_on(&second), ["b"]);
    let elsewhere = link.replace("/experiments/e/jobs", "/clusters");
    let tampered = format!("{link}x");
    for wrong in [elsewhere, tampered] {
        let (status, body) = api.call(Method::GET, &wrong, Some(SERVICE_TOKEN), "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["error"]["code"], "InvalidSkipToken");
    }
}
