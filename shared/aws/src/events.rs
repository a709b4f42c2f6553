//! The events of Lambda functions: batches of hints from SQS, the schedule, and interruption notices from
//! EventBridge.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use control::{Control, Error, Function, schedule};
use model::{Target, limits};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// An event of a function.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// A batch of hints.
    Hints(SqsEvent),
    /// An interruption notice or the schedule.
    Event(Box<EventBridgeEvent<Value>>),
}

/// The `detail-type` of EC2's notice (Amazon EC2 User Guide, "Spot Instance interruption notices").
pub const INTERRUPTION: &str = "EC2 Spot Instance Interruption Warning";

/// The `detail-type` of EC2's notice of a new state (Amazon EC2 User Guide, "State change events for your
/// instances").
pub const STATE_CHANGE: &str = "EC2 Instance State-change Notification";

/// The `detail-type` of a schedule (Amazon EventBridge User Guide, "Scheduled events").
pub const SCHEDULE: &str = "Scheduled Event";

/// Handles one invocation of a function.
///
/// # Errors
/// When an event could not be handled. Failed hints are in the response instead.
pub async fn handle(
    control: &Control,
    function: Function,
    trigger: Trigger,
) -> Result<SqsBatchResponse, Error> {
    match trigger {
        Trigger::Hints(batch) => Ok(each_hint(control, function, batch).await),
        Trigger::Event(event) => {
            one_event(control, function, &event).await?;
            Ok(SqsBatchResponse::default())
        }
    }
}

async fn one_event(
    control: &Control,
    function: Function,
    event: &EventBridgeEvent<Value>,
) -> Result<(), Error> {
    let detail = |name: &str| event.detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let instance = detail("instance-id");
    let is_node = match event.detail_type.as_str() {
        INTERRUPTION => control.handle_interruption(instance, limits::SPOT_NOTICE_SECONDS).await?,
        STATE_CHANGE if is_ending(detail("state")) => control.handle_instance_end(instance).await?,
        SCHEDULE => {
            let hinted = schedule::visit(&control.context, function).await?;
            tracing::info!(?function, hinted, "the schedule visited its targets");
            return Ok(());
        }
        other => {
            tracing::debug!(event = other, instance, "nothing to do for this event");
            return Ok(());
        }
    };
    if !is_node {
        tracing::info!(instance, "received a notice for an instance that is not a node");
    }
    Ok(())
}

/// States of an instance (Amazon EC2 User Guide, "Amazon EC2 instance state changes") from which it does not return
/// to its node.
fn is_ending(state: &str) -> bool {
    matches!(state, "shutting-down" | "terminated" | "stopping" | "stopped")
}

/// Handles a batch of hints. Failed messages are reported, so that SQS delivers them again. After a
/// failed message all later ones of its FIFO group count as failed too, or they would overtake it.
async fn each_hint(control: &Control, function: Function, batch: SqsEvent) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    let mut failed_groups = BTreeSet::new();
    let mut done = BTreeSet::new();
    for message in batch.records {
        let group = message.attributes.get("MessageGroupId").cloned().unwrap_or_default();
        let ok = !failed_groups.contains(&group)
            && one_hint(control, function, &message, &mut done).await;
        if !ok {
            failed_groups.insert(group);
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    response
}

/// Handles one hint. Returns whether it needs no retry. A repetition of an earlier hint of the batch is
/// skipped: the state was read after both were sent.
async fn one_hint(
    control: &Control,
    function: Function,
    message: &SqsMessage,
    done: &mut BTreeSet<Target>,
) -> bool {
    let body = message.body.as_deref().unwrap_or_default();
    let target: Target = match serde_json::from_str(body) {
        Ok(target) => target,
        Err(error) => {
            // A retry would fail too, and the schedule visits the target anyway.
            tracing::error!(%error, "dropped a hint that cannot be parsed");
            return true;
        }
    };
    if !done.insert(target.clone()) {
        return true;
    }
    match control.reconcile(function, &target).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(?function, error = error.chain(), "a hint failed; it will be retried");
            false
        }
    }
}
