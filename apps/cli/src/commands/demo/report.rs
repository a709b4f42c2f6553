//! The report of the demonstration: its checks, and the table at the end.

use crate::output::{Column, Layout, Style, rows};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// The best job must have a higher accuracy. The data set is easy.
const MIN_ACCURACY: f64 = 0.9;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub jobs: Vec<JobReport>,
    pub best: Option<String>,
    pub interrupted: Option<String>,
    pub files: PathBuf,
    pub seconds: f64,
    /// The failed checks; empty if the demonstration succeeded.
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
    /// The sum of all attempts.
    pub seconds: f64,
    /// The number of result files in its output directory.
    pub results: usize,
    pub test_accuracy: Option<f64>,
    pub times_resumed: u32,
    pub resumed_from_epoch: Option<u32>,
    /// From its log: the attempt that resumed, and the epoch of the checkpoint.
    pub logged_resume: Option<(u32, u32)>,
}

/// What the checks need besides the jobs.
pub struct Findings {
    pub planned: Vec<String>,
    /// The jobs that the service lists.
    pub listed: Vec<String>,
    /// The number of result files in all directories of the file server.
    pub result_files: usize,
    pub nodes_left: u32,
    pub interrupted: Option<String>,
}

impl Report {
    pub fn new(
        jobs: Vec<JobReport>,
        findings: Findings,
        files: PathBuf,
        elapsed: Duration,
    ) -> Self {
        let problems = problems(&jobs, &findings);
        let best = best(&jobs).map(|job| job.name.clone());
        let interrupted = findings.interrupted;
        Self { jobs, best, interrupted, files, seconds: elapsed.as_secs_f64(), problems }
    }

    pub fn text(&self, layout: &Layout) -> String {
        let table: Vec<_> = self.jobs.iter().map(|job| self.row(job)).collect();
        let mut text = format!("\n{}\n", rows(&table, layout));
        if let Some(best) = best(&self.jobs) {
            let accuracy = 100.0 * best.test_accuracy.unwrap_or_default();
            text += &format!("\nBest: {}, test accuracy {accuracy:.1} %\n", best.name);
        }
        text += &format!("Files: {}\n", self.files.display());
        if self.problems.is_empty() {
            text += &format!(
                "Verified: {} jobs with one result each; one job was interrupted and resumed; no nodes left\n",
                self.jobs.len()
            );
        }
        text + &format!("Duration: {:.1}s", self.seconds)
    }

    fn row(&self, job: &JobReport) -> Vec<Column> {
        let accuracy = job.test_accuracy.map(|accuracy| format!("{accuracy:.4}"));
        let exit = job.exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let is_good = job.exit_code == Some(0);
        let resumed = job.resumed_from_epoch;
        let resumed = resumed.map(|epoch| format!("resumed at epoch {epoch}"));
        let best = (self.best.as_ref() == Some(&job.name)).then(|| "best".to_owned());
        let notes: Vec<_> = best.into_iter().chain(resumed).collect();
        vec![
            Column::new("job", &job.name).key(),
            Column::new("parameters", &job.parameters),
            Column::new("attempts", job.attempts.to_string()),
            Column::new("seconds", format!("{:.1}", job.seconds)),
            Column::new("accuracy", accuracy.unwrap_or_default()),
            Column::new("exit", exit).styled(if is_good { Style::Good } else { Style::Bad }),
            Column::new("note", notes.join("; ")).note(),
        ]
    }
}

fn best(jobs: &[JobReport]) -> Option<&JobReport> {
    let accuracy = |job: &JobReport| job.test_accuracy.unwrap_or(f64::NEG_INFINITY);
    jobs.iter()
        .filter(|job| job.test_accuracy.is_some())
        .max_by(|one, other| accuracy(one).total_cmp(&accuracy(other)))
}

fn problems(jobs: &[JobReport], findings: &Findings) -> Vec<String> {
    let mut found: Vec<String> = jobs.iter().flat_map(job_problems).collect();
    let mut check = |holds: bool, problem: String| {
        if !holds {
            found.push(problem);
        }
    };
    let (mut planned, mut listed) = (findings.planned.clone(), findings.listed.clone());
    planned.sort();
    listed.sort();
    check(
        planned == listed,
        format!("the service lists the jobs {listed:?} instead of {planned:?}"),
    );
    check(
        findings.result_files == planned.len(),
        format!(
            "the file server has {} results instead of {}",
            findings.result_files,
            planned.len()
        ),
    );
    let accuracy = best(jobs).and_then(|job| job.test_accuracy).unwrap_or_default();
    check(
        accuracy > MIN_ACCURACY,
        format!("the best accuracy is {accuracy}, not above {MIN_ACCURACY}"),
    );
    check(findings.nodes_left == 0, format!("the cluster still has {} nodes", findings.nodes_left));

    let extra: u32 = jobs.iter().map(|job| job.attempts.saturating_sub(1)).sum();
    check(extra == 1, format!("{extra} jobs ran again instead of one"));
    match jobs.iter().find(|job| Some(&job.name) == findings.interrupted.as_ref()) {
        Some(job) => check(
            resumed(job),
            format!("{} was interrupted but did not resume from its checkpoint", job.name),
        ),
        None => check(false, "no job was interrupted".to_owned()),
    }
    found
}

