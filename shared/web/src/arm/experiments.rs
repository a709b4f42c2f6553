//! Experiments (docs/contract.md, "Experiments").

use super::Call;
use axum::response::Response;
use control::Error;
use model::{Experiment, Name};

const NAME: &str = "experimentName";

impl Call<'_> {
    pub(crate) async fn experiments(&self) -> Result<Response, Error> {
        let names = self.route.workspace()?;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = self.web.control.experiments.list(&names, after, size).await?;
        self.page(page.items.iter().map(wire::experiment).collect(), page.next)
    }

    fn experiment_name(&self) -> Result<Name, Error> {
        self.route.name(NAME)
    }

    pub(crate) async fn experiment(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.experiment_name()?);
        self.experiment_body(&self.web.control.experiments.get(&names, &name).await?)
    }

    /// The request has no body: the official SDK sends none.
    pub(crate) async fn create_experiment(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.experiment_name()?);
        self.experiment_body(&self.web.control.experiments.put(&names, &name).await?)
    }

    pub(crate) async fn delete_experiment(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.experiment_name()?);
        self.deleted(self.web.control.experiments.delete(&names, &name).await?)
    }

    fn experiment_body(&self, experiment: &Experiment) -> Result<Response, Error> {
        self.resource(&wire::experiment(experiment), &experiment.etag, experiment.modified_at)
    }
}
