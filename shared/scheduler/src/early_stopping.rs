//! Early stopping of the runs of a sweep by the median rule, as hyperparameter tuners define it: a run whose best value
//! up to a step is worse than the median of the best values of the others up to that step will hardly become the best.

use model::{EarlyStopping, Goal, MetricCurve, MetricPoint, Objective};

/// Why the run is to be stopped, as a sentence for the user; `None` if it may go on. `own` is the curve of its
/// objective, `others` are those of the other runs, ended ones included.
pub fn reason_to_stop(
    rule: EarlyStopping,
    objective: &Objective,
    own: &MetricCurve,
    others: &[&MetricCurve],
) -> Option<String> {
    let latest = own.latest().filter(|latest| latest.step >= rule.after_step)?;
    let mut reached: Vec<f64> =
        others.iter().filter_map(|curve| best_until(curve, latest.step, objective.goal)).collect();
    if reached.len() < rule.minimum_runs as usize {
        return None;
    }
    let (best, median) = (best(latest, objective.goal), median(&mut reached)?);
    objective.goal.prefers(median, best).then(|| {
        format!(
            "The specified job was stopped early: its best {} up to step {} is {best}, worse than {median}, the median of {} other runs of its sweep",
            objective.metric,
            latest.step,
            reached.len()
        )
    })
}

/// Whether the points of a curve, apart from the latest, are others than before: only then is the rule applied again,
/// so that it costs a few reads in the course of a run and not one in ten seconds.
pub fn is_due(before: Option<&MetricCurve>, after: &MetricCurve) -> bool {
    fn kept(curve: &MetricCurve) -> Option<(u64, usize)> {
        let (_, kept) = curve.points.split_last()?;
        Some((kept.last()?.step, kept.len()))
    }
    before.and_then(kept) != kept(after)
}

/// The best value that a run had reported when it was at the step, as far as its curve shows: the value of an earlier
/// point, where it has none at the step, is not better. `None` for a run that has not come that far.
fn best_until(curve: &MetricCurve, step: u64, goal: Goal) -> Option<f64> {
    curve.latest().filter(|latest| latest.step >= step)?;
    let point = curve.points.iter().rev().find(|point| point.step <= step)?;
    Some(best(point, goal))
}

fn best(point: &MetricPoint, goal: Goal) -> f64 {
    match goal {
        Goal::Minimize => point.minimum,
        Goal::Maximize => point.maximum,
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    match values.len() % 2 {
        0 => Some(f64::midpoint(*values.get(values.len() / 2 - 1)?, upper)),
        _ => Some(upper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve with these values at the steps 10, 20, …
    fn curve(values: &[f64]) -> MetricCurve {
        let (mut minimum, mut maximum) = (f64::INFINITY, f64::NEG_INFINITY);
        let point = |(index, value): (usize, &f64)| {
            (minimum, maximum) = (minimum.min(*value), maximum.max(*value));
            MetricPoint { step: 10 * (index as u64 + 1), value: *value, minimum, maximum }
        };
        MetricCurve {
            name: "loss".into(),
            attempt: 1,
            points: values.iter().enumerate().map(point).collect(),
        }
    }

    fn stops(goal: Goal, after_step: u64, own: &[f64], others: &[&[f64]]) -> bool {
        let rule = EarlyStopping { after_step, minimum_runs: 3 };
        let objective = Objective { metric: "loss".into(), goal };
        let others: Vec<MetricCurve> = others.iter().map(|values| curve(values)).collect();
        let others: Vec<&MetricCurve> = others.iter().collect();
        reason_to_stop(rule, &objective, &curve(own), &others).is_some()
    }

    const OTHERS: [&[f64]; 3] = [&[0.9, 0.5, 0.1], &[0.8, 0.4, 0.3], &[0.7, 0.6, 0.6]];

    #[test]
    fn a_run_that_is_worse_than_the_median_is_stopped() {
        let minimize = |own: &[f64]| stops(Goal::Minimize, 0, own, &OTHERS);
        assert!(minimize(&[0.81]) && !minimize(&[0.8]) && !minimize(&[0.75]), "0.8 at step 10");
        assert!(minimize(&[0.9, 0.55]) && !minimize(&[0.9, 0.5]), "0.5 at step 20");
        assert!(!minimize(&[0.2, 0.9]), "its best value counts, not its last one");
        let maximize = |own: &[f64]| stops(Goal::Maximize, 0, own, &OTHERS);
        assert!(maximize(&[0.79]) && !maximize(&[0.8]) && !maximize(&[0.79, 0.85]));
    }

    #[test]
    fn a_run_gets_the_steps_that_the_rule_leaves_it() {
        assert!(!stops(Goal::Minimize, 20, &[5.0], &OTHERS));
        assert!(stops(Goal::Minimize, 20, &[5.0, 5.0], &OTHERS));
    }

    /// Others are compared by what they had reported at the step, and only if they have come that far.
    #[test]
    fn enough_others_must_have_come_as_far() {
        let short: [&[f64]; 3] = [&[0.1], &[0.1, 0.1], &[0.1, 0.1]];
        assert!(stops(Goal::Minimize, 0, &[5.0], &short));
        assert!(!stops(Goal::Minimize, 0, &[5.0, 5.0], &short));
        let later: [&[f64]; 3] = [&[9.0, 0.1], &[9.0, 0.1], &[9.0, 0.1]];
        assert!(!stops(Goal::Minimize, 0, &[5.0], &later), "they were worse then");
        assert!(
            !stops(Goal::Minimize, 0, &[5.0], &OTHERS[..2])
                && !stops(Goal::Minimize, 0, &[], &OTHERS)
        );
    }

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!((median(&mut [3.0]), median(&mut [])), (Some(3.0), None));
    }

    #[test]
    fn the_rule_is_due_when_a_point_was_kept() {
        let (one, two) = (curve(&[1.0]), curve(&[1.0, 2.0]));
        assert!(!is_due(None, &one), "the latest point alone");
        assert!(is_due(Some(&one), &two) && is_due(None, &two) && !is_due(Some(&two), &two));
        let mut moved = two.clone();
        moved.points[1].step = 15;
        assert!(!is_due(Some(&two), &moved));
    }

    #[test]
    fn the_reason_names_both_values() {
        let rule = EarlyStopping { after_step: 0, minimum_runs: 1 };
        let objective = Objective { metric: "loss".into(), goal: Goal::Minimize };
        let reason = reason_to_stop(rule, &objective, &curve(&[0.5]), &[&curve(&[0.25])]);
        insta::assert_snapshot!(reason.unwrap(), @"The specified job was stopped early: its best loss up to step 10 is 0.5, worse than 0.25, the median of 1 other runs of its sweep");
    }
}
