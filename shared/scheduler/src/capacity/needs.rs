//! Which free nodes the queued jobs will use, and what they lack.
//!
//! The nodes of a gang are in one zone. A gang whose nodes lie in several zones gets the missing ones in
//! the zone where it has the most; where the settings or the quota leave no room for them, idle nodes of
//! other zones leave.

use super::{CapacitySnapshot, usable};
use crate::free_nodes::FreeNodes;
use model::{LaunchId, Node, NodeId, NodeState, Timestamp, Zone};
use std::collections::BTreeSet;

/// For how long a gang waits to learn the zone of a new node, in seconds. The provider describes an
/// instance soon after its launch, and recovery visits a cluster every minute. Without a limit, one node
/// that is never described would keep every gang waiting.
const ZONE_UNKNOWN_SECONDS: u64 = 120;

/// What the queued jobs lack, in the order of the queue.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The free nodes that they will use.
    pub(super) kept: BTreeSet<NodeId>,
    /// Nodes that are missing.
    pub(super) lacking: u32,
    /// The first gang that lacks nodes.
    pub(super) gang: Option<GangNeed>,
    /// Jobs of one node that lack it.
    pub(super) singles: u32,
    /// Those of them that are before the gang.
    pub(super) singles_before: u32,
}

/// A gang that lacks nodes.
#[derive(Debug)]
pub(super) struct GangNeed {
    pub(super) width: u32,
    /// Missing nodes in the zone where it has the most.
    pub(super) lacking: u32,
    /// That zone, if it has any there.
    pub(super) zone: Option<String>,
    /// Its idle nodes there.
    pub(super) idle: Vec<NodeId>,
    /// Idle nodes that neither it nor a job before it can use.
    pub(super) elsewhere: Vec<NodeId>,
    /// The zone of some nodes is about to be known: until then nothing is launched for it.
    pub(super) is_undecided: bool,
}

/// What makes nodes a possible gang.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Zone(Zone),
    /// A launch for a gang: its nodes will be in one zone, whichever that is.
    Launch(LaunchId),
}

/// What the queued jobs lack. Each gets nodes as dispatch would give them.
pub(super) fn of(snapshot: &CapacitySnapshot, now: Timestamp) -> Needs {
    let is_free = |node: &&Node| usable(node) && !matches!(node.state, NodeState::Running { .. });
    let nodes = snapshot.nodes.iter().filter(is_free);
    let mut free = FreeNodes::new(nodes.map(|node| (group(snapshot, node), node)));
    let mut needs = Needs::default();
    let ceiling = snapshot.cluster.scale.ceiling();
    for width in snapshot.queued.iter().filter(|width| **width <= ceiling) {
        let used = match free.take(*width as usize, None) {
            Some(nodes) => nodes,
            None if *width == 1 => {
                needs.singles += 1;
                needs.lacking += 1;
                Vec::new()
            }
            None => {
                let (used, gang) = gang(&mut free, *width, now);
                needs.lacking += gang.lacking;
                if needs.gang.is_none() && (gang.lacking > 0 || gang.is_undecided) {
                    needs.singles_before = needs.singles;
                    needs.gang = Some(gang);
                }
                used
            }
        };
        needs.kept.extend(used.into_iter().map(|node| node.id.clone()));
    }
    needs
}

/// The nodes of a gang for which no group suffices, and what it lacks.
fn gang<'a>(
    free: &mut FreeNodes<Group, &'a Node>,
    width: u32,
    now: Timestamp,
) -> (Vec<&'a Node>, GangNeed) {
    let largest = free.largest().cloned();
    let mut used = match &largest {
        Some(group) => free.take_from(group, width as usize),
        None => Vec::new(),
    };
    let (zone, is_settling) = match largest {
        Some(Group::Zone(Zone::Named(name))) => (Some(name), false),
        // A part of a gang, of which the zone is not known yet.
        Some(Group::Launch(_)) => (None, true),
        Some(Group::Zone(Zone::Only | Zone::Unknown)) | None => (None, false),
    };
    let have = used.len();
    let idle = used.iter().filter(|node| is_idle(node)).map(|node| node.id.clone()).collect();
    let is_young = |node: &&Node| now.seconds_since(node.created_at) < ZONE_UNKNOWN_SECONDS;
    let unknown = free.take_ungrouped();
    let is_undecided = (is_settling && used.iter().any(is_young)) || unknown.iter().any(is_young);
    used.extend(unknown);
    let rest = free.iter().chain(used.iter().skip(have));
    let elsewhere = rest.filter(|node| is_idle(node)).map(|node| node.id.clone()).collect();
    let lacking = match (is_undecided, is_settling) {
        (true, _) => 0,
        (false, true) => width,
        (false, false) => width.saturating_sub(have as u32),
    };
    (used, GangNeed { width, lacking, zone, idle, elsewhere, is_undecided })
}

fn is_idle(node: &Node) -> bool {
    matches!(node.state, NodeState::Idle { .. })
}

/// The group of a free node; `None` if nothing is known about its zone.
fn group(snapshot: &CapacitySnapshot, node: &Node) -> Option<Group> {
    let zone = node.zone();
    if zone != Zone::Unknown {
        return Some(Group::Zone(zone));
    }
    let request = &snapshot.launches.iter().find(|it| *it.id() == node.launch)?.request;
    if let [zone] = request.placement.zones.as_slice() {
        return Some(Group::Zone(Zone::Named(zone.clone())));
    }
    if !request.is_gang {
        return None;
    }
    let of_launch = snapshot.nodes.iter().filter(|it| it.launch == node.launch);
    let known = of_launch.map(Node::zone).find(|zone| *zone != Zone::Unknown);
    Some(known.map_or_else(|| Group::Launch(node.launch.clone()), Group::Zone))
}
