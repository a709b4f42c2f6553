//! A gang is in one zone: where its missing nodes are launched, and which nodes leave for it.

use super::*;
use model::Offering;

fn idle_at(number: usize, zone: &str) -> Node {
    offered(idle(number, NOW), in_zone(zone))
}

fn nodes(zones: &[&str]) -> Vec<Node> {
    zones.iter().enumerate().map(|(number, zone)| idle_at(number, zone)).collect()
}

fn launch_at(zone: &str, count: u32, planned_nodes: u32) -> Action {
    Action::Launch { count, planned_nodes, is_gang: true, zone: Some(zone.into()) }
}

fn leave_all(numbers: &[usize]) -> Vec<Action> {
    numbers.iter().map(|number| leave(*number, LeaveReason::Shrink)).collect()
}

#[test]
fn missing_nodes_are_launched_in_the_zone_of_the_most() {
    let spread = || nodes(&["a", "b", "b"]);
    check(auto_cluster(0, 10), spread(), &[4], &[launch_at("b", 2, 5)]);
    check(auto_cluster(0, 10), spread(), &[2], &[]);
    check(auto_cluster(0, 10), spread(), &[1, 1, 1], &[]);
    check(auto_cluster(0, 10), nodes(&["a", "b"]), &[2], &[launch_at("a", 1, 3)]);
    // The first gang has zone b, the second one starts with what is left.
    check(auto_cluster(0, 10), spread(), &[2, 2], &[launch_at("a", 1, 4)]);
    // A job of one node before it takes the node that no gang needs.
    check(auto_cluster(0, 10), spread(), &[1, 2], &[]);
}

#[test]
fn idle_nodes_of_other_zones_leave_where_there_is_no_room() {
    let spread = || nodes(&["a", "a", "b", "b"]);
    for cluster in [auto_cluster(0, 4), manual_cluster(4)] {
        check(cluster.clone(), spread(), &[4], &leave_all(&[2, 3]));
        // A node of a job before it stays.
        check(cluster.clone(), nodes(&["a", "a", "b"]), &[1, 3], &[launch_at("a", 1, 4)]);
        // Jobs behind it do not keep the nodes.
        check(cluster.clone(), spread(), &[4, 1, 1], &leave_all(&[2, 3]));
    }
    let mut expected = leave_all(&[2]);
    expected.push(launch_at("a", 1, 5));
    check(auto_cluster(0, 5), spread(), &[4], &expected);
    let left = spread()[..2].to_vec();
    check(auto_cluster(0, 4), left, &[4], &[launch_at("a", 2, 4)]);
}

#[test]
fn nodes_of_other_zones_leave_for_the_quota_too() {
    let snapshot = CapacitySnapshot {
        cluster: auto_cluster(0, 10),
        blocked: false,
        nodes: nodes(&["a", "a", "b", "b"]),
        queued: vec![4],
        quota_left: 0,
        launches: vec![],
        strays: vec![],
    };
    assert_eq!(plan_without_allocation(&snapshot, NOW), leave_all(&[2, 3]));
}

/// Idle nodes beyond demand leave, but not those that a gang collects.
#[test]
fn nodes_that_the_gang_does_not_use_leave_after_the_idle_time() {
    let late = NOW.plus_seconds(IDLE);
    let mut all = nodes(&["b", "a", "a", "b"]);
    all.extend([4, 5].map(|number| launching(number, "l")));
    let mut launch = launch_of("l", &[4, 5]);
    launch.request.placement.zones = vec!["a".into()];
    all[4..].iter_mut().for_each(|node| node.offering = Offering::Unknown);
    let snapshot = CapacitySnapshot {
        cluster: auto_cluster(0, 10),
        blocked: false,
        nodes: all,
        queued: vec![4],
        quota_left: 100,
        launches: vec![launch],
        strays: vec![],
    };
    let mut plan = plan_without_allocation(&snapshot, late);
    plan.retain(|action| !matches!(action, Action::Relaunch { .. }));
    assert_eq!(plan, leave_all(&[0, 3]));
}

