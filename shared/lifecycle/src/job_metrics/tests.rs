//! Reports of metrics, one after the other, and what is stored; and the life of the record.

use super::*;
use crate::testing::*;
use futures::executor::block_on;
use model::Uid;
use protocol::End;

fn metric(name: &str, steps: impl IntoIterator<Item = u64>) -> JobMetric {
    let mut points: Vec<CurvePoint> = Vec::new();
    for step in steps {
        let value = 100.0 - step as f64;
        let least = points.last().map_or(value, |last| last.minimum.min(value));
        let most = points.last().map_or(value, |last| last.maximum.max(value));
        points.push(CurvePoint { step, value, minimum: least, maximum: most });
    }
    JobMetric { name: name.to_owned(), points }
}

fn attempt(number: u32) -> AttemptRef {
    AttemptRef { job: job_ref("a"), number }
}

/// The stored metrics after these reports, each with the number of its attempt.
fn stored(reports: &[(u32, Vec<JobMetric>)]) -> JobMetrics {
    let mut stored = None;
    for (number, reported) in reports {
        let merged = merge(stored.as_ref(), &attempt(*number), 1, reported);
        stored = merged.or(stored);
    }
    stored.expect("something was reported")
}

fn steps(metrics: &JobMetrics, name: &str) -> Vec<u64> {
    metrics.curve(name).unwrap().points.iter().map(|point| point.step).collect()
}

#[test]
fn a_report_replaces_what_it_continues() {
    let loss = |steps| vec![metric("loss", steps)];
    let known = stored(&[(1, loss(0..3)), (1, loss(0..5))]);
    assert_eq!(steps(&known, "loss"), [0, 1, 2, 3, 4]);
    // Overtaken by a newer one, or of an earlier attempt.
    assert_eq!(merge(Some(&known), &attempt(1), 1, &loss(0..4)), None);
    let second = stored(&[(1, loss(0..5)), (2, loss(3..9))]);
    assert_eq!(second.attempt, 2);
    assert_eq!(merge(Some(&second), &attempt(1), 1, &loss(0..99)), None);
    assert_eq!(merge(Some(&known), &attempt(1), 1, &loss(0..5)), None, "nothing is new");
}

