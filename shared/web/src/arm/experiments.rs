//! Experiments (section 3.2).

use super::Call;
use axum::response::Response;
use control::Error;
use http::Method;
use model::{Name, WorkspaceNames};

impl Call<'_> {
    pub(crate) async fn experiments(&self, names: &WorkspaceNames) -> Result<Response, Error> {
        if self.method != Method::GET {
            return self.method_not_allowed();
        }
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = self.web.control.experiments(names, after, size).await?;
        self.page(page.items.iter().map(wire::experiment).collect(), page.next)
    }

    pub(crate) async fn experiment(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Response, Error> {
        let control = &self.web.control;
        let experiment = match self.method {
            Method::GET => control.experiment(names, name).await?,
            // The SDK sends no body at all.
            Method::PUT => control.put_experiment(names, name).await?,
            Method::DELETE => {
                let started = control.delete_experiment(names, name).await?;
                return self.deleted(&names.subscription, started);
            }
            _ => return self.method_not_allowed(),
        };
        self.resource(&wire::experiment(&experiment), &experiment.etag, experiment.modified_at)
    }
}
