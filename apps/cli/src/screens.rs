//! `docs/screens.md`: what commands print, at 80 and 120 columns, with fixed resources at a fixed time.
//!
//! A test fails when the page is out of date.

use crate::client::Scope;
use crate::commands::doctor::screen as doctor;
use crate::commands::job::explain_screen;
use crate::commands::run::screen as run;
use crate::commands::{status, sweep};
use crate::json::Json;
use crate::output::{Format, Output, View, rows};
use crate::reference::{check, file};
use resources::time;
use resources::{Cluster, EndedNodes, Job, Node};
use serde_json::{Value, json};
use std::fmt::Write as _;

const PAGE: &str = include_str!("../../../docs/screens.md");

const TITLE: &str = "\
# Screens

What commands print in terminals of 80 and 120 columns. In a narrow one, less important columns are left out; `-o wide` has all of
them.

This page is generated from fixed resources: `cargo test --workspace --bin batchai -- --ignored write_screens` writes it.
";

const NOW: &str = "2026-01-01T00:10:00Z";

const WIDTHS: [usize; 2] = [80, 120];

/// A command, and what it prints.
struct Screen {
    command: &'static str,
    about: &'static str,
    text: fn(&Output) -> String,
    /// Whether it depends on the width of the terminal.
    has_width: bool,
}

/// In the order of the page.
const SCREENS: [Screen; 9] = [
    Screen {
        command: "batchai run --gpu -- python3 train.py --epochs 5",
        about: "The output of the job is on stdout, the rest on stderr.",
        text: |_| run(&scope()),
        has_width: false,
    },
    Screen {
        command: "batchai status",
        about: "",
        text: |output| status::screen(clusters(), workspace(), output),
        has_width: true,
    },
    Screen {
        command: "batchai job explain train-4",
        about: "",
        text: |output| explain_screen(&queued("train-4", 4, 1), &cluster(), workspace(), output),
        has_width: true,
    },
    Screen {
        command: "batchai sweep show rates",
        about: "",
        text: |output| sweep::screen(runs(), output),
        has_width: true,
    },
    Screen {
        command: "batchai job list",
        about: "",
        text: |output| table::<Job>(workspace().into_iter().map(|(_, job)| job), output),
        has_width: true,
    },
    Screen {
        command: "batchai cluster list",
        about: "",
        text: |output| table::<Cluster>(clusters(), output),
        has_width: true,
    },
    Screen {
        command: "batchai cluster nodes gpu",
        about: "",
        text: |output| table::<Node>(nodes(), output),
        has_width: true,
    },
    Screen {
        command: "batchai cluster nodes gpu --ended",
        about: "Nodes that were removed in the last 7 days, the latest first.",
        text: |output| table::<EndedNodes>(ended_nodes(), output),
        has_width: true,
    },
    Screen { command: "batchai doctor", about: "", text: doctor, has_width: true },
];

fn page() -> String {
    let mut page = TITLE.to_owned();
    for Screen { command, about, text, has_width } in &SCREENS {
        let title = command.split(" -- ").next().unwrap_or(command);
        let _ = write!(page, "\n## {title}\n");
        if !about.is_empty() {
            let _ = write!(page, "\n{about}\n");
        }
        for width in if *has_width { &WIDTHS[..] } else { &WIDTHS[..1] } {
            if *has_width {
                let _ = write!(page, "\n{width} columns:\n");
            }
            let shown = text(&output(*width));
            let lines = shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            let _ = write!(page, "\n```text\n$ {command}\n{lines}\n```\n");
        }
    }
    page
}

fn output(width: usize) -> Output {
    let now = time::parse(NOW).unwrap();
    Output { format: Format::Table, query: None, color: false, width: Some(width), now }
}

fn table<V: View>(resources: impl IntoIterator<Item = Value>, output: &Output) -> String {
    let read = |resource: Value| serde_json::from_value::<V>(resource).unwrap().columns(output.now);
    let table: Vec<_> = resources.into_iter().map(read).collect();
    rows(&table, &output.layout())
}

fn scope() -> Scope {
    Scope {
        subscription: "00000000-0000-0000-0000-000000000000".to_owned(),
        resource_group: "batchai".to_owned(),
        workspace: Some("main".to_owned()),
        experiment: Some("digits".to_owned()),
    }
}

fn cluster() -> Value {
    json!({ "name": "gpu", "id": "/x/clusters/gpu", "properties": {
        "provisioningState": "succeeded", "allocationState": "steady", "vmSize": "STANDARD_NC6",
        "vmPriority": "lowpriority", "currentNodeCount": 2,
        "nodeStateCounts": { "runningNodeCount": 2 }, "creationTime": "2025-12-31T22:10:00Z",
        "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 2 } },
    }})
}

