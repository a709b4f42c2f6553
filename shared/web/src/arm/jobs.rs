//! Jobs (docs/contract.md, "Jobs", "Output files" and "Remote login").

use super::Call;
use axum::response::{IntoResponse, Response};
use control::operations::PutOutcome;
use control::{Error, job_metrics};
use http::StatusCode;
use model::{Job, Name};
use wire::MetricDetail;

impl Call<'_> {
    pub(crate) async fn jobs(&self) -> Result<Response, Error> {
        let path = self.route.experiment()?;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let context = &self.web.control.context;
        let page = self.web.control.jobs.list(&path, after.clone(), size).await?;
        let waiting = self.web.control.jobs.waiting_reasons(&page.items).await?;
        let metrics = job_metrics::of_page(context, &page.items, after.as_deref()).await?;
        let now = context.now();
        let body = |((job, waiting), metrics): ((_, &Option<_>), &Option<_>)| {
            let body = wire::job(job, waiting.as_ref(), now);
            body.with_metrics(metrics.as_ref(), MetricDetail::Latest)
        };
        self.page(page.items.iter().zip(&waiting).zip(&metrics).map(body).collect(), page.next)
    }

    fn job_name(&self) -> Result<Name, Error> {
        self.route.name("jobName")
    }

    async fn named_job(&self) -> Result<Job, Error> {
        self.web.control.jobs.get(&self.route.experiment()?, &self.job_name()?).await
    }

    pub(crate) async fn job(&self) -> Result<Response, Error> {
        self.job_body(&self.named_job().await?).await
    }

    pub(crate) async fn create_job(&self) -> Result<Response, Error> {
        let (path, name) = (self.route.experiment()?, self.job_name()?);
        let request = wire::parse_job_create(&self.body)?;
        let servers = request.file_servers().map(|server| &server.names);
        self.authorize_references(servers.chain([&request.cluster.names])).await?;
        match self.web.control.jobs.put(&path, &name, &request).await? {
            PutOutcome::Accepted(started) => self.accepted(&started),
            PutOutcome::Unchanged(job) => self.job_body(&job).await,
        }
    }

    pub(crate) async fn delete_job(&self) -> Result<Response, Error> {
        let (path, name) = (self.route.experiment()?, self.job_name()?);
        self.deleted(self.web.control.jobs.delete(&path, &name).await?)
    }

    async fn job_body(&self, job: &Job) -> Result<Response, Error> {
        let waiting = self.web.control.jobs.waiting_reasons(std::slice::from_ref(job)).await?;
        let waiting = waiting.first().and_then(Option::as_ref);
        let context = &self.web.control.context;
        let metrics = job_metrics::of_job(context, job).await?;
        let body = wire::job(job, waiting, context.now())
            .with_metrics(metrics.as_ref(), MetricDetail::Curves);
        self.resource(&body, &job.uid, job.submitted_at)
    }

    /// 200 with an empty body, and no operation, when the job has already ended.
    pub(crate) async fn terminate_job(&self) -> Result<Response, Error> {
        let (path, name) = (self.route.experiment()?, self.job_name()?);
        match self.web.control.jobs.terminate(&path, &name).await? {
            Some(started) => self.accepted(&started),
            None => Ok(StatusCode::OK.into_response()),
        }
    }

    pub(crate) async fn job_files(&self) -> Result<Response, Error> {
        let query = wire::parse_output_files_query(&self.query)?;
        let after = self.page_start()?;
        let job = self.named_job().await?;
        let size = query.page.max_results as usize;
        let page = (after, size + 1);
        let entries = self
            .with_links(query.page.link_expiry_minutes, async |links| {
                let link = |place: &_| links.to(place);
                self.web.control.files.list(&job, &query, page, link).await
            })
            .await?;
        self.page_of_files(entries, size)
    }

    /// Lists the ends of output files that nodes have reported.
    pub(crate) async fn job_log_tails(&self) -> Result<Response, Error> {
        let (path, name) = (self.route.experiment()?, self.job_name()?);
        let tails = self.web.control.jobs.log_tails(&path, &name).await?;
        self.ok(&wire::list(wire::log_tails(&tails), None))
    }

    /// Lists the nodes of the last attempt of the job that still exist.
    pub(crate) async fn job_logins(&self) -> Result<Response, Error> {
        let job = self.named_job().await?;
        let last = job.attempt_records().pop();
        let ids = last.map(|attempt| attempt.nodes).unwrap_or_default();
        let nodes = self.web.control.jobs.nodes(&job, &ids).await?;
        self.ok(&wire::list(nodes.iter().filter_map(wire::RemoteLogin::of).collect(), None))
    }
}
