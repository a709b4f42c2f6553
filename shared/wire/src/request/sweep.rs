//! `extensions.sweep` of a job: the sweep that it is a run of.

use crate::read::{Fields, Place};
use crate::{patterns, rules};
use model::{EarlyStopping, Goal, Name, Objective, SweepParameter, SweepRun, limits};
use serde_json::json;
use std::collections::HashSet;

const GOAL: [(&str, Goal); 2] = [("minimize", Goal::Minimize), ("maximize", Goal::Maximize)];

/// How many other runs early stopping waits for, if the job does not say so: the median of fewer is not more than the
/// result of one.
const MINIMUM_RUNS: u32 = 3;

pub(super) fn sweep(place: &Place<'_>) -> Option<SweepRun> {
    let sweep = place.object()?;
    sweep.describe(|| json!({ "dependentRequired": { "earlyStopping": ["objective"] } }));
    let name = rules::matching(&sweep.required("name")?, &[&patterns::SWEEP_NAME]);
    let parameters = match sweep.optional("parameters") {
        Some(place) => parameters(&place),
        None => Some(Vec::new()),
    };
    let max_parallel = sweep
        .optional("maxParallel")
        .and_then(|place| place.whole_number(1..=limits::MAX_SWEEP_PARALLEL));
    let objective = sweep.optional("objective").and_then(|place| objective(&place.object()?));
    let early_stopping =
        sweep.optional("earlyStopping").and_then(|place| early_stopping(&place.object()?));
    if sweep.has("earlyStopping") && !sweep.has("objective") {
        sweep.invalid("must have objective, as earlyStopping compares runs by it");
    }
    Some(SweepRun {
        name: Name::new(&name?),
        parameters: parameters?,
        max_parallel,
        objective,
        early_stopping,
    })
}

fn parameters(place: &Place<'_>) -> Option<Vec<SweepParameter>> {
    let parameters = rules::list_of(place, limits::MAX_SWEEP_PARAMETERS, parameter);
    let mut names = HashSet::new();
    for (place, parameter) in &parameters {
        if !names.insert(parameter.name.as_str()) {
            place.invalid(&format!("must not have the name {} of another entry", parameter.name));
        }
    }
    Some(parameters.into_iter().map(|(_, parameter)| parameter).collect())
}

fn parameter(parameter: &Fields<'_>) -> Option<SweepParameter> {
    let name = rules::matching(&parameter.required("name")?, &[&patterns::SWEEP_PARAMETER]);
    let value = parameter.required("value").and_then(|place| value(&place));
    Some(SweepParameter { name: name?, value: value? })
}

fn value(place: &Place<'_>) -> Option<String> {
    place.describe(|| json!({ "maxLength": limits::MAX_SWEEP_VALUE_BYTES }));
    let value = rules::text(place)?;
    if value.len() > limits::MAX_SWEEP_VALUE_BYTES {
        place.invalid(&format!(
            "must have at most {} bytes, but has {}",
            limits::MAX_SWEEP_VALUE_BYTES,
            value.len()
        ));
    }
    Some(value)
}

fn objective(objective: &Fields<'_>) -> Option<Objective> {
    let metric = rules::matching(&objective.required("metric")?, &[&patterns::METRIC]);
    let goal = match objective.optional("goal") {
        Some(place) => rules::one_of(&place, &GOAL),
        None => Some(Goal::default()),
    };
    Some(Objective { metric: metric?, goal: goal? })
}

fn early_stopping(stopping: &Fields<'_>) -> Option<EarlyStopping> {
    let after_step = match stopping.optional("afterStep") {
        Some(place) => place.whole_number(0..=u64::from(u32::MAX)),
        None => Some(0),
    };
    let minimum_runs = match stopping.optional("minimumRuns") {
        Some(place) => place.whole_number(1..=limits::MAX_SWEEP_MINIMUM_RUNS),
        None => Some(MINIMUM_RUNS),
    };
    Some(EarlyStopping { after_step: after_step?, minimum_runs: minimum_runs? })
}
