//! The schedule: what EventBridge Scheduler does on AWS, at a shorter interval.

use crate::engine::Engine;
use crate::queue::call;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use control::Control;
use control::ports::Function;
use control::trigger::{SCHEDULED, Trigger};
use serde_json::Value;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often expired operations are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

pub fn start(control: Control, tick: Duration) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for function in [Function::Recovery, Function::Autoscaler, Function::Dispatcher] {
                let trigger = Trigger::Event(Box::new(scheduled_event()));
                if let Err(error) = call(&control, function, trigger).await {
                    tracing::warn!(?function, %error, "the schedule's look failed");
                }
            }
        }
    })
}

pub fn start_sweeping(engine: Engine) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            engine.sweep();
        }
    })
}

/// What EventBridge sends on a schedule.
pub fn scheduled_event() -> EventBridgeEvent<Value> {
    event("aws.scheduler", SCHEDULED, Value::Object(Default::default()))
}

pub(crate) fn event(source: &str, detail_type: &str, detail: Value) -> EventBridgeEvent<Value> {
    let mut event = EventBridgeEvent::default();
    event.source = source.to_owned();
    event.detail_type = detail_type.to_owned();
    event.detail = detail;
    event
}