#[test]
fn points_of_earlier_attempts_stay_up_to_the_first_of_the_new_one() {
    let both = |range: std::ops::Range<u64>| {
        vec![metric("loss", range.clone()), metric("accuracy", range)]
    };
    let first = (1, both(0..10));
    let second = (2, vec![metric("loss", 6..8)]);
    let merged = stored(&[first.clone(), second.clone()]);
    assert_eq!(steps(&merged, "loss"), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(steps(&merged, "accuracy"), (0..10).collect::<Vec<_>>(), "not reported again yet");
    // The other metric follows later in the same attempt, below its earlier latest step.
    let merged = stored(&[first.clone(), second.clone(), (2, both(6..8))]);
    assert_eq!(steps(&merged, "accuracy"), [0, 1, 2, 3, 4, 5, 6, 7]);
    let last = merged.curve("loss").unwrap().latest().unwrap();
    assert_eq!((last.value, last.minimum, last.maximum), (93.0, 93.0, 100.0), "of all attempts");
    // An agent that was restarted has read only the end of a very long output.
    let merged = stored(&[first, (1, vec![metric("loss", 50..52)])]);
    assert_eq!(steps(&merged, "loss")[8..], [8, 9, 50, 51]);
}

#[test]
fn merged_curves_are_as_small_as_those_of_agents() {
    let mut curve = (0..14).map(|it| it * 100).collect::<Vec<u64>>();
    let mut reports = vec![(1, vec![metric("loss", curve.clone())])];
    for number in 2..9 {
        curve = curve.iter().map(|step| step + 1000).collect();
        reports.push((number, vec![metric("loss", curve.clone())]));
        let merged = stored(&reports);
        let kept = steps(&merged, "loss");
        assert!(kept.len() <= limits::MAX_METRIC_POINTS && kept.is_sorted(), "{kept:?}");
        assert_eq!((kept.first(), kept.last()), (Some(&0), curve.last()));
    }
}

#[test]
fn agents_are_not_trusted() {
    let point = |step, value| CurvePoint { step, value, minimum: value, maximum: value };
    let bad = JobMetric {
        name: "loss".into(),
        points: vec![
            point(5, 1.0),
            point(5, 2.0),
            point(4, 1.0),
            point(6, f64::INFINITY),
            point(7, 3.0),
            point(limits::MAX_METRIC_STEP + 1, 1.0),
        ],
    };
    let mut many: Vec<JobMetric> = (0..20).map(|it| metric(&format!("m{it}"), 0..1000)).collect();
    many.insert(0, metric("no name", 0..3));
    many.insert(1, metric("empty", 0..0));
    many.insert(2, bad);
    let merged = stored(&[(1, many)]);
    assert_eq!(steps(&merged, "loss"), [5, 7]);
    assert_eq!(merged.metrics.len(), limits::MAX_JOB_METRICS);
    assert!(merged.metrics.iter().all(|it| it.points.len() <= limits::MAX_METRIC_POINTS));
    assert_eq!(merge(None, &attempt(1), 1, &[metric("no name", 0..3)]), None);
}

fn stored_metrics(fixture: &Fixture) -> Option<JobMetrics> {
    block_on(fixture.table.job_metrics(&job_ref("a"))).expect("memory")
}

/// A running job of this name on these nodes.
fn running_gang(numbers: &[usize]) -> Fixture {
    let (job, nodes) = gang("a", numbers);
    Fixture::of(manual_cluster(2), vec![job], nodes)
}

fn report(fixture: &Fixture, number: usize, reported: Vec<JobMetric>, progress: Progress) {
    let request = SyncRequest { job_metrics: reported, ..reports(number, "a", progress) };
    let (node, job) = (fixture.node(number), fixture.job("a"));
    let mut draft = Draft::new(fixture.now, fixture.quota);
    let known = stored_metrics(fixture);
    draft.read_job(job.clone());
    draft.read_node(node.clone());
    if let Some(attempt) = reported_attempt(&node, &job, &request) {
        record(&mut draft, &attempt, known, &request.job_metrics).unwrap();
    }
    crate::report::observe(&mut draft, &node.id, &request).unwrap();
    fixture.commit(&draft.finish()).unwrap();
}

#[test]
fn the_first_report_marks_the_job_and_the_removal_of_the_job_removes_the_record() {
    let fixture = running_gang(&[0]);
    report(&fixture, 0, vec![], Progress::Running);
    assert!(!fixture.job("a").has_metrics && stored_metrics(&fixture).is_none());
    report(&fixture, 0, vec![metric("loss", 0..2)], Progress::Running);
    assert!(fixture.job("a").has_metrics);
    let version = stored_metrics(&fixture).unwrap().version;
    assert_eq!(version, LATER.0 as u64, "no record that had the key before has such a version");
    report(&fixture, 0, vec![metric("loss", 0..3)], Progress::Running);
    assert_eq!(stored_metrics(&fixture).unwrap().version, version + 1);
    let end = has_ended(End::Exited { exit_code: 0 });
    report(&fixture, 0, vec![metric("loss", 0..9)], end);
    assert!(fixture.job("a").state.is_final());
    assert_eq!(steps(&stored_metrics(&fixture).unwrap(), "loss").last(), Some(&8));

    let mut draft = fixture.draft();
    crate::jobs::delete(&mut draft, &job_ref("a"), uid("op")).unwrap();
    fixture.commit(&draft.finish()).unwrap();
    assert!(stored_metrics(&fixture).is_none());
    assert!(fixture.items().iter().all(|item| !item.key.sk.starts_with("metrics#")));
}

/// The last report removes a job that is being deleted, and its metrics with it, whether the record exists or not.
#[test]
fn a_job_that_is_deleted_while_it_runs_leaves_no_metrics() {
    for first in [vec![], vec![metric("loss", 0..2)]] {
        let fixture = running_gang(&[0]);
        report(&fixture, 0, first, Progress::Running);
        let mut draft = fixture.draft();
        crate::jobs::delete(&mut draft, &job_ref("a"), uid("op")).unwrap();
        fixture.commit(&draft.finish()).unwrap();
        report(&fixture, 0, vec![metric("loss", 0..5)], has_ended(End::Stopped));
        assert!(fixture.jobs().is_empty());
        assert!(fixture.items().iter().all(|item| !item.key.sk.starts_with("metrics#")));
    }
}

#[test]
fn only_the_first_node_of_the_live_attempt_reports() {
    let fixture = running_gang(&[0, 1]);
    report(&fixture, 1, vec![metric("loss", 0..2)], Progress::Running);
    assert!(stored_metrics(&fixture).is_none(), "not the first node");
    let request = SyncRequest {
        job_metrics: vec![metric("loss", 0..2)],
        ..reports(0, "a", Progress::Running)
    };
    let (node, job) = (fixture.node(0), fixture.job("a"));
    assert_eq!(reported_attempt(&node, &job, &request), Some(attempt(1)));
    let mut later = request.clone();
    later.attempt.as_mut().unwrap().key.number = 2;
    assert_eq!(reported_attempt(&node, &job, &later), None);
    let mut other = request.clone();
    other.attempt.as_mut().unwrap().key.job_uid = Uid::from_bytes([9; 16]).to_string();
    assert_eq!(reported_attempt(&node, &job, &other), None);
    let ended = Job { state: model::JobState::Queued { since: NOW }, ..job.clone() };
    assert_eq!(reported_attempt(&node, &ended, &request), None, "the attempt is not live");
    let free = idle(0, NOW);
    assert_eq!(reported_attempt(&free, &job, &request), None);
}
