//! The nodes of a cluster over time: how many there were, and the latest events. Computed from the present nodes and
//! from those that were removed.

use jiff::{SignedDuration, Timestamp};
use resources::{ClusterNode, EndedNodes, dollars, time};
use serde_json::json;
use std::collections::BTreeMap;

/// How far the chart goes back: as long as somebody wonders what happened over night.
const HOURS: i64 = 24;

/// So many events are listed, the last ones. `batchai cluster nodes NAME --ended` has the others.
const EVENTS: usize = 20;

/// The chart ends at a full minute, so that the page does not change with every second.
const STEP_SECONDS: i64 = 60;

/// What happened to the nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The time of the chart in words.
    pub(crate) title: &'static str,
    /// The data of the chart; `None` if there was no node in its time.
    pub(crate) chart: Option<String>,
    /// The chart in words.
    pub(crate) description: String,
    /// The newest first.
    pub(crate) events: Vec<Event>,
    /// Nodes that ended otherwise than planned in the time of the chart, by their state.
    pub(crate) failures: BTreeMap<&'static str, usize>,
    /// Where the chart starts, if not all nodes of its time are known.
    pub(crate) known_since: Option<String>,
}

/// One thing that happened to nodes at the same time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Option<String>,
    /// A word of the table of states.
    pub(crate) state: &'static str,
    /// The first node, and how many others.
    pub(crate) nodes: String,
    pub(crate) details: String,
}

/// The life of nodes that are alike.
struct Life {
    nodes: Vec<String>,
    requested: Timestamp,
    ready: Option<Timestamp>,
    removed: Option<(Timestamp, &'static str, String)>,
}

impl Timeline {
    /// `ended` are the newest ones; `has_more` if there are others. The chart starts with the cluster at the
    /// earliest.
    pub(crate) fn of(
        created: Option<Timestamp>,
        nodes: &[ClusterNode],
        ended: &[EndedNodes],
        has_more: bool,
        now: Timestamp,
    ) -> Self {
        let lives: Vec<Life> =
            nodes.iter().filter_map(present).chain(ended.iter().filter_map(former)).collect();
        let changes = changes(&lives);
        let full_minute = now.as_second() - now.as_second().rem_euclid(STEP_SECONDS);
        let end = changes.last().map_or(full_minute, |last| last.at.max(full_minute));
        let day_ago = end - HOURS * 3600;
        let mut start = created.map_or(day_ago, |it| it.as_second().clamp(day_ago, end));
        let title = if start > day_ago { "Since its creation" } else { "Last 24 hours" };
        // Others may have been removed before the oldest one that is known.
        let oldest = ended.last().and_then(|it| time::parse(&it.removal_time));
        let known_since = oldest.filter(|it| has_more && it.as_second() > start);
        if let Some(known) = known_since {
            start = known.as_second();
        }
        let counts = counts(&changes, start, end);
        let most = counts.iter().map(|it| it.requested).max().unwrap_or(0);
        let last = counts.last().map_or(0, |it| it.requested);
        Self {
            title,
            chart: (most > 0).then(|| chart(&counts)),
            description: format!(
                "Number of nodes over time: at most {most}, {last} at the end; the table below has the last changes"
            ),
            failures: failures(&lives, start),
            events: events(lives),
            known_since: known_since.map(|it| it.to_string()),
        }
    }
}

fn present(node: &ClusterNode) -> Option<Life> {
    Some(Life {
        nodes: vec![node.node_id.clone()],
        requested: time::parse(node.creation_time.as_deref()?)?,
        ready: node.ready_time.as_deref().and_then(time::parse),
        removed: None,
    })
}

fn former(ended: &EndedNodes) -> Option<Life> {
    let state = match ended.end_reason.as_str() {
        "interrupted" => "interrupted",
        "lost" => "lost",
        "tooSlow" | "notLaunched" => "failed",
        "unusable" => "unusable",
        _ => "removed",
    };
    // The state says the same.
    let why = Some(ended.why()).filter(|_| !matches!(state, "interrupted" | "lost"));
    let lived = ended.lived().map(|lived| format!("after {}", time::format(lived)));
    let details = [why, lived, ended.cost_micro_usd.map(dollars)];
    let details = details.into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(Life {
        nodes: ended.node_ids.clone(),
        requested: time::parse(&ended.creation_time)?,
        ready: ended.ready_time.as_deref().and_then(time::parse),
        removed: Some((time::parse(&ended.removal_time)?, state, details)),
    })
}

/// A change of the numbers of nodes.
#[derive(Clone, Copy)]
struct Change {
    /// In seconds since 1970.
    at: i64,
    requested: i64,
    ready: i64,
}

fn changes(lives: &[Life]) -> Vec<Change> {
    let mut changes = Vec::new();
    for life in lives {
        let count = life.nodes.len() as i64;
        changes.push(Change { at: life.requested.as_second(), requested: count, ready: 0 });
        if let Some(ready) = life.ready {
            changes.push(Change { at: ready.as_second(), requested: 0, ready: count });
        }
        if let Some((removed, _, _)) = &life.removed {
            let ready = if life.ready.is_some() { -count } else { 0 };
            changes.push(Change { at: removed.as_second(), requested: -count, ready });
        }
    }
    changes.sort_by_key(|change| change.at);
    changes
}

/// The numbers at the start, after each second with a change, and at the end.
fn counts(changes: &[Change], start: i64, end: i64) -> Vec<Change> {
    let mut counts = vec![Change { at: start, requested: 0, ready: 0 }];
    for change in changes {
        let last = counts[counts.len() - 1];
        let next = Change {
            at: change.at.max(start),
            requested: last.requested + change.requested,
            ready: last.ready + change.ready,
        };
        if next.at == last.at {
            counts.pop();
        }
        counts.push(next);
    }
    let last = counts[counts.len() - 1];
    if last.at < end {
        counts.push(Change { at: end, ..last });
    }
    counts
}

fn chart(counts: &[Change]) -> String {
    let points = |value: fn(&Change) -> i64| {
        counts.iter().map(|it| json!([it.at, value(it)])).collect::<Vec<_>>()
    };
    let chart = json!({ "x": "time", "time": true, "series": [
        { "label": "requested", "points": points(|it| it.requested) },
        { "label": "ready", "points": points(|it| it.ready) },
    ]});
    chart.to_string()
}

fn failures(lives: &[Life], start: i64) -> BTreeMap<&'static str, usize> {
    let mut failures = BTreeMap::new();
    for life in lives {
        if let Some((at, state, _)) = &life.removed
            && at.as_second() >= start
            && *state != "removed"
        {
            *failures.entry(*state).or_default() += life.nodes.len();
        }
    }
    failures
}

