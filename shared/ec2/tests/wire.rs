//! What is sent to EC2, parameter by parameter, and what its answers mean. The emulator moto accepts far
//! more than EC2 does, and ignores most of it.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

#[path = "wire/copies.rs"]
mod copies;
mod support;

use control::ports::{Machines, PortError, Termination};
use model::{LaunchRequest, Offering, Placement, Pool, PoolProblem, Price, Timestamp, VmPriority};
use scheduler::recovery::InstanceState;
use support::*;

const GPU_IMAGE: &str = "resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id";
const EMPTY: &[(&str, &str, &str)] = &[];

/// The parameters with these beginnings, one per line.
fn lines(form: &Form, without: &[&str]) -> Vec<String> {
    let wanted = |name: &&String| !without.iter().any(|prefix| name.starts_with(prefix));
    form.keys().filter(wanted).map(|name| format!("{name}={}", form[name])).collect()
}

fn overrides(form: &Form) -> Vec<String> {
    let prefix = "LaunchTemplateConfigs.1.Overrides.";
    let own = form.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
    own.map(|(name, value)| format!("{name}={value}")).collect()
}

#[tokio::test]
async fn a_launch_of_spot_instances() {
    let stub = Stub::start().await;
    stub.answer(fleet(&["i-1", "i-2"], &[]));
    stub.answer(described(&[("i-1", "pending", "10.0.0.1"), ("i-2", "pending", "")], None));
    let outcome = stub.machines(false).launch(&request(2)).await.unwrap();
    let launched: Vec<_> =
        outcome.launched.iter().map(|it| (it.id.as_str(), it.address.as_deref())).collect();
    assert_eq!(launched, [("i-1", Some("10.0.0.1")), ("i-2", None)]);
    let offering = Offering::Described {
        zone: "eu-west-1b".to_owned(),
        vm_size: "g5.xlarge".to_owned(),
        priority: VmPriority::Dedicated,
    };
    assert!(outcome.launched.iter().all(|it| it.offering == offering), "{:?}", outcome.launched);
    assert!(outcome.refused.is_none() && outcome.pools.is_empty());

    let requests = stub.requests();
    assert_eq!(
        lines(&requests[0], &["LaunchTemplateConfigs.1.Overrides", "TagSpecification"]),
        [
            "Action=CreateFleet",
            "ClientToken=03030303-0303-4303-8303-030303030303",
            "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId=lt-1",
            "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version=$Latest",
            "SpotOptions.AllocationStrategy=price-capacity-optimized",
            "SpotOptions.InstanceInterruptionBehavior=terminate",
            "TargetCapacitySpecification.DefaultTargetCapacityType=spot",
            "TargetCapacitySpecification.TotalTargetCapacity=2",
            "Type=instant",
            "Version=2016-11-15",
        ]
    );
    let image = |number: usize| format!("{number}.ImageId={GPU_IMAGE}");
    let mut expected = Vec::new();
    let pools = [
        ("g4dn.2xlarge", "subnet-a"),
        ("g4dn.2xlarge", "subnet-b"),
        ("g5.xlarge", "subnet-a"),
        ("g5.xlarge", "subnet-b"),
    ];
    for (index, (name, subnet)) in pools.iter().enumerate() {
        let number = index + 1;
        expected.push(image(number));
        expected.push(format!("{number}.InstanceType={name}"));
        expected.push(format!("{number}.SubnetId={subnet}"));
    }
    assert_eq!(overrides(&requests[0]), expected);
    assert_eq!(requests[1]["Filter.1.Name"], "instance-id");
    assert_eq!(requests[1]["Filter.1.Value.2"], "i-2");
}

