//! What only some jobs and clusters ask for: containers to run in, counters to report to.
//!
//! Generic over their secret, as mounts are: its name in the contract differs from place to place.

use crate::{ResourceId, SecretValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `containerSettings`: the job runs in a container of this image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ContainerSettings")]
pub struct ContainerSettings<S = SecretValue> {
    pub image_source_registry: ImageSourceRegistry<S>,
    /// Size of `/dev/shm`, in the notation of Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImageSourceRegistry")]
pub struct ImageSourceRegistry<S = SecretValue> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    pub image: String,
    // No `default`: serde would ask it of `S`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RegistryCredentials<S>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PrivateRegistryCredentials")]
pub struct RegistryCredentials<S = SecretValue> {
    pub username: String,
    #[serde(flatten)]
    pub password: S,
}

/// `performanceCountersSettings`: where nodes report their counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PerformanceCountersSettings")]
pub struct PerformanceCounters<S = SecretValue> {
    pub app_insights_reference: AppInsights<S>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AppInsightsReference")]
pub struct AppInsights<S = SecretValue> {
    pub component: ResourceId,
    #[serde(flatten)]
    pub instrumentation_key: S,
}

impl<S> ContainerSettings<S> {
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
    fn secrets_are_mapped_and_the_rest_is_kept() {
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
