//! What the stack reports about itself: alarms, dead letters, errors of functions, refused calls.

use super::aws::{Aws, AwsError};
use super::check::Check;
use super::stack::{Stack, text, unchecked};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How far back logs and metrics are read.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Calls that AWS refused, in lines of the log.
const REFUSED: [&str; 3] = ["AccessDenied", "not authorized", "UnauthorizedOperation"];

/// Log lines read of each function. The first one says enough; the number is shown as "at least".
const LINES: &str = "20";

/// Longer lines of logs are cut.
const LINE_CHARACTERS: usize = 200;

/// Alarms of the stack that are in the state ALARM.
pub async fn alarms(aws: &Aws, stack: &str) -> Check {
    const NAME: &str = "alarms";
    let prefix = format!("{stack}-");
    let list = ["cloudwatch", "describe-alarms", "--alarm-name-prefix", &prefix];
    match aws.call(&list).await {
        Ok(answer) => {
            let all = answer["MetricAlarms"].as_array().into_iter().flatten();
            alarms_in(NAME, &prefix, all.collect())
        }
        Err(error) => unchecked(NAME, error),
    }
}

fn alarms_in(check: &str, prefix: &str, all: Vec<&Value>) -> Check {
    // CloudFormation names them STACK-RESOURCE-RANDOM: the rest has one hyphen, unless the alarm is one
    // of another stack whose name begins with this one's.
    let is_own = |it: &&&Value| {
        let name = text(&it["AlarmName"]);
        name.strip_prefix(prefix).is_some_and(|rest| rest.matches('-').count() <= 1)
    };
    let own: Vec<_> = all.iter().filter(is_own).collect();
    let ringing: Vec<_> = own.iter().filter(|it| it["StateValue"] == "ALARM").collect();
    let [first, ..] = &ringing[..] else {
        return Check::ok(check, format!("none of {} is in alarm", own.len()));
    };
    let names: Vec<_> = ringing.iter().map(|it| text(&it["AlarmName"])).collect();
    let advice = match text(&first["AlarmDescription"]) {
        description if description.is_empty() => "See CloudWatch, Alarms".to_owned(),
        description => description,
    };
    Check::problem(check, format!("in alarm: {}", names.join(", ")), advice)
}

/// Messages that the functions could not handle.
pub async fn dead_letters(aws: &Aws, stack: &Stack) -> Check {
    const NAME: &str = "dead letters";
    let Some(urls) = stack.outputs.get("DeadLetterQueueUrls") else {
        return Check::skipped(NAME, "the stack has no output DeadLetterQueueUrls", "");
    };
    let urls: Vec<_> = urls.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
    let answers = join_all(urls.iter().map(|url| letters(aws, url))).await;
    match answers.into_iter().collect::<Result<Vec<_>, _>>() {
        Ok(queues) => letters_in(NAME, &stack.name, &queues),
        Err(error) => unchecked(NAME, error),
    }
}

/// A dead-letter queue.
struct Letters {
    url: String,
    arn: String,
    count: u64,
}

impl Letters {
    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(&self.url)
    }

    /// What to do about its messages. SQS moves messages back only to a queue from which SQS took them (Amazon SQS API
    /// Reference, "StartMessageMoveTask"), so not those of EventBridge and Lambda.
    fn advice(&self, stack: &str) -> String {
        let own = self.name().strip_prefix(stack).and_then(|it| it.strip_prefix('-'));
        match own.and_then(|it| it.strip_suffix("-dead.fifo")) {
            Some(function) => format!(
                "{function} failed on hints: read its log (aws logs tail /batchai/{stack}/{function} \
                 --since 1d), correct the cause, then redrive the queue: \
                 aws sqs start-message-move-task --source-arn {}",
                self.arn
            ),
            None => format!(
                "Events could not be handled; the messages name their functions: read the logs, \
                 correct the cause. The schedule repeats what was lost. Then empty the queue: \
                 aws sqs purge-queue --queue-url {}",
                self.url
            ),
        }
    }
}

fn letters_in(check: &str, stack: &str, queues: &[Letters]) -> Check {
    let found: Vec<_> = queues.iter().filter(|queue| queue.count > 0).collect();
    if found.is_empty() {
        return Check::ok(check, format!("none in {} queues", queues.len()));
    }
    let counts: Vec<_> = found.iter().map(|it| format!("{} in {}", it.count, it.name())).collect();
    let advice: Vec<_> = found.iter().map(|it| it.advice(stack)).collect();
    Check::problem(check, counts.join(", "), advice.join("\n"))
}

