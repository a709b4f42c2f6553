//! The transitions that each state of a node allows.

use super::*;
use crate::{Account, JobRef, Name, Uid, VmPriority};

const NOW: Timestamp = Timestamp(1_000);
const LATER: Timestamp = Timestamp(61_000);

fn instance() -> Instance {
    Instance { id: "i".into(), address: "a".into() }
}

fn attempt(number: u32) -> AttemptRef {
    let uid = || Uid::from_bytes([1; 16]);
    AttemptRef { job: JobRef { experiment: uid(), name: "j".into(), uid: uid() }, number }
}

fn launching() -> Node {
    let uid = || Uid::from_bytes([1; 16]);
    let account = Account { subscription: Name::new("s"), location: Name::new("l") };
    let charge = Charge::of(account, VmPriority::Dedicated, "STANDARD_D1");
    let cluster = ClusterRef { workspace: uid(), name: "c".into(), uid: uid() };
    Node::launching(NodeId::parse("n").unwrap(), cluster, uid(), charge, NOW)
}

fn preparing() -> Node {
    launching().launched(instance(), NOW).unwrap()
}

fn idle() -> Node {
    preparing().prepared(NOW).unwrap()
}

fn running() -> Node {
    idle().assigned(attempt(1), NOW, NOW).unwrap()
}

fn unusable() -> Node {
    idle().failed(ResourceError::new("C", "m"), NOW).unwrap()
}

fn leaving() -> Node {
    running().leave(LeaveReason::Shrink, NOW).unwrap()
}

/// In the order of their names below.
fn states() -> [Node; 6] {
    [launching(), preparing(), idle(), running(), leaving(), unusable()]
}

/// The state that a transition leads to, from each state in turn.
#[track_caller]
fn check(transition: impl Fn(Node) -> Result<Node, InvalidTransition>, expected: [&str; 6]) {
    let outcome = |node: Node| match transition(node.clone()) {
        Ok(after) => {
            assert_eq!((&after.id, after.version), (&node.id, node.version));
            after.state.name().to_owned()
        }
        Err(refused) => {
            assert_eq!((refused.what, refused.state), ("node", node.state.name()));
            String::from("-")
        }
    };
    assert_eq!(states().map(outcome), expected);
}

#[test]
fn every_state_allows_its_transitions() {
    let names = ["launching", "preparing", "idle", "running", "leaving", "unusable"];
    check(Ok, names);
    check(|it| it.launched(instance(), LATER), ["preparing", "-", "-", "-", "-", "-"]);
    check(|it| it.prepared(LATER), ["-", "idle", "-", "-", "-", "-"]);
    let failed = |it: Node| it.failed(ResourceError::new("C", "m"), LATER);
    check(failed, ["-", "unusable", "unusable", "-", "-", "-"]);
    let assigned = |it: Node| it.assigned(attempt(1), LATER, LATER);
    check(assigned, ["-", "-", "running", "-", "-", "-"]);
    check(|it| it.released(&attempt(1), LATER), ["-", "-", "-", "idle", "leaving", "-"]);
    check(|it| it.released(&attempt(2), LATER), ["-"; 6]);
    check(|it| it.leave(LeaveReason::Lost, LATER), ["leaving"; 6]);
    let again = ["leaving", "leaving", "leaving", "leaving", "-", "leaving"];
    check(|it| it.leave(LeaveReason::Shrink, LATER), again);
}

#[test]
fn a_leaving_node_takes_only_a_more_urgent_reason() {
    use LeaveReason::{AtRisk, ClusterDeleted, Interrupted, Lost, Shrink, ShrinkWhenDone, TooSlow};
    let by_urgency = [
        vec![ShrinkWhenDone, AtRisk],
        vec![Shrink, TooSlow],
        vec![ClusterDeleted],
        vec![Interrupted],
        vec![Lost],
    ];
    for (before, first) in by_urgency.iter().enumerate() {
        for (after, second) in by_urgency.iter().enumerate() {
            for (first, second) in first.iter().flat_map(|it| second.iter().map(move |s| (*it, *s)))
            {
                let node = running().leave(first, NOW).unwrap().leave(second, LATER);
                assert_eq!(node.is_ok(), after > before, "{first:?} then {second:?}");
                let Ok(node) = node else { continue };
                assert_eq!(node.attempt(), Some(&attempt(1)), "it keeps what it runs");
                assert_eq!(node.instance(), Some(&instance()));
            }
        }
    }
}

#[test]
fn instance_and_attempt_of_each_state() {
    let instances = states().map(|node| node.instance().is_some());
    assert_eq!(instances, [false, true, true, true, true, true]);
    let occupied = states().map(|node| node.attempt().is_some());
    assert_eq!(occupied, [false, false, false, true, true, false]);
    let leaving_now = states().map(|node| node.is_leaving());
    assert_eq!(leaving_now, [false, false, false, false, true, false]);
    assert_eq!(leaving().released(&attempt(1), NOW).unwrap().attempt(), None);
    let launched = launching().leave(LeaveReason::TooSlow, NOW).unwrap();
    assert_eq!(launched.instance(), None, "it never had one");
}

#[test]
fn states_have_deadlines() {
    let NodeState::Launching { deadline } = launching().state else { panic!() };
    assert_eq!(deadline, NOW.plus_seconds(limits::LAUNCH_DEADLINE_SECONDS));
    let node = launching().launched(instance(), LATER).unwrap();
    assert_eq!((node.created_at, node.seen_at), (NOW, LATER));
    let NodeState::Preparing { deadline, .. } = node.state else { panic!() };
    assert_eq!(deadline, LATER.plus_seconds(limits::PREPARE_DEADLINE_SECONDS));
}

#[test]
fn launching_and_leaving_nodes_are_moving() {
    assert_eq!(states().map(|node| node.is_moving()), [true, false, false, false, true, false]);
}

#[test]
fn only_a_preparing_node_is_lost_while_preparing() {
    let lost = states().map(|node| node.lost_while_preparing("r").is_some());
    assert_eq!(lost, [false, true, false, false, false, false]);
    let error = preparing().lost_while_preparing("r").unwrap();
    assert_eq!(error.code, "NodeLostWhilePreparing");
    assert_eq!(error.message, "A node was lost while it was being prepared: r");
    assert_eq!(error.details, [("Node".to_owned(), "n".to_owned())]);
}

#[test]
fn an_instance_has_a_plain_id_and_an_address() {
    let longest = "i".repeat(limits::MAX_MACHINE_ID_BYTES);
    let address = "1111:2222:3333:4444:5555:6666:100.100.100.100";
    assert_eq!(address.len(), limits::MAX_ADDRESS_BYTES);
    let instance = Instance { id: longest.clone(), address: address.into() };
    assert_eq!(Instance::parse(&longest, address), Some(instance));
    for instance in ["", "a/b", "é", "a\"", &format!("{longest}i")] {
        assert_eq!(Instance::parse(instance, "10.0.0.4"), None, "{instance}");
    }
    for address in ["", "host", "10.0.0.4:22", "10.0.0.04", "fe80::1%eth0"] {
        assert_eq!(Instance::parse("i", address), None, "{address}");
    }
}
