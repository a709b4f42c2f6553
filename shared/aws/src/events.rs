//! The events of Lambda functions: batches of hints from SQS, the schedule, and interruption notices from
//! EventBridge.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use control::{Control, Error, Function, schedule};
use model::{Target, Timestamp, limits};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use tracing::Instrument;

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

/// The `detail-type` of EC2's recommendation to replace an instance (Amazon EC2 User Guide, "Monitor rebalance
/// recommendation signals").
pub const REBALANCE: &str = "EC2 Instance Rebalance Recommendation";

/// The `detail-type` of EC2's notice of a new state (Amazon EC2 User Guide, "State change events for your
/// instances").
pub const STATE_CHANGE: &str = "EC2 Instance State-change Notification";

/// The `detail-type` of a schedule (Amazon EventBridge User Guide, "Scheduled events").
pub const SCHEDULE: &str = "Scheduled Event";

/// Handles one invocation of a function. It starts nothing new at `end`, some time before the timeout.
///
/// # Errors
/// When an event could not be handled. Failed hints are in the response instead.
pub async fn handle(
    control: &Control,
    function: Function,
    trigger: Trigger,
    end: Timestamp,
) -> Result<SqsBatchResponse, Error> {
    match trigger {
        Trigger::Hints(batch) => Ok(Batch { control, function, end }.handle(batch).await),
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
        REBALANCE => control.handle_rebalance_recommendation(instance).await?,
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

/// The handler of a batch of hints.
struct Batch<'a> {
    control: &'a Control,
    function: Function,
    end: Timestamp,
}

impl Batch<'_> {
    /// Failed messages are reported, so that SQS delivers them again. After a failed message all later ones
    /// of its FIFO group count as failed too, or they would overtake it.
    async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        let mut failed_groups = BTreeSet::new();
        let mut done = BTreeSet::new();
        for message in batch.records {
            let group = message.attributes.get("MessageGroupId").cloned().unwrap_or_default();
            let ok = !failed_groups.contains(&group) && self.message(&message, &mut done).await;
            if !ok {
                failed_groups.insert(group);
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = message.message_id.unwrap_or_default();
                response.batch_item_failures.push(failure);
            }
        }
        response
    }

    /// Handles one message. Returns whether it needs no retry. A repetition of an earlier hint of the batch
    /// is skipped: the state was read after both were sent.
    async fn message(&self, message: &SqsMessage, done: &mut BTreeSet<Target>) -> bool {
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
        let cluster = target.cluster().map(|it| it.name.as_str());
        let span = tracing::info_span!("hint", target = %target.uid(), cluster);
        self.hint(&target).instrument(span).await
    }

    async fn hint(&self, target: &Target) -> bool {
        let Self { control, function, end } = *self;
        if control.context.now() >= end {
            return self.hand_over(target).await;
        }
        match control.reconcile_until(function, target, end).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(
                    ?function,
                    error = error.chain(),
                    "a hint failed; it will be retried"
                );
                false
            }
        }
    }

    /// Sends the hint anew instead of reporting it as failed: SQS would deliver it only after the visibility
    /// timeout, and after a few times to the dead-letter queue.
    async fn hand_over(&self, target: &Target) -> bool {
        tracing::info!("out of time; the next invocation handles this hint");
        let sent = self.control.context.hints.send(self.function, target).await;
        sent.inspect_err(|error| tracing::warn!(%error, "could not hand over a hint")).is_ok()
    }
}