async fn letters(aws: &Aws, url: &str) -> Result<Letters, AwsError> {
    const VISIBLE: &str = "ApproximateNumberOfMessages";
    const IN_FLIGHT: &str = "ApproximateNumberOfMessagesNotVisible";
    const ARN: &str = "QueueArn";
    let get = ["sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names"];
    let answer = aws.call(&[&get[..], &[VISIBLE, IN_FLIGHT, ARN]].concat()).await?;
    let attributes = &answer["Attributes"];
    let count = |name: &str| attributes[name].as_str()?.parse::<u64>().ok();
    Ok(Letters {
        url: url.to_owned(),
        arn: text(&attributes[ARN]),
        count: [VISIBLE, IN_FLIGHT].into_iter().filter_map(count).sum(),
    })
}

/// Failed and throttled invocations of the last hour.
pub async fn errors(aws: &Aws, functions: &[String], now: Timestamp) -> Check {
    const NAME: &str = "errors of functions";
    if functions.is_empty() {
        return Check::skipped(NAME, "the functions are not known", "");
    }
    let queries = queries(functions).to_string();
    let (start, end) = ((now - HOUR).to_string(), now.to_string());
    let get = ["cloudwatch", "get-metric-data", "--metric-data-queries", &queries];
    let period = ["--start-time", &start, "--end-time", &end];
    match aws.call(&[&get[..], &period].concat()).await {
        Ok(answer) => errors_in(NAME, functions.len(), &answer),
        Err(error) => unchecked(NAME, error),
    }
}

fn queries(functions: &[String]) -> Value {
    let one = |(number, function): (usize, &String), metric: &str| {
        json!({
            "Id": format!("{}{number}", metric.to_ascii_lowercase()),
            "Label": format!("{metric} of {function}"),
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": metric,
                    "Dimensions": [{ "Name": "FunctionName", "Value": function }],
                },
                "Period": 3600,
                "Stat": "Sum",
            },
        })
    };
    let metrics = ["Errors", "Throttles"];
    let all = metrics
        .iter()
        .flat_map(|metric| functions.iter().enumerate().map(|function| one(function, metric)));
    Value::Array(all.collect())
}

fn errors_in(check: &str, functions: usize, answer: &Value) -> Check {
    let results = answer["MetricDataResults"].as_array().into_iter().flatten();
    let counted = results.map(|result| {
        let values = result["Values"].as_array().into_iter().flatten();
        (text(&result["Label"]), values.filter_map(Value::as_f64).sum::<f64>())
    });
    let found: Vec<_> = counted
        .filter(|(_, count)| *count > 0.0)
        .map(|(label, count)| format!("{count:.0} {label}"))
        .collect();
    if found.is_empty() {
        return Check::ok(check, format!("none of {functions} in the last hour"));
    }
    let advice = "Read the log of the function: aws logs tail /batchai/STACK/FUNCTION --since 1h";
    Check::problem(check, format!("in the last hour: {}", found.join(", ")), advice)
}

/// Calls of the functions that AWS refused in the last hour.
pub async fn permissions(aws: &Aws, stack: &str, functions: &[String], now: Timestamp) -> Check {
    const NAME: &str = "permissions";
    if functions.is_empty() {
        return Check::skipped(NAME, "the functions are not known", "");
    }
    let prefix = format!("{stack}-");
    let short = |function: &String| function.strip_prefix(&prefix).unwrap_or(function).to_owned();
    let names: Vec<_> = functions.iter().map(short).collect();
    let logs = join_all(names.iter().map(|name| refused(aws, stack, name, now))).await;
    let mut found = Vec::new();
    for (name, lines) in names.iter().zip(logs) {
        match lines {
            Ok(lines) => {
                found.extend(lines.into_iter().next().map(|line| format!("{name}: {line}")))
            }
            Err(AwsError::Failed(message)) if message.contains("ResourceNotFound") => {}
            Err(error) => return unchecked(NAME, error),
        }
    }
    if found.is_empty() {
        return Check::ok(NAME, "no call was refused in the last hour");
    }
    let advice = "Compare the role of the function with template.yaml, and deploy again; a policy \
                  of your organization may forbid the call too";
    Check::problem(NAME, found.join("\n"), advice)
}