/// The runs of a sweep.
fn runs() -> Vec<Value> {
    let run = |name: &str, state: &str, lr: &str, ran: [&str; 2], loss: Option<[f64; 2]>| {
        let metrics: Vec<Value> = loss
            .iter()
            .map(|[value, best]| {
                json!({ "name": "loss", "step": 400, "value": value, "minimum": best, "maximum": 2.3 })
            })
            .collect();
        let [start, end] = ran.map(|time| format!("2026-01-01T{time}Z"));
        let mut properties = json!({
            "executionState": state, "nodeCount": 1,
            "extensions": { "metrics": metrics, "sweep": {
                "name": "rates", "objective": { "metric": "loss", "goal": "minimize" },
                "parameters": [{ "name": "lr", "value": lr }, { "name": "layers", "value": "2" }],
            } },
        });
        if loss.is_some() {
            properties["executionInfo"] = json!({ "startTime": start });
        }
        if ["succeeded", "failed"].contains(&state) {
            properties["executionInfo"]["endTime"] = json!(end);
        }
        json!({ "name": name, "id": format!("/x/jobs/{name}"), "properties": properties })
    };
    let early = ["00:01:00", "00:05:12"];
    let mut stopped =
        run("rates-1-lr0p1-layers2", "failed", "0.1", ["00:01:00", "00:02:04"], Some([1.92, 1.8]));
    stopped["properties"]["executionInfo"]["errors"] = json!([{ "code": "JobStoppedEarly",
        "message": "The specified job was stopped early: its best loss up to step 400 is 1.8, worse than 0.412, the median of 3 other runs of its sweep" }]);
    let mut waiting = run("rates-5-lr0p00001-layers2", "queued", "0.00001", ["00:00:00"; 2], None);
    waiting["properties"]["extensions"]["waitingReason"] = json!({ "code": "WaitsForSweep",
        "message": "Waits for other runs of sweep rates, which runs at most 2 at a time on cluster gpu (maxParallel): 2 jobs of it running, 0 jobs of it queued before this one." });
    vec![
        stopped,
        run("rates-2-lr0p01-layers2", "succeeded", "0.01", early, Some([0.2071, 0.1984])),
        run("rates-3-lr0p001-layers2", "running", "0.001", early, Some([0.4118, 0.4118])),
        run("rates-4-lr0p0001-layers2", "running", "0.0001", early, Some([0.934, 0.934])),
        waiting,
    ]
}

fn clusters() -> Vec<Value> {
    let broken = json!({ "name": "wide", "id": "/x/clusters/wide", "properties": {
        "provisioningState": "succeeded", "allocationState": "resizing", "vmSize": "STANDARD_NC24",
        "vmPriority": "dedicated", "currentNodeCount": 0, "creationTime": "2025-12-25T00:10:00Z",
        "scaleSettings": { "manual": { "targetNodeCount": 8 } },
        "errors": [{ "code": "NoCapacity",
            "message": "EC2 has no capacity for g4dn.12xlarge in eu-west-1 at the moment" }],
    }});
    vec![cluster(), broken]
}

/// Experiments and jobs.
fn workspace() -> Vec<(&'static str, Value)> {
    vec![
        ("digits", ended("train-1", 4, 0)),
        ("digits", ended("train-2", 6, 3)),
        ("digits", running("train-3", 2)),
        ("digits", queued("train-4", 4, 1)),
        ("speech", running("large-1", 5)),
        ("speech", queued("large-2", 3, 2)),
        ("speech", ended("large-0", 20, 0)),
    ]
}

fn job(name: &str, state: &str, more: &Value) -> Value {
    let experiment = if name.starts_with("large") { "speech" } else { "digits" };
    let mut job = json!({
        "name": name,
        "id": format!("/x/experiments/{experiment}/jobs/{name}"),
        "properties": {
            "executionState": state, "nodeCount": 1, "schedulingPriority": "normal",
            "creationTime": "2025-12-31T23:30:00Z", "cluster": { "id": "/x/clusters/gpu" },
            "constraints": { "maxWallClockTime": "PT4H" },
        },
    });
    for (field, value) in more.as_object().unwrap() {
        job["properties"][field] = value.clone();
    }
    job
}

/// So many minutes before the time of the screens.
fn before(minutes: i64) -> String {
    let now = time::parse(NOW).unwrap();
    (now - jiff::SignedDuration::from_mins(minutes)).to_string()
}

