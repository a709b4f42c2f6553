//! The stack on AWS: what CloudFormation says, and whether it fits to the endpoint and the token.

use super::aws::{Aws, AwsError};
use super::check::Check;
use super::resources::Inventory;
use super::{instances, telemetry};
use crate::secret::Secret;
use jiff::Timestamp;
use oidc::Claims;
use serde_json::Value;
use std::collections::BTreeMap;

/// The service that the commands use.
pub struct Service<'a> {
    pub endpoint: &'a str,
    pub token: Option<&'a Secret>,
}

/// A stack as CloudFormation describes it.
#[derive(Debug, Default)]
pub struct Stack {
    pub name: String,
    pub status: String,
    pub outputs: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
}

const INSTALL: &str = "Install the AWS CLI: https://aws.amazon.com/cli, or `pip install awscli`";

/// The name of a stack, for the command line.
///
/// # Errors
/// Says which names are allowed.
pub fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c == '-' || c.is_ascii_alphanumeric();
    match text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("use the name of a stack: letters, digits and hyphens".to_owned()),
    }
}

/// Adds the checks of the stack.
pub async fn check(
    name: &str,
    service: &Service<'_>,
    inventory: Option<&Inventory>,
    now: Timestamp,
    checks: &mut Vec<Check>,
) {
    let aws = Aws::new();
    let stack = match describe(&aws, name).await {
        Ok(stack) => stack,
        Err(AwsError::NotInstalled) => {
            let found = "there is no program aws, so nothing on AWS was checked";
            checks.push(Check::skipped("stack", found, INSTALL));
            return;
        }
        Err(AwsError::Denied(found) | AwsError::Failed(found)) => {
            let advice = "Check the name, AWS_REGION and AWS_PROFILE; `aws sts get-caller-identity` \
                          shows the account";
            checks.push(Check::problem("stack", found, advice));
            return;
        }
    };
    checks.push(state(&stack));
    checks.push(endpoint(&stack, service.endpoint));
    checks.extend(service.token.and_then(|token| issuer(&stack, token)));
    let functions = match functions(&aws, name).await {
        Ok(functions) => functions,
        Err(error) => {
            checks.push(unchecked("functions", error));
            Vec::new()
        }
    };
    let (agent, alarms, letters, instances, errors, permissions) = tokio::join!(
        agent(&aws, &stack),
        telemetry::alarms(&aws, name),
        telemetry::dead_letters(&aws, &stack),
        instances::check(&aws, name, inventory, now),
        telemetry::errors(&aws, &functions, now),
        telemetry::permissions(&aws, name, &functions, now),
    );
    checks.extend([agent, alarms, letters, instances, errors, permissions]);
}

/// A check that AWS did not allow, or that failed.
pub fn unchecked(name: &str, error: AwsError) -> Check {
    match error {
        AwsError::NotInstalled => Check::skipped(name, "there is no program aws", INSTALL),
        AwsError::Denied(found) => {
            let advice = "`batchai doctor --help` lists the permissions that this needs";
            Check::skipped(name, found, advice)
        }
        AwsError::Failed(found) => Check::warning(name, found, "Run the command again"),
    }
}

async fn describe(aws: &Aws, name: &str) -> Result<Stack, AwsError> {
    let answer = aws.call(&["cloudformation", "describe-stacks", "--stack-name", name]).await?;
    let found = &answer["Stacks"][0];
    Ok(Stack {
        name: name.to_owned(),
        status: text(&found["StackStatus"]),
        outputs: pairs(&found["Outputs"], "OutputKey", "OutputValue"),
        parameters: pairs(&found["Parameters"], "ParameterKey", "ParameterValue"),
    })
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pairs(list: &Value, key: &str, value: &str) -> BTreeMap<String, String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| (text(&item[key]), text(&item[value]))).collect()
}

/// The names of the functions of the stack.
async fn functions(aws: &Aws, name: &str) -> Result<Vec<String>, AwsError> {
    let list = ["cloudformation", "list-stack-resources", "--stack-name", name];
    let answer = aws.call(&list).await?;
    let resources = answer["StackResourceSummaries"].as_array().into_iter().flatten();
    let functions = resources.filter(|it| it["ResourceType"] == "AWS::Lambda::Function");
    Ok(functions.map(|it| text(&it["PhysicalResourceId"])).collect())
}

fn state(stack: &Stack) -> Check {
    let found = format!("{} is {}", stack.name, stack.status);
    let advice = format!(
        "See why: aws cloudformation describe-stack-events --stack-name {}; then deploy again",
        stack.name
    );
    match stack.status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => Check::ok("stack", found),
        status if status.ends_with("_IN_PROGRESS") => {
            Check::warning("stack", found, "Wait until the deployment has ended")
        }
        "UPDATE_ROLLBACK_COMPLETE" => Check::warning("stack", found, advice),
        _ => Check::problem("stack", found, advice),
    }
}

