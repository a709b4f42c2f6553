//! The verdict on the demonstration: what has to be true, and the table at the end.

use crate::output::{Column, Style, rows};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// The best job of the sweep has to be better than that: the data are easy.
const ACCURACY: f64 = 0.9;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub jobs: Vec<JobReport>,
    pub best: Option<String>,
    pub interrupted: Option<String>,
    pub files: PathBuf,
    pub seconds: f64,
    /// What is not as it has to be. Nothing, if all went well.
    pub problems: Vec<String>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    pub name: String,
    pub parameters: String,
    pub epochs: u32,
    pub state: String,
    pub exit_code: Option<i64>,
    pub attempts: u32,
    /// Of all attempts.
    pub seconds: f64,
    /// How many results it has.
    pub results: usize,
    pub test_accuracy: Option<f64>,
    pub times_resumed: u32,
    pub resumed_from_epoch: Option<u32>,
    /// What its output says: the attempt, and the epoch it resumed from.
    pub said_resumed: Option<(u32, u32)>,
}

/// What the verdict needs besides the jobs.
pub struct Evidence {
    pub planned: Vec<String>,
    /// The jobs that the service has.
    pub listed: Vec<String>,
    /// In all directories of the file server.
    pub result_files: usize,
    pub nodes_left: u32,
    pub interrupted: Option<String>,
}

impl Report {
    pub fn new(
        jobs: Vec<JobReport>,
        evidence: Evidence,
        files: PathBuf,
        elapsed: Duration,
    ) -> Self {
        let problems = problems(&jobs, &evidence);
        let best = best(&jobs).map(|job| job.name.clone());
        let interrupted = evidence.interrupted;
        Self { jobs, best, interrupted, files, seconds: elapsed.as_secs_f64(), problems }
    }

    pub fn text(&self, color: bool) -> String {
        let table: Vec<_> = self.jobs.iter().map(|job| self.row(job)).collect();
        let mut text = format!("\n{}\n", rows(&table, color));
        if let Some(best) = best(&self.jobs) {
            let accuracy = 100.0 * best.test_accuracy.unwrap_or_default();
            text += &format!(
                "\nBest: {}, {accuracy:.1} % of the held-out digits recognized\n",
                best.name
            );
        }
        text += &format!("Files: {}\n", self.files.display());
        if self.problems.is_empty() {
            text += &format!(
                "Checked: {} jobs, one result each; one job lost its node and resumed; no node is left\n",
                self.jobs.len()
            );
        }
        text + &format!("Took {:.1} s", self.seconds)
    }

    fn row(&self, job: &JobReport) -> Vec<Column> {
        let accuracy = job.test_accuracy.map(|accuracy| format!("{accuracy:.4}"));
        let exit = job.exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let is_good = job.exit_code == Some(0);
        let resumed = job.resumed_from_epoch;
        let resumed = resumed.map(|epoch| format!("resumed, epoch {epoch}"));
        let best = (self.best.as_ref() == Some(&job.name)).then(|| "best".to_owned());
        let notes: Vec<_> = best.into_iter().chain(resumed).collect();
        vec![
            Column::new("job", &job.name),
            Column::new("parameters", &job.parameters),
            Column::new("attempts", job.attempts.to_string()),
            Column::new("seconds", format!("{:.1}", job.seconds)),
            Column::new("accuracy", accuracy.unwrap_or_default()),
            Column::new("exit", exit).styled(if is_good { Style::Good } else { Style::Bad }),
            Column::new("note", notes.join("; ")),
        ]
    }
}

fn best(jobs: &[JobReport]) -> Option<&JobReport> {
    let accuracy = |job: &JobReport| job.test_accuracy.unwrap_or(f64::NEG_INFINITY);
    jobs.iter()
        .filter(|job| job.test_accuracy.is_some())
        .max_by(|one, other| accuracy(one).total_cmp(&accuracy(other)))
}

fn problems(jobs: &[JobReport], evidence: &Evidence) -> Vec<String> {
    let mut found: Vec<String> = jobs.iter().flat_map(of_job).collect();
    let mut must = |is_so: bool, otherwise: String| {
        if !is_so {
            found.push(otherwise);
        }
    };
    let (mut planned, mut listed) = (evidence.planned.clone(), evidence.listed.clone());
    planned.sort();
    listed.sort();
    must(planned == listed, format!("the service has the jobs {listed:?}, not {planned:?}"));
    must(
        evidence.result_files == planned.len(),
        format!("{} results on the file server, not {}", evidence.result_files, planned.len()),
    );
    let accuracy = best(jobs).and_then(|job| job.test_accuracy).unwrap_or_default();
    must(accuracy > ACCURACY, format!("the best accuracy is {accuracy}, not above {ACCURACY}"));
    must(evidence.nodes_left == 0, format!("{} nodes are left", evidence.nodes_left));

    let extra: u32 = jobs.iter().map(|job| job.attempts.saturating_sub(1)).sum();
    must(extra == 1, format!("{extra} jobs ran again, not exactly one"));
    match jobs.iter().find(|job| Some(&job.name) == evidence.interrupted.as_ref()) {
        Some(job) => must(
            resumed(job),
            format!("{} lost its node, but did not resume from its checkpoint", job.name),
        ),
        None => must(false, "no job lost its node".to_owned()),
    }
    found
}

