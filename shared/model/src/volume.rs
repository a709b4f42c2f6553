//! Storage outside the service that clusters and jobs mount, and its URLs.
//!
//! A service on one machine has a directory in place of each volume, so a volume has a uid, as a file server has one: a
//! hash of its URL. Names become names of directories, so none of them contains a slash or is only dots.

use crate::Uid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest name of an account, a share, a container or a bucket, and the longest part of a host name.
const MAX_NAME_BYTES: usize = 63;

/// The longest host name.
const MAX_HOST_BYTES: usize = 253;

/// The kinds of storage that can be mounted from a source that the service knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StorageKind {
    /// A file server of this service.
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
    /// Whether it is a file server, whose files the service can read wherever it runs.
    pub fn is_file_server(&self) -> bool {
        *self == Self::FileServer
    }
}

/// Storage outside the service. Names are in lower case: the providers compare them without regard to case, or allow
/// no upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Volume {
    /// A share of Azure Files.
    AzureFileShare {
        /// Name of the storage account.
        account: String,
        /// Name of the share.
        share: String,
    },
    /// A container of Azure Blob Storage.
    AzureBlobContainer {
        /// Name of the storage account.
        account: String,
        /// Name of the container.
        container: String,
    },
    /// A bucket of Amazon S3.
    S3Bucket {
        /// Name of the bucket.
        bucket: String,
    },
    /// A file system of Amazon FSx for Lustre.
    LustreFileSystem {
        /// DNS name of the file system.
        host: String,
        /// Its mount name.
        mount_name: String,
    },
}

/// A text is not the URL of a volume. The text itself is not shown: a URL may contain a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the URL of a volume: https://ACCOUNT.file.core.windows.net/SHARE, https://ACCOUNT.blob.core.windows.net/CONTAINER, s3://BUCKET or lustre://DNS_NAME/MOUNT_NAME"
)]
pub struct InvalidVolumeUrl;

impl Volume {
    /// A container of Azure Blob Storage.
    ///
    /// # Errors
    /// When a name cannot be one of Azure.
    pub fn azure_blob_container(account: &str, container: &str) -> Result<Self, InvalidVolumeUrl> {
        Ok(Self::AzureBlobContainer { account: name(account)?, container: name(container)? })
    }

    /// A bucket of Amazon S3.
    ///
    /// # Errors
    /// When the name cannot be one of a bucket.
    pub fn s3_bucket(bucket: &str) -> Result<Self, InvalidVolumeUrl> {
        Ok(Self::S3Bucket { bucket: host(bucket, MAX_NAME_BYTES)? })
    }

    /// A file system of Amazon FSx for Lustre.
    ///
    /// # Errors
    /// When a name cannot be one of a file system.
    pub fn lustre(dns_name: &str, mount_name: &str) -> Result<Self, InvalidVolumeUrl> {
        let host = host(dns_name, MAX_HOST_BYTES)?;
        Ok(Self::LustreFileSystem { host, mount_name: name(mount_name)? })
    }

    /// What kind of storage it is.
    pub fn kind(&self) -> StorageKind {
        match self {
            Self::AzureFileShare { .. } => StorageKind::AzureFileShare,
            Self::AzureBlobContainer { .. } => StorageKind::AzureBlobContainer,
            Self::S3Bucket { .. } => StorageKind::S3Bucket,
            Self::LustreFileSystem { .. } => StorageKind::LustreFileSystem,
        }
    }

    /// The uid of the volume, the same at any time and in any spelling of its URL.
    pub fn uid(&self) -> Uid {
        let digest = Sha256::digest(self.to_string());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Uid::from_bytes(bytes)
    }

    /// Where the directory in place of the volume is, below the data directory of a service on one machine.
    pub fn directory(&self) -> PathBuf {
        match self {
            Self::AzureFileShare { account, share } => {
                PathBuf::from_iter(["azure", "files", account, share])
            }
            Self::AzureBlobContainer { account, container } => {
                PathBuf::from_iter(["azure", "blobs", account, container])
            }
            Self::S3Bucket { bucket } => PathBuf::from_iter(["s3", bucket]),
            Self::LustreFileSystem { host, mount_name } => {
                PathBuf::from_iter(["lustre", host, mount_name])
            }
        }
    }
}