/// The zone of the nodes has no capacity, another may have: after the second failure the whole gang is
/// launched anew.
#[test]
fn a_gang_moves_to_another_zone_when_launches_fail() {
    let mut cluster = auto_cluster(0, 10);
    let later = NOW.plus_seconds(limits::BACKOFF_LONGEST_SECONDS);
    let have = |zones: &[&str]| {
        let busy = |mut node: Node| {
            if let NodeState::Idle { since, .. } = &mut node.state {
                *since = later;
            }
            node
        };
        nodes(zones).into_iter().map(busy).collect::<Vec<Node>>()
    };
    for (failures, expected) in [
        (0, vec![launch_at("a", 2, 5)]),
        (1, vec![launch_at("a", 2, 5)]),
        // They may use up the limit for which launches fail.
        (2, leave_all(&[2])),
        (3, leave_all(&[2])),
        (4, vec![launch_at("a", 2, 5)]),
    ] {
        cluster.health = Backoff { failures, since: NOW, not_before: NOW };
        check_at(later, cluster.clone(), have(&["a", "a", "b"]), &[4], &expected);
    }
    cluster.health.failures = 2;
    check_at(later, cluster.clone(), have(&["a", "a"]), &[4], &[launch_gang(4, 6)]);
    // Where there is no room for a second gang, its nodes leave.
    cluster.scale = auto_cluster(0, 5).scale;
    check_at(later, cluster, have(&["a", "a"]), &[4], &leave_all(&[0]));
}

/// After every second failure jobs of one node go first. Where there is no room for them, that would last for ever.
#[test]
fn a_gang_gets_room_although_it_is_the_turn_of_other_jobs() {
    let mut cluster = auto_cluster(3, 3);
    cluster.health = Backoff { failures: 1, since: NOW, not_before: NOW };
    check(cluster.clone(), nodes(&["b", "b", "a"]), &[3, 2, 1], &leave_all(&[2]));
    cluster.scale = auto_cluster(3, 4).scale;
    let single = Action::Launch { count: 1, planned_nodes: 4, is_gang: false, zone: None };
    check(cluster, nodes(&["b", "b", "a"]), &[3, 2, 1], &[single]);
}

/// A node is launched, and its zone is not known yet: it may be where the gang needs it.
#[test]
fn a_gang_waits_to_learn_the_zone_of_a_new_node() {
    let unknown = |number| offered(idle(number, NOW), Offering::Unknown);
    let all = || vec![idle_at(0, "a"), unknown(1)];
    check(auto_cluster(0, 10), all(), &[2, 1], &[]);
    check(auto_cluster(0, 10), all(), &[1, 2], &[launch_at("a", 1, 3)]);
    let late = NOW.plus_seconds(120);
    let mut cluster = auto_cluster(2, 10);
    cluster.spec.extensions.idle_seconds_before_scale_down = Some(1000);
    check_at(late, cluster, all(), &[2], &[launch_at("a", 1, 3)]);
}

/// The nodes of a launch for a gang are in one zone, whichever that is.
#[test]
fn nodes_of_one_launch_are_together() {
    let mut launch = launch_of("l", &[0, 1, 2]);
    launch.request.is_gang = true;
    let launching = |number| offered(launching(number, "l"), Offering::Unknown);
    let plan = |first: Node, queued: u32| {
        let snapshot = CapacitySnapshot {
            cluster: auto_cluster(0, 10),
            blocked: false,
            nodes: vec![first, launching(1), launching(2)],
            queued: vec![queued],
            quota_left: 100,
            launches: vec![launch.clone()],
            strays: vec![],
        };
        plan_without_allocation(&snapshot, NOW)
    };
    assert_eq!(plan(launching(0), 3), []);
    assert_eq!(plan(launching(0), 4), [], "a part of the gang");
    assert_eq!(plan(idle_at(0, "b"), 4), [launch_at("b", 1, 4)]);
}