/// Fleet and instances are tagged in the request: the role of the function allows no other launch.
#[tokio::test]
async fn fleet_and_instances_are_tagged_with_stack_cluster_and_launch() {
    let stub = Stub::start().await;
    stub.answer(fleet(&[], &[]));
    stub.machines(false).launch(&request(1)).await.unwrap();
    let form = &stub.requests()[0];
    let cluster = "01010101-0101-4101-8101-010101010101/c/02020202-0202-4202-8202-020202020202";
    let launch = "03030303-0303-4303-8303-030303030303";
    for (number, resource) in [(1, "fleet"), (2, "instance")] {
        let get = |name: &str| form[&format!("TagSpecification.{number}.{name}")].as_str();
        assert_eq!(get("ResourceType"), resource);
        assert_eq!((get("Tag.1.Key"), get("Tag.1.Value")), ("batchai:stack", "stack"));
        assert_eq!((get("Tag.2.Key"), get("Tag.2.Value")), ("batchai:cluster", cluster));
        assert_eq!((get("Tag.3.Key"), get("Tag.3.Value")), ("batchai:launch", launch));
    }
}

/// A dedicated gang: one zone and one type, all or nothing; sizes in the order of preference.
#[tokio::test]
async fn a_launch_of_an_on_demand_gang() {
    let stub = Stub::start().await;
    stub.answer(fleet(&[], &[]));
    let avoid = |vm_size: &str, priority| {
        let (vm_size, subnet) = (vm_size.to_owned(), "subnet-a".to_owned());
        Pool { vm_size, subnet, priority }
    };
    let placement = Placement {
        image: Some("ami-1".to_owned()),
        // The pools of spot instances are others.
        avoid: vec![
            avoid("g4dn.2xlarge", VmPriority::Dedicated),
            avoid("g5.xlarge", VmPriority::LowPriority),
        ],
        ..request(1).placement
    };
    let priority = VmPriority::Dedicated;
    let request = LaunchRequest { priority, is_gang: true, placement, ..request(3) };
    stub.machines(true).launch(&request).await.unwrap();
    let requests = stub.requests();
    assert_eq!(requests.len(), 1, "dedicated instances have no fallback");
    assert_eq!(
        lines(&requests[0], &["LaunchTemplateConfigs", "TagSpecification", "Action", "Version"]),
        [
            "ClientToken=03030303-0303-4303-8303-030303030303",
            "OnDemandOptions.AllocationStrategy=prioritized",
            "OnDemandOptions.MinTargetCapacity=3",
            "OnDemandOptions.SingleAvailabilityZone=true",
            "OnDemandOptions.SingleInstanceType=true",
            "TargetCapacitySpecification.DefaultTargetCapacityType=on-demand",
            "TargetCapacitySpecification.TotalTargetCapacity=3",
            "Type=instant",
        ]
    );
    let expected = [
        "1.ImageId=ami-1",
        "1.InstanceType=g4dn.2xlarge",
        "1.Priority=0.0",
        "1.SubnetId=subnet-b",
        "2.ImageId=ami-1",
        "2.InstanceType=g5.xlarge",
        "2.Priority=1.0",
        "2.SubnetId=subnet-a",
        "3.ImageId=ami-1",
        "3.InstanceType=g5.xlarge",
        "3.Priority=1.0",
        "3.SubnetId=subnet-b",
    ];
    assert_eq!(overrides(&requests[0]), expected);
}

#[tokio::test]
async fn a_gang_of_spot_instances_is_whole() {
    let stub = Stub::start().await;
    stub.answer(fleet(&[], &[]));
    let request = LaunchRequest { is_gang: true, ..request(4) };
    stub.machines(false).launch(&request).await.unwrap();
    let form = &stub.requests()[0];
    assert_eq!(form["SpotOptions.MinTargetCapacity"], "4");
    assert_eq!(form["SpotOptions.SingleAvailabilityZone"], "true");
    assert_eq!(form["SpotOptions.SingleInstanceType"], "true");
}

/// Pools that refused are used again only where no others are left.
#[tokio::test]
async fn all_pools_are_used_where_each_refused_before() {
    let stub = Stub::start().await;
    let mut request = LaunchRequest { alternate_vm_sizes: vec![], ..request(1) };
    for subnet in subnets() {
        let vm_size = "g4dn.2xlarge".to_owned();
        request.placement.avoid.push(Pool { vm_size, subnet, priority: VmPriority::LowPriority });
        stub.answer(fleet(&[], &[]));
        stub.machines(false).launch(&request).await.unwrap();
    }
    let used: Vec<usize> = stub.requests().iter().map(|form| overrides(form).len() / 3).collect();
    assert_eq!(used, [1, 2]);
}

