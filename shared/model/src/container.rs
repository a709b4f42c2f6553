//! Optional settings with secrets: containers for jobs, performance counters for clusters.
//!
//! The types are generic over the secret, as mounts are: the name of the secret's field differs
//! from
//! place to place in the API.

use crate::{ResourceId, SecretValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `containerSettings`: the job runs in a container of this image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ContainerSettings")]
pub struct ContainerSettings<S = SecretValue> {
    /// The image and its registry.
    pub image_source_registry: ImageSourceRegistry<S>,
    /// Size of `/dev/shm`, in the notation of Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
}

/// A container image and its registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImageSourceRegistry")]
pub struct ImageSourceRegistry<S = SecretValue> {
    /// URL of the registry; Docker Hub if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    /// Name of the image in the registry.
    pub image: String,
    // No `default`: serde would require it of `S`.
    /// Credentials of a private registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RegistryCredentials<S>>,
}

/// Credentials of a private registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PrivateRegistryCredentials")]
pub struct RegistryCredentials<S = SecretValue> {
    /// User name.
    pub username: String,
    /// Password.
    #[serde(flatten)]
    pub password: S,
}

/// `performanceCountersSettings`: where nodes report their counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PerformanceCountersSettings")]
pub struct PerformanceCounters<S = SecretValue> {
    /// The Application Insights component.
    pub app_insights_reference: AppInsights<S>,
}

/// An Application Insights component and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AppInsightsReference")]
pub struct AppInsights<S = SecretValue> {
    /// ARM id of the component.
    pub component: ResourceId,
    /// Instrumentation key.
    #[serde(flatten)]
    pub instrumentation_key: S,
}

impl<S> ContainerSettings<S> {
    /// The same settings with a converted password.
    pub fn map_password<T>(self, map: impl FnOnce(S) -> T) -> ContainerSettings<T> {
        let ImageSourceRegistry { server_url, image, credentials } = self.image_source_registry;
        let credentials = credentials
            .map(|it| RegistryCredentials { username: it.username, password: map(it.password) });
        ContainerSettings {
            image_source_registry: ImageSourceRegistry { server_url, image, credentials },
            shm_size: self.shm_size,
        }
    }
}

impl<S> PerformanceCounters<S> {
    /// The same settings with a converted key.
    pub fn map_key<T>(self, map: impl FnOnce(S) -> T) -> PerformanceCounters<T> {
        let AppInsights { component, instrumentation_key } = self.app_insights_reference;
        let instrumentation_key = map(instrumentation_key);
        PerformanceCounters {
            app_insights_reference: AppInsights { component, instrumentation_key },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_converted_and_the_rest_is_kept() {
        let credentials = Some(RegistryCredentials { username: "u".into(), password: 1 });
        let container = ContainerSettings {
            image_source_registry: ImageSourceRegistry {
                server_url: Some("s".into()),
                image: "i".into(),
                credentials,
            },
            shm_size: Some("1g".into()),
        };
        let mapped = container.clone().map_password(|secret| secret + 1);
        let credentials = mapped.image_source_registry.credentials.as_ref().unwrap();
        assert_eq!((credentials.username.as_str(), credentials.password), ("u", 2));
        assert_eq!(mapped.map_password(|secret| secret - 1), container);

        let component = ResourceId { id: "/c".into() };
        let app_insights_reference = AppInsights { component, instrumentation_key: 1 };
        let counters = PerformanceCounters { app_insights_reference };
        let mapped = counters.clone().map_key(|secret| secret + 1);
        assert_eq!(mapped.app_insights_reference.instrumentation_key, 2);
        assert_eq!(mapped.map_key(|secret| secret - 1), counters);
    }
}
