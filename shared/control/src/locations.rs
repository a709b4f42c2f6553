//! The locations of the service: a list that its operator sets. A location is where usage is counted
//! against quotas, so an unknown one is refused: a made-up name would have a fresh quota.

use crate::{Context, Error};
use model::Name;

/// Requires a location of this service for a new resource of `resource_type`, such as
/// `Microsoft.BatchAI/workspaces`. Upper and lower case are the same.
///
/// # Errors
/// 400 with the list of locations. Code and message are those of Azure Resource Manager.
pub(crate) fn require(context: &Context, location: &str, resource_type: &str) -> Result<(), Error> {
    let locations = &context.settings.locations;
    if locations.contains(location) {
        return Ok(());
    }
    Err(Error::invalid(
        "LocationNotAvailableForResourceType",
        format!(
            "The provided location '{location}' is not available for resource type '{resource_type}'. List of available regions for the resource type is '{locations}'."
        ),
    ))
}

/// Requires a location of this service in the path of a request for usages.
///
/// # Errors
/// 400 with the list of locations. Code and message are those of Azure Resource Manager.
pub(crate) fn require_in_path(context: &Context, location: &Name) -> Result<(), Error> {
    let locations = &context.settings.locations;
    if locations.contains(location.as_str()) {
        return Ok(());
    }
    let version = wire::API_VERSION;
    Err(Error::invalid(
        "NoRegisteredProviderFound",
        format!(
            "No registered resource provider found for location '{location}' and API version '{version}' for type 'locations/usages'. The supported api-versions are '{version}'. The supported locations are '{locations}'."
        ),
    ))
}
