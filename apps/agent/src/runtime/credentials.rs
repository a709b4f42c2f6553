//! The credentials of a registry, as a file that Docker and Podman read. It is there only while the image is pulled, in
//! a directory that only the agent can read; the credentials are in no command line.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::RegistryCredentials;
use serde_json::{Map, json};

use super::engine::Kind;

/// The file that both engines read. Docker takes its directory, Podman itself.
const FILE: &str = "config.json";

/// The names by which the engines know Docker Hub.
const DOCKER_HUB: [&str; 2] = ["https://index.docker.io/v1/", "docker.io"];

/// A file of credentials, removed when it is dropped.
#[derive(Debug)]
pub struct CredentialsFile {
    directory: PathBuf,
}

impl CredentialsFile {
    /// For the registry of `image`.
    pub fn write(
        private: &Path,
        image: &str,
        credentials: &RegistryCredentials,
    ) -> io::Result<Self> {
        forget(private)?;
        let file = Self { directory: directory(private) };
        DirBuilder::new().mode(0o700).create(&file.directory)?;
        let RegistryCredentials { username, password } = credentials;
        let account = json!({ "auth": STANDARD.encode(format!("{username}:{password}")) });
        let registries: Map<_, _> = match registry(image) {
            Some(registry) if registry != "docker.io" => {
                [(registry.to_owned(), account)].into_iter().collect()
            }
            Some(_) | None => {
                DOCKER_HUB.map(|name| (name.to_owned(), account.clone())).into_iter().collect()
            }
        };
        let mut options = OpenOptions::new();
        let mut opened =
            options.write(true).create_new(true).mode(0o600).open(file.directory.join(FILE))?;
        opened.write_all(json!({ "auths": registries }).to_string().as_bytes())?;
        Ok(file)
    }

    /// Options of the engine, before and after its command `pull`.
    pub fn options(&self, kind: Kind) -> (Vec<String>, Vec<String>) {
        let directory = self.directory.display();
        match kind {
            Kind::Docker => (vec!["--config".into(), directory.to_string()], Vec::new()),
            Kind::Podman => (Vec::new(), vec!["--authfile".into(), format!("{directory}/{FILE}")]),
        }
    }
}

impl Drop for CredentialsFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::error!(%error, "the credentials of a registry were not removed");
        }
    }
}

/// Removes what an agent has left that was killed.
pub fn forget(private: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory(private)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn directory(private: &Path) -> PathBuf {
    private.join("registry")
}

/// The registry in the name of an image: what is before the first slash, if it looks like a host.
pub fn registry(image: &str) -> Option<&str> {
    let (first, _) = image.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_registry_is_told_from_a_user_of_docker_hub() {
        assert_eq!(registry("ubuntu"), None);
        assert_eq!(registry("me/ubuntu:1.0"), None);
        assert_eq!(registry("my.azurecr.io/a/b"), Some("my.azurecr.io"));
        assert_eq!(registry("localhost/a"), Some("localhost"));
        assert_eq!(registry("host:5000/a"), Some("host:5000"));
    }

    #[test]
    fn the_file_is_private_and_does_not_stay() {
        let place = tempfile::tempdir().unwrap();
        let credentials = RegistryCredentials { username: "u".into(), password: "p".into() };
        let file = CredentialsFile::write(place.path(), "r.io/a", &credentials).unwrap();
        let path = place.path().join("registry/config.json");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"auths":{"r.io":{"auth":"dTpw"}}}"#);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (_, podman) = file.options(Kind::Podman);
        assert_eq!(podman, ["--authfile", &path.display().to_string()]);
        drop(file);
        assert!(!place.path().join("registry").exists());
        // One that was left is replaced.
        std::mem::forget(CredentialsFile::write(place.path(), "a", &credentials).unwrap());
        let file = CredentialsFile::write(place.path(), "docker.io/a", &credentials).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("https://index.docker.io/v1/"), "{text}");
        drop(file);
    }
}