async fn refused(
    aws: &Aws,
    stack: &str,
    function: &str,
    now: Timestamp,
) -> Result<Vec<String>, AwsError> {
    let group = format!("/batchai/{stack}/{function}");
    let pattern = REFUSED.map(|text| format!("?\"{text}\"")).join(" ");
    let start = (now - HOUR).as_millisecond().to_string();
    let filter = ["logs", "filter-log-events", "--log-group-name", &group];
    let which = ["--filter-pattern", &pattern, "--start-time", &start, "--max-items", LINES];
    let answer = aws.call(&[&filter[..], &which].concat()).await?;
    let events = answer["events"].as_array().into_iter().flatten();
    let lines = events.map(|event| text(&event["message"]));
    let lines = lines.filter(|line| REFUSED.iter().any(|mark| line.contains(mark)));
    Ok(lines.map(|line| line.trim().chars().take(LINE_CHARACTERS).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;

    #[test]
    fn only_alarms_of_this_stack_count() {
        let alarm = |name: &str, state: &str| json!({ "AlarmName": name, "StateValue": state });
        let quiet = alarm("batchai-ApiErrors-1AB", "OK");
        let other = alarm("batchai-test-ApiErrors-1AB", "ALARM");
        let check = alarms_in("alarms", "batchai-", vec![&quiet, &other]);
        assert_eq!((check.status, check.detail.as_str()), (Status::Ok, "none of 1 is in alarm"));
        let ringing = alarm("batchai-Leaks-1AB", "ALARM");
        let check = alarms_in("alarms", "batchai-", vec![&quiet, &ringing]);
        assert_eq!(check.status, Status::Problem);
        assert_eq!(check.detail, "in alarm: batchai-Leaks-1AB");
    }

    /// SQS redrives only what one of its queues gave up, not what EventBridge or Lambda sent.
    #[test]
    fn dead_letters_of_hints_are_redriven_and_those_of_events_removed() {
        let queue = |name: &str, count| Letters {
            url: format!("https://sqs.example/1/{name}"),
            arn: format!("arn:aws:sqs:eu-west-1:1:{name}"),
            count,
        };
        let all = |hints, events| {
            let queues = [queue("s-recovery-dead.fifo", hints), queue("s-events-dead", events)];
            letters_in("dead letters", "s", &queues)
        };
        let check = all(0, 0);
        assert_eq!((check.status, check.detail.as_str()), (Status::Ok, "none in 2 queues"));
        let check = all(2, 0);
        assert_eq!(check.status, Status::Problem);
        assert_eq!(check.detail, "2 in s-recovery-dead.fifo");
        let redrive =
            "start-message-move-task --source-arn arn:aws:sqs:eu-west-1:1:s-recovery-dead.fifo";
        assert!(check.advice.contains(redrive), "{}", check.advice);
        assert!(check.advice.contains("/batchai/s/recovery"), "{}", check.advice);
        let check = all(0, 1);
        assert_eq!(check.detail, "1 in s-events-dead");
        let purge = "purge-queue --queue-url https://sqs.example/1/s-events-dead";
        assert!(check.advice.contains(purge), "{}", check.advice);
        assert!(!check.advice.contains("move-task"), "{}", check.advice);
        assert_eq!(all(1, 1).detail, "1 in s-recovery-dead.fifo, 1 in s-events-dead");
    }

    #[test]
    fn errors_are_summed_by_function() {
        let result = |label: &str, values: &[f64]| json!({ "Label": label, "Values": values });
        let answer = json!({ "MetricDataResults": [
            result("Errors of s-api", &[]),
            result("Errors of s-recovery", &[2.0, 1.0]),
        ]});
        let check = errors_in("errors", 2, &answer);
        assert_eq!(check.status, Status::Problem);
        assert_eq!(check.detail, "in the last hour: 3 Errors of s-recovery");
        let quiet = json!({ "MetricDataResults": [result("Errors of s-api", &[0.0])] });
        assert_eq!(errors_in("errors", 2, &quiet).status, Status::Ok);
    }

    #[test]
    fn every_query_has_an_id_of_its_own() {
        let queries = queries(&["s-api".to_owned(), "s-files".to_owned()]);
        let ids: std::collections::BTreeSet<_> =
            queries.as_array().unwrap().iter().map(|it| it["Id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 4);
    }
}
