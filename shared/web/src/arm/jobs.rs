//! Jobs (sections 3.5 to 3.8).

use super::{Call, clusters};
use crate::files;
use axum::response::{IntoResponse, Response};
use control::Error;
use control::jobs::ExperimentPath;
use control::operations::Put;
use http::{Method, StatusCode};
use model::{Job, Name};

impl Call<'_> {
    pub(crate) async fn jobs(&self, path: &ExperimentPath) -> Result<Response, Error> {
        if self.method != Method::GET {
            return self.method_not_allowed();
        }
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = self.web.control.jobs(path, after, size).await?;
        self.page(page.items.iter().map(|job| wire::job(job, None)).collect(), page.next)
    }

    pub(crate) async fn job(&self, path: &ExperimentPath, name: &Name) -> Result<Response, Error> {
        let control = &self.web.control;
        let subscription = &path.workspace.subscription;
        let job = match self.method {
            Method::GET => control.job(path, name).await?,
            Method::PUT => {
                let request = wire::parse_job_create(&self.body)?;
                match control.put_job(path, name, &request).await? {
                    Put::Accepted(started) => return Ok(self.accepted(subscription, &started)),
                    Put::Unchanged(job) => *job,
                }
            }
            Method::DELETE => {
                let started = control.delete_job(path, name).await?;
                return self.deleted(subscription, started);
            }
            _ => return self.method_not_allowed(),
        };
        let waiting = control.waiting_reason(&job).await?;
        self.resource(&wire::job(&job, waiting.as_deref()), &job.etag, job.submitted_at)
    }

    /// A job that has ended already: 200, empty, and no operation.
    pub(crate) async fn terminate(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Response, Error> {
        if self.method != Method::POST {
            return self.method_not_allowed();
        }
        match self.web.control.terminate_job(path, name).await? {
            Some(started) => Ok(self.accepted(&path.workspace.subscription, &started)),
            None => Ok(StatusCode::OK.into_response()),
        }
    }

    pub(crate) async fn job_files(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Response, Error> {
        if self.method != Method::POST && self.method != Method::GET {
            return self.method_not_allowed();
        }
        let control = &self.web.control;
        let query = wire::parse_output_files_query(&self.query)?;
        let after = self.page_start()?;
        let job = control.job(path, name).await?;
        let expires_at = control.now().plus_seconds(u64::from(query.link_expiry_minutes) * 60);
        let link = |place: &_| files::link(control, &self.base, place, expires_at);
        let mut entries = control.output_files(&job, &query, link).await?;
        if let Some(after) = after {
            entries.retain(|entry| entry.name > after);
        }
        let size = query.max_results as usize;
        let more = entries.len() > size;
        entries.truncate(size);
        let next = entries.last().filter(|_| more).map(|entry| entry.name.clone());
        self.page(entries, next)
    }

    /// The nodes that run the job, or ran it last, and still exist.
    pub(crate) async fn job_logins(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Response, Error> {
        if self.method != Method::POST {
            return self.method_not_allowed();
        }
        let control = &self.web.control;
        let job: Job = control.job(path, name).await?;
        let ids = job.attempts.last().map(|attempt| attempt.nodes.clone()).unwrap_or_default();
        let nodes = control.nodes_of(&job, &ids).await?;
        self.ok(&wire::list(nodes.iter().filter_map(clusters::login).collect(), None))
    }
}
