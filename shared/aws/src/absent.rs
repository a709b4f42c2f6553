//! Ports of functions that have no file system, and of functions that hint nobody.

use async_trait::async_trait;
use control::files::{FileLocation, ListedFile, ListingPage, Removal};
use control::ports::{FileShares, PortError, SecretError, SecretStore, SharedFiles};
use model::{FileShare, Timestamp, Uid};

/// Of a function that does not use this port: a call is a defect, and fails.
#[derive(Debug)]
pub(crate) struct Absent;

fn absent(what: &str) -> PortError {
    PortError::other(format!("this function has no {what}"))
}

#[async_trait]
impl FileShares for Absent {
    async fn create(&self, _file_server: &Uid) -> Result<FileShare, PortError> {
        Err(absent("file system"))
    }

    async fn remove(&self, _file_server: &Uid) -> Result<(), PortError> {
        Err(absent("file system"))
    }

    async fn keep(&self, _file_server: &Uid, _kept: &str) -> Result<(), PortError> {
        Err(absent("file system"))
    }
}

#[async_trait]
impl SharedFiles for Absent {
    async fn list(&self, _page: &ListingPage) -> Result<Option<Vec<ListedFile>>, PortError> {
        Err(absent("file system"))
    }

    async fn remove(
        &self,
        _place: &FileLocation,
        _recursive: bool,
        _now: Timestamp,
    ) -> Result<Removal, PortError> {
        Err(absent("file system"))
    }
}

#[async_trait]
impl SecretStore for Absent {
    async fn read(&self, _reference: &str) -> Result<String, SecretError> {
        Err(absent("access to secrets").into())
    }
}
