//! Files of file servers, an addition to the contract (docs/api.md, "Files").

use super::Call;
use crate::OutputFiles;
use crate::files::Links;
use axum::response::Response;
use control::Error;
use control::files::{Upload, location};
use model::{FileServer, limits};
use wire::{FileEntry, FileUpload};

impl Call<'_> {
    async fn named_file_server(&self) -> Result<FileServer, Error> {
        let (names, name) = (self.route.workspace()?, self.file_server_name()?);
        self.web.control.file_servers.get(&names, &name).await
    }

    pub(crate) async fn list_files(&self) -> Result<Response, Error> {
        let query = wire::parse_directory_query(&self.query)?;
        let after = self.page_start()?;
        let server = self.named_file_server().await?;
        let size = query.max_results as usize;
        let page = (after, size + 1);
        let entries = self
            .with_links(query.link_expiry_minutes, async |links| {
                let files = &self.web.control.files;
                let link = |place: &_| links.to(place);
                files.list_file_server(&server, &query.directory, page, link).await
            })
            .await?;
        self.page_of_files(entries, size)
    }

    pub(crate) async fn begin_uploads(&self) -> Result<Response, Error> {
        let files = wire::parse_file_uploads(&self.body)?;
        let server = self.named_file_server().await?;
        let (_, _, minutes) = limits::LINK_MINUTES;
        let links = self
            .with_links(minutes, async |links| {
                let link = |file: wire::FileUploadRequest| {
                    let target = location(&server, &file.path)?;
                    let (length, sha256) = (file.length, file.sha256);
                    let upload = Upload { target, length, sha256, executable: file.executable };
                    Ok(FileUpload { path: file.path, upload_url: links.to_upload(&upload) })
                };
                files.into_iter().map(link).collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        self.ok(&wire::list(links, None))
    }

    pub(crate) async fn delete_file(&self) -> Result<Response, Error> {
        let query = wire::parse_file_removal_query(&self.query)?;
        let server = self.named_file_server().await?;
        self.web.control.files.remove(&server, &query).await?;
        self.no_content()
    }

    /// Runs `use_links` with links of the caller that are valid for this time, or less.
    pub(super) async fn with_links<T>(
        &self,
        minutes: u32,
        use_links: impl AsyncFnOnce(&Links<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let control = &self.web.control;
        let seconds = u64::from(minutes.min(limits::MAX_LINK_MINUTES)) * 60;
        let expires_at = control.context.now().plus_seconds(seconds);
        let base = match &self.web.files {
            OutputFiles::Here(_) => &self.base,
            OutputFiles::At { url } => url,
        };
        let signing = (control.context.keys.as_ref(), self.web.access.people.service());
        let names = self.route.workspace()?;
        use_links(&Links::new(signing, base, &self.principal, &names, expires_at)).await
    }

    /// A page of at most `size` entries; one more was read if there are more.
    pub(super) fn page_of_files(
        &self,
        mut entries: Vec<FileEntry>,
        size: usize,
    ) -> Result<Response, Error> {
        let more = entries.len() > size;
        entries.truncate(size);
        let next = entries.last().filter(|_| more).map(|entry| entry.name.clone());
        self.page(entries, next)
    }
}
