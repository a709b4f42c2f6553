//! Whether the service can be reached, accepts the token, and fits to this program.

use super::check::Check;
use super::identity;
use crate::client::{Address, Client, Probe, TokenSource, Unreachable};
use crate::context::Context;
use crate::profiles::SignIn;
use jiff::{SignedDuration, Timestamp};
use oidc::Claims;
use resources::time;

/// The difference of two clocks in seconds. Beyond the second one, signatures of nodes are refused;
/// tokens may be refused before.
const CLOCK_WARNING_SECONDS: i64 = 30;
const CLOCK_PROBLEM_SECONDS: i64 = 300;

/// Adds the checks of this file. Returns whether the service answers requests of this user.
pub async fn check(context: &Context, checks: &mut Vec<Check>) -> bool {
    let endpoint = context.client.endpoint().to_owned();
    let Some(anonymous) = reach(&endpoint, checks).await else { return false };
    checks.push(transport(&endpoint));
    checks.push(clock(anonymous.date, time::now()));
    let Some(probe) = authenticate(context, checks).await else {
        checks.push(version(anonymous.version.as_deref()));
        return false;
    };
    checks.push(version(probe.version.as_deref().or(anonymous.version.as_deref())));
    checks.push(identity::check(context, probe.principal.as_deref()).await);
    true
}

/// Sends a request without a token: the refusal shows that the service is there.
async fn reach(endpoint: &str, checks: &mut Vec<Check>) -> Option<Probe> {
    const NAME: &str = "endpoint";
    let start = time::now();
    let probe = match Client::new(endpoint, TokenSource::none()) {
        Ok(client) => client.probe(&Address::subscriptions()).await,
        Err(error) => Err(error),
    };
    let milliseconds = time::now().duration_since(start).as_millis();
    match probe {
        Ok(probe) => match &probe.refused {
            Some(refused) if ![401, 403].contains(&refused.status) => {
                let advice =
                    "Check that the URL is the one of the service; see the log of the service";
                let found = format!("{endpoint} answers with {refused}");
                checks.push(Check::problem(NAME, found, advice));
                None
            }
            Some(_) | None => {
                let found = format!("{endpoint} answers in {milliseconds} ms");
                checks.push(Check::ok(NAME, found));
                Some(probe)
            }
        },
        Err(error) => {
            let found = format!("{error:#}");
            let is_local = endpoint.parse().is_ok_and(|url| oidc::is_loopback(&url));
            let advice = match error.is::<Unreachable>() {
                true if is_local => "Start the service: batchai local",
                true => "Check the endpoint, the network and the certificate",
                false => "Check the endpoint: --endpoint, BATCHAI_ENDPOINT or the profile",
            };
            checks.push(Check::problem(NAME, found, advice));
            None
        }
    }
}

fn transport(endpoint: &str) -> Check {
    const NAME: &str = "encryption";
    let url = endpoint.parse::<reqwest::Url>();
    match url {
        Ok(url) if url.scheme() == "https" => Check::ok(NAME, "TLS, with a trusted certificate"),
        Ok(url) if oidc::is_loopback(&url) => Check::ok(NAME, "none is needed on this machine"),
        Ok(_) | Err(_) => Check::problem(
            NAME,
            "tokens are sent without encryption",
            "Use an https:// endpoint, or an SSH tunnel",
        ),
    }
}

fn clock(service: Option<Timestamp>, now: Timestamp) -> Check {
    const NAME: &str = "clock";
    let Some(service) = service else {
        return Check::skipped(NAME, "the service tells no time", "");
    };
    // The service tells whole seconds.
    let seconds = now.duration_since(service).as_secs();
    let shown = time::format(SignedDuration::from_secs(seconds.abs()));
    let direction = if seconds > 0 { "ahead of" } else { "behind" };
    let found = format!("this machine is {shown} {direction} the service");
    let advice = "Synchronize the clock of this machine (NTP)";
    match seconds.abs() {
        0..=2 => Check::ok(NAME, "this machine and the service agree"),
        3..CLOCK_WARNING_SECONDS => Check::ok(NAME, found),
        CLOCK_WARNING_SECONDS..CLOCK_PROBLEM_SECONDS => Check::warning(NAME, found, advice),
        _ => Check::problem(NAME, found, advice),
    }
}

