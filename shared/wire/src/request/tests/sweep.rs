//! Runs of sweeps.

use super::violations_of;
use crate::fixtures::{body, job_body};
use crate::request::parse_job_create;
use crate::schema;
use model::limits;
use serde_json::{Value, json};

fn check(sweep: Value) -> String {
    violations_of(parse_job_create(&body(job_body(), json!({ "extensions": { "sweep": sweep } }))))
}

fn with_parameters(count: usize) -> String {
    let parameter = |number| json!({ "name": format!("P{number}"), "value": "1" });
    let parameters: Vec<Value> = (0..count).map(parameter).collect();
    check(json!({ "name": "lr", "parameters": parameters }))
}

#[test]
fn the_number_of_parameters_has_a_limit_that_the_document_states() {
    assert_eq!(with_parameters(limits::MAX_SWEEP_PARAMETERS), "ok");
    insta::assert_snapshot!(with_parameters(limits::MAX_SWEEP_PARAMETERS + 1), @"properties.extensions.sweep.parameters must have at most 32 entries, but has 33");
    let document = &schema::requests()["JobCreateParameters"];
    let sweep = "/properties/properties/properties/extensions/properties/sweep/properties";
    let stated = document.pointer(&format!("{sweep}/parameters/maxItems"));
    assert_eq!(stated, Some(&json!(limits::MAX_SWEEP_PARAMETERS)));
}

#[test]
fn every_violation_is_reported() {
    assert_eq!(check(json!({ "name": "lr" })), "ok");
    insta::assert_snapshot!(check(json!({
        "name": "a b",
        "parameters": [
            { "name": "LR", "value": "x".repeat(limits::MAX_SWEEP_VALUE_BYTES + 1) },
            { "name": "A", "value": "1" },
            { "name": "A", "value": "2" },
        ],
        "maxParallel": 0,
        "earlyStopping": { "minimumRuns": 0 },
    })), @r#"
    properties.extensions.sweep.name must be 1 to 64 letters, digits, dashes or underscores, but is "a b"
    properties.extensions.sweep.parameters[0].value must have at most 256 bytes, but has 257
    properties.extensions.sweep.parameters[2] must not have the name A of another entry
    properties.extensions.sweep.maxParallel must be a whole number from 1 to 100, but is 0
    properties.extensions.sweep.earlyStopping.minimumRuns must be a whole number from 1 to 100, but is 0
    properties.extensions.sweep must have objective, as earlyStopping compares runs by it
    "#);
}