fn endpoint(stack: &Stack, endpoint: &str) -> Check {
    const NAME: &str = "endpoint of stack";
    match stack.outputs.get("Endpoint").map(|it| it.trim_end_matches('/')) {
        Some(own) if own == endpoint => Check::ok(NAME, "it is the one of the commands"),
        Some(own) => Check::warning(
            NAME,
            format!("the stack has {own}; the commands use {endpoint}"),
            "Set --endpoint or --profile, unless a domain of yours leads to the stack",
        ),
        None => Check::problem(
            NAME,
            "the stack has no output Endpoint",
            "Check the name: this is not a stack of batchai",
        ),
    }
}

/// Whether the API accepts the issuer and the audience of the token.
fn issuer(stack: &Stack, token: &Secret) -> Option<Check> {
    const NAME: &str = "issuer of tokens";
    let claims = Claims::of(token.expose())?;
    let (issuer, audiences) = (stack.outputs.get("JwtIssuer")?, stack.outputs.get("JwtAudience")?);
    let is_known = |it: &&str| audiences.split(',').any(|audience| audience.trim() == *it);
    let fits = claims.iss == *issuer && claims.audiences().iter().any(is_known);
    Some(match fits {
        true => Check::ok(NAME, format!("{issuer} for {audiences}")),
        false => Check::problem(
            NAME,
            format!(
                "the stack accepts {issuer} for {audiences}; the token is of {} for {}",
                claims.iss,
                claims.audiences().join(", ")
            ),
            "Sign in with this issuer and a --token-type of this audience, or deploy with \
             JwtIssuer and JwtAudience of the token",
        ),
    })
}

/// Whether the bucket has the agent that the nodes fetch.
async fn agent(aws: &Aws, stack: &Stack) -> Check {
    const NAME: &str = "agent";
    let (bucket, sha) = (stack.outputs.get("ArtifactBucket"), stack.parameters.get("AgentSha256"));
    let (Some(bucket), Some(sha)) = (bucket, sha) else {
        return Check::skipped(NAME, "the stack has no ArtifactBucket or AgentSha256", "");
    };
    let key = format!("agent/{sha}");
    match aws.call(&["s3api", "head-object", "--bucket", bucket, "--key", &key]).await {
        Ok(_) => Check::ok(NAME, format!("{key} is in the bucket")),
        // Without the right to list, AWS does not tell a missing object from a forbidden one.
        Err(AwsError::Denied(_) | AwsError::Failed(_)) => Check::problem(
            NAME,
            format!("{key} is not in the bucket, or may not be read: no node can start"),
            format!("Upload it: aws s3 cp AGENT s3://{bucket}/{key}"),
        ),
        Err(AwsError::NotInstalled) => unchecked(NAME, AwsError::NotInstalled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;

    fn stack(status: &str) -> Stack {
        let outputs = [
            ("Endpoint", "https://api.example"),
            ("JwtIssuer", "https://issuer.example"),
            ("JwtAudience", "a,b"),
        ];
        Stack {
            name: "s".to_owned(),
            status: status.to_owned(),
            outputs: outputs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            parameters: BTreeMap::new(),
        }
    }

    #[test]
    fn the_state_of_a_stack_decides() {
        let status = |text: &str| state(&stack(text)).status;
        assert_eq!([status("CREATE_COMPLETE"), status("UPDATE_COMPLETE")], [Status::Ok; 2]);
        assert_eq!(status("UPDATE_IN_PROGRESS"), Status::Warning);
        assert_eq!(status("UPDATE_ROLLBACK_COMPLETE"), Status::Warning);
        assert_eq!([status("ROLLBACK_COMPLETE"), status("CREATE_FAILED")], [Status::Problem; 2]);
    }

    #[test]
    fn issuer_and_audience_must_be_those_of_the_stack() {
        // {"iss":"https://issuer.example","aud":"b"}, and the same with "c".
        let with = |claims: &str| Secret::new(format!("e30.{claims}.c2ln"));
        let b = with("eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoiYiJ9");
        let c = with("eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoiYyJ9");
        let status = |token: &Secret| issuer(&stack(""), token).map(|check| check.status);
        assert_eq!(status(&b), Some(Status::Ok));
        assert_eq!(status(&c), Some(Status::Problem));
        assert_eq!(status(&Secret::new("opaque")), None);
    }

    #[test]
    fn another_endpoint_is_a_warning() {
        let status = |url: &str| endpoint(&stack(""), url).status;
        assert_eq!(status("https://api.example"), Status::Ok);
        assert_eq!(status("https://other.example"), Status::Warning);
        assert_eq!(endpoint(&Stack::default(), "x").status, Status::Problem);
    }

    #[test]
    fn names_of_stacks_are_no_options() {
        assert!(name("batchai-2").is_ok());
        for text in ["", "--profile", "2a", "a b"] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
