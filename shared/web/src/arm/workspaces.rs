//! Workspaces (section 3.1).

use super::Call;
use axum::response::Response;
use control::Error;
use http::Method;
use model::{Name, WorkspaceNames};

impl Call<'_> {
    pub(crate) async fn workspaces(
        &self,
        subscription: &Name,
        group: Option<&Name>,
    ) -> Result<Response, Error> {
        if self.method != Method::GET {
            return self.method_not_allowed();
        }
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = self.web.control.workspaces(subscription, group, after, size).await?;
        self.page(page.items.iter().map(wire::workspace).collect(), page.next)
    }

    pub(crate) async fn workspace(&self, names: &WorkspaceNames) -> Result<Response, Error> {
        let control = &self.web.control;
        let workspace = match self.method {
            Method::GET => control.workspace(names).await?,
            Method::PUT => {
                let request = wire::parse_workspace_create(&self.body)?;
                control.put_workspace(names, &request).await?
            }
            Method::PATCH => {
                let tags = wire::parse_workspace_update(&self.body)?;
                control.tag_workspace(names, tags).await?
            }
            Method::DELETE => {
                let started = control.delete_workspace(names).await?;
                return self.deleted(&names.subscription, started);
            }
            _ => return self.method_not_allowed(),
        };
        self.resource(&wire::workspace(&workspace), &workspace.etag, workspace.modified_at)
    }
}
