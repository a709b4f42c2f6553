//! Numbers of nodes and events, from nodes as the API lists them.

use super::*;
use serde_json::{Value, json};

fn at(clock: &str) -> String {
    format!("2026-01-02T{clock}Z")
}

fn node(id: &str, requested: &str, ready: Option<&str>) -> ClusterNode {
    let mut node = json!({ "nodeId": id, "state": "idle", "creationTime": at(requested) });
    if let Some(ready) = ready {
        node["readyTime"] = json!(at(ready));
    }
    serde_json::from_value(node).unwrap()
}

fn ended(ids: &[&str], times: [Option<&str>; 3], reason: &str, more: &Value) -> EndedNodes {
    let [requested, ready, removed] = times;
    let mut ended = json!({ "nodeIds": ids, "endReason": reason,
        "creationTime": at(requested.unwrap()), "removalTime": at(removed.unwrap()) });
    if let Some(ready) = ready {
        ended["readyTime"] = json!(at(ready));
    }
    for (name, value) in more.as_object().unwrap() {
        ended[name] = value.clone();
    }
    serde_json::from_value(ended).unwrap()
}

/// The newest first, as the API lists them.
fn history() -> (Vec<ClusterNode>, Vec<EndedNodes>) {
    let present = vec![node("d", "12:04:00", Some("12:04:40")), node("e", "12:04:00", None)];
    let cost = json!({ "costMicroUsd": 26_400 });
    let code = json!({ "errorCode": "InsufficientInstanceCapacity" });
    let former = vec![
        ended(&["a"], [Some("12:00:00"), Some("12:00:50"), Some("12:10:00")], "interrupted", &cost),
        ended(&["b", "c"], [Some("12:02:00"), None, Some("12:02:01")], "notLaunched", &code),
    ];
    (present, former)
}

fn lines(timeline: &Timeline) -> String {
    let line = |it: &Event| {
        let at = it.at.as_deref().unwrap_or_default();
        format!("{at} {:<11} {} {}", it.state, it.nodes, it.details).trim_end().to_owned()
    };
    timeline.events.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Each point as the clock and the value.
fn points(timeline: &Timeline, series: usize) -> String {
    let chart: Value = serde_json::from_str(timeline.chart.as_ref().unwrap()).unwrap();
    let points = chart["series"][series]["points"].as_array().unwrap();
    let point = |it: &Value| {
        let clock = Timestamp::from_second(it[0].as_i64().unwrap()).unwrap().strftime("%H:%M:%S");
        format!("{clock} {}", it[1])
    };
    points.iter().map(point).collect::<Vec<_>>().join(", ")
}

/// Long ago.
fn created() -> Option<Timestamp> {
    "2025-12-24T12:00:00Z".parse().ok()
}

fn now() -> Timestamp {
    at("12:11:30").parse().unwrap()
}

#[test]
fn events_are_listed_from_the_newest_and_those_of_one_launch_together() {
    let (present, former) = history();
    let timeline = Timeline::of(created(), &present, &former, false, now());
    insta::assert_snapshot!(lines(&timeline), @"
    2026-01-02T12:10:00Z interrupted a after 10m, $0.0264
    2026-01-02T12:04:40Z ready       d after 40s
    2026-01-02T12:04:00Z requested   d and 1 more
    2026-01-02T12:02:01Z failed      b and 1 more no instance: InsufficientInstanceCapacity, after 1s
    2026-01-02T12:02:00Z requested   b and 1 more
    2026-01-02T12:00:50Z ready       a after 50s
    2026-01-02T12:00:00Z requested   a
    ");
    assert_eq!(timeline.failures, [("failed", 2), ("interrupted", 1)].into());
}

#[test]
fn the_chart_counts_requested_and_ready_nodes() {
    let (present, former) = history();
    let timeline = Timeline::of(created(), &present, &former, false, now());
    insta::assert_snapshot!(points(&timeline, 0), @"
    12:11:00 0, 12:00:00 1, 12:00:50 1, 12:02:00 3, 12:02:01 1, 12:04:00 3, 12:04:40 3, 12:10:00 2, 12:11:00 2
    ");
    insta::assert_snapshot!(points(&timeline, 1), @"
    12:11:00 0, 12:00:00 0, 12:00:50 1, 12:02:00 1, 12:02:01 1, 12:04:00 1, 12:04:40 2, 12:10:00 1, 12:11:00 1
    ");
    insta::assert_snapshot!(timeline.description, @"
    Number of nodes over time: at most 3, 2 at the end; the table below has the last changes
    ");
    assert_eq!((timeline.known_since, timeline.title), (None, "Last 24 hours"));
}

/// Within a minute nothing changes but by an event.
#[test]
fn the_chart_moves_by_minutes() {
    let (present, former) = history();
    let chart = |clock: &str| {
        Timeline::of(created(), &present, &former, false, at(clock).parse().unwrap()).chart.unwrap()
    };
    assert_eq!(chart("12:11:00"), chart("12:11:59"));
    assert_ne!(chart("12:11:59"), chart("12:12:00"));
    // The last event of a clock that is ahead is part of the chart.
    assert!(
        chart("12:09:00")
            .contains(&format!("[{},2]", at("12:10:00").parse::<Timestamp>().unwrap().as_second()))
    );
}

/// Nodes that were removed before the oldest known one are not known.
#[test]
fn the_chart_starts_where_all_nodes_are_known() {
    let (present, former) = history();
    let timeline = Timeline::of(created(), &present, &former, true, now());
    assert_eq!(timeline.known_since, Some(at("12:02:01")));
    insta::assert_snapshot!(points(&timeline, 0), @"12:02:01 1, 12:04:00 3, 12:04:40 3, 12:10:00 2, 12:11:00 2");
}

#[test]
fn the_chart_of_a_new_cluster_starts_with_it() {
    let (present, former) = history();
    let created = at("11:59:00").parse().ok();
    let timeline = Timeline::of(created, &present, &former, false, now());
    assert_eq!(timeline.title, "Since its creation");
    assert!(points(&timeline, 0).starts_with("11:59:00 0, 12:00:00 1, "));
}

#[test]
fn a_cluster_without_nodes_has_no_chart() {
    let timeline = Timeline::of(created(), &[], &[], false, now());
    assert!(timeline.chart.is_none() && timeline.events.is_empty());
    // Removed more than a day ago: an event, but nothing to draw.
    let (_, former) = history();
    let tomorrow = now() + SignedDuration::from_hours(30);
    let timeline = Timeline::of(created(), &[], &former, false, tomorrow);
    assert!(timeline.chart.is_none());
    assert_eq!((timeline.events.len(), timeline.failures.len()), (5, 0));
}

#[test]
fn no_more_events_than_anybody_reads() {
    let many: Vec<_> = (0..30).map(|it| node("n", &format!("12:00:{it:02}"), None)).collect();
    let events = Timeline::of(created(), &many, &[], false, now()).events;
    assert_eq!((events.len(), events[0].at.clone()), (EVENTS, Some(at("12:00:29"))));
}
