//! Logs and metrics of a function, as lines on its standard output, which Lambda sends to CloudWatch.

use control::metrics;
use control::ports::Clock;
use control::system::SystemClock;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "batchai";

/// Starts logging: one JSON object per event, with its spans, which name request, cluster and target.
/// `stack` is the dimension of the metrics.
pub fn log(stack: String) {
    let events = tracing_subscriber::fmt::layer().json().with_current_span(false).without_time();
    let is_event = filter_fn(|metadata| metadata.target() != metrics::TARGET);
    let metrics =
        Metrics { stack }.with_filter(Targets::new().with_target(metrics::TARGET, Level::TRACE));
    tracing_subscriber::registry()
        .with(events.with_filter(LevelFilter::INFO).with_filter(is_event))
        .with(metrics)
        .init();
}

/// Writes metrics in the embedded metric format (Amazon CloudWatch User Guide, "Specification: Embedded
/// metric format"): CloudWatch reads them out of the log, no call is made.
struct Metrics {
    stack: String,
}

impl<S: Subscriber> Layer<S> for Metrics {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut metric = Metric::default();
        event.record(&mut metric);
        println!("{}", metric.embedded(&self.stack, SystemClock.now().0));
    }
}

#[derive(Default)]
struct Metric {
    name: String,
    unit: String,
    pool: Option<String>,
    value: u64,
}

impl Metric {
    fn embedded(self, stack: &str, millis: i64) -> Value {
        let mut dimensions = vec!["Stack"];
        dimensions.extend(self.pool.is_some().then_some("Pool"));
        let mut line = json!({
            "_aws": {
                "Timestamp": millis,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [dimensions],
                    "Metrics": [{"Name": self.name, "Unit": self.unit}],
                }],
            },
            "Stack": stack,
        });
        line[self.name] = json!(self.value);
        if let Some(pool) = self.pool {
            line["Pool"] = json!(pool);
        }
        line
    }
}

impl Visit for Metric {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "name" => self.name = value.to_owned(),
            "unit" => self.unit = value.to_owned(),
            "pool" => self.pool = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "value" {
            self.value = value;
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_one_line_in_the_embedded_format() {
        let metric = |pool| Metric { name: "N".into(), unit: "Count".into(), pool, value: 3 };
        assert_eq!(
            metric(None).embedded("s", 12),
            json!({
                "_aws": {
                    "Timestamp": 12,
                    "CloudWatchMetrics": [{
                        "Namespace": "batchai",
                        "Dimensions": [["Stack"]],
                        "Metrics": [{"Name": "N", "Unit": "Count"}],
                    }],
                },
                "Stack": "s",
                "N": 3,
            })
        );
        let pooled = metric(Some("spot p3.2xlarge".to_owned())).embedded("s", 12);
        let dimensions = &pooled["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(dimensions, &json!([["Stack", "Pool"]]));
        assert_eq!(pooled["Pool"], "spot p3.2xlarge");
    }
}
