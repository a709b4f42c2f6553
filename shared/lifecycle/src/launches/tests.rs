//! Binding of instances to nodes; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::LeaveReason;

/// A cluster that launches the nodes 0, 1 and 2.
fn launching_three() -> Fixture {
    let fixture = Fixture::of(manual_cluster(3), vec![], vec![]);
    fixture.react(|draft| capacity::launch(draft, new_launch("l", node_ids([0, 1, 2])), 3, false));
    fixture
}

fn bound(fixture: &Fixture, instances: &[LaunchedInstance]) -> String {
    fixture.react(|draft| {
        bind(draft, &uid("l"), instances);
        Ok(())
    })
}

fn answer(
    fixture: &Fixture,
    instances: &[LaunchedInstance],
    refused: Option<ResourceError>,
) -> String {
    fixture.react(|draft| {
        let launched = instances.to_vec();
        let outcome = LaunchOutcome { launched, refused, ..LaunchOutcome::default() };
        answered(draft, &uid("l"), outcome);
        Ok(())
    })
}

fn named(number: usize, node: usize) -> LaunchedInstance {
    LaunchedInstance { node: Some(node_id(node)), ..launched(number) }
}

fn undescribed(number: usize) -> LaunchedInstance {
    LaunchedInstance { address: None, ..launched(number) }
}

fn sign_in(fixture: &Fixture, number: usize) -> String {
    fixture.react(|draft| Ok(signed_in(draft, &uid("l"), instance(number))))
}