/// EC2 refuses other parameters under a known token.
#[tokio::test]
async fn a_repetition_is_the_same_request() {
    let stub = Stub::start().await;
    for _ in 0..2 {
        stub.answer(fleet(&["i-1"], &[("InsufficientInstanceCapacity", "g5.xlarge", "subnet-a")]));
        stub.answer(fleet(&["i-2"], &[]));
        stub.answer(described(EMPTY, None));
        stub.machines(true).launch(&request(2)).await.unwrap();
    }
    let requests = stub.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!(requests[..3], requests[3..]);
}

#[tokio::test]
async fn on_demand_instances_replace_missing_spot_instances_where_that_is_allowed() {
    let stub = Stub::start().await;
    let short = fleet(&["i-1"], &[("MaxSpotInstanceCountExceeded", "g5.xlarge", "subnet-a")]);
    stub.answer(short.clone());
    stub.answer(fleet(&["i-2", "i-3"], &[]));
    stub.answer(described(EMPTY, None));
    let outcome = stub.machines(true).launch(&request(3)).await.unwrap();
    assert_eq!(outcome.launched.len(), 3);
    assert!(outcome.refused.is_none(), "{:?}", outcome.refused);
    assert_eq!(outcome.pools.len(), 1);
    let second = &stub.requests()[1];
    assert_eq!(second["ClientToken"], "03030303-0303-4303-8303-030303030303.ondemand");
    assert_eq!(second["TargetCapacitySpecification.TotalTargetCapacity"], "2");
    assert_eq!(second["TargetCapacitySpecification.DefaultTargetCapacityType"], "on-demand");

    stub.answer(short);
    stub.answer(described(EMPTY, None));
    let outcome = stub.machines(false).launch(&request(3)).await.unwrap();
    assert_eq!(outcome.launched.len(), 1);
    let refused = outcome.refused.unwrap();
    assert_eq!(refused.code, "MaxSpotInstanceCountExceeded");
    assert!(refused.message.contains("Service Quotas"), "{}", refused.message);
}

#[tokio::test]
async fn a_fleet_reports_the_pools_that_gave_no_instance() {
    let stub = Stub::start().await;
    stub.answer(fleet(
        &[],
        &[
            ("InsufficientInstanceCapacity", "g4dn.2xlarge", "subnet-a"),
            ("InsufficientInstanceCapacity", "g4dn.2xlarge", "subnet-a"),
            ("Unsupported", "g4dn.2xlarge", "subnet-b"),
            ("VcpuLimitExceeded", "g5.xlarge", "subnet-a"),
        ],
    ));
    let outcome = stub.machines(false).launch(&request(1)).await.unwrap();
    let pools: Vec<_> = outcome
        .pools
        .iter()
        .map(|it| (it.pool.vm_size.as_str(), it.pool.subnet.as_str(), it.problem))
        .collect();
    assert_eq!(
        pools,
        [
            ("g4dn.2xlarge", "subnet-a", PoolProblem::NoCapacity),
            ("g4dn.2xlarge", "subnet-b", PoolProblem::NotOffered),
            ("g5.xlarge", "subnet-a", PoolProblem::LimitReached),
        ]
    );
    let refused = outcome.refused.unwrap();
    assert_eq!(refused.code, "InsufficientInstanceCapacity");
    let expected = "EC2 has no spot capacity for g4dn.2xlarge, g5.xlarge at the moment. ";
    assert!(refused.message.starts_with(expected), "{}", refused.message);

    // An error that concerns no pool is more important than a lack of capacity.
    stub.answer(fleet(
        &[],
        &[
            ("InsufficientInstanceCapacity", "g5.xlarge", "subnet-a"),
            ("InvalidAMIID.NotFound", "g5.xlarge", "subnet-b"),
        ],
    ));
    let refused = stub.machines(false).launch(&request(1)).await.unwrap().refused.unwrap();
    assert_eq!(refused.code, "InvalidAMIID.NotFound");
    assert_eq!(refused.message, "EC2 refused the launch (InvalidAMIID.NotFound: none is left)");
}

