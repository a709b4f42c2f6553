//! Who sends a request, as API Gateway or a function URL verified it: people by the JWT authorizer, instances by
//! their role.
//!
//! The authorizer of a route only lets requests pass. The sender is identified here, so a path in another spelling,
//! which takes another route, gains nothing.

use lambda_http::RequestExt;
use lambda_http::aws_lambda_events::apigw::ApiGatewayRequestAuthorizer;
use lambda_http::request::RequestContext;

/// The sender of a request, as API Gateway verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The subject of an identity token.
    Person {
        /// The claim `sub`.
        subject: String,
    },
    /// A session of the role of the stack's instances.
    NodeRole {
        /// `{role id}:{session name}`.
        user_id: String,
    },
}

/// The role that the instances of the stack have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRole {
    account: String,
    name: String,
}

impl NodeRole {
    /// From the ARN of a role: `arn:{partition}:iam::{account}:role/{path}/{name}`.
    pub fn parse(arn: &str) -> Option<Self> {
        let (account, resource) = account_and_resource(arn, "iam")?;
        let name = resource.strip_prefix("role/")?.rsplit('/').next()?;
        (!name.is_empty()).then(|| Self { account: account.to_owned(), name: name.to_owned() })
    }

    /// Whether `arn` is a session of this role: `arn:{partition}:sts::{account}:assumed-role/{name}/{session}`.
    fn is_assumed_by(&self, arn: &str) -> bool {
        let session = account_and_resource(arn, "sts").and_then(|(account, resource)| {
            let (name, _) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
            Some((account, name))
        });
        session == Some((self.account.as_str(), self.name.as_str()))
    }
}

fn account_and_resource<'a>(arn: &'a str, service: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = arn.splitn(6, ':');
    let is_arn = parts.next()? == "arn" && !parts.next()?.is_empty() && parts.next()? == service;
    let (_region, account) = (parts.next()?, parts.next()?);
    is_arn.then_some((account, parts.next()?))
}

/// The verified sender of a request; `None` if there is none, or it is another role.
pub fn sender<B>(request: &http::Request<B>, node_role: &NodeRole) -> Option<Sender> {
    let Some(RequestContext::ApiGatewayV2(context)) = request.request_context_ref() else {
        return None;
    };
    let authorizer = context.authorizer.as_ref()?;
    person(authorizer).or_else(|| session(authorizer, node_role))
}

fn person(authorizer: &ApiGatewayRequestAuthorizer) -> Option<Sender> {
    let subject = authorizer.jwt.as_ref()?.claims.get("sub")?.clone();
    (!subject.is_empty()).then_some(Sender::Person { subject })
}

fn session(authorizer: &ApiGatewayRequestAuthorizer, node_role: &NodeRole) -> Option<Sender> {
    let caller = authorizer.iam.as_ref()?;
    let is_node = node_role.is_assumed_by(caller.user_arn.as_deref()?);
    let user_id = caller.user_id.clone().filter(|_| is_node)?;
    Some(Sender::NodeRole { user_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_belongs_to_the_role_of_its_account() {
        let role = NodeRole::parse("arn:aws:iam::123456789012:role/path/stack-NodeRole").unwrap();
        let is_own = |arn| role.is_assumed_by(arn);
        assert!(is_own("arn:aws:sts::123456789012:assumed-role/stack-NodeRole/i-0123"));
        for other in [
            "arn:aws:sts::999999999999:assumed-role/stack-NodeRole/i-0123",
            "arn:aws:sts::123456789012:assumed-role/stack-NodeRole2/i-0123",
            "arn:aws:sts::123456789012:assumed-role/stack-NodeRole",
            "arn:aws:iam::123456789012:user/stack-NodeRole/i-0123",
            "",
        ] {
            assert!(!is_own(other), "{other}");
        }
        for other in ["arn:aws:iam::123456789012:user/alice", "arn:aws:iam::1:role/", "role"] {
            assert_eq!(NodeRole::parse(other), None, "{other}");
        }
    }

    /// The event of a function URL (Lambda Developer Guide, "Invoking Lambda function URLs"), from a node.
    #[test]
    fn a_function_url_names_the_caller_as_an_http_api_does() {
        let event = r#"{
            "version": "2.0", "routeKey": "$default", "rawPath": "/nodes/v1/a/b/c/d/sync", "rawQueryString": "",
            "headers": {"content-type": "application/json", "host": "id.lambda-url.eu-west-1.on.aws"},
            "requestContext": {
                "accountId": "123456789012", "apiId": "id", "authentication": null,
                "authorizer": {"iam": {
                    "accessKey": "ASIAEXAMPLE", "accountId": "123456789012",
                    "callerId": "AROAEXAMPLE:i-0123", "cognitoIdentity": null, "principalOrgId": null,
                    "userArn": "arn:aws:sts::123456789012:assumed-role/stack-NodeRole/i-0123",
                    "userId": "AROAEXAMPLE:i-0123"
                }},
                "domainName": "id.lambda-url.eu-west-1.on.aws", "domainPrefix": "id",
                "http": {"method": "POST", "path": "/nodes/v1/a/b/c/d/sync", "protocol": "HTTP/1.1",
                    "sourceIp": "10.0.0.4", "userAgent": "agent"},
                "requestId": "id", "routeKey": "$default", "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1583348638390
            },
            "body": "{}", "isBase64Encoded": false
        }"#;
        let request = lambda_http::request::from_str(event).unwrap();
        let role = NodeRole::parse("arn:aws:iam::123456789012:role/stack-NodeRole").unwrap();
        let user_id = "AROAEXAMPLE:i-0123".to_owned();
        assert_eq!(sender(&request, &role), Some(Sender::NodeRole { user_id }));
    }
}
