//! File servers (docs/contract.md, "File servers").

use super::Call;
use axum::response::Response;
use control::Error;
use control::operations::PutOutcome;
use model::{FileServer, Name};

impl Call<'_> {
    pub(crate) async fn file_servers(&self) -> Result<Response, Error> {
        let control = &self.web.control;
        let names = self.route.workspace()?;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = control.file_servers.list(&names, after, size).await?;
        let body =
            |server: &FileServer| wire::file_server(server, &control.file_servers.view(server));
        self.page(page.items.iter().map(body).collect(), page.next)
    }

    pub(super) fn file_server_name(&self) -> Result<Name, Error> {
        self.route.name("fileServerName")
    }

    pub(crate) async fn file_server(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.file_server_name()?);
        self.file_server_body(&self.web.control.file_servers.get(&names, &name).await?)
    }

    pub(crate) async fn create_file_server(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.file_server_name()?);
        let spec = wire::parse_file_server_create(&self.body)?;
        match self.web.control.file_servers.put(&names, &name, &spec).await? {
            PutOutcome::Accepted(started) => self.accepted(&started),
            PutOutcome::Unchanged(server) => self.file_server_body(&server),
        }
    }

    pub(crate) async fn delete_file_server(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.file_server_name()?);
        self.deleted(self.web.control.file_servers.delete(&names, &name, &self.principal).await?)
    }

    fn file_server_body(&self, server: &FileServer) -> Result<Response, Error> {
        let view = self.web.control.file_servers.view(server);
        self.resource(&wire::file_server(server, &view), &server.etag, server.modified_at)
    }
}
