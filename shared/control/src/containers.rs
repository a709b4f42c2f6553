//! The container of a job as a message to its nodes.

use model::{ContainerSettings, ImageSourceRegistry};
use protocol::{Container, RegistryCredentials};

use crate::secrets::{self, Provided};
use crate::{Context, Error};

/// The job preparation of an agent that does not know containers: it would run the job on the host.
const UNKNOWN_CONTAINER: &str =
    "echo 'The agent of this node is too old for jobs in containers: replace the node' >&2; exit 1";

/// What the details of an error call the password of the registry.
const PASSWORD: &str = "containerSettings.imageSourceRegistry.credentials.password";

/// The two ends of a job preparation: of the assignment, and of its container.
pub(crate) struct Prepared {
    /// What an agent runs that does not know containers.
    pub(crate) on_host: Option<String>,
    /// The container, with its own preparation.
    pub(crate) container: Option<Container>,
}

/// The container of a job with these settings and this preparation.
pub(crate) async fn container(
    context: &Context,
    settings: Option<&ContainerSettings>,
    preparation: Option<&String>,
) -> Result<Provided<Prepared>, Error> {
    let Some(settings) = settings else {
        return Ok(Ok(Prepared { on_host: preparation.cloned(), container: None }));
    };
    let registry = &settings.image_source_registry;
    let credentials = match &registry.credentials {
        None => None,
        Some(it) => match secrets::open(context, "Secret", PASSWORD, &it.password).await? {
            Err(problem) => return Ok(Err(problem)),
            Ok(password) => Some(RegistryCredentials { username: it.username.clone(), password }),
        },
    };
    let container = Container {
        image: image(registry),
        credentials,
        shm_size: settings.shm_size.clone(),
        preparation_command_line: preparation.cloned(),
    };
    Ok(Ok(Prepared { on_host: Some(UNKNOWN_CONTAINER.to_owned()), container: Some(container) }))
}

/// The name of the image with its registry. Published jobs name the registry in `image`, in `serverUrl`, or in both.
fn image<S>(registry: &ImageSourceRegistry<S>) -> String {
    let image = registry.image.as_str();
    let Some(server) = &registry.server_url else { return image.to_owned() };
    let server = server.trim_start_matches("https://").trim_start_matches("http://");
    let server = server.trim_end_matches('/');
    let server = match server.split('/').next() {
        // Docker Hub has several addresses, of which only this one is part of names.
        Some("index.docker.io" | "registry-1.docker.io" | "hub.docker.com" | "docker.io") => {
            "docker.io"
        }
        _ => server,
    };
    if server.is_empty() || image.strip_prefix(server).is_some_and(|rest| rest.starts_with('/')) {
        return image.to_owned();
    }
    format!("{server}/{image}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_part_of_the_name_of_its_image() {
        let image = |server: Option<&str>, image: &str| {
            let server_url = server.map(str::to_owned);
            image_of(&ImageSourceRegistry { server_url, image: image.into(), credentials: None })
        };
        assert_eq!(image(None, "ubuntu"), "ubuntu");
        assert_eq!(image(Some("my.azurecr.io"), "a/b:1"), "my.azurecr.io/a/b:1");
        assert_eq!(image(Some("https://my.azurecr.io/"), "a"), "my.azurecr.io/a");
        assert_eq!(image(Some("https://my.azurecr.io"), "my.azurecr.io/a"), "my.azurecr.io/a");
        assert_eq!(image(Some("my.io/team"), "a"), "my.io/team/a");
        assert_eq!(image(Some("https://index.docker.io/v1/"), "me/a"), "docker.io/me/a");
        assert_eq!(image(Some("docker.io"), "docker.io/me/a"), "docker.io/me/a");
    }

    fn image_of(registry: &ImageSourceRegistry<()>) -> String {
        super::image(registry)
    }
}