/// A request that EC2 refuses launched nothing. What an earlier try launched is found by its tag.
#[tokio::test]
async fn a_request_that_is_refused_for_certain_is_answered() {
    let stub = Stub::start().await;
    stub.fail(400, "InvalidParameterValue", "no such type");
    stub.answer(described(&[("i-1", "running", "10.0.0.1")], None));
    stub.answer(described(&[("i-1", "running", "10.0.0.1")], None));
    let outcome = stub.machines(false).launch(&request(2)).await.unwrap();
    assert_eq!(outcome.refused.unwrap().code, "InvalidParameterValue");
    assert_eq!(outcome.launched[0].id, "i-1");
    let found = &stub.requests()[1];
    assert_eq!(
        (found["Filter.1.Name"].as_str(), found["Filter.1.Value.1"].as_str()),
        ("tag:batchai:stack", "stack")
    );
    assert_eq!(found["Filter.2.Name"], "tag:batchai:launch");
}

#[tokio::test]
async fn an_error_that_leaves_the_launch_open_is_an_error() {
    let stub = Stub::start().await;
    let launch = async || stub.machines(true).launch(&request(1)).await.unwrap_err();
    stub.fail(500, "InternalError", "sorry");
    assert!(matches!(launch().await, PortError::Other(_)));
    stub.fail(503, "RequestLimitExceeded", "too many");
    assert!(matches!(launch().await, PortError::Throttled(_)));
    stub.fail(400, "IdempotentParameterMismatch", "other parameters");
    let error = launch().await;
    assert!(error.to_string().contains("IdempotentParameterMismatch"), "{error}");
    let without = ec2::Ec2Machines::new(client("http://127.0.0.1:1"), "stack".to_owned(), None);
    let error = without.find(&cluster()).await.unwrap_err();
    assert!(error.to_string().starts_with("EC2 did not answer: "), "{error}");
    assert!(without.launch(&request(1)).await.is_err());
}

#[tokio::test]
async fn instances_are_found_page_by_page() {
    let stub = Stub::start().await;
    let states = ["pending", "running", "shutting-down", "stopping", "stopped", "terminated"];
    let of = |state: &str| format!("i-{state}");
    let ids: Vec<String> = states.iter().map(|state| of(state)).collect();
    let page: Vec<_> =
        ids.iter().zip(states).map(|(id, state)| (id.as_str(), state, "10.0.0.1")).collect();
    stub.answer(described(&page[..3], Some("more")));
    stub.answer(described(&page[3..], None));
    let found = stub.machines(false).find(&cluster()).await.unwrap();
    let is_spot = |offering: &Offering| {
        matches!(offering, Offering::Described { priority: VmPriority::LowPriority, .. })
    };
    let spot: Vec<bool> = found.iter().map(|it| is_spot(&it.offering)).collect();
    assert_eq!(spot, [false, true, false, false, false, false], "what its description says");
    let found: Vec<_> = found.iter().map(|it| (it.id.as_str(), it.state)).collect();
    use InstanceState::{Ended, Running, Stopped};
    let expected = [Running, Running, Running, Running, Stopped, Ended];
    assert_eq!(found, ids.iter().map(String::as_str).zip(expected).collect::<Vec<_>>());
    let requests = stub.requests();
    assert_eq!(requests[1]["NextToken"], "more");
    assert_eq!(requests[0]["MaxResults"], "1000");
    assert_eq!(requests[0]["Filter.2.Name"], "tag:batchai:cluster");
}

#[tokio::test]
async fn the_clusters_of_existing_instances_are_listed_once() {
    let stub = Stub::start().await;
    stub.answer(described(&[("i-1", "running", ""), ("i-2", "stopped", "")], None));
    assert_eq!(stub.machines(false).clusters().await.unwrap(), [cluster()]);
    let form = &stub.requests()[0];
    assert_eq!(form["Filter.2.Name"], "instance-state-name");
    let states: Vec<&str> =
        (1..=5).map(|it| form[&format!("Filter.2.Value.{it}")].as_str()).collect();
    assert_eq!(states, ["pending", "running", "shutting-down", "stopping", "stopped"]);
}

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|it| (*it).to_owned()).collect()
}

