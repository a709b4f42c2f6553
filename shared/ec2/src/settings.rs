//! The settings of the functions that work with instances, from their environment.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `STACK_NAME` | the name of the stack, with which instances are tagged |
//! | `LAUNCH_TEMPLATE_ID` | the launch template of the stack |
//! | `SUBNETS` | the subnets of the stack with their zones, `ZONE=ID`, separated by commas |
//! | `ON_DEMAND_FALLBACK` | `true` to launch on-demand instances where spot instances are missing |

use crate::Ec2Machines;
use aws::{EnvironmentError, SdkConfig, required};
use control::ports::Machines;
use std::sync::Arc;

/// What a function needs to launch instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchSettings {
    /// Id of the launch template of the stack.
    pub launch_template: String,
    /// The subnets of the stack, each in a zone of its own.
    pub subnets: Vec<Subnet>,
    /// Whether on-demand instances are launched where spot instances are missing.
    pub on_demand_fallback: bool,
}

/// A subnet of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Name of its zone.
    pub zone: String,
    /// Its id.
    pub id: String,
}

/// The instances of a function that launches and terminates them.
///
/// # Errors
/// When a variable is not set, or is invalid.
pub fn launching(config: &SdkConfig) -> Result<Arc<dyn Machines>, EnvironmentError> {
    let settings = LaunchSettings {
        launch_template: required("LAUNCH_TEMPLATE_ID")?,
        subnets: subnets(&required("SUBNETS")?)?,
        on_demand_fallback: flag(&required("ON_DEMAND_FALLBACK")?)?,
    };
    machines(config, Some(settings))
}

/// The instances of a function that only finds and terminates them.
///
/// # Errors
/// When a variable is not set.
pub fn terminating(config: &SdkConfig) -> Result<Arc<dyn Machines>, EnvironmentError> {
    machines(config, None)
}

fn machines(
    config: &SdkConfig,
    launches: Option<LaunchSettings>,
) -> Result<Arc<dyn Machines>, EnvironmentError> {
    let client = aws_sdk_ec2::Client::new(config);
    Ok(Arc::new(Ec2Machines::new(client, required("STACK_NAME")?, launches)))
}

fn subnets(text: &str) -> Result<Vec<Subnet>, EnvironmentError> {
    let subnet = |text: &str| {
        let (zone, id) = text.trim().split_once('=')?;
        let is_valid = !zone.is_empty() && id.starts_with("subnet-");
        is_valid.then(|| Subnet { zone: zone.to_owned(), id: id.to_owned() })
    };
    let subnets: Option<Vec<Subnet>> = text.split(',').map(subnet).collect();
    subnets.ok_or(EnvironmentError::Invalid("SUBNETS", "ZONE=ID, separated by commas"))
}

fn flag(text: &str) -> Result<bool, EnvironmentError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(EnvironmentError::Invalid("ON_DEMAND_FALLBACK", "true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let subnet = |zone: &str, id: &str| Subnet { zone: zone.into(), id: id.into() };
        let expected = [subnet("us-east-1a", "subnet-1"), subnet("us-east-1b", "subnet-2")];
        assert_eq!(subnets("us-east-1a=subnet-1, us-east-1b=subnet-2").unwrap(), expected);
        for invalid in ["us-east-1a=subnet-1,", "subnet-1", "=subnet-1", "us-east-1a=1"] {
            assert!(subnets(invalid).is_err(), "{invalid}");
        }
        assert!(flag("true").unwrap() && !flag("false").unwrap());
        assert!(flag("yes").is_err());
    }
}