/// The URL of the volume in its canonical spelling.
impl fmt::Display for Volume {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AzureFileShare { account, share } => {
                write!(formatter, "https://{account}.file.core.windows.net/{share}")
            }
            Self::AzureBlobContainer { account, container } => {
                write!(formatter, "https://{account}.blob.core.windows.net/{container}")
            }
            Self::S3Bucket { bucket } => write!(formatter, "s3://{bucket}"),
            Self::LustreFileSystem { host, mount_name } => {
                write!(formatter, "lustre://{host}/{mount_name}")
            }
        }
    }
}

impl FromStr for Volume {
    type Err = InvalidVolumeUrl;

    fn from_str(url: &str) -> Result<Self, InvalidVolumeUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidVolumeUrl)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        match scheme.to_ascii_lowercase().as_str() {
            "s3" if path.is_empty() => Self::s3_bucket(authority),
            "lustre" => Self::lustre(authority, path),
            "http" | "https" => match account(&authority.to_ascii_lowercase())? {
                (_, "file") => match AzureFileUrl::from_str(url)? {
                    url if url.sub_directory.is_none() => Ok(url.volume()),
                    _ => Err(InvalidVolumeUrl),
                },
                (account, "blob") => Self::azure_blob_container(account, path),
                _ => Err(InvalidVolumeUrl),
            },
            _ => Err(InvalidVolumeUrl),
        }
    }
}

/// The URL of an Azure file share, which may end in a directory of the share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureFileUrl {
    /// The host, such as `account.file.core.windows.net`, in lower case.
    pub host: String,
    /// The first part of the host: the name of the storage account, in lower case.
    pub account: String,
    /// Name of the share, in lower case.
    pub share: String,
    /// A directory of the share, relative and without `..`; `None` for the whole share.
    pub sub_directory: Option<String>,
}

impl AzureFileUrl {
    /// The share.
    pub fn volume(&self) -> Volume {
        Volume::AzureFileShare { account: self.account.clone(), share: self.share.clone() }
    }
}

impl FromStr for AzureFileUrl {
    type Err = InvalidVolumeUrl;

    fn from_str(url: &str) -> Result<Self, InvalidVolumeUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidVolumeUrl)?;
        let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let (authority, path) = rest.split_once('/').ok_or(InvalidVolumeUrl)?;
        let (share, below) = path.split_once('/').unwrap_or((path, ""));
        let host = host(authority, MAX_HOST_BYTES)?;
        let (account, "file") = account(&host)? else { return Err(InvalidVolumeUrl) };
        if !is_http || url.contains(['?', '#']) {
            return Err(InvalidVolumeUrl);
        }
        Ok(Self {
            account: name(account)?,
            share: name(share)?,
            sub_directory: sub_directory(below)?,
            host,
        })
    }
}

/// The first two parts of a host of Azure Storage: the account, and the service.
fn account(host: &str) -> Result<(&str, &str), InvalidVolumeUrl> {
    let mut parts = host.splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(account), Some(service), Some(_)) => Ok((account, service)),
        _ => Err(InvalidVolumeUrl),
    }
}

/// A name of one part, in lower case. Containers of Azure may begin with `$`, and its own examples have underscores.
fn name(text: &str) -> Result<String, InvalidVolumeUrl> {
    let bare = text.strip_prefix('$').unwrap_or(text);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_name = !bare.is_empty() && text.len() <= MAX_NAME_BYTES && bare.chars().all(is_part);
    is_name.then(|| text.to_ascii_lowercase()).ok_or(InvalidVolumeUrl)
}

/// A host name or the name of a bucket, in lower case: parts between dots, none of them empty.
fn host(text: &str, most: usize) -> Result<String, InvalidVolumeUrl> {
    let is_host =
        text.len() <= most && !text.contains('$') && text.split('.').all(|part| name(part).is_ok());
    is_host.then(|| text.to_ascii_lowercase()).ok_or(InvalidVolumeUrl)
}