#[tokio::test]
async fn instances_are_terminated_with_one_call() {
    let stub = Stub::start().await;
    stub.answer(terminated(&[("i-2", "terminated"), ("i-1", "shutting-down")]));
    let outcomes = stub.machines(false).terminate(&cluster(), &ids(&["i-1", "i-2", "i-3"])).await;
    let outcomes = outcomes.unwrap();
    assert!(matches!(outcomes[0], Ok(Termination::Ending)), "{outcomes:?}");
    assert!(matches!(outcomes[1], Ok(Termination::Ended)), "{outcomes:?}");
    assert!(outcomes[2].is_err(), "EC2 did not mention it: {outcomes:?}");
    let requests = stub.requests();
    assert_eq!(requests.len(), 2, "one call for all, and the description of those that are ending");
    assert_eq!(requests[0]["InstanceId.3"], "i-3");
    assert_eq!(requests[1]["Filter.1.Value.1"], "i-1");
    assert!(!requests[1].contains_key("Filter.1.Value.2"));
    assert!(stub.machines(false).terminate(&cluster(), &[]).await.unwrap().is_empty());
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn an_instance_has_ended_when_its_description_says_so() {
    let stub = Stub::start().await;
    stub.answer(terminated(&[("i-1", "shutting-down"), ("i-2", "shutting-down")]));
    stub.answer(described(&[("i-2", "terminated", ""), ("i-1", "shutting-down", "")], None));
    let outcomes = stub.machines(false).terminate(&cluster(), &ids(&["i-1", "i-2"])).await.unwrap();
    let outcomes: Vec<Termination> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes, [Termination::Ending, Termination::Ended]);
}

/// EC2 terminates none of the instances of a call that names an unknown one.
#[tokio::test]
async fn a_wrong_id_does_not_keep_the_other_instances() {
    let stub = Stub::start().await;
    stub.fail(400, "InvalidInstanceID.NotFound", "i-3");
    stub.answer(terminated(&[("i-1", "shutting-down"), ("i-2", "shutting-down")]));
    stub.fail(400, "InvalidInstanceID.NotFound", "i-3");
    stub.fail(400, "InvalidInstanceID.NotFound", "i-3");
    stub.fail(400, "InvalidInstanceID.Malformed", "x");
    let outcomes = stub
        .machines(false)
        .terminate(&cluster(), &ids(&["i-1", "i-2", "i-3", "x"]))
        .await
        .unwrap();
    let outcomes: Vec<Termination> = outcomes.into_iter().map(Result::unwrap).collect();
    use Termination::{Ended, Ending, Unknown};
    assert_eq!(outcomes, [Ending, Ending, Unknown, Ended]);
    assert_eq!(stub.requests().len(), 6, "the last one describes those that are ending");
}

#[tokio::test]
async fn a_call_that_is_throttled_is_not_split() {
    let stub = Stub::start().await;
    stub.fail(503, "RequestLimitExceeded", "too many");
    let outcomes = stub.machines(false).terminate(&cluster(), &ids(&["i-1", "i-2"])).await.unwrap();
    assert!(outcomes.iter().all(Result::is_err) && outcomes.len() == 2);
    assert_eq!(stub.requests().len(), 1);

    stub.fail(400, "OperationNotPermitted", "protected");
    stub.fail(400, "OperationNotPermitted", "protected");
    stub.answer(terminated(&[("i-2", "terminated")]));
    let outcomes = stub.machines(false).terminate(&cluster(), &ids(&["i-1", "i-2"])).await.unwrap();
    assert!(outcomes[0].as_ref().is_err_and(|it| it.to_string().contains("protected")));
    assert!(matches!(outcomes[1], Ok(Termination::Ended)));
}

fn described_as(vm_size: &str, zone: &str, priority: VmPriority) -> Offering {
    Offering::Described { zone: zone.to_owned(), vm_size: vm_size.to_owned(), priority }
}