/// Sends a request with the token.
async fn authenticate(context: &Context, checks: &mut Vec<Check>) -> Option<Probe> {
    const NAME: &str = "token";
    let sign_in = match &context.profile {
        Some(selected) => format!("Run: batchai login --profile {}", selected.name),
        None => {
            "Sign in with `batchai login`, set BATCHAI_TOKEN, or --data-dir for `batchai local`"
                .to_owned()
        }
    };
    let token = match context.client.token().await {
        Ok(Some(token)) => token,
        Ok(None) => {
            checks.push(Check::problem(NAME, "there is no token", sign_in));
            return None;
        }
        Err(error) => {
            checks.push(Check::problem(NAME, format!("{error:#}"), sign_in));
            return None;
        }
    };
    let claims = Claims::of(token.expose());
    match context.client.probe(&Address::subscriptions()).await {
        Ok(probe) => match &probe.refused {
            None => {
                checks.push(Check::ok(NAME, accepted(context, claims.as_ref(), time::now())));
                Some(probe)
            }
            Some(refused) => {
                let of = claims.map_or_else(String::new, |claims| {
                    let audiences = claims.audiences().join(", ");
                    format!("; the token is of {} for {audiences}", claims.iss)
                });
                checks.push(Check::problem(NAME, format!("refused: {refused}{of}"), sign_in));
                None
            }
        },
        Err(error) => {
            checks.push(Check::problem(NAME, format!("{error:#}"), ""));
            None
        }
    }
}

fn accepted(context: &Context, claims: Option<&Claims>, now: Timestamp) -> String {
    let end = claims.and_then(|claims| claims.exp);
    let left = end.map(|end| time::format(SignedDuration::from_secs(end - now.as_second())));
    let renewed = context.profile.as_ref().map(|it| match &it.profile.sign_in {
        SignIn::Oidc(session) => {
            session.tokens.as_ref().is_some_and(|tokens| tokens.refresh.is_some())
        }
        SignIn::TokenCommand { .. } => true,
    });
    match (left, renewed) {
        (Some(left), Some(true)) => format!("accepted; valid for {left}, then renewed"),
        (Some(left), Some(false) | None) => format!("accepted; valid for {left}"),
        (None, Some(_) | None) => "accepted".to_owned(),
    }
}

/// Versions with the same compatible part understand each other: `0.x`, later `x`.
fn version(service: Option<&str>) -> Check {
    const NAME: &str = "version";
    const OWN: &str = env!("CARGO_PKG_VERSION");
    match service {
        None => Check::warning(
            NAME,
            format!("the service does not tell its version; this program is {OWN}"),
            "Update the service, unless it is another implementation of the API",
        ),
        Some(service) if compatible(service) == compatible(OWN) => {
            Check::ok(NAME, format!("service {service}, this program {OWN}"))
        }
        Some(service) => Check::warning(
            NAME,
            format!("service {service}, this program {OWN}"),
            "Install the same version of both: update this program, or deploy the service again",
        ),
    }
}

fn compatible(version: &str) -> (&str, &str) {
    let mut parts = version.split('.');
    match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
        ("0", minor) => ("0", minor),
        (major, _) => (major, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;

    #[test]
    fn clocks_may_differ_a_little() {
        let now = Timestamp::from_second(10_000).unwrap();
        let status = |seconds: i64| {
            clock(Some(Timestamp::from_second(10_000 + seconds).unwrap()), now).status
        };
        assert_eq!([status(0), status(-29), status(29)], [Status::Ok; 3]);
        assert_eq!([status(30), status(-299)], [Status::Warning; 2]);
        assert_eq!([status(300), status(-4000)], [Status::Problem; 2]);
        assert_eq!(clock(None, now).status, Status::Skipped);
    }

    #[test]
    fn versions_are_compared_by_their_compatible_part() {
        assert_eq!(compatible("0.1.0"), compatible("0.1.7"));
        assert_ne!(compatible("0.1.0"), compatible("0.2.0"));
        assert_eq!(compatible("1.1.0"), compatible("1.2.0"));
        assert_eq!(version(Some(env!("CARGO_PKG_VERSION"))).status, Status::Ok);
        assert_eq!(version(Some("99.0.0")).status, Status::Warning);
        assert_eq!(version(None).status, Status::Warning);
    }

    #[test]
    fn only_this_machine_may_be_without_encryption() {
        assert_eq!(transport("http://127.0.0.1:8470").status, Status::Ok);
        assert_eq!(transport("https://api.example").status, Status::Ok);
        assert_eq!(transport("http://api.example").status, Status::Problem);
    }
}
