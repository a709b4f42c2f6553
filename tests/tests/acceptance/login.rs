//! `batchai login`, profiles, and what sends which token where.

use super::issuer::Issuer;
use super::processes;
use super::service::TIMEOUT;
use serde_json::{Value, json};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A user with a home directory.
struct User {
    home: TempDir,
}

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// `batchai` with the home directory of the user and nothing else from the environment of the tests.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tests::binaries::build("batchai"));
        command.env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        command.args(arguments).stdin(Stdio::null());
        command
    }

    async fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
        let mut command = self.program(arguments);
        command.envs(variables.iter().copied());
        // The server of the test runs on this thread.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Outcome { code: output.status.code(), stdout, stderr }
    }

    async fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(&[], arguments).await
    }

    #[track_caller]
    fn file(&self) -> PathBuf {
        self.home.path().join(".config/batchai/profiles.json")
    }

    fn stored(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    /// Signs in with the issuer, which is the service too.
    async fn login(&self, issuer: &Issuer, more: &[&str]) -> Outcome {
        let url = issuer.url.as_str();
        let login = ["login", "--endpoint", url, "--issuer", url, "--client-id", "cli"];
        self.run(&[&login[..], more].concat()).await
    }
}

impl Outcome {
    #[track_caller]
    fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn failed_with(self, text: &str) -> Self {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
        self
    }