fn job_problems(job: &JobReport) -> Vec<String> {
    let mut found = Vec::new();
    if job.state != "succeeded" || job.exit_code != Some(0) {
        let exit = job.exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        found.push(format!("{} {} with exit code {exit}", job.name, job.state));
    }
    if job.results != 1 || job.test_accuracy.is_none() {
        found.push(format!("{} has {} results instead of one", job.name, job.results));
    }
    found
}

/// The second attempt resumed at least a third of the training, by its result and by its log.
fn resumed(job: &JobReport) -> bool {
    job.attempts == 2
        && job.times_resumed == 1
        && job.resumed_from_epoch.is_some_and(|epoch| 3 * epoch >= job.epochs)
        && job.logged_resume == job.resumed_from_epoch.map(|epoch| (2, epoch))
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
            logged_resume: None,
        }
    }

    fn good() -> (Vec<JobReport>, Findings) {
        let hit = JobReport {
            attempts: 2,
            times_resumed: 1,
            resumed_from_epoch: Some(7),
            logged_resume: Some((2, 7)),
            test_accuracy: Some(0.9916),
            ..job("hit")
        };
        let findings = Findings {
            planned: vec!["calm".to_owned(), "hit".to_owned()],
            listed: vec!["hit".to_owned(), "calm".to_owned()],
            result_files: 2,
            nodes_left: 0,
            interrupted: Some("hit".to_owned()),
        };
        (vec![job("calm"), hit], findings)
    }

    fn check(change: impl FnOnce(&mut Vec<JobReport>, &mut Findings)) -> String {
        let (mut jobs, mut findings) = good();
        change(&mut jobs, &mut findings);
        problems(&jobs, &findings).join("; ")
    }

    #[test]
    fn a_successful_run_has_no_problems() {
        let (jobs, findings) = good();
        let report = Report::new(jobs, findings, "/tmp/x".into(), Duration::from_millis(61_240));
        assert_eq!(report.problems, Vec::<String>::new());
        insta::assert_snapshot!(report.text(&Layout::PLAIN), @"

        JOB   PARAMETERS            ATTEMPTS  SECONDS  ACCURACY  EXIT  NOTE
        calm  hidden 32, rate 0.05  1         9.4      0.9554    0
        hit   hidden 32, rate 0.05  2         9.4      0.9916    0     best; resumed at epoch 7

        Best: hit, test accuracy 99.2 %
        Files: /tmp/x
        Verified: 2 jobs with one result each; one job was interrupted and resumed; no nodes left
        Duration: 61.2s
        ");
    }

    #[test]
    fn lost_and_duplicate_results_are_found() {
        let found = [
            check(|jobs, _| jobs[0].exit_code = Some(1)),
            check(|jobs, _| jobs[0].state = "failed".to_owned()),
            check(|jobs, _| jobs[0].results = 2),
            check(|_, findings| findings.result_files = 3),
            check(|_, findings| findings.listed.push("hit".to_owned())),
            check(|_, findings| drop(findings.listed.pop())),
            check(|_, findings| findings.nodes_left = 1),
            check(|jobs, _| jobs[0].attempts = 2),
            check(|jobs, _| jobs[1].attempts = 1),
            check(|jobs, _| jobs[1].resumed_from_epoch = None),
            check(|jobs, _| jobs[1].logged_resume = None),
            check(|_, findings| findings.interrupted = None),
            check(|jobs, _| jobs.iter_mut().for_each(|job| job.test_accuracy = Some(0.5))),
        ];
        insta::assert_snapshot!(found.join("\n"), @r#"
        calm succeeded with exit code 1
        calm failed with exit code 0
        calm has 2 results instead of one
        the file server has 3 results instead of 2
        the service lists the jobs ["calm", "hit", "hit"] instead of ["calm", "hit"]
        the service lists the jobs ["hit"] instead of ["calm", "hit"]
        the cluster still has 1 nodes
        2 jobs ran again instead of one
        0 jobs ran again instead of one; hit was interrupted but did not resume from its checkpoint
        hit was interrupted but did not resume from its checkpoint
        hit was interrupted but did not resume from its checkpoint
        no job was interrupted
        the best accuracy is 0.5, not above 0.9
        "#);
    }
}