/// The path behind a share, with its escapes undone.
fn sub_directory(path: &str) -> Result<Option<String>, InvalidVolumeUrl> {
    let text = unescaped(path)?;
    let parts: Vec<&str> =
        text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") || text.chars().any(char::is_control) {
        return Err(InvalidVolumeUrl);
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn unescaped(path: &str) -> Result<String, InvalidVolumeUrl> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut parts = path.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).ok_or(InvalidVolumeUrl)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| InvalidVolumeUrl)?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| InvalidVolumeUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(url: &str) -> Result<String, InvalidVolumeUrl> {
        url.parse::<Volume>().map(|volume| volume.to_string())
    }

    #[test]
    fn a_volume_is_compared_as_its_provider_compares_it() {
        for url in [
            "https://lab.file.core.windows.net/data",
            "https://lab.blob.core.windows.net/$root",
            "s3://lab.bucket-1",
            "lustre://fs-0a.fsx.eu-west-1.amazonaws.com/abc",
        ] {
            assert_eq!(volume(url).as_deref(), Ok(url));
            let loud = url.parse::<Volume>().unwrap();
            let upper: Volume = format!("{}/", url.to_ascii_uppercase()).parse().unwrap();
            assert_eq!((upper.uid(), &upper), (loud.uid(), &loud));
        }
        let share: Volume = "https://lab.file.core.windows.net/data".parse().unwrap();
        let container: Volume = "https://lab.blob.core.windows.net/data".parse().unwrap();
        assert_ne!(share.uid(), container.uid());
        assert_eq!(share.directory(), PathBuf::from("azure/files/lab/data"));
        assert_eq!(container.directory(), PathBuf::from("azure/blobs/lab/data"));
        // The uid is stored with jobs.
        assert_eq!(share.uid().as_str(), "3ff0e8ed-e47d-4399-a0cd-1e031db516a0");
    }

    #[test]
    fn what_is_no_volume_is_refused() {
        for url in [
            "",
            "lab.file.core.windows.net/data",
            "https://lab.file.core.windows.net",
            "https://lab.file.core.windows.net/",
            "https://lab.file.core.windows.net/data/below",
            "https://lab.file.core.windows.net/..",
            "https://lab.file.core.windows.net/a b",
            "https://lab.queue.core.windows.net/data",
            "https://lab/data",
            "https://..file.core.windows.net/data",
            "https://lab.blob.core.windows.net/a/b",
            "https://lab.blob.core.windows.net/data?sig=1",
            "ftp://lab.file.core.windows.net/data",
            "s3://",
            "s3://..",
            "s3://a/b",
            "lustre://fs-0a",
            "lustre://../a",
        ] {
            assert_eq!(volume(url), Err(InvalidVolumeUrl), "{url}");
        }
        let long = format!("https://{}.file.core.windows.net/data", "a".repeat(64));
        assert_eq!(volume(&long), Err(InvalidVolumeUrl));
    }

    #[test]
    fn a_share_s_url_may_end_in_a_directory() {
        let below = |path: &str| {
            let url = format!("https://Lab.file.core.windows.net/Data{path}");
            url.parse::<AzureFileUrl>().map(|url| url.sub_directory)
        };
        assert_eq!(below(""), Ok(None));
        assert_eq!(below("/"), Ok(None));
        assert_eq!(below("//a//./b/"), Ok(Some("a/b".into())));
        assert_eq!(below("/My%20Models/%C3%A9"), Ok(Some("My Models/é".into())));
        for path in ["/..", "/a/%2e%2e/b", "/a%00", "/%f", "/%zz", "/%ff", "/a?sig=1", "/%2E."] {
            assert_eq!(below(path), Err(InvalidVolumeUrl), "{path}");
        }
        let url: AzureFileUrl = "https://Lab.file.core.chinacloudapi.cn/Data".parse().unwrap();
        assert_eq!(url.host, "lab.file.core.chinacloudapi.cn");
        assert_eq!(url.volume().to_string(), "https://lab.file.core.windows.net/data");
    }
}