fn of_job(job: &JobReport) -> Vec<String> {
    let mut found = Vec::new();
    if job.state != "succeeded" || job.exit_code != Some(0) {
        let exit = job.exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        found.push(format!("{} ended as {} with exit code {exit}", job.name, job.state));
    }
    if job.results != 1 || job.test_accuracy.is_none() {
        found.push(format!("{} has {} results, not exactly one", job.name, job.results));
    }
    found
}

/// In its second attempt, as it says itself, and far enough to be worth it.
fn resumed(job: &JobReport) -> bool {
    job.attempts == 2
        && job.times_resumed == 1
        && job.resumed_from_epoch.is_some_and(|epoch| 3 * epoch >= job.epochs)
        && job.said_resumed == job.resumed_from_epoch.map(|epoch| (2, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> JobReport {
        JobReport {
            name: name.to_owned(),
            parameters: "hidden 32, rate 0.05".to_owned(),
            epochs: 18,
            state: "succeeded".to_owned(),
            exit_code: Some(0),
            attempts: 1,
            seconds: 9.44,
            results: 1,
            test_accuracy: Some(0.9554),
            times_resumed: 0,
            resumed_from_epoch: None,
            said_resumed: None,
        }
    }

    fn good() -> (Vec<JobReport>, Evidence) {
        let hit = JobReport {
            attempts: 2,
            times_resumed: 1,
            resumed_from_epoch: Some(7),
            said_resumed: Some((2, 7)),
            test_accuracy: Some(0.9916),
            ..job("hit")
        };
        let evidence = Evidence {
            planned: vec!["calm".to_owned(), "hit".to_owned()],
            listed: vec!["hit".to_owned(), "calm".to_owned()],
            result_files: 2,
            nodes_left: 0,
            interrupted: Some("hit".to_owned()),
        };
        (vec![job("calm"), hit], evidence)
    }

    fn check(change: impl FnOnce(&mut Vec<JobReport>, &mut Evidence)) -> String {
        let (mut jobs, mut evidence) = good();
        change(&mut jobs, &mut evidence);
        problems(&jobs, &evidence).join("; ")
    }

    #[test]
    fn what_went_well_is_shown() {
        let (jobs, evidence) = good();
        let report = Report::new(jobs, evidence, "/tmp/x".into(), Duration::from_millis(61_240));
        assert_eq!(report.problems, Vec::<String>::new());
        insta::assert_snapshot!(report.text(false), @"

        JOB   PARAMETERS            ATTEMPTS  SECONDS  ACCURACY  EXIT  NOTE
        calm  hidden 32, rate 0.05  1         9.4      0.9554    0
        hit   hidden 32, rate 0.05  2         9.4      0.9916    0     best; resumed, epoch 7

        Best: hit, 99.2 % of the held-out digits recognized
        Files: /tmp/x
        Checked: 2 jobs, one result each; one job lost its node and resumed; no node is left
        Took 61.2 s
        ");
    }

    #[test]
    fn whatever_is_lost_or_doubled_is_found() {
        let found = [
            check(|jobs, _| jobs[0].exit_code = Some(1)),
            check(|jobs, _| jobs[0].state = "failed".to_owned()),
            check(|jobs, _| jobs[0].results = 2),
            check(|_, evidence| evidence.result_files = 3),
            check(|_, evidence| evidence.listed.push("hit".to_owned())),
            check(|_, evidence| drop(evidence.listed.pop())),
            check(|_, evidence| evidence.nodes_left = 1),
            check(|jobs, _| jobs[0].attempts = 2),
            check(|jobs, _| jobs[1].attempts = 1),
            check(|jobs, _| jobs[1].resumed_from_epoch = None),
            check(|jobs, _| jobs[1].said_resumed = None),
            check(|_, evidence| evidence.interrupted = None),
            check(|jobs, _| jobs.iter_mut().for_each(|job| job.test_accuracy = Some(0.5))),
        ];
        insta::assert_snapshot!(found.join("\n"), @r#"
        calm ended as succeeded with exit code 1
        calm ended as failed with exit code 0
        calm has 2 results, not exactly one
        3 results on the file server, not 2
        the service has the jobs ["calm", "hit", "hit"], not ["calm", "hit"]
        the service has the jobs ["hit"], not ["calm", "hit"]
        1 nodes are left
        2 jobs ran again, not exactly one
        0 jobs ran again, not exactly one; hit lost its node, but did not resume from its checkpoint
        hit lost its node, but did not resume from its checkpoint
        hit lost its node, but did not resume from its checkpoint
        no job lost its node
        the best accuracy is 0.5, not above 0.9
        "#);
    }
}
