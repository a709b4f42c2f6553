//! File servers (section 3.4).

use super::Call;
use axum::response::Response;
use control::Error;
use control::operations::Put;
use http::Method;
use model::{FileServer, Name, WorkspaceNames};

impl Call<'_> {
    pub(crate) async fn file_servers(&self, names: &WorkspaceNames) -> Result<Response, Error> {
        if self.method != Method::GET {
            return self.method_not_allowed();
        }
        let control = &self.web.control;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = control.file_servers(names, after, size).await?;
        let body =
            |server: &FileServer| wire::file_server(server, &control.file_server_view(server));
        self.page(page.items.iter().map(body).collect(), page.next)
    }

    pub(crate) async fn file_server(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Response, Error> {
        let control = &self.web.control;
        let server = match self.method {
            Method::GET => control.file_server(names, name).await?,
            Method::PUT => {
                let spec = wire::parse_file_server_create(&self.body)?;
                match control.put_file_server(names, name, &spec).await? {
                    Put::Accepted(started) => {
                        return Ok(self.accepted(&names.subscription, &started));
                    }
                    Put::Unchanged(server) => *server,
                }
            }
            Method::DELETE => {
                let started = control.delete_file_server(names, name).await?;
                return self.deleted(&names.subscription, started);
            }
            _ => return self.method_not_allowed(),
        };
        let view = control.file_server_view(&server);
        self.resource(&wire::file_server(&server, &view), &server.etag, server.modified_at)
    }
}
