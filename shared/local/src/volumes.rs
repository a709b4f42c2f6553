//! Directories of this machine in place of volumes of a cloud: Azure file shares, blob containers, S3 buckets, file
//! systems of FSx for Lustre.
//!
//! A volume is the directory that the operator maps it to, or else one below the data directory, made when a node first
//! mounts it. Beside the directories of file servers stands a symbolic link for each volume, named by its uid: listings and
//! downloads find its files there. Links are derived: they are corrected whenever the service starts or a volume is mounted.

use crate::error::StartError;
use async_trait::async_trait;
use control::ports::{FileShares, PortError};
use model::{FileShare, Uid, Volume};
use processes::User;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// A volume, and the directory that is used in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedVolume {
    /// The volume.
    pub volume: Volume,
    /// A directory that exists.
    pub directory: PathBuf,
}

impl FromStr for MappedVolume {
    type Err = String;

    /// Reads `URL=DIR`.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((url, directory)) = text.split_once('=').filter(|(_, it)| !it.is_empty()) else {
            return Err("must have the form URL=DIR".to_owned());
        };
        let volume = url.parse().map_err(|error| format!("the part before = {error}"))?;
        Ok(Self { volume, directory: directory.into() })
    }
}

/// The directories of volumes.
#[derive(Clone, Debug)]
pub(crate) struct VolumeDirectories {
    /// The data directory.
    root: PathBuf,
    /// Where the links are.
    links: PathBuf,
    mapped: BTreeMap<Volume, PathBuf>,
    /// The user that jobs run as, if it is another one.
    owner: Option<User>,
}

impl VolumeDirectories {
    /// Links the mapped volumes, and removes links of volumes that were mapped when the service ran before.
    ///
    /// # Errors
    /// When a volume is mapped twice, or to something that is no directory.
    pub fn open(
        root: &Path,
        links: &Path,
        mapped: Vec<MappedVolume>,
        owner: Option<User>,
    ) -> Result<Self, StartError> {
        let mut directories = BTreeMap::new();
        for MappedVolume { volume, directory } in mapped {
            let unusable = |source| StartError::MappedDirectory {
                volume: volume.to_string(),
                path: directory.display().to_string(),
                source,
            };
            let found = directory.canonicalize().map_err(unusable)?;
            if !found.is_dir() {
                return Err(unusable(ErrorKind::NotADirectory.into()));
            }
            if directories.insert(volume.clone(), found).is_some() {
                return Err(StartError::MappedTwice { volume: volume.to_string() });
            }
        }
        let (root, links) = (root.to_owned(), links.to_owned());
        let volumes = Self { root, links, mapped: directories, owner };
        volumes.relink().map_err(|source| StartError::DataDir {
            path: volumes.links.display().to_string(),
            source,
        })?;
        Ok(volumes)
    }

