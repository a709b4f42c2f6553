//! The jobs of an experiment, with their parameters and metrics. The API gives pages in its own order and without filters:
//! jobs are filtered and sorted among those that were read, and the page says so.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted, segment};
use crate::pages::runs::{self, Columns, Key, Order};
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use resources::Job;
use serde::Deserialize;

#[derive(Clone, Deserialize)]
pub(crate) struct ExperimentPath {
    #[serde(flatten)]
    pub(crate) workspace: WorkspacePath,
    pub(crate) experiment: String,
}

/// What the viewer chose.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Choice {
    state: String,
    sweep: String,
    sort: String,
    /// The page starts behind this token of the API.
    after: String,
}

#[derive(Template)]
#[template(path = "experiment.html")]
struct ExperimentContent {
    path: ExperimentPath,
    choice: Choice,
    order: Order,
    columns: Columns,
    sweeps: Vec<String>,
    rows: Vec<Row>,
    looked_at: usize,
    next: Option<String>,
    may_write: bool,
}

struct Row {
    job: Job,
    page: String,
    start: Option<String>,
    end: Option<String>,
    best: Option<f64>,
}

/// The column of a table that can be sorted by it.
struct Header {
    text: String,
    link: String,
    /// The value of `aria-sort`.
    sorted: &'static str,
}

/// So many jobs are a page.
const PAGE: usize = 100;
/// So many are looked at for those that a filter asks for: three answers of the API, some 30 ms.
const LOOKED_AT: usize = 300;

const STATES: [&str; 5] = ["queued", "running", "terminating", "succeeded", "failed"];

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<ExperimentPath>,
    Query(choice): Query<Choice>,
) -> Result<Response, Failure> {
    let Read { mut jobs, sweeps, looked_at, next } = read(&visit, &path, &choice).await?;
    let columns = Columns::of(&jobs);
    let order = Order::read(&choice.sort, &columns);
    order.sort(&mut jobs, &columns);
    let rows = jobs.into_iter().map(|job| Row::of(job, &path, &columns)).collect();
    let ExperimentPath { workspace, experiment } = &path;
    let shell = Shell::of(experiment.clone(), workspace, Tab::Experiments)
        .below("Experiments", workspace.page(&["experiments"]))
        .command(choice.command(&path))
        .json(workspace.json(&["experiments", experiment, "jobs"]))
        .live(3);
    let may_write = visit.may_write(workspace).await;
    let content = ExperimentContent {
        path,
        choice,
        order,
        columns,
        sweeps,
        rows,
        looked_at,
        next,
        may_write,
    };
    Ok(shell.respond(&visit, &content))
}

/// The jobs of a page.
struct Read {
    jobs: Vec<Job>,
    /// The names of all sweeps among the jobs that were looked at.
    sweeps: Vec<String>,
    looked_at: usize,
    next: Option<String>,
}

async fn read(visit: &Visit, path: &ExperimentPath, choice: &Choice) -> Result<Read, Failure> {
    let list = path.workspace.api(&["experiments", &path.experiment, "jobs"]);
    let after = Some(choice.after.clone()).filter(|token| !token.is_empty());
    let mut read = Read { jobs: Vec::new(), sweeps: Vec::new(), looked_at: 0, next: after };
    loop {
        let page = visit.api.page::<Job>(&list, PAGE, read.next.as_deref()).await?;
        read.looked_at += page.items.len();
        read.sweeps.extend(page.items.iter().filter_map(Job::sweep_name));
        read.jobs.extend(page.items.into_iter().filter(|job| choice.fits(job)));
        read.next = page.next;
        if read.next.is_none() || read.jobs.len() >= PAGE || read.looked_at >= LOOKED_AT {
            break;
        }
    }
    read.sweeps.extend((!choice.sweep.is_empty()).then(|| choice.sweep.clone()));
    read.sweeps.sort_by(|one, other| resources::natural::compare(one, other));
    read.sweeps.dedup();
    Ok(read)
}

impl Choice {
    fn fits(&self, job: &Job) -> bool {
        let state = job.properties.execution_state.to_string();
        let of_sweep = || job.sweep().is_some_and(|sweep| sweep.name == self.sweep);
        (self.state.is_empty() || self.state == state) && (self.sweep.is_empty() || of_sweep())
    }

