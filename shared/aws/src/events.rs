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

/// Handles one invocation of a function. Any event of EventBridge that is not an interruption notice is
/// the schedule's.
///
/// # Errors
/// When a notice or the schedule could not be handled. Failed hints are in the response instead.
pub async fn handle(
    control: &Control,
    function: Function,
    trigger: Trigger,
) -> Result<SqsBatchResponse, Error> {
    match trigger {
        Trigger::Hints(batch) => Ok(each_hint(control, function, batch).await),
        Trigger::Event(event) if event.detail_type == INTERRUPTION => {
            let text = |name: &str| event.detail.get(name).and_then(Value::as_str);
            let instance = text("instance-id").unwrap_or_default();
            if !control.handle_interruption(instance, limits::SPOT_NOTICE_SECONDS).await? {
                tracing::info!(instance, "received a notice for an instance that is not a node");
            }
            Ok(SqsBatchResponse::default())
        }
        Trigger::Event(_) => {
            let hinted = schedule::visit(&control.context, function).await?;
            tracing::info!(?function, hinted, "the schedule visited its targets");
            Ok(SqsBatchResponse::default())
        }
    }
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
