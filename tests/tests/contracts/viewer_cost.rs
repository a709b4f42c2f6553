//! What AWS charges for a page of the portal that stays open: it asks for itself every few seconds.

use crate::cost::{Meter, Usage};
use crate::portal::Browser;
use tests::api::Api;
use tests::issuer::Issuer;

/// The aim for an hour of any page: a fiftieth of the cheapest GPU spot instance.
const MOST_FOR_AN_HOUR: f64 = 0.016;

const WORKSPACE: &str = "/portal/workspaces/s/g/w";

#[tokio::test]
async fn an_open_page_costs_what_the_documentation_says() {
    let mut meter = Meter::start().await;
    for number in 0..12 {
        meter.submit(&format!("j{number}")).await;
    }
    meter.environment.deliver_all().await;
    let issuer = Issuer::new("https://issuer.example");
    issuer.facts().subject = "owner".to_owned();
    issuer.facts().claims = vec![("exp", i64::MAX.into())];
    let api = Api::with_issuer(&meter.environment, &issuer);
    let mut browser = Browser::new(&api, &issuer);
    browser.sign_in().await;
    let mut table = String::new();
    for (what, page) in [
        ("the workspaces", "/portal/home".to_owned()),
        ("the overview", WORKSPACE.to_owned()),
        ("a cluster", format!("{WORKSPACE}/clusters/c")),
        ("the queue", format!("{WORKSPACE}/queue")),
        ("an experiment", format!("{WORKSPACE}/experiments/e")),
        ("a running job", format!("{WORKSPACE}/experiments/e/jobs/j0")),
        ("the usage", format!("{WORKSPACE}/usage")),
    ] {
        let shown = browser.get(&page).await;
        assert_eq!(shown.status(), 200, "{page}");
        let requests = 3600.0 / seconds(std::str::from_utf8(shown.body()).unwrap());
        let before = meter.environment.table().consumed();
        assert_eq!(browser.get(&page).await.status(), 200);
        let after = meter.environment.table().consumed();
        assert_eq!(after.write_units, before.write_units, "looking writes nothing");
        let hour = Usage {
            api_requests: requests,
            invocations: requests,
            read_units: requests * (after.read_units - before.read_units),
            ..Usage::default()
        };
        assert!(hour.price_of_a_million() / 1e6 < MOST_FOR_AN_HOUR, "{what}: {hour:?}");
        table.push_str(&hour.row(&format!("an hour of the page of {what}"), 1.0));
    }
    let documented = include_str!("../../../docs/aws.md");
    assert!(documented.contains(&table), "docs/aws.md must have these rows:\n{table}");
}

/// The seconds between two updates of a page.
fn seconds(page: &str) -> f64 {
    let (_, rest) = page.split_once("hx-trigger=\"every ").expect("a live page");
    rest.split_once("s,").expect("seconds").0.parse().unwrap()
}
