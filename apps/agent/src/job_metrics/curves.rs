//! The curves of the metrics that one file has.

use protocol::{CurvePoint, JobMetric, MAX_JOB_METRICS, thin};

/// The curves of the first metrics of a file. What they contain follows from the lines alone, not from when they were
/// read: an agent that was restarted reads the file again and gets the same curves.
#[derive(Debug, Default)]
pub struct Curves(Vec<Curve>);

#[derive(Debug)]
struct Curve {
    metric: JobMetric,
    /// See [`thin`].
    shift: u32,
}

impl Curves {
    /// Adds a value. Steps increase: a lower one than the latest is ignored, the latest one is replaced.
    pub fn add(&mut self, step: u64, name: &str, value: f64) {
        let curve = match self.0.iter_mut().position(|curve| curve.metric.name == name) {
            Some(position) => &mut self.0[position],
            None if self.0.len() >= MAX_JOB_METRICS => return,
            None => {
                let metric = JobMetric { name: name.to_owned(), points: Vec::new() };
                self.0.push(Curve { metric, shift: 0 });
                let last = self.0.len() - 1;
                &mut self.0[last]
            }
        };
        curve.add(step, value);
    }

    pub fn metrics(&self) -> impl Iterator<Item = &JobMetric> {
        self.0.iter().map(|curve| &curve.metric)
    }
}

impl Curve {
    fn add(&mut self, step: u64, value: f64) {
        let points = &mut self.metric.points;
        let mut point = CurvePoint { step, value, minimum: value, maximum: value };
        if let Some(last) = points.last() {
            if last.step > step {
                return;
            }
            point.minimum = value.min(last.minimum);
            point.maximum = value.max(last.maximum);
        }
        points.pop_if(|last| last.step == step);
        points.push(point);
        self.shift = thin(points, self.shift, |point| point.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(curves: &Curves, name: &str) -> Vec<(u64, f64, f64, f64)> {
        let metric = curves.metrics().find(|metric| metric.name == name).unwrap();
        metric.points.iter().map(|it| (it.step, it.value, it.minimum, it.maximum)).collect()
    }

    #[test]
    fn extremes_are_those_of_all_values_also_of_dropped_points() {
        let mut curves = Curves::default();
        for step in 0..100 {
            let value = if step == 33 { -5.0 } else { 50.0 - step as f64 };
            curves.add(step, "loss", if step == 7 { 99.0 } else { value });
        }
        let loss = points(&curves, "loss");
        let steps: Vec<u64> = loss.iter().map(|it| it.0).collect();
        assert_eq!(steps, [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 99]);
        assert_eq!(loss[4..6], [(32, 18.0, 18.0, 99.0), (40, 10.0, -5.0, 99.0)]);
        assert_eq!(loss.last(), Some(&(99, -49.0, -49.0, 99.0)));
    }

    #[test]
    fn steps_increase_and_the_latest_is_replaced() {
        let mut curves = Curves::default();
        for (step, value) in [(5, 1.0), (3, 9.0), (5, 2.0), (6, 0.5)] {
            curves.add(step, "loss", value);
        }
        assert_eq!(points(&curves, "loss"), [(5, 2.0, 1.0, 2.0), (6, 0.5, 0.5, 2.0)]);
    }

    #[test]
    fn the_first_metrics_count() {
        let mut curves = Curves::default();
        for number in 0..20 {
            curves.add(1, &format!("m{number}"), 1.0);
        }
        let names: Vec<_> = curves.metrics().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"]);
    }
}
