//! File shares on EFS: a directory of the stack's file system, named by the uid of the file server, and an
//! access point whose root it is. Nodes mount the access point and see nothing else of the file system.

use crate::failures::port_error;
use async_trait::async_trait;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::{
    AccessPointDescription, CreationInfo, LifeCycleState, RootDirectory, Tag,
};
use control::directories::DiskDirectories;
use control::ports::{FileShares, PortError};
use model::{FileShare, Uid};
use std::time::Duration;

/// The tag of access points; the role of the function deletes only those that have it.
const STACK_TAG: &str = "batchai:stack";

/// How often and how long to wait for a new access point, which takes a few seconds. Afterwards the hint is
/// delivered again.
const POLLS: usize = 15;
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The file shares of a stack.
pub struct EfsShares {
    client: Client,
    stack: String,
    file_system: String,
    /// The mounted file system.
    directories: DiskDirectories,
}

impl EfsShares {
    /// Shares on a file system that is mounted at the root of `directories`.
    pub fn new(
        client: Client,
        stack: String,
        file_system: String,
        directories: DiskDirectories,
    ) -> Self {
        Self { client, stack, file_system, directories }
    }

    /// The access points of a file server. Usually one; none before it was created.
    async fn find(&self, file_server: &Uid) -> Result<Vec<AccessPointDescription>, PortError> {
        let root = path(file_server);
        let mut pages = self
            .client
            .describe_access_points()
            .file_system_id(&self.file_system)
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(access_point) = pages.next().await {
            let access_point = access_point.map_err(port_error)?;
            let own_root = access_point.root_directory().and_then(|root| root.path());
            if own_root == Some(root.as_str()) {
                found.push(access_point);
            }
        }
        Ok(found)
    }

    /// Repeating the request has no effect: the token is the uid of the file server.
    async fn create_access_point(&self, file_server: &Uid) -> Result<(), PortError> {
        let root = RootDirectory::builder().path(path(file_server)).creation_info(
            CreationInfo::builder()
                .owner_uid(0)
                .owner_gid(0)
                .permissions("755")
                .build()
                .map_err(PortError::other)?,
        );
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let created = self
            .client
            .create_access_point()
            .client_token(file_server.as_str())
            .file_system_id(&self.file_system)
            .root_directory(root.build())
            .tags(tag(STACK_TAG, &self.stack).map_err(PortError::other)?)
            .tags(tag("Name", file_server.as_str()).map_err(PortError::other)?)
            .send()
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|it| it.is_access_point_already_exists()) =>
            {
                Ok(())
            }
            Err(error) => Err(port_error(error)),
        }
    }
}

/// The directory of a file server in the file system.
fn path(file_server: &Uid) -> String {
    format!("/{file_server}")
}

#[async_trait]
impl FileShares for EfsShares {
    /// The directory is made first: a mount of an access point without one would fail.
    async fn create(&self, file_server: &Uid) -> Result<FileShare, PortError> {
        self.directories.create(file_server).await?;
        for poll in 0..POLLS {
            let found = self.find(file_server).await?;
            if found.is_empty() && poll == 0 {
                self.create_access_point(file_server).await?;
            }
            let ready = found
                .into_iter()
                .find(|it| it.life_cycle_state == Some(LifeCycleState::Available))
                .and_then(|it| it.access_point_id);
            if let Some(access_point) = ready {
                let file_system = self.file_system.clone();
                return Ok(FileShare::Efs { file_system, access_point });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Err(PortError::other(format!(
            "the access point of file server {file_server} is not available yet"
        )))
    }

    /// The access point is removed first: what mounts the file server cannot write any more while its files are
    /// removed.
    async fn remove(&self, file_server: &Uid) -> Result<(), PortError> {
        self.delete_access_points(file_server).await?;
        self.directories.remove(file_server).await
    }

    async fn keep(&self, file_server: &Uid, kept: &str) -> Result<(), PortError> {
        self.delete_access_points(file_server).await?;
        self.directories.keep(file_server, kept).await
    }
}

impl EfsShares {
    async fn delete_access_points(&self, file_server: &Uid) -> Result<(), PortError> {
        for access_point in self.find(file_server).await? {
            let id = access_point.access_point_id.unwrap_or_default();
            match self.client.delete_access_point().access_point_id(&id).send().await {
                Ok(_) => {}
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|it| it.is_access_point_not_found()) => {}
                Err(error) => return Err(port_error(error)),
            }
        }
        Ok(())
    }
}