#[test]
fn instances_are_bound_in_order_and_once() {
    let fixture = launching_three();
    assert_snapshot!(bound(&fixture, &[launched(5), launched(5)]), @r"
    replace node n0: preparing i-5 by @3660
    create inst i-5
    replace launch l: n0=i-5 n1 n2
    ");
    assert_snapshot!(bound(&fixture, &[launched(5), undescribed(6)]), @"nothing");
    // The last binding removes the launch; what is left over is not bound.
    assert_snapshot!(bound(&fixture, &[launched(5), launched(7), launched(8), launched(9)]), @r"
    replace node n1: preparing i-7 by @3660
    create inst i-7
    replace node n2: preparing i-8 by @3660
    create inst i-8
    remove launch l
    ");
    assert_snapshot!(bound(&fixture, &[launched(9)]), @"nothing");
}

#[test]
fn a_named_instance_is_bound_to_its_node_only() {
    let fixture = launching_three();
    assert_snapshot!(bound(&fixture, &[named(5, 1), named(6, 1), named(7, 9)]), @r"
    replace node n1: preparing i-5 by @3660
    create inst i-5
    replace launch l: n0 n1=i-5 n2
    ");
    assert_eq!(bound(&fixture, &[named(8, 1)]), "nothing");
}

/// A node that was removed leaves its instance behind, which is being terminated. A later request
/// for the same launch lists it again.
#[test]
fn an_instance_of_a_removed_node_is_not_bound_again() {
    let fixture = launching_three();
    bound(&fixture, &[launched(5)]);
    let node = fixture.node(0);
    fixture.react(|draft| nodes::leave(draft, &node.id, LeaveReason::Lost, None));
    fixture.react(|draft| nodes::removed(draft, &node.id));
    assert_eq!(bound(&fixture, &[launched(5)]), "nothing");
    assert_snapshot!(sign_in(&fixture, 5), @"answers Surplus");
}

#[test]
fn nodes_without_an_instance_are_withdrawn_and_the_reason_is_shown() {
    let fixture = launching_three();
    let refused = Some(error("NoCapacity"));
    assert_snapshot!(answer(&fixture, &[launched(5)], refused.clone()), @"
    replace cluster c: planned 3, resizing @60, launch failed 1x, not before @65, errors NoCapacity[]
    replace node n0: preparing i-5 by @3660
    create inst i-5
    remove node n1
    remove node n2
    put ended n1: notLaunched NoCapacity: n1 n2 requested @60 ready never
    remove launch l
    count meter cores -2 if CountAtLeast(2)
    count meter dedicated -2 if CountAtLeast(2)
    count meter dedicated D -2 if CountAtLeast(2)
    log removed n1
    log removed n2
    ");
    assert_eq!(answer(&fixture, &[launched(5)], refused), "nothing", "a repeated answer");
}

#[test]
fn fewer_instances_without_a_reason_are_an_error_too() {
    let fixture = launching_three();
    answer(&fixture, &[named(5, 2)], None);
    let errors = fixture.cluster().unwrap().errors;
    assert_eq!(errors[0].code, "InstancesMissing");
    assert_eq!(fixture.nodes().len(), 1, "n2, which has its instance");
    assert!(fixture.launches().is_empty());
}

/// The answer of EC2 Fleet has no addresses: the nodes wait until their instances are described.
#[test]
fn an_instance_without_an_address_keeps_a_node_waiting() {
    let fixture = launching_three();
    assert_snapshot!(answer(&fixture, &[undescribed(5), undescribed(6)], Some(error("NoCapacity"))), @"
    replace cluster c: planned 3, resizing @60, launch failed 1x, not before @65, errors NoCapacity[]
    remove node n2
    put ended n2: notLaunched NoCapacity: n2 requested @60 ready never
    replace launch l: n0 n1 n2-
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    log removed n2
    ");
    assert_eq!(fixture.launches()[0].waiting().count(), 2);
    assert_snapshot!(sign_in(&fixture, 6), @r#"
    answers Bound(NodeId("n0)
    replace node n0: preparing i-6 by @3660
    create inst i-6
    replace launch l: n0=i-6 n1 n2-
    "#);
    assert_snapshot!(answer(&fixture, &[undescribed(5), undescribed(6)], None), @"nothing");
    assert_snapshot!(bound(&fixture, &[launched(5), launched(6)]), @r"
    replace node n1: preparing i-5 by @3660
    create inst i-5
    remove launch l
    ");
}

#[test]
fn a_named_instance_without_an_address_keeps_its_own_node_waiting() {
    let fixture = launching_three();
    let of_the_second = LaunchedInstance { node: Some(node_id(1)), ..undescribed(5) };
    answer(&fixture, &[of_the_second], None);
    let nodes: Vec<NodeId> = fixture.nodes().into_iter().map(|node| node.id).collect();
    assert_eq!(nodes, node_ids([1]));
}

#[test]
fn a_complete_answer_settles_the_launch() {
    let fixture = launching_three();
    let all: Vec<_> = (0..3).map(|number| named(number, number)).collect();
    answer(&fixture, &all, None);
    assert!(fixture.launches().is_empty());
    assert!(fixture.cluster().unwrap().errors.is_empty());
    assert_eq!(answer(&fixture, &all, Some(error("NoCapacity"))), "nothing");
}

#[test]
fn a_surplus_instance_is_no_node() {
    let fixture = launching_three();
    for number in [3, 4, 5] {
        assert!(sign_in(&fixture, number).starts_with("answers Bound"));
    }
    assert_eq!(sign_in(&fixture, 6), "answers Surplus");
    assert_eq!(sign_in(&launching_three_of_another(), 6), "answers Surplus", "unknown launch");
}

fn launching_three_of_another() -> Fixture {
    let fixture = Fixture::of(manual_cluster(3), vec![], vec![]);
    fixture
        .react(|draft| capacity::launch(draft, new_launch("first", node_ids([0, 1, 2])), 3, false));
    fixture
}

/// The node was read after another caller bound it: the records do not fit together.
#[test]
fn records_of_different_times_are_read_again() {
    let fixture = launching_three();
    let launch = fixture.launches().remove(0);
    let mut draft = Draft::new(fixture.now, fixture.quota);
    draft.read_launch(launch);
    draft.read_node(node(0, fixture.node(0).launched(instance(9), NOW).unwrap().state));
    assert_eq!(signed_in(&mut draft, &uid("l"), instance(5)), SignIn::Stale);
    assert!(draft.finish().writes.is_empty());
}

/// Two callers that read the same state: the second one conflicts, whatever it binds.
#[test]
fn two_callers_never_bind_an_instance_or_a_node_twice() {
    for (first, second) in [(5, 5), (5, 6)] {
        let fixture = launching_three();
        let change = |number: usize| {
            let mut draft = fixture.draft();
            bind(&mut draft, &uid("l"), &[launched(number)]);
            draft.finish()
        };
        let (first, second) = (change(first), change(second));
        fixture.commit(&first).unwrap();
        assert!(fixture.commit(&second).unwrap_err().is_conflict());
    }
}

#[test]
fn a_node_that_leaves_gets_no_instance() {
    let fixture = launching_three();
    fixture.react(|draft| nodes::leave(draft, &node_id(0), LeaveReason::TooSlow, None));
    assert_snapshot!(sign_in(&fixture, 5), @r#"
    answers Bound(NodeId("n1)
    replace node n1: preparing i-5 by @3660
    create inst i-5
    replace launch l: n0- n1=i-5 n2
    "#);
}

/// A cluster that launches the nodes 0, 1 and 2 in two zones.
fn launching_in_zones() -> Fixture {
    let fixture = Fixture::of(manual_cluster(3), vec![], vec![]);
    let subnets = vec!["subnet-a".to_owned(), "subnet-b".to_owned()];
    let placement = model::Placement { subnets, ..Default::default() };
    let new = capacity::NewLaunch { placement, ..new_launch("l", node_ids([0, 1, 2])) };
    fixture.react(|draft| capacity::launch(draft, new, 3, false));
    fixture
}

/// The zone of a node is what the provider says. An instance that signs in before that has none, and
/// recovery asks.
#[test]
fn the_zone_of_a_node_is_recorded_with_its_instance() {
    let fixture = launching_in_zones();
    assert_eq!(fixture.node(0).offering, Offering::Unknown);
    let first = LaunchedInstance { offering: in_zone("a"), ..launched(5) };
    let second = LaunchedInstance { offering: Offering::Unknown, ..launched(6) };
    assert_snapshot!(bound(&fixture, &[first, second]), @r"
    replace node n0: preparing i-5 by @3660
    create inst i-5
    replace node n1: preparing i-6 by @3660
    create inst i-6
    replace launch l: n0=i-5 n1=i-6 n2
    hint Recovery c
    ");
    let offerings = [0, 1, 2].map(|number| fixture.node(number).offering);
    assert_eq!(offerings, [in_zone("a"), Offering::Unknown, Offering::Unknown]);
    assert!(sign_in(&fixture, 7).contains("hint Recovery c"));
    assert_eq!(fixture.node(2).offering, Offering::Unknown);
}