fn spot_prices(prices: &[(&str, &str)]) -> String {
    let item = |(price, at): &(&str, &str)| {
        format!(
            "<item><instanceType>g5.xlarge</instanceType><productDescription>Linux/UNIX</productDescription><spotPrice>{price}</spotPrice><timestamp>{at}</timestamp><availabilityZone>eu-west-1b</availabilityZone></item>"
        )
    };
    let items: String = prices.iter().map(item).collect();
    format!(
        "<DescribeSpotPriceHistoryResponse><requestId>r</requestId><spotPriceHistorySet>{items}</spotPriceHistorySet></DescribeSpotPriceHistoryResponse>"
    )
}

/// EC2 is asked once in ten minutes for a type in a zone, also if it did not answer; list prices come from
/// the table.
#[tokio::test]
async fn the_price_of_a_spot_instance_is_asked_for_once() {
    let stub = Stub::start().await;
    let machines = stub.machines(false);
    let spot = described_as("g5.xlarge", "eu-west-1b", VmPriority::LowPriority);
    let listed = described_as("g4dn.xlarge", "eu-west-1b", VmPriority::Dedicated);
    let unlisted = described_as("x9.huge", "eu-west-1b", VmPriority::Dedicated);
    let offerings = [spot.clone(), listed, spot.clone(), unlisted, Offering::Unknown];
    let now = Timestamp(1_792_000_000_000);
    let known = Price::MicroUsdPerHour;
    stub.answer(spot_prices(&[
        ("0.401200", "2026-10-14T17:00:00.000Z"),
        ("0.412300", "2026-10-14T18:00:00.000Z"),
    ]));
    let prices = machines.prices(&offerings, now).await;
    let expected = [known(412_300), known(587_000), known(412_300), Price::Unknown, Price::Unknown];
    assert_eq!(prices, expected);
    let requests = stub.requests();
    assert_eq!(requests.len(), 1);
    let form = &requests[0];
    assert_eq!(form["Action"], "DescribeSpotPriceHistory");
    assert_eq!(form["InstanceType.1"], "g5.xlarge");
    assert_eq!(form["ProductDescription.1"], "Linux/UNIX");
    assert_eq!(form["Filter.1.Name"], "availability-zone");
    assert_eq!(form["Filter.1.Value.1"], "eu-west-1b");
    assert_eq!(form["StartTime"], "2026-10-14T17:46:40Z");
    assert_eq!(form["StartTime"], form["EndTime"], "the price at one time");

    let spot = [spot];
    assert_eq!(machines.prices(&spot, now.plus_seconds(599)).await, [known(412_300)]);
    assert!(stub.requests().is_empty());
    stub.fail(503, "RequestLimitExceeded", "too many");
    let later = now.plus_seconds(600);
    for _ in 0..2 {
        assert_eq!(machines.prices(&spot, later).await, [Price::NotAsked], "to be asked again");
    }
    assert_eq!(stub.requests().len(), 1);
    stub.answer(spot_prices(&[]));
    assert_eq!(machines.prices(&spot, later.plus_seconds(600)).await, [Price::Unknown]);
}

/// Types and zones have prices of their own.
#[tokio::test]
async fn every_pool_has_its_own_spot_price() {
    let stub = Stub::start().await;
    let machines = stub.machines(false);
    let offerings =
        [("g5.xlarge", "eu-west-1b"), ("g5.xlarge", "eu-west-1c"), ("g4dn.xlarge", "eu-west-1c")]
            .map(|(vm_size, zone)| described_as(vm_size, zone, VmPriority::LowPriority));
    for price in ["0.4", "0.5", "0.2"] {
        stub.answer(spot_prices(&[(price, "2026-10-14T18:00:00.000Z")]));
    }
    let now = Timestamp(1_792_000_000_000);
    let expected = [400_000, 500_000, 200_000].map(Price::MicroUsdPerHour);
    assert_eq!(machines.prices(&offerings, now).await, expected);
    let requests = stub.requests();
    let asked =
        requests.iter().map(|it| (it["InstanceType.1"].as_str(), it["Filter.1.Value.1"].as_str()));
    let asked: Vec<_> = asked.collect();
    assert_eq!(
        asked,
        [("g5.xlarge", "eu-west-1b"), ("g5.xlarge", "eu-west-1c"), ("g4dn.xlarge", "eu-west-1c")]
    );
}