/// The last events. Nodes to which the same happened at the same time are one.
fn events(lives: Vec<Life>) -> Vec<Event> {
    let mut all: Vec<(Timestamp, &'static str, String, Vec<String>)> = Vec::new();
    for life in lives {
        all.push((life.requested, "requested", String::new(), life.nodes.clone()));
        if let Some(ready) = life.ready {
            let after = time::elapsed(life.requested, ready);
            let details = format!("after {}", time::format(after.max(SignedDuration::ZERO)));
            all.push((ready, "ready", details, life.nodes.clone()));
        }
        if let Some((removed, state, details)) = life.removed {
            all.push((removed, state, details, life.nodes));
        }
    }
    // Of the same time, the newest is what happens later in the life of a node.
    let order = |state: &str| match state {
        "requested" => 0,
        "ready" => 1,
        _ => 2,
    };
    all.sort_by(|one, other| {
        (other.0, order(other.1), &one.3).cmp(&(one.0, order(one.1), &other.3))
    });
    all.dedup_by(|next, kept| {
        let is_same = (next.0, next.1, &next.2) == (kept.0, kept.1, &kept.2);
        if is_same {
            kept.3.append(&mut next.3);
        }
        is_same
    });
    let event = |(at, state, details, nodes): (Timestamp, _, _, Vec<String>)| Event {
        at: Some(at.to_string()),
        state,
        nodes: match nodes.len() {
            0 => String::new(),
            1 => nodes[0].clone(),
            count => format!("{} and {} more", nodes[0], count - 1),
        },
        details,
    };
    all.into_iter().take(EVENTS).map(event).collect()
}

#[cfg(test)]
mod tests;