    fn is_filter(&self) -> bool {
        !self.state.is_empty() || !self.sweep.is_empty()
    }

    fn command(&self, path: &ExperimentPath) -> String {
        let options = format!("-e {} {}", quoted(&path.experiment), path.workspace.options());
        match (self.sweep.as_str(), self.state.as_str()) {
            ("", "") => format!("batchai job list {options}"),
            ("", state) => format!("batchai job list --state {} {options}", quoted(state)),
            (sweep, _) => format!("batchai sweep show {} {options}", quoted(sweep)),
        }
    }

    /// The query of this choice.
    fn query(&self) -> String {
        let Self { state, sweep, sort, after } = self;
        let pairs = [("state", state), ("sweep", sweep), ("sort", sort), ("after", after)];
        let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<String> =
            given.map(|(name, value)| format!("{name}={}", segment(value))).collect();
        query.join("&")
    }
}

impl Row {
    fn of(job: Job, path: &ExperimentPath, columns: &Columns) -> Self {
        let page = path.workspace.page(&["experiments", &path.experiment, "jobs", &job.name]);
        let start = job.start_time().map(str::to_owned);
        let end = job.end_time().map(str::to_owned);
        let best = columns.objective.as_ref().and_then(|objective| runs::best(&job, objective));
        Self { job, page, start, end, best }
    }

    fn note(&self) -> String {
        match (self.job.first_error(), self.job.waiting_reason()) {
            (Some(error), _) => error.to_string(),
            (None, Some(reason)) => reason.to_owned(),
            (None, None) => String::new(),
        }
    }

    fn last(&self, metric: &str) -> String {
        self.job.metric(metric).map_or_else(String::new, |it| crate::text::number(&it.value))
    }
}

impl ExperimentContent {
    fn here(&self) -> String {
        self.path.workspace.page(&["experiments", &self.path.experiment])
    }

    fn link(&self, choice: &Choice) -> String {
        match choice.query() {
            query if query.is_empty() => self.here(),
            query => format!("{}?{query}", self.here()),
        }
    }

    fn first_page(&self) -> String {
        self.link(&Choice { after: String::new(), ..self.choice.clone() })
    }

    fn next_page(&self, token: &str) -> String {
        self.link(&Choice { after: token.to_owned(), ..self.choice.clone() })
    }

    fn new_job_page(&self) -> String {
        self.path.workspace.page(&["experiments", &self.path.experiment, "new-job"])
    }

    fn delete_page(&self) -> String {
        self.path.workspace.page(&["experiments", &self.path.experiment, "delete"])
    }

    fn delete_command(&self) -> String {
        let name = quoted(&self.path.experiment);
        format!("batchai experiment delete {name} {}", self.path.workspace.options())
    }

    fn compare_page(&self) -> String {
        self.path.workspace.page(&["experiments", &self.path.experiment, "compare"])
    }

    fn header(&self, text: &str, word: &str, key: Key) -> Header {
        let is_current = self.order.key == key;
        let (sorted, sort) = match (is_current, self.order.is_descending) {
            (true, false) => ("ascending", format!("-{word}")),
            (true, true) => ("descending", word.to_owned()),
            (false, _) => ("none", word.to_owned()),
        };
        let link = self.link(&Choice { sort, ..self.choice.clone() });
        Header { text: text.to_owned(), link, sorted }
    }

    fn metric_header(&self, metric: &str) -> Header {
        self.header(metric, &format!("metric:{metric}"), Key::Metric(metric.to_owned()))
    }

    fn best_header(&self) -> Option<Header> {
        let objective = self.columns.objective.as_ref()?;
        Some(self.header(&runs::best_name(objective), "best", Key::Best))
    }

    /// Whether the price of a node is known.
    fn has_costs(&self) -> bool {
        self.rows.iter().any(|row| row.job.cost_micro_usd().is_some())
    }

    fn submit_command(&self) -> String {
        let experiment = quoted(&self.path.experiment);
        format!(
            "batchai job submit -f job.json -n NAME --cluster CLUSTER -e {experiment} {}",
            self.path.workspace.options()
        )
    }
}
