//! The settings of the functions that work with instances, from their environment.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `STACK_NAME` | the name of the stack, with which instances are tagged |
//! | `LAUNCH_TEMPLATE_ID` | the launch template of the stack |
//! | `SUBNET_IDS` | the subnets of the stack, separated by commas |
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
    /// Ids of the subnets of the stack, each in a zone of its own.
    pub subnets: Vec<String>,
    /// Whether on-demand instances are launched where spot instances are missing.
    pub on_demand_fallback: bool,
}

/// The instances of a function that launches and terminates them.
///
/// # Errors
/// When a variable is not set, or is invalid.
pub fn launching(config: &SdkConfig) -> Result<Arc<dyn Machines>, EnvironmentError> {
    let settings = LaunchSettings {
        launch_template: required("LAUNCH_TEMPLATE_ID")?,
        subnets: subnets(&required("SUBNET_IDS")?)?,
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

fn subnets(text: &str) -> Result<Vec<String>, EnvironmentError> {
    let ids: Vec<String> = text.split(',').map(|id| id.trim().to_owned()).collect();
    match ids.iter().all(|id| id.starts_with("subnet-")) {
        true => Ok(ids),
        false => {
            Err(EnvironmentError::Invalid("SUBNET_IDS", "ids of subnets, separated by commas"))
        }
    }
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
        assert_eq!(subnets("subnet-1, subnet-2").unwrap(), ["subnet-1", "subnet-2"]);
        assert!(subnets("subnet-1,").is_err());
        assert!(flag("true").unwrap() && !flag("false").unwrap());
        assert!(flag("yes").is_err());
    }
}