    fn relink(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.links)? {
            let path = entry?.path();
            let target = match std::fs::read_link(&path) {
                // A directory of a file server.
                Err(error) if error.kind() == ErrorKind::InvalidInput => continue,
                target => target?,
            };
            if target.is_absolute() {
                std::fs::remove_file(path)?;
            }
        }
        self.mapped.iter().try_for_each(|(volume, directory)| self.link(volume, directory))
    }

    /// The directory of a volume; made and linked if it is missing.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn provide(&self, volume: &Volume) -> io::Result<PathBuf> {
        if let Some(directory) = self.mapped.get(volume) {
            self.link(volume, directory)?;
            return Ok(directory.clone());
        }
        let below = volume.directory();
        let directory = self.root.join(&below);
        if !directory.is_dir() {
            std::fs::create_dir_all(&directory)?;
            if let Some(user) = &self.owner {
                lchown(&directory, Some(user.uid), Some(user.gid))?;
            }
        }
        // Relative, so that the data directory can be moved.
        self.link(volume, &Path::new("..").join(below))?;
        Ok(directory)
    }

    fn link(&self, volume: &Volume, target: &Path) -> io::Result<()> {
        let link = self.links.join(volume.uid().as_str());
        if std::fs::read_link(&link).is_ok_and(|found| found == target) {
            return Ok(());
        }
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        match symlink(target, &link) {
            // Another request has made it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }
}

/// File servers with the directories of volumes beside them.
pub(crate) struct LocalShares {
    pub file_servers: Arc<dyn FileShares>,
    pub volumes: VolumeDirectories,
}

#[async_trait]
impl FileShares for LocalShares {
    async fn create(&self, file_server: &Uid) -> Result<FileShare, PortError> {
        self.file_servers.create(file_server).await
    }

    async fn remove(&self, file_server: &Uid) -> Result<(), PortError> {
        self.file_servers.remove(file_server).await
    }

    async fn keep(&self, file_server: &Uid, kept: &str) -> Result<(), PortError> {
        self.file_servers.keep(file_server, kept).await
    }

    async fn volume_directory(&self, volume: &Volume) -> Result<Option<PathBuf>, PortError> {
        let (volumes, volume) = (self.volumes.clone(), volume.clone());
        let made = tokio::task::spawn_blocking(move || volumes.provide(&volume)).await;
        made.map_err(io::Error::from).flatten().map(Some).map_err(PortError::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: &str = "https://lab.file.core.windows.net/data";

    fn map(url: &str, directory: &Path) -> MappedVolume {
        format!("{url}={}", directory.display()).parse().unwrap()
    }

    /// The data directory with its links.
    fn data() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let links = root.path().join("fileservers");
        std::fs::create_dir(&links).unwrap();
        (root, links)
    }

    fn linked(links: &Path, volume: &Volume) -> Option<PathBuf> {
        links.join(volume.uid().as_str()).canonicalize().ok()
    }

    #[test]
    fn a_volume_is_a_directory_below_the_data_directory() {
        let (root, links) = data();
        let volumes = VolumeDirectories::open(root.path(), &links, vec![], None).unwrap();
        let volume: Volume = SHARE.parse().unwrap();
        assert_eq!(linked(&links, &volume), None);
        let directory = volumes.provide(&volume).unwrap();
        assert_eq!(directory, root.path().join("azure/files/lab/data"));
        assert_eq!(linked(&links, &volume), Some(directory.canonicalize().unwrap()));
        // Its files can be listed when the service starts again.
        VolumeDirectories::open(root.path(), &links, vec![], None).unwrap();
        assert_eq!(linked(&links, &volume), Some(directory.canonicalize().unwrap()));
    }

    #[test]
    fn a_volume_is_where_it_was_mapped_to_last() {
        let (root, links) = data();
        std::fs::create_dir(links.join("a-file-server")).unwrap();
        let volume: Volume = SHARE.parse().unwrap();
        let open = |mapped: Vec<MappedVolume>| {
            VolumeDirectories::open(root.path(), &links, mapped, None).unwrap()
        };
        let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for place in &places {
            let mapped = open(vec![map(&SHARE.to_uppercase(), place.path())]);
            let expected = place.path().canonicalize().unwrap();
            assert_eq!(linked(&links, &volume), Some(expected.clone()));
            assert_eq!(mapped.provide(&volume).unwrap(), expected);
        }
        let unmapped = open(vec![]);
        assert_eq!(linked(&links, &volume), None);
        unmapped.provide(&volume).unwrap();
        let own = root.path().join("azure/files/lab/data").canonicalize().unwrap();
        assert_eq!(linked(&links, &volume), Some(own));
        assert!(links.join("a-file-server").is_dir());
    }

    #[test]
    fn a_mapping_that_cannot_be_used_is_refused() {
        let error = |text: &str| text.parse::<MappedVolume>().unwrap_err();
        assert_eq!(error("https://lab.file.core.windows.net/data"), "must have the form URL=DIR");
        assert_eq!(error("https://lab.file.core.windows.net/data="), "must have the form URL=DIR");
        assert!(error("lab=/tmp").contains("must be the URL of a volume"));
        let (root, links) = data();
        let refused = |mapped: Vec<MappedVolume>| {
            VolumeDirectories::open(root.path(), &links, mapped, None).unwrap_err().to_string()
        };
        let missing = refused(vec![map(SHARE, Path::new("/no/such/directory"))]);
        assert!(missing.contains(SHARE) && missing.contains("/no/such/directory"), "{missing}");
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(refused(vec![map(SHARE, &file)]).contains("not a directory"));
        let twice = vec![map(SHARE, root.path()), map(&SHARE.to_uppercase(), &links)];
        assert!(refused(twice).contains("twice"));
    }
}
