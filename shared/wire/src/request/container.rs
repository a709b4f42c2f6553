//! `containerSettings` of jobs and `performanceCountersSettings` of clusters.

use super::secret::{self, SecretInput};
use crate::read::{Fields, Place};
use crate::{patterns, rules};
use model::{
    AppInsights, ContainerSettings, ImageSourceRegistry, PerformanceCounters, RegistryCredentials,
};

/// Reads the field `containerSettings`; `None` if it is absent or invalid, which is in the report.
pub(super) fn container_settings(job: &Fields<'_>) -> Option<ContainerSettings<SecretInput>> {
    let settings = job.optional("containerSettings")?.object()?;
    let registry = settings.required("imageSourceRegistry").and_then(|place| registry(&place));
    let shm_size = settings
        .optional("shmSize")
        .and_then(|place| rules::matching(&place, &[&patterns::SHM_SIZE]));
    Some(ContainerSettings { image_source_registry: registry?, shm_size })
}

fn registry(place: &Place<'_>) -> Option<ImageSourceRegistry<SecretInput>> {
    let registry = place.object()?;
    let server_url = registry
        .optional("serverUrl")
        .and_then(|place| rules::matching(&place, &[&patterns::REGISTRY]));
    let image =
        registry.required("image").and_then(|place| rules::matching(&place, &[&patterns::IMAGE]));
    let credentials = registry.optional("credentials").and_then(|place| credentials(&place));
    Some(ImageSourceRegistry { server_url, image: image?, credentials })
}

fn credentials(place: &Place<'_>) -> Option<RegistryCredentials<SecretInput>> {
    let credentials = place.object()?;
    let username = credentials.required("username").and_then(|place| rules::non_empty(&place));
    let reference = "passwordSecretReference";
    let password = secret::either(&credentials, "password", reference, rules::non_empty);
    Some(RegistryCredentials { username: username?, password: password? })
}

/// Reads the field `performanceCountersSettings`.
pub(super) fn performance_counters(
    node_setup: &Fields<'_>,
) -> Option<PerformanceCounters<SecretInput>> {
    let settings = node_setup.optional("performanceCountersSettings")?.object()?;
    let insights = settings.required("appInsightsReference")?.object()?;
    let component = insights.required("component").and_then(|place| rules::resource_id(&place));
    let instrumentation_key = secret::either(
        &insights,
        "instrumentationKey",
        "instrumentationKeySecretReference",
        rules::non_empty,
    );
    let app_insights_reference =
        AppInsights { component: component?, instrumentation_key: instrumentation_key? };
    Some(PerformanceCounters { app_insights_reference })
}

/// Whether a stored job has the same container; the password is not compared.
pub(super) fn same_container(
    requested: Option<&ContainerSettings<SecretInput>>,
    stored: Option<&ContainerSettings>,
) -> bool {
    let (requested, stored) = match (requested, stored) {
        (None, None) => return true,
        (Some(requested), Some(stored)) => (requested, stored),
        (Some(_), None) | (None, Some(_)) => return false,
    };
    let same_password = match (
        &requested.image_source_registry.credentials,
        &stored.image_source_registry.credentials,
    ) {
        (Some(requested), Some(stored)) => requested.password.is_same_as(&stored.password),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    same_password && requested.clone().map_password(|_| ()) == stored.clone().map_password(|_| ())
}

/// Whether a stored cluster reports to the same component; the key is not compared.
pub(super) fn same_counters(
    requested: Option<&PerformanceCounters<SecretInput>>,
    stored: Option<&PerformanceCounters>,
) -> bool {
    match (requested, stored) {
        (None, None) => true,
        (Some(requested), Some(stored)) => {
            let requested = &requested.app_insights_reference;
            let stored = &stored.app_insights_reference;
            requested.component == stored.component
                && requested.instrumentation_key.is_same_as(&stored.instrumentation_key)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}
