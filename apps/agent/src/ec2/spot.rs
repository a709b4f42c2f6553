//! The interruption notice of a spot instance, from its metadata. EventBridge reports the same
//! interruption to the control plane; whichever comes first, the job gets the time that is left.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::sleep;

use super::metadata::{Metadata, Value};

/// The interval that EC2 recommends (EC2 User Guide, "Spot Instance interruption notices").
const EVERY: Duration = Duration::from_secs(5);
const ACTION: &str = "spot/instance-action";

/// The item of the metadata. Whether the instance is stopped or terminated, it is lost to the node.
#[derive(Deserialize)]
struct InstanceAction {
    time: String,
}

/// Returns the seconds that are left, once the instance is about to be interrupted.
pub async fn watch(mut metadata: Metadata) -> u64 {
    let mut failed = false;
    loop {
        match metadata.get(ACTION).await {
            Ok(Some(value)) => return seconds_left(&value),
            Ok(None) => failed = false,
            Err(error) => {
                if !failed {
                    tracing::warn!(%error, "the interruption notice cannot be read");
                }
                failed = true;
            }
        }
        sleep(EVERY).await;
    }
}

/// A notice that cannot be understood counts as the shortest one.
fn seconds_left(value: &Value) -> u64 {
    let action = serde_json::from_str::<InstanceAction>(&value.text).ok();
    match action.and_then(|action| action.time.parse::<Timestamp>().ok()) {
        Some(time) => u64::try_from(time.as_second() - value.read_at.as_second()).unwrap_or(0),
        None => {
            tracing::warn!(notice = value.text, "the interruption notice cannot be understood");
            crate::node::SHUTDOWN_NOTICE_SECONDS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_counted_from_that_of_the_service() {
        let left = |text: &str| {
            let read_at = "2026-11-22T06:00:00Z".parse().unwrap();
            seconds_left(&Value { text: text.to_owned(), read_at })
        };
        let action = |time: &str| format!(r#"{{"action":"terminate","time":"{time}"}}"#);
        assert_eq!(left(&action("2026-11-22T06:02:00Z")), 120);
        assert_eq!(left(&action("2026-11-22T05:59:00Z")), 0);
        assert_eq!(left("none"), crate::node::SHUTDOWN_NOTICE_SECONDS);
    }
}