    #[track_caller]
    fn shows_no_token_of(self, issuer: &Issuer) -> Self {
        for token in &issuer.facts().given {
            let is_shown = self.stdout.contains(token) || self.stderr.contains(token);
            assert!(!is_shown, "{token} is in: {}{}", self.stdout, self.stderr);
        }
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_flow_stores_a_session_that_commands_use() {
    let (issuer, user) = (Issuer::start().await, User::new());
    issuer.facts().refusals = ["authorization_pending", "slow_down"].into();
    let outcome = user.login(&issuer, &["-w", "lab", "--verbose"]).await.succeeded();
    let outcome = outcome.shows_no_token_of(&issuer);
    for text in ["WDJB-MJHT", "/activate?code=", "Stored profile default", "Signed in to"] {
        assert!(outcome.stderr.contains(text), "{text} is not in: {}", outcome.stderr);
    }
    {
        let facts = issuer.facts();
        assert_eq!(facts.asked["scope"], "openid offline_access");
        let [first, second, third] = facts.polls[..] else { panic!("{:?}", facts.polls) };
        assert!(second - first < Duration::from_secs(4), "pending keeps the interval");
        assert!(third - second >= Duration::from_secs(5), "slow_down makes it longer");
        // Without an audience: the ID token.
        assert_eq!(facts.received, [facts.given[0].clone()]);
    }
    assert_eq!(fs::metadata(user.file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(user.stored()["default"], "default");
    assert_eq!(user.stored()["profiles"]["default"]["scope"], json!({ "workspace": "lab" }));

    user.run(&["-v", "cluster", "list"]).await.succeeded().shows_no_token_of(&issuer);
    assert_eq!(issuer.facts().received.len(), 2);
    for command in
        [&["profile", "list"][..], &["profile", "show"], &["profile", "show", "-o", "json"]]
    {
        let shown = user.run(command).await.succeeded().shows_no_token_of(&issuer);
        assert!(shown.stdout.contains("default"), "{}", shown.stdout);
    }
    let token = user.run(&["profile", "token"]).await.succeeded().stdout;
    assert_eq!(token.trim(), issuer.facts().given[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audience_selects_the_access_token_and_a_refused_one_is_explained() {
    let (issuer, user) = (Issuer::start().await, User::new());
    user.login(&issuer, &["--audience", "the-api", "--scope", "openid"]).await.succeeded();
    {
        let facts = issuer.facts();
        assert_eq!((&*facts.asked["audience"], &*facts.asked["scope"]), ("the-api", "openid"));
        assert_eq!(facts.received, [facts.given[1].clone()]);
    }
    let other = Issuer::start().await;
    let arguments = ["login", "--profile", "b", "--endpoint", &other.url, "--issuer", &issuer.url];
    let outcome = user.run(&[&arguments[..], &["--client-id", "cli"]].concat()).await;
    let outcome = outcome.failed_with("signature or audience").shows_no_token_of(&issuer);
    assert!(outcome.stderr.contains("its audience cli"), "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_once_renew_a_token_once() {
    let (issuer, user) = (Issuer::start().await, User::new());
    issuer.facts().lifetime_seconds = 5;
    user.login(&issuer, &["-w", "lab"]).await.succeeded();
    issuer.facts().lifetime_seconds = 3600;
    let refreshes = issuer.facts().refreshes;
    let commands = [(); 6].map(|()| {
        let mut command = user.program(&["cluster", "list"]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    });
    for output in commands {
        let output = output.await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let facts = issuer.facts();
    assert_eq!(facts.refreshes, refreshes + 1);
    assert!(!facts.session_ended, "a refresh token was used twice");
    let stored = user.stored()["profiles"]["default"]["signIn"]["tokens"]["refresh"].clone();
    assert_eq!(Some(&stored), facts.given.last().map(|it| json!(it)).as_ref());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_asks_for_a_new_sign_in() {
    let (issuer, user) = (Issuer::start().await, User::new());
    issuer.facts().lifetime_seconds = -1;
    user.login(&issuer, &["-w", "lab"]).await;
    issuer.facts().session_ended = true;
    let outcome = user.run(&["cluster", "list"]).await;
    let outcome = outcome.failed_with("Run: batchai login --profile default");
    outcome.shows_no_token_of(&issuer);
    issuer.facts().session_ended = false;
    issuer.facts().lifetime_seconds = 3600;
    // The settings of the profile are enough.
    user.run(&["login"]).await.succeeded();
    user.run(&["cluster", "list"]).await.succeeded();

    user.run(&["logout"]).await.succeeded();
    assert!(issuer.facts().session_ended, "the session was revoked");
    assert!(user.stored()["profiles"]["default"]["signIn"]["tokens"].is_null());
    user.run(&["cluster", "list"]).await.failed_with("is not signed in. Run: batchai login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_does_not_succeed_stores_nothing() {
    let (issuer, user) = (Issuer::start().await, User::new());
    for (error, text) in [
        ("access_denied", "denied"),
        ("expired_token", "the code has expired"),
        ("server_error", "does not complete the sign-in"),
    ] {
        issuer.facts().refusals = [error].into();
        user.login(&issuer, &[]).await.failed_with(text);
        assert!(!user.file().exists(), "{error}");
    }
    user.run(&["login", "--endpoint", &issuer.url]).await.failed_with("no issuer given");
    let plain = ["login", "--endpoint", "http://api.example", "--issuer", &issuer.url];
    let outcome = user.run(&[&plain[..], &["--client-id", "cli"]].concat()).await;
    outcome.failed_with("must be an https:// URL");
    assert!(!user.file().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_sign_in() {
    let (issuer, user) = (Issuer::start().await, User::new());
    issuer.facts().refusals = std::iter::repeat_n("authorization_pending", 1000).collect();
    let url = issuer.url.clone();
    let login = ["login", "--endpoint", &url, "--issuer", &url, "--client-id", "cli"];
    let mut child = user.program(&login).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while issuer.facts().polls.is_empty() {
        assert!(begin.elapsed() < TIMEOUT, "the sign-in did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    processes::signal(child.id(), "INT");
    let status = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    });
    let (code, text) = status.await.unwrap();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("Nothing was stored"), "{text}");
    assert!(!user.file().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_command_gives_the_token() {
    let (service, user) = (Issuer::start().await, User::new());
    let count = user.home.path().join("count");
    let command = format!("echo run >> '{}'; echo hello >&2; echo good-1", count.display());
    let login = ["login", "--endpoint", &service.url, "--token-command", &command];
    user.run(&login).await.succeeded();
    let outcome = user.run(&["group", "list"]).await.succeeded();
    assert!(outcome.stderr.contains("hello"), "stderr is passed through: {}", outcome.stderr);
    assert_eq!(service.facts().received, ["good-1", "good-1"]);
    assert_eq!(fs::read_to_string(&count).unwrap(), "run\n".repeat(2), "once per process");
    user.run(&["login", "--token-command", "echo oops >&2; exit 3"]).await;
    let outcome = user.run(&["group", "list"]).await;
    let outcome = outcome.failed_with("the token command failed (exit status: 3): echo oops");
    assert!(outcome.stderr.contains("oops\n"), "{}", outcome.stderr);
    user.run(&["logout"]).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_come_before_variables_and_variables_before_the_profile() {
    let (a, b, user) = (Issuer::start().await, Issuer::start().await, User::new());
    for (name, issuer) in [("a", &a), ("b", &b)] {
        let command = format!("echo good-{name}");
        let login = ["login", "--profile", name, "--endpoint", &issuer.url, "-w", name];
        user.run(&[&login[..], &["--token-command", &command]].concat()).await.succeeded();
    }
    let received = || {
        let take = |issuer: &Issuer| std::mem::take(&mut issuer.facts().received);
        (take(&a), take(&b))
    };
    received();
    let (of_a, of_b) = (vec!["good-a".to_owned()], vec!["good-b".to_owned()]);
    let list = ["group", "list"];
    // The first profile is the default one.
    user.run(&list).await.succeeded();
    assert_eq!(received(), (of_a.clone(), vec![]));
    user.run_with(&[("BATCHAI_PROFILE", "b")], &list).await.succeeded();
    assert_eq!(received(), (vec![], of_b.clone()));
    let both = ["--profile", "a", "group", "list"];
    user.run_with(&[("BATCHAI_PROFILE", "b")], &both).await.succeeded();
    assert_eq!(received(), (of_a.clone(), vec![]));
    user.run(&["profile", "use", "b"]).await.succeeded();
    user.run(&list).await.succeeded();
    assert_eq!(received(), (vec![], of_b));

    // The token of a profile goes to its endpoint only.
    let elsewhere = ["--endpoint", &a.url, "group", "list"];
    user.run(&elsewhere).await.failed_with("batchai login");
    assert_eq!(received(), (vec![], vec![]));
    user.run_with(&[("BATCHAI_TOKEN", "good-t")], &elsewhere).await.succeeded();
    assert_eq!(received(), (vec!["good-t".to_owned()], vec![]));
    let foreign = [("BATCHAI_ENDPOINT", a.url.as_str())];
    let outcome = user.run_with(&foreign, &["--profile", "b", "group", "list"]).await;
    outcome.failed_with("the token of profile b is for");

    // A data directory selects the local service, which does not run.
    let local = ["--data-dir", "/nonexistent", "--endpoint", "http://127.0.0.1:9"];
    for outcome in [
        user.run(&[&local[..], &list].concat()).await,
        user.run_with(&[("BATCHAI_PROFILE", "b")], &[&local[..], &list].concat()).await,
    ] {
        outcome.failed_with("no service has run in the data directory /nonexistent");
    }
    let local = ["--profile", "local", "--endpoint", "http://127.0.0.1:9"];
    let outcome = user.run(&[&local[..], &list].concat()).await;
    outcome.failed_with("cannot connect to http://127.0.0.1:9");
    assert_eq!(received(), (vec![], vec![]));
    let unknown = user.run(&["--profile", "c", "group", "list"]).await;
    unknown.failed_with(r#"there is no profile "c". Known profiles: a, b"#);
    user.run(&["profile", "remove", "b", "--yes"]).await.succeeded();
    user.run(&["--profile", "b", "group", "list"]).await.failed_with("Known profiles: a");
}
