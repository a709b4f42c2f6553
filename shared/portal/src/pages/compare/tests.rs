//! Tests of charts.

use super::*;

fn job(name: &str, lr: &str, losses: &[f64]) -> Job {
    let curve: Vec<serde_json::Value> = losses
        .iter()
        .enumerate()
        .map(|(step, value)| serde_json::json!({ "step": step, "value": value }))
        .collect();
    let last = losses.last().copied().unwrap_or_default();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    serde_json::from_value(serde_json::json!({
        "name": name,
        "properties": { "executionState": "running", "extensions": {
            "sweep": {
                "name": "search",
                "parameters": [{ "name": "lr", "value": lr }, { "name": "kind", "value": "adam" }],
                "objective": { "metric": "loss" },
            },
            "metrics": [{
                "name": "loss", "step": losses.len(), "value": last, "minimum": least, "maximum": 9.0,
                "curve": curve,
            }],
        } },
    }))
    .unwrap()
}

#[test]
fn curves_have_their_steps() {
    let jobs = [job("a", "0.1", &[2.0, 1.0]), job("b", "0.2", &[3.0])];
    insta::assert_snapshot!(curves("loss", &jobs).unwrap().json(), @r#"{"title":"loss","x":"step","points":false,"log":false,"series":[{"label":"a","points":[[0.0,2.0],[1.0,1.0]]},{"label":"b","points":[[0.0,3.0]]}]}"#);
    assert!(curves("accuracy", &jobs).is_none());
}

#[test]
fn a_parameter_is_drawn_if_it_is_a_number_that_differs() {
    let mut jobs = vec![job("a", "0.1", &[2.0, 1.0, 1.5]), job("b", "0.001", &[3.0])];
    let columns = Columns::of(&jobs);
    let chart = result("lr", &jobs, &columns).unwrap();
    insta::assert_snapshot!(chart.json(), @r#"{"title":"best loss by lr","x":"lr","points":true,"log":true,"series":[{"label":"a","points":[[0.1,1.0]]},{"label":"b","points":[[0.001,3.0]]}]}"#);
    insta::assert_snapshot!(chart.described(), @"Chart: best loss by lr, one point for each of a, b; values in the table");
    assert!(result("kind", &jobs, &columns).is_none());
    jobs.pop();
    assert!(result("lr", &jobs, &columns).is_none());
}