/// The provider is asked once for what its nodes cost; nothing waits for the answer.
#[test]
fn nodes_are_priced_when_they_are_described() {
    let priced = |price| Node { price, ..idle_at(1, "a") };
    let all = vec![idle_at(0, "a"), priced(model::Price::Unknown), idle(2, NOW)];
    let price = Action::Price { nodes: vec![node_id(0)] };
    check_priced(auto_cluster(3, 3), all.clone(), &[], std::slice::from_ref(&price));
    check_priced(auto_cluster(0, 4), all, &[1, 1, 1, 1], &[launch(1, 4), price]);
}

/// The others follow in the next pass.
#[test]
fn as_many_nodes_are_priced_at_once_as_a_launch_has() {
    let many: Vec<Node> = (0..=limits::MAX_NODES_PER_LAUNCH).map(|it| idle_at(it, "a")).collect();
    let nodes = many.iter().take(limits::MAX_NODES_PER_LAUNCH).map(|it| it.id.clone()).collect();
    assert_eq!(super::super::unpriced_nodes(&many), Some(Action::Price { nodes }));
}

/// No job will start on it.
#[test]
fn a_node_that_leaves_is_not_priced() {
    let leaving = idle_at(0, "a").leave(LeaveReason::Shrink, NOW).unwrap();
    assert!(leaving.price.is_not_asked() && leaving.offering.is_described());
    assert_eq!(super::super::unpriced_nodes(&[leaving]), None);
}

proptest::proptest! {
    /// Whatever the zones of the nodes are: a gang within the limits gets its nodes in one zone when the
    /// plans are carried out and the provider has capacity, and no plan exceeds the limits.
    #[test]
    fn a_gang_gets_its_nodes(
        zones in proptest::collection::vec(0usize..4, 0..7),
        width in 2u32..6,
        singles in 0usize..3,
        more in 0u32..3,
        is_manual: bool,
    ) {
        let names = ["a", "b", "c"];
        let ceiling = width.max(zones.len() as u32) + more;
        let cluster = if is_manual { manual_cluster(ceiling) } else { auto_cluster(0, ceiling) };
        let mut nodes: Vec<Node> = zones.iter().enumerate().map(|(number, zone)| {
            let offering = names.get(*zone).map_or(Offering::Unknown, |zone| in_zone(zone));
            offered(idle(number, NOW), offering)
        }).collect();
        let mut queued = vec![width];
        queued.extend(vec![1; singles]);
        let mut number = nodes.len();
        let has_gang = |nodes: &[Node]| names.iter().any(|zone| {
            nodes.iter().filter(|node| node.offering == in_zone(zone)).count() >= width as usize
        });
        for round in 0..8 {
            if has_gang(&nodes) {
                break;
            }
            let snapshot = CapacitySnapshot {
                cluster: cluster.clone(),
                blocked: false,
                nodes: nodes.clone(),
                queued: queued.clone(),
                quota_left: 100,
                launches: vec![],
                strays: vec![],
            };
            for action in plan_without_allocation(&snapshot, NOW.plus_seconds(150 * (round + 1))) {
                match action {
                    Action::Leave { node, .. } => nodes.retain(|it| it.id != node),
                    Action::Launch { count, zone, is_gang, .. } => {
                        for index in 0..count as usize {
                            let any = if is_gang { names[0] } else { names[index % 3] };
                            nodes.push(idle_at(number, zone.as_deref().unwrap_or(any)));
                            number += 1;
                        }
                    }
                    _ => {}
                }
            }
            proptest::prop_assert!(nodes.len() as u32 <= ceiling);
        }
        proptest::prop_assert!(has_gang(&nodes), "{nodes:?}");
    }
}
