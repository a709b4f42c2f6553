//! The portal of the real binary: sessions over HTTP, and its pages in a real browser.

use super::service::{Service, until};
use http::StatusCode;
use http::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tests::browser;

const TIMEOUT: Duration = Duration::from_secs(240);

const OVERVIEW: &str = "/portal/workspaces/00000000-0000-0000-0000-000000000000/g/w";

/// A browser without a screen: it keeps its cookie.
struct Visitor<'a> {
    service: &'a Service,
    cookie: String,
}

impl<'a> Visitor<'a> {
    async fn sign_in(service: &'a Service, token: &str) -> Self {
        let answer = visit(service, &link(service, token).await, "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        for attribute in ["; Path=/portal;", "; HttpOnly;", "; SameSite=Strict"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let cookie = cookie.split(';').next().unwrap().to_owned();
        assert!(!cookie.contains(token), "{cookie}");
        Self { service, cookie }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        visit(self.service, &format!("{}{path}", self.service.endpoint), &self.cookie).await
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    async fn post(&self, path: &str, origin: Option<&str>, form: &str) -> reqwest::Response {
        let client = without_redirections();
        let mut request = client
            .post(format!("{}{path}", self.service.endpoint))
            .header(COOKIE, &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        request.send().await.unwrap()
    }
}

fn without_redirections() -> reqwest::Client {
    let client = tls::Servers::WithoutTls.client().redirect(reqwest::redirect::Policy::none());
    client.timeout(super::service::TIMEOUT).build().unwrap()
}

async fn visit(service: &Service, url: &str, cookie: &str) -> reqwest::Response {
    service.http.get(url).header(COOKIE, cookie).send().await.unwrap()
}

/// A new link that signs in with a token.
async fn link(service: &Service, token: &str) -> String {
    let url = format!("{}/local/v1/portalLinks", service.endpoint);
    let answer = service.http.post(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let body: serde_json::Value = answer.json().await.unwrap();
    body["url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_signs_in_once_and_a_session_ends_with_its_token() {
    let service = Service::start();
    service.prepare(1).await;
    let created = service.batchai(&["token", "create", "eve", "-o", "name"]);
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();

    let link = link(&service, &token).await;
    let first = visit(&service, &link, "").await;
    assert_eq!(first.status(), StatusCode::OK);
    let again = visit(&service, &link, "").await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert!(again.headers().get(SET_COOKIE).is_none());
    let nobody = visit(&service, &format!("{}/portal/home", service.endpoint), "").await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert!(nobody.text().await.unwrap().contains("batchai portal"));

    // A session has the rights of its token, and no others.
    let visitor = Visitor::sign_in(&service, &token).await;
    assert_eq!(visitor.get(OVERVIEW).await.status(), StatusCode::FORBIDDEN);
    assert!(
        service.batchai(&["role", "assign", "reader", "--to", "eve", "-w", "w"]).status.success()
    );
    assert!(visitor.text(OVERVIEW).await.contains("Clusters"));
    let revoked = service.batchai(&["token", "revoke", "eve", "--yes"]);
    assert!(revoked.status.success());
    assert_eq!(visitor.get(OVERVIEW).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn changes_come_from_the_portal_itself_and_need_the_role() {
    let service = Service::start();
    service.prepare(1).await;
    let owner = Visitor::sign_in(&service, &service.token).await;
    let created = service.batchai(&["token", "create", "rita", "-o", "name"]);
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    assert!(
        service.batchai(&["role", "assign", "reader", "--to", "rita", "-w", "w"]).status.success()
    );
    let reader = Visitor::sign_in(&service, &token).await;

    let scale = format!("{OVERVIEW}/clusters/c/scale");
    let own = Some(service.endpoint.as_str());
    let form = "kind=manual&target=0";
    for origin in [None, Some("http://127.0.0.1:1"), Some("null")] {
        let refused = owner.post(&scale, origin, form).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin:?}");
    }
    assert_eq!(reader.post(&scale, own, form).await.status(), StatusCode::FORBIDDEN);
    assert!(
        service.get("/clusters/c").await["properties"]["scaleSettings"]["autoScale"].is_object()
    );
    let done = owner.post(&scale, own, form).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(done.headers()[LOCATION], format!("{OVERVIEW}/clusters/c"));
    let settings = service.get("/clusters/c").await["properties"]["scaleSettings"].clone();
    assert_eq!(settings["manual"]["targetNodeCount"], 0);
    let cluster = format!("{OVERVIEW}/clusters/c");
    assert!(owner.text(&cluster).await.contains("Keep this number"));
    assert!(!reader.text(&cluster).await.contains("Keep this number"));
}

#[tokio::test]
async fn pages_have_strict_headers_and_updates_only_what_changed() {
    let service = Service::start();
    service.prepare(1).await;
    let visitor = Visitor::sign_in(&service, &service.token).await;
    let page = visitor.get(OVERVIEW).await;
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-frame-options"), "DENY");
    let text = page.text().await.unwrap();
    let start = text.find("/portal/assets/portal.").unwrap();
    let script = &text[start..][..text[start..].find('"').unwrap()];
    let asset = visit(&service, &format!("{}{script}", service.endpoint), "").await;
    assert!(asset.headers()["cache-control"].to_str().unwrap().contains("immutable"));

    let update = |tag: String| {
        let url = format!("{}{OVERVIEW}", service.endpoint);
        let request = service.http.get(url).header(COOKIE, &visitor.cookie);
        request.header("hx-request", "true").header("hx-ptag", tag).send()
    };
    // The first node becomes ready meanwhile.
    let tag = until("nothing changes", async || {
        let changed = update(String::new()).await.unwrap();
        assert_eq!(changed.status(), StatusCode::OK);
        let tag = changed.headers()["hx-ptag"].to_str().unwrap().to_owned();
        assert!(!changed.text().await.unwrap().contains("<html"));
        let unchanged = update(tag.clone()).await.unwrap().status() == StatusCode::NOT_MODIFIED;
        unchanged.then_some(tag)
    })
    .await;
    assert!(service.batchai(&["cluster", "resize", "c", "--target", "0"]).status.success());
    assert_eq!(update(tag).await.unwrap().status(), StatusCode::OK);
}

/// Signs in, follows jobs live, changes what an owner may change, as a person does; and tries what a stranger would.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_every_page() {
    let Some(browser) = browser::installed() else {
        eprintln!("skipped: no Chromium is installed");
        return;
    };
    let service = Service::start_with(&["--max-nodes", "2"]);
    service.prepare(1).await;
    let markup = "<img src=x onerror=alert(1)>";
    let print = format!(
        "echo '{markup}'; echo '{{\"step\":1,\"loss\":0.5}}'; echo '{{\"step\":2,\"loss\":0.25}}'"
    );
    let parameters = json!([{ "name": "lr", "value": markup }]);
    let environment = json!({
        "environmentVariables": [{ "name": "MARKUP", "value": markup }],
        "extensions": { "sweep": { "name": "s", "parameters": parameters } },
    });
    service.submit("hostile", &print, environment.clone()).await;
    service.submit("failing", &format!("{print}; echo '{markup}' >&2; exit 3"), environment).await;
    service.submit("slow", "sleep 600", json!({})).await;
    service.submit("waiting", "true", json!({})).await;
    until("the third job runs", async || {
        let job = service.job("slow").await;
        (job["properties"]["executionState"] == "running").then_some(())
    })
    .await;
    let created = service.batchai(&["token", "create", "rita", "-o", "name"]);
    let reader = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    assert!(
        service.batchai(&["role", "assign", "reader", "--to", "rita", "-w", "w"]).status.success()
    );
    let variables = [
        ("BATCHAI_TEST_WORKSPACE", format!("{}{OVERVIEW}", service.endpoint)),
        ("BATCHAI_TEST_LINK", link(&service, &service.token).await),
        ("BATCHAI_TEST_READER_LINK", link(&service, &reader).await),
    ];
    browser::run(browser, "portal.py", &variables, service.root(), TIMEOUT).await;
    let job = service.job("slow").await;
    assert_ne!(job["properties"]["executionState"], "running", "the browser terminated it");
}

/// A run whose metrics depend on its parameter `lr`.
const TRAINING: &str = r#"for i in $(seq 1 20); do awk -v i=$i -v l=$BATCHAI_PARAM_lr 'BEGIN { printf "{\"step\":%d,\"loss\":%.4f,\"accuracy\":%.4f}\n", i, exp(-i*l)+0.1*l, 1-exp(-i*l) }'; sleep 0.2; done"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the pictures of the README"]
async fn write_pictures() {
    let browser = browser::installed().expect("Chromium");
    let service = Service::start_with(&["--max-nodes", "2"]);
    service.prepare(2).await;
    let file = service.root().join("train.json");
    let job = json!({ "properties": {
        "nodeCount": 1,
        "customToolkitSettings": { "commandLine": TRAINING },
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
    }});
    std::fs::write(&file, job.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let sweep = [
        "sweep",
        "-f",
        file,
        "-c",
        "c",
        "-n",
        "lr",
        "--param",
        "lr=0.05,0.1,0.2,0.5",
        "--metric",
        "loss",
    ];
    assert!(service.batchai(&sweep).status.success());
    until("every run has ended", async || {
        let jobs = service.get("/experiments/e/jobs").await["value"].clone();
        let jobs = jobs.as_array().unwrap();
        jobs.iter().all(|job| job["properties"]["executionState"] == "succeeded").then_some(())
    })
    .await;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let variables = [
        ("BATCHAI_TEST_WORKSPACE", format!("{}{OVERVIEW}", service.endpoint)),
        ("BATCHAI_TEST_LINK", link(&service, &service.token).await),
        ("BATCHAI_TEST_PICTURES", docs.display().to_string()),
    ];
    browser::run(browser, "portal_pictures.py", &variables, service.root(), TIMEOUT).await;
}
