//! Signing in to the portal at an issuer: the sessions of browsers, and what a stranger would try.

use http::header::{COOKIE, HeaderName, LOCATION, ORIGIN, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use tests::api::Api;
use tests::environment::Environment;
use tests::harness::{Harness, JobSpec, auto, names};
use tests::issuer::Issuer;
use web::VerifiedPerson;
use wire::RoleAssignmentRequest;

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Minutes after which a session has ended.
const SESSION_MINUTES: i64 = 12 * 60;

type Answer = Response<axum::body::Bytes>;

/// A browser: keeps cookies, and follows no redirections by itself.
pub(crate) struct Browser<'a> {
    api: &'a Api,
    issuer: &'a Issuer,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(api: &'a Api, issuer: &'a Issuer) -> Self {
        Self { api, issuer, cookies: Vec::new() }
    }

    async fn send(&mut self, method: Method, url: &str, origin: &str) -> Answer {
        let path = url.strip_prefix("https://127.0.0.1").unwrap_or(url);
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder().method(method).uri(path).header(PROTO, "https");
        let request = request.header(COOKIE, cookies.join("; ")).header(ORIGIN, origin);
        let answer = self.api.send(request, "").await;
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            for attribute in ["; HttpOnly", "; Secure", "; SameSite=", "; Path=/portal"] {
                assert!(text.contains(attribute), "{text}");
            }
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.send(Method::GET, url, "").await
    }

    /// Begins a sign-in; returns where the issuer sends the browser back to.
    async fn begin(&mut self, to: &str) -> String {
        let answer = self.get(&format!("/portal/sign-in?to={to}")).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let there = answer.headers()[LOCATION].to_str().unwrap();
        let request = Request::get(there).body(String::new()).unwrap();
        let back = oidc::Http::send(self.issuer, request).await.unwrap();
        assert_eq!(back.status(), StatusCode::SEE_OTHER, "{}", back.body());
        back.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    pub(crate) async fn sign_in(&mut self) -> Answer {
        let back = self.begin("").await;
        self.get(&back).await
    }

    async fn home(&mut self) -> StatusCode {
        self.get("/portal/home").await.status()
    }
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

async fn assign(harness: &Harness, person: &str, role: model::Role) {
    let request = RoleAssignmentRequest { role, principal: VerifiedPerson(person.to_owned()).id() };
    let scope = model::Scope::from(&names());
    let roles = &harness.environment.control.roles;
    roles.put(&scope, &model::Uid::from_bytes([role as u8; 16]), &request).await.unwrap();
}

/// A workspace in which Alice is a reader, its API, and the issuer.
async fn world() -> (Harness, Api, Issuer) {
    world_in(Environment::new(7)).await
}

async fn world_in(environment: Environment) -> (Harness, Api, Issuer) {
    let harness = Harness::of(environment).await;
    let issuer = Issuer::new("https://issuer.example");
    let api = Api::with_issuer(&harness.environment, &issuer);
    assign(&harness, "alice", model::Role::Reader).await;
    // The tokens of the issuer have an end by the clock of this machine.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let ahead = i64::try_from(now).unwrap() - harness.environment.now().0;
    harness.environment.clock.advance_millis(ahead);
    (harness, api, issuer)
}

fn overview() -> String {
    let names = names();
    format!(
        "/portal/workspaces/{}/{}/{}",
        names.subscription, names.resource_group, names.workspace
    )
}

#[tokio::test(start_paused = true)]
async fn a_person_signs_in_and_has_their_roles() {
    let (harness, api, issuer) = world().await;
    let mut alice = Browser::new(&api, &issuer);
    let before = alice.get(&overview()).await;
    assert_eq!(before.status(), StatusCode::UNAUTHORIZED);
    let encoded = overview().replace('/', "%2F");
    assert!(text(&before).contains(&format!("/portal/sign-in?to={encoded}")), "{}", text(&before));

    let back = alice.begin(&encoded).await;
    let entered = alice.get(&back).await;
    assert_eq!(entered.status(), StatusCode::OK);
    assert!(text(&entered).contains(&overview()));
    assert_eq!(alice.cookies.len(), 1, "the sign-in is forgotten");
    let page = alice.get(&overview()).await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("connect-src 'self' https://files.example;"), "{policy}");
    assert!(!alice.cookies[0].1.contains("alice"));

    // A link is for tokens; here, the page of the issuer.
    assert_eq!(
        alice.send(Method::POST, "/portal/sign-out", "https://evil.example").await.status(),
        403
    );
    assert_eq!(alice.home().await, StatusCode::OK);
    assert_eq!(
        alice.send(Method::POST, "/portal/sign-out", "https://127.0.0.1").await.status(),
        303
    );
    assert_eq!(alice.home().await, StatusCode::UNAUTHORIZED);

    issuer.facts().subject = "bob".to_owned();
    let mut bob = Browser::new(&api, &issuer);
    assert_eq!(bob.sign_in().await.status(), StatusCode::OK);
    assert_eq!(bob.get(&overview()).await.status(), StatusCode::FORBIDDEN);
    harness.environment.clock.advance_millis(SESSION_MINUTES * 60_000 - 1);
    assert_eq!(bob.home().await, StatusCode::OK);
    harness.environment.clock.advance_millis(1);
    assert_eq!(bob.home().await, StatusCode::UNAUTHORIZED, "the session has ended");
    assert_eq!(issuer.facts().documents, 1, "one read for both");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_is_of_one_browser_and_once() {
    let (harness, api, issuer) = world().await;
    let mut alice = Browser::new(&api, &issuer);
    let back = alice.begin("").await;

    // Somebody else's code in another browser, with no sign-in and with one of its own. It does not use the code up.
    let mut eve = Browser::new(&api, &issuer);
    assert_eq!(eve.get(&back).await.status(), StatusCode::UNAUTHORIZED);
    let own = eve.begin("").await;
    assert_eq!(eve.get(&back).await.status(), StatusCode::UNAUTHORIZED, "another state");
    let old = alice.cookies.clone();
    assert_eq!(alice.get(&back).await.status(), StatusCode::OK);
    assert_eq!(alice.home().await, StatusCode::OK);
    alice.cookies = old;
    assert_eq!(alice.get(&back).await.status(), StatusCode::UNAUTHORIZED, "a code works once");
    assert_eq!(alice.home().await, StatusCode::UNAUTHORIZED, "a sign-in is no session");

    let back = alice.begin("").await;
    let swapped = format!("{}&state={}", back.split("&state=").next().unwrap(), state(&own));
    assert_eq!(eve.get(&swapped).await.status(), StatusCode::UNAUTHORIZED, "another verifier");
    assert_eq!(eve.home().await, StatusCode::UNAUTHORIZED);

    let late = alice.begin("").await;
    harness.environment.clock.advance_millis(600_000);
    assert_eq!(alice.get(&late).await.status(), StatusCode::UNAUTHORIZED, "too late");
    for path in ["", "?code=x", "?state=", "?code=x&state=y", "?error=access_denied"] {
        let answer =
            Browser::new(&api, &issuer).get(&format!("/portal/sign-in/callback{path}")).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

fn state(back: &str) -> &str {
    back.split_once("&state=").unwrap().1
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_sign_in_is_refused() {
    let (_harness, api, issuer) = world().await;
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("cli")),
        ("exp", json!(1_000)),
        ("nonce", json!("another")),
        ("sub", json!("")),
    ] {
        issuer.facts().claims = vec![(claim, value)];
        let mut alice = Browser::new(&api, &issuer);
        let answer = alice.sign_in().await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{claim}");
        assert!(text(&answer).contains("The ID token cannot be used"), "{}", text(&answer));
        assert_eq!(alice.home().await, StatusCode::UNAUTHORIZED, "{claim}");
    }
    issuer.facts().claims.clear();
    issuer.facts().refusal = Some("access_denied%3Cb%3E");
    let answer = Browser::new(&api, &issuer).sign_in().await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(
        text(&answer).contains("refused the sign-in: access_denied&#60;b&#62;"),
        "{}",
        text(&answer)
    );
}

/// A token in a header and a cookie of another service do not open the portal, and a session does not open the API.
#[tokio::test(start_paused = true)]
async fn only_a_session_opens_the_portal_and_only_the_portal() {
    let (_harness, api, issuer) = world().await;
    let mut alice = Browser::new(&api, &issuer);
    alice.sign_in().await;
    let list = format!(
        "/subscriptions/{}/providers/Microsoft.BatchAI/workspaces?api-version=2018-05-01",
        names().subscription
    );
    assert_eq!(alice.get(&list).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(alice.get("/portal/../subscriptions?api-version=2018-05-01").await.status(), 404);

    let with_token = Request::get("/portal/home").header("authorization", "Bearer x");
    assert_eq!(api.send(with_token, "").await.status(), StatusCode::UNAUTHORIZED);
    let links = Api::new(&_harness.environment);
    let link =
        links.call(Method::POST, "/local/v1/portalLinks", Some(tests::api::SERVICE_TOKEN), "");
    let url = link.await.1["url"].as_str().unwrap().to_owned();
    let mut local = Browser::new(&links, &issuer);
    assert_eq!(local.get(&url.replace("http:", "https:")).await.status(), StatusCode::OK);
    let stolen = local.cookies.clone();
    local = Browser::new(&api, &issuer);
    local.cookies = stolen;
    assert_eq!(
        local.home().await,
        StatusCode::UNAUTHORIZED,
        "a session of another kind of sign-in"
    );
}

/// On a cluster with many running jobs too. What has run says how long the others take.
#[tokio::test(start_paused = true)]
async fn the_queue_says_when_a_job_starts() {
    const NODES: u32 = 100;
    let (harness, api, issuer) = world_in(Environment::with_nodes(7, NODES)).await;
    harness.put_cluster("c", &auto(0, NODES)).await;
    harness.submit(&JobSpec::new("ended", "c")).await.unwrap();
    harness.run(10).await;
    for number in 0..NODES {
        let name = format!("j{number}");
        let job = JobSpec { millis: 600_000, wall_clock: "PT1H", ..JobSpec::new(&name, "c") };
        harness.submit(&job).await.unwrap();
    }
    harness.run(10).await;
    harness.submit(&JobSpec::new("next", "c")).await.unwrap();
    harness.run(1).await;

    let mut alice = Browser::new(&api, &issuer);
    alice.sign_in().await;
    for page in ["/queue", "/experiments/e/jobs/next"] {
        let shown = alice.get(&format!("{}{page}", overview())).await;
        assert_eq!(shown.status(), StatusCode::OK);
        let text = text(&shown);
        assert!(text.contains(", at the latest <time "), "{text}");
    }
}

/// On AWS it takes minutes until a file server has its directory.
#[tokio::test(start_paused = true)]
async fn a_file_server_is_shown_before_it_has_files() {
    let (harness, api, issuer) = world().await;
    assign(&harness, "carol", model::Role::Contributor).await;
    let body = json!({"properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {"userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"}},
        "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
    }});
    let request = wire::parse_file_server_create(body.to_string().as_bytes()).unwrap();
    let control = &harness.environment.control;
    control.file_servers.put(&names(), &model::Name::new("f"), &request).await.unwrap();

    issuer.facts().subject = "carol".to_owned();
    let mut carol = Browser::new(&api, &issuer);
    carol.sign_in().await;
    let page = format!("{}/fileServers/f", overview());
    let creating = carol.get(&page).await;
    assert_eq!(creating.status(), StatusCode::OK);
    assert!(text(&creating).contains("creating"), "{}", text(&creating));
    assert!(!text(&creating).contains("data-upload"), "nothing can be uploaded yet");
    harness.environment.deliver_all().await;
    assert!(text(&carol.get(&page).await).contains("data-upload"));
}
