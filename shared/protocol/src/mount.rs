//! What a node mounts for its cluster or for a job.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A mount of a cluster or a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Below the mount root of the cluster or of the job.
    pub relative_mount_path: String,
    /// What is mounted.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum MountSource {
    /// A file server, or a volume of a cloud, whose tree is a directory of this machine.
    Directory {
        /// The directory of the file server or volume.
        root: String,
        /// Below `root`, which it must not leave; empty for `root` itself.
        sub_directory: String,
        /// What the directory is. Absent: a file server.
        #[serde(default, skip_serializing_if = "StorageKind::is_file_server")]
        of: StorageKind,
    },
    /// A file server whose tree is a directory of an EFS file system. Mounted with TLS and the role of the instance.
    #[serde(rename_all = "camelCase")]
    Efs {
        /// Such as `fs-0123456789abcdef0`.
        file_system: String,
        /// The access point whose root is the file server, such as `fsap-0123456789abcdef0`.
        access_point: String,
        /// Below the root of the file server; empty for the root itself.
        sub_directory: String,
        /// Additional options, separated by commas.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<String>,
    },
    /// A share of Azure Files.
    #[serde(rename_all = "camelCase")]
    AzureFileShare {
        /// Such as `account.file.core.windows.net`.
        host: String,
        /// Name of the share.
        share: String,
        /// Below the share; empty for all of it.
        sub_directory: String,
        /// Name of the storage account.
        account: String,
        /// Key of the storage account.
        key: SecretText,
        /// Mode of files, octal.
        file_mode: String,
        /// Mode of directories, octal.
        directory_mode: String,
    },
    /// A container of Azure Blob Storage.
    #[serde(rename_all = "camelCase")]
    AzureBlobContainer {
        /// Name of the storage account.
        account: String,
        /// Name of the container.
        container: String,
        /// Key of the storage account.
        key: SecretText,
        /// Additional options of the command, separated by blanks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<String>,
    },
    /// A bucket of Amazon S3, mounted with the role of the instance.
    #[serde(rename_all = "camelCase")]
    S3Bucket {
        /// Name of the bucket.
        bucket: String,
        /// The part of the bucket to mount; empty for all of it.
        prefix: String,
        /// Whether nothing can be written.
        read_only: bool,
        /// Additional options of the command, separated by blanks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<String>,
    },
    /// A file system of Amazon FSx for Lustre.
    #[serde(rename_all = "camelCase")]
    LustreFileSystem {
        /// DNS name of the file system.
        dns_name: String,
        /// Its mount name.
        mount_name: String,
        /// Additional options, separated by commas.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<String>,
    },
    /// The user's own command.
    Command {
        /// For `bash -c`, after the mount path is appended.
        command: String,
    },
}

impl MountSource {
    /// Removes the key, for a copy that is stored.
    pub fn forget_key(&mut self) {
        match self {
            Self::AzureFileShare { key, .. } | Self::AzureBlobContainer { key, .. } => {
                *key = SecretText::default();
            }
            Self::Directory { .. }
            | Self::Efs { .. }
            | Self::S3Bucket { .. }
            | Self::LustreFileSystem { .. }
            | Self::Command { .. } => {}
        }
    }
}

/// What a directory is in place of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StorageKind {
    /// A file server.
    #[default]
    FileServer,
    /// A share of Azure Files.
    AzureFileShare,
    /// A container of Azure Blob Storage.
    AzureBlobContainer,
    /// A bucket of Amazon S3.
    S3Bucket,
    /// A file system of Amazon FSx for Lustre.
    LustreFileSystem,
}

impl StorageKind {
    /// Code and message of an error for the user. Those of Azure are what the service reported (docs/contract.md,
    /// "Errors of jobs"); the others follow their pattern.
    pub fn failure(self) -> (&'static str, &'static str) {
        match self {
            Self::FileServer => ("NFSMountError", "Unable to mount the file server"),
            Self::AzureFileShare => ("AZFMountError", "Unable to mount Azure File"),
            Self::AzureBlobContainer => ("BFSMountError", "unable to mount blob fuse file system"),
            Self::S3Bucket => ("S3MountError", "Unable to mount the S3 bucket"),
            Self::LustreFileSystem => {
                ("LustreMountError", "Unable to mount the file system of FSx for Lustre")
            }
        }
    }

    /// Whether it is a file server, which is left out of messages.
    pub fn is_file_server(&self) -> bool {
        *self == Self::FileServer
    }
}

/// A secret of a message. Its `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_neither_shown_nor_stored() {
        let mut source = MountSource::AzureBlobContainer {
            account: "lab".into(),
            container: "data".into(),
            key: SecretText("c2VjcmV0".into()),
            options: None,
        };
        assert!(!format!("{source:?}").contains("c2VjcmV0"));
        let text = serde_json::to_string(&source).unwrap();
        assert!(text.contains(r#""key":"c2VjcmV0""#), "{text}");
        source.forget_key();
        assert!(!serde_json::to_string(&source).unwrap().contains("c2VjcmV0"));
    }

    #[test]
    fn a_directory_of_a_file_server_is_sent_as_before() {
        let text = r#"{"kind":"directory","root":"/srv","sub_directory":""}"#;
        let source: MountSource = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&source).unwrap(), text);
    }
}
