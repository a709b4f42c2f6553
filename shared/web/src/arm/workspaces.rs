//! Workspaces (docs/contract.md, "Workspaces").

use super::Call;
use axum::response::Response;
use control::Error;
use model::{Name, Workspace};

impl Call<'_> {
    pub(crate) async fn workspaces(&self, group: Option<Name>) -> Result<Response, Error> {
        let subscription = self.route.subscription()?;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page =
            self.web.control.workspaces.list(&subscription, group.as_ref(), after, size).await?;
        self.page(page.items.iter().map(wire::workspace).collect(), page.next)
    }

    pub(crate) async fn workspace(&self) -> Result<Response, Error> {
        self.workspace_body(&self.web.control.workspaces.get(&self.route.workspace()?).await?)
    }

    pub(crate) async fn create_workspace(&self) -> Result<Response, Error> {
        let names = self.route.workspace()?;
        let request = wire::parse_workspace_create(&self.body)?;
        self.require_subscription().await?;
        self.workspace_body(&self.web.control.workspaces.put(&names, &request).await?)
    }

    pub(crate) async fn update_workspace(&self) -> Result<Response, Error> {
        let names = self.route.workspace()?;
        let tags = wire::parse_workspace_update(&self.body)?;
        self.workspace_body(&self.web.control.workspaces.tag(&names, tags).await?)
    }

    pub(crate) async fn delete_workspace(&self) -> Result<Response, Error> {
        self.deleted(self.web.control.workspaces.delete(&self.route.workspace()?).await?)
    }

    fn workspace_body(&self, workspace: &Workspace) -> Result<Response, Error> {
        self.resource(&wire::workspace(workspace), &workspace.etag, workspace.modified_at)
    }
}
