//! What nodes and jobs cost: the provider's prices on the nodes, and the sum over the attempts of a job.

use super::nodes;
use model::{Job, Offering, Price, Timestamp};
use std::collections::BTreeMap;
use tests::fleet::machines::zone_of;
use tests::harness::{Harness, JobSpec, manual};

/// A fleet with these subnets, where an instance has this price.
async fn fleet(seed: u64, prices: &[(&str, Price)]) -> Harness {
    let harness = Harness::new(seed).await;
    harness.environment.machines.state().is_fleet = true;
    set_prices(&harness, prices);
    harness
}

fn set_prices(harness: &Harness, prices: &[(&str, Price)]) {
    let mut state = harness.environment.machines.state();
    state.subnets = prices.iter().map(|(subnet, _)| (*subnet).to_owned()).collect();
    state.prices = prices.iter().map(|(subnet, price)| (zone_of(subnet), *price)).collect();
}

/// The recorded prices by zone.
async fn recorded(harness: &Harness) -> BTreeMap<String, Price> {
    let zone = |offering: &Offering| match offering {
        Offering::Described { zone, .. } => zone.clone(),
        Offering::Single | Offering::Unknown => panic!("{offering:?}"),
    };
    nodes(harness, "c").await.iter().map(|node| (zone(&node.offering), node.price)).collect()
}

/// What this many nodes cost from one time to another, at 160,000 micro-dollars an hour each.
fn cost(nodes: u64, from: Timestamp, to: Timestamp) -> u64 {
    (160_000 * nodes * to.millis_since(from)).div_ceil(3_600_000)
}

#[tokio::test(start_paused = true)]
async fn a_node_has_the_price_of_its_zone() {
    let prices = [
        ("a", Price::MicroUsdPerHour(160_000)),
        ("b", Price::Unknown),
        ("c", Price::MicroUsdPerHour(526_000)),
    ];
    let harness = fleet(20, &prices).await;
    harness.put_cluster("c", &manual(3, "requeue")).await;
    harness.run(5).await;
    let expected = prices.map(|(subnet, price)| (zone_of(subnet), price));
    assert_eq!(recorded(&harness).await, expected.into());
}

/// The provider did not answer: the node is asked for again, and a job that started before has no cost.
#[tokio::test(start_paused = true)]
async fn a_missing_price_is_asked_for_again() {
    let harness = fleet(21, &[("a", Price::NotAsked)]).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    harness.run(5).await;
    harness.submit(&JobSpec::new("early", "c")).await.unwrap();
    harness.run(5).await;
    assert_eq!(recorded(&harness).await, [(zone_of("a"), Price::NotAsked)].into());

    let known = Price::MicroUsdPerHour(160_000);
    set_prices(&harness, &[("a", known)]);
    harness.run(2).await;
    assert_eq!(recorded(&harness).await, [(zone_of("a"), known)].into());
    harness.submit(&JobSpec::new("late", "c")).await.unwrap();
    harness.run(5).await;
    let cost = async |name| harness.job(name).await.cost_micro_usd(harness.environment.now());
    assert_eq!(cost("early").await, None);
    assert!(cost("late").await > Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_job_costs_what_the_nodes_of_all_its_attempts_cost() {
    let harness = fleet(22, &[("a", Price::MicroUsdPerHour(160_000))]).await;
    harness.put_cluster("c", &manual(3, "requeue")).await;
    harness.run(5).await;
    let gang = JobSpec { nodes: 2, millis: 30_000, ..JobSpec::new("gang", "c") };
    harness.submit(&gang).await.unwrap();
    harness.run(10).await;
    let now = harness.environment.now();
    let job = harness.job("gang").await;
    let attempt = job.state.attempt().expect("it is running");
    let first = attempt.started_at;
    assert_eq!(job.cost_micro_usd(now), Some(cost(2, first, now)), "until now");

    let lost = instance_of(&harness, &job).await;
    harness.environment.machines.lose(&lost);
    harness.run(60).await;
    let (job, now) = (harness.job("gang").await, harness.environment.now());
    assert_eq!((job.state.name(), job.attempts.len()), ("succeeded", 2));
    let of_attempts = job.attempts.iter().map(|attempt| {
        let end = attempt.ended.as_ref().expect("it has ended").at;
        cost(2, attempt.started_at, end)
    });
    let of_attempts: Vec<u64> = of_attempts.collect();
    assert!(of_attempts.iter().all(|it| *it > 0), "{of_attempts:?}");
    assert_eq!(job.cost_micro_usd(now), Some(of_attempts.iter().sum()));
}

/// An instance that runs the job.
async fn instance_of(harness: &Harness, job: &Job) -> String {
    let attempt = job.live_attempt();
    let all = nodes(harness, "c").await;
    let node = all.iter().find(|node| attempt.is_some() && node.attempt() == attempt.as_ref());
    node.and_then(|it| it.instance()).expect("a node runs it").id.clone()
}
