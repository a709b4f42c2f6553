//! Metrics that a job reports. Each is a curve of few points, kept small by the same rule on both sides ([`thin`]), so
//! that the points of different runs lie at comparable steps.

use serde::{Deserialize, Serialize};

/// Points of a curve: enough to see its course and to compare runs, few enough for a report every ten seconds.
pub const MAX_CURVE_POINTS: usize = 16;

/// Metrics of a job, the first that it reports. All curves together take a few KB.
pub const MAX_JOB_METRICS: usize = 8;

/// The name of a metric. Frameworks use names such as `train/loss_epoch`.
pub const MAX_METRIC_NAME_BYTES: usize = 64;

/// The highest step: every reader of JSON represents it exactly, also those with 64-bit floats only.
pub const MAX_METRIC_STEP: u64 = 1 << 53;

/// A line with metrics. A line with all metrics of the longest names fits; a longer line is something else.
pub const MAX_METRIC_LINE_BYTES: usize = 4 * 1024;

/// The curve of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobMetric {
    /// See [`is_metric_name`].
    pub name: String,
    /// In the order of steps. The last one is the latest that the job reported.
    pub points: Vec<CurvePoint>,
}

/// A point of a curve, as JSON a list of four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Numbers", into = "Numbers")]
pub struct CurvePoint {
    /// At most [`MAX_METRIC_STEP`].
    pub step: u64,
    /// The value at this step.
    pub value: f64,
    /// The lowest value of all steps up to this one.
    pub minimum: f64,
    /// The highest value of all steps up to this one.
    pub maximum: f64,
}

type Numbers = (u64, f64, f64, f64);

impl From<Numbers> for CurvePoint {
    fn from((step, value, minimum, maximum): Numbers) -> Self {
        Self { step, value, minimum, maximum }
    }
}

impl From<CurvePoint> for Numbers {
    fn from(point: CurvePoint) -> Self {
        (point.step, point.value, point.minimum, point.maximum)
    }
}

/// Whether this can be the name of a metric: letters, digits, and punctuation that frameworks use in names.
pub fn is_metric_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./:@%()+".contains(c);
    (1..=MAX_METRIC_NAME_BYTES).contains(&name.len()) && name.chars().all(is_part)
}

/// Keeps at most [`MAX_CURVE_POINTS`] points: the first in each interval of 2^`shift` steps, and the latest. `points`
/// are in the order of steps. Doubles the intervals until few enough are left, and returns the new `shift`, with which
/// the next call continues.
///
/// Which points are kept follows from the steps alone: two runs that report the same steps keep the same ones.
pub fn thin<T>(points: &mut Vec<T>, mut shift: u32, step: impl Fn(&T) -> u64) -> u32 {
    loop {
        let (count, mut index, mut firsts, mut interval) = (points.len(), 0, 0, None);
        points.retain(|point| {
            let own = step(point) >> shift;
            let is_first = interval.replace(own) != Some(own);
            firsts += usize::from(is_first);
            index += 1;
            is_first || index == count
        });
        if firsts < MAX_CURVE_POINTS || shift >= u64::BITS - 1 {
            return shift;
        }
        shift += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(steps: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let (mut points, mut shift) = (Vec::new(), 0);
        for step in steps {
            points.push(step);
            shift = thin(&mut points, shift, |step| *step);
        }
        points
    }

    #[test]
    fn points_lie_on_a_grid_and_the_latest_is_kept() {
        assert_eq!(kept(0..15), (0..15).collect::<Vec<_>>());
        assert_eq!(kept(0..17), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        assert_eq!(kept(0..18), [0, 2, 4, 6, 8, 10, 12, 14, 16, 17]);
        let long = kept(0..1000);
        assert_eq!(long, [0, 128, 256, 384, 512, 640, 768, 896, 999]);
        // Steps that are no multiples of any power of two.
        assert_eq!(kept((0..100).map(|it| it * 7 + 3))[..3], [3, 66, 129]);
    }

    /// The kept steps follow from the set of steps, and a curve that was kept small stays as it is.
    #[test]
    fn the_same_steps_lead_to_the_same_points() {
        for (count, distance) in [(15, 1), (16, 1), (40, 3), (333, 100), (5000, 17)] {
            let steps = || (0..count).map(|it| it * distance);
            let (mut at_once, one_by_one) = (steps().collect::<Vec<u64>>(), kept(steps()));
            thin(&mut at_once, 0, |step| *step);
            assert_eq!(at_once, one_by_one);
            assert!(at_once.len() <= MAX_CURVE_POINTS, "{at_once:?}");
            assert_eq!(at_once.last(), steps().next_back().as_ref());
            let mut again = at_once.clone();
            thin(&mut again, 0, |step| *step);
            assert_eq!(again, at_once);
        }
        assert!(kept([0, 1, u64::MAX - 1, u64::MAX]).len() == 4);
        let mut far: Vec<u64> = (0..64).map(|bit| 1 << bit).collect();
        thin(&mut far, 0, |step| *step);
        assert!(far.len() <= MAX_CURVE_POINTS, "{far:?}");
    }

    #[test]
    fn a_point_is_a_list_of_numbers() {
        let point = CurvePoint { step: 7, value: 0.5, minimum: 0.25, maximum: 2.0 };
        let metric = JobMetric { name: "loss".into(), points: vec![point] };
        let text = serde_json::to_string(&metric).unwrap();
        assert_eq!(text, r#"{"name":"loss","points":[[7,0.5,0.25,2.0]]}"#);
        assert_eq!(serde_json::from_str::<JobMetric>(&text).unwrap(), metric);
    }

    #[test]
    fn names_are_those_of_frameworks() {
        for name in ["loss", "train/loss_epoch", "val_top-5", "precision@1", "f1(macro)", "5"] {
            assert!(is_metric_name(name), "{name}");
        }
        for name in ["", "a b", "a\"", "é", "<b>", &"n".repeat(65)] {
            assert!(!is_metric_name(name), "{name}");
        }
    }
}