fn ended(name: &str, minutes: i64, exit_code: i64) -> Value {
    let errors = json!([{ "code": "JobFailed", "message": "Job failed with non-zero exit code" }]);
    let (state, errors) = match exit_code {
        0 => ("succeeded", json!([])),
        _ => ("failed", errors),
    };
    let (start, end) = (before(30), before(30 - minutes));
    let attempt = json!({ "number": 1, "nodes": ["tvm-1"], "startTime": start, "endTime": end });
    job(
        name,
        state,
        &json!({
            "executionInfo":
                { "startTime": start, "endTime": end, "exitCode": exit_code, "errors": errors },
            "extensions": { "attempts": [attempt] },
        }),
    )
}

fn running(name: &str, minutes: i64) -> Value {
    let start = before(minutes);
    let attempts = json!([
        { "number": 1, "nodes": ["tvm-2"], "startTime": before(9), "endTime": before(8),
          "result": "node tvm-2 was interrupted" },
        { "number": 2, "nodes": ["tvm-3"], "startTime": start },
    ]);
    let info = json!({ "startTime": start });
    job(name, "running", &json!({ "executionInfo": info, "extensions": { "attempts": attempts } }))
}

fn queued(name: &str, minutes: i64, nodes: u32) -> Value {
    let wanted = if nodes == 1 { "1 idle node".to_owned() } else { format!("{nodes} idle nodes") };
    let message = format!(
        "Waits for {wanted} of cluster gpu, which has 2 of at most 2 (2 running). For more nodes, \
         run: batchai cluster auto-scale gpu --min 0 --max {}",
        nodes + 2
    );
    let since = before(minutes);
    let reason = json!({ "code": "WaitsForNodes", "message": message, "since": since });
    let more = json!({ "nodeCount": nodes, "creationTime": since,
        "extensions": { "waitingReason": reason } });
    job(name, "queued", &more)
}

fn nodes() -> Vec<Value> {
    let node = |number: u32, gpu: u32| {
        json!({ "nodeId": format!("tvm-{number}"), "ipAddress": format!("10.0.0.{number}"),
            "port": 50000, "extensions": { "lastSeenTime": "2026-01-01T00:09:58Z", "load": 3.5,
            "memoryUsedMib": 9216, "memoryTotalMib": 31_744,
            "gpus": [{ "utilizationPercent": gpu, "memoryUsedMib": 12_345,
                "memoryTotalMib": 15_360 }] } })
    };
    vec![node(1, 93), node(3, 41)]
}

fn ended_nodes() -> Vec<Value> {
    let node = |ids: &[&str], [requested, removed]: [i64; 2], more: &Value| {
        let mut node = json!({ "nodeIds": ids, "creationTime": before(requested),
            "removalTime": before(removed), "vmSize": "g4dn.xlarge", "vmPriority": "lowpriority" });
        for (field, value) in more.as_object().unwrap() {
            node[field] = value.clone();
        }
        node
    };
    vec![
        node(
            &["tvm-2"],
            [62, 8],
            &json!({ "readyTime": before(60), "endReason": "interrupted", "zone": "eu-west-1a",
                "costMicroUsd": 142_000 }),
        ),
        node(
            &["tvm-4", "tvm-5"],
            [31, 30],
            &json!({ "endReason": "notLaunched", "errorCode": "InsufficientInstanceCapacity" }),
        ),
        node(
            &["tvm-0"],
            [120, 45],
            &json!({ "readyTime": before(118), "endReason": "shrink", "zone": "eu-west-1b",
                "costMicroUsd": 197_000 }),
        ),
    ]
}

/// A resource, and the answer of the service that it was read from.
pub fn answered<T: serde::de::DeserializeOwned>(resource: &Value) -> (Json, T) {
    let answer = Json::parse(&resource.to_string()).unwrap();
    let read = answer.read().unwrap();
    (answer, read)
}

#[test]
fn the_screens_are_up_to_date() {
    check("screens.md", PAGE, &page(), "write_screens");
}

#[test]
#[ignore = "writes docs/screens.md"]
fn write_screens() {
    std::fs::write(file("screens.md"), page()).unwrap();
}

#[test]
fn no_screen_is_wider_than_its_terminal() {
    for Screen { command, text, .. } in SCREENS.iter().filter(|it| it.has_width) {
        for width in WIDTHS {
            for line in text(&output(width)).lines() {
                assert!(line.chars().count() <= width, "{command}: {line}");
            }
        }
    }
}
