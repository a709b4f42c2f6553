//! The events that Lambda hands to a function, as calls of the control plane: batches of hints from
//! SQS, the schedule, interruption notices from EventBridge.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use control::{Control, Error, Function, schedule};
use model::{Target, limits};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    Hints(SqsEvent),
    Event(Box<EventBridgeEvent<Value>>),
}

/// The `detail-type` of EC2's notice (Amazon EC2 User Guide, "Spot Instance interruption notices").
pub const INTERRUPTION: &str = "EC2 Spot Instance Interruption Warning";

/// One invocation of a function. Interruption notices have their own path and do not wait behind
/// other hints; any other event is the schedule's.
///
/// # Errors
/// When an event could not be dealt with; failed hints are in the answer.
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
                tracing::info!(instance, "a notice for an instance that is not a node");
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

/// Works through a batch. What failed is reported, so that SQS hands it out again; behind a failed
/// message of a FIFO group all later ones of that group count as failed, or they would overtake it.
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

/// Whether the message is done with. One that repeats an earlier hint of the batch has nothing to
/// add: the state was read after both were sent.
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
            // Handing it out again would not make it readable, and the schedule loses nothing.
            tracing::error!(%error, "dropped a hint that cannot be read");
            return true;
        }
    };
    if !done.insert(target.clone()) {
        return true;
    }
    match control.reconcile(function, &target).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(?function, error = error.chain(), "a hint failed and is repeated");
            false
        }
    }
}
