//! What wakes a function: exactly the events that Lambda hands over.

use crate::{Control, Error};
use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use model::Wake;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// A batch of hints, or an event (the schedule, an interruption notice).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    Hints(SqsEvent),
    Event(Box<EventBridgeEvent<Value>>),
}

/// The `detail-type` of the schedule's events.
pub const SCHEDULED: &str = "Scheduled Event";

/// The `detail-type` of EC2's notice (Amazon EC2 User Guide, "Spot Instance interruption notices").
pub const INTERRUPTION: &str = "EC2 Spot Instance Interruption Warning";

/// Works through a batch. What failed is reported, so that SQS hands it out again; behind a failed
/// message of a FIFO group all later ones of that group count as failed, or they would overtake it.
pub(crate) async fn each_hint<F>(event: SqsEvent, look: impl Fn(Wake) -> F) -> SqsBatchResponse
where
    F: Future<Output = Result<(), Error>>,
{
    let mut response = SqsBatchResponse::default();
    let mut failed_groups = BTreeSet::new();
    let mut done = BTreeSet::new();
    for message in event.records {
        let group = message.attributes.get("MessageGroupId").cloned().unwrap_or_default();
        let outcome = if failed_groups.contains(&group) {
            Err(())
        } else {
            one_hint(&message, &look, &mut done).await
        };
        if outcome.is_err() {
            failed_groups.insert(group);
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    response
}

/// A hint that repeats an earlier one of the batch has nothing to add: the look came after both
/// were sent.
async fn one_hint<F>(
    message: &SqsMessage,
    look: impl Fn(Wake) -> F,
    done: &mut BTreeSet<Wake>,
) -> Result<(), ()>
where
    F: Future<Output = Result<(), Error>>,
{
    let body = message.body.as_deref().unwrap_or_default();
    let wake: Wake = match serde_json::from_str(body) {
        Ok(wake) => wake,
        Err(error) => {
            // Handing it out again would not make it readable, and the schedule loses nothing.
            tracing::error!(%error, "dropped a hint that cannot be read");
            return Ok(());
        }
    };
    if !done.insert(wake.clone()) {
        return Ok(());
    }
    look(wake).await.map_err(|error| log(&error))
}

impl Control {
    /// What the schedule does: looks at everything that is not at rest. One that fails does not
    /// keep the others waiting.
    pub(crate) async fn each_awake<F>(&self, look: impl Fn(Wake) -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut first_failure = None;
        for wake in self.table.awake().await? {
            if let Err(error) = look(wake).await {
                log(&error);
                first_failure.get_or_insert(error);
            }
        }
        first_failure.map_or(Ok(()), Err)
    }
}

fn log(error: &Error) {
    if error.is_conflict() {
        tracing::info!("others wrote first, again and again; the schedule will look");
    } else {
        let source = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, source, "a look failed and will be repeated");
    }
}
