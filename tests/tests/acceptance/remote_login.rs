//! The administrator's login to nodes through the service: with `batchai … exec`, and where
//! `listRemoteLoginInformation` says, with the password of the cluster. Skipped where OpenSSH is not installed.

use super::api::{WORKSPACE, cluster};
use super::service::{Service, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PASSWORD: &str = "correct horse battery";

impl Service {
    async fn logins(&self, resource: &str) -> Vec<Value> {
        let path = format!("{resource}/listRemoteLoginInformation");
        let answer = self.ask(Method::POST, &path, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body()["value"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn an_administrator_runs_commands_on_the_nodes_of_a_cluster_and_of_a_job() {
    if !Path::new("/usr/bin/ssh").exists() {
        return eprintln!("skipped: ssh is not installed");
    }
    let service = Service::start();
    service.prepare(0).await;
    let key = service.root().join("key").display().to_string();
    let mut keygen = Command::new("ssh-keygen");
    assert!(keygen.args(["-q", "-t", "rsa", "-N", "", "-f", &key]).status().unwrap().success());
    let public_key = fs::read_to_string(format!("{key}.pub")).unwrap();
    let mut body = cluster(json!({"manual": {"targetNodeCount": 2}}));
    body["properties"]["userAccountSettings"] = json!({
        "adminUserName": "alice",
        "adminUserSshPublicKey": public_key,
        "adminUserPassword": PASSWORD,
    });
    service.create("/clusters/admin", &body).await;
    let logins = until("the logins", async || {
        let listed = service.logins("/clusters/admin").await;
        (listed.len() == 2).then_some(listed)
    })
    .await;
    let second = logins[1]["nodeId"].as_str().unwrap();

    let exec = |resource: &str, name: &str, more: &[&str]| {
        let Output { status, stdout, stderr } =
            service.batchai(&[&[resource, "exec", name, "-i", &key], more].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&stdout), status.code(), text(&stderr))
    };
    let where_am_i = "echo $SSH_CONNECTION | cut -d' ' -f3";
    let line = format!("{where_am_i}; exit 4");
    let (text, code, errors) = exec("cluster", "admin", &["--node", second, "--", &line]);
    let address = logins[1]["ipAddress"].as_str().unwrap();
    assert_eq!((text.trim(), code), (address, Some(4)), "{errors}");
    let (_, code, errors) = exec("cluster", "admin", &["--node", "tvm-none", "--", "true"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("admin has no node tvm-none that accepts logins"), "{errors}");

    let more = json!({"cluster": {"id": format!("{WORKSPACE}/clusters/admin")}});
    service.submit("train", "sleep 1000", more).await;
    service.job_in("train", "running").await;
    let (text, code, errors) = exec("job", "train", &["--", where_am_i]);
    let [login] = &service.logins("/experiments/e/jobs/train").await[..] else { panic!("one") };
    assert_eq!((text.trim(), code), (login["ipAddress"].as_str().unwrap(), Some(0)), "{errors}");

    with_password(&service, &logins[0]);
}

fn with_password(service: &Service, login: &Value) {
    let ask = service.root().join("ask");
    for (password, expected) in [(PASSWORD, "in\n"), ("wrong", "")] {
        fs::write(&ask, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).unwrap();
        let output = Command::new("ssh")
            .args(["-F", "none", "-o", "UserKnownHostsFile=/dev/null", "-o"])
            .args(["StrictHostKeyChecking=no", "-o", "NumberOfPasswordPrompts=1", "-o"])
            .args(["PubkeyAuthentication=no", "-l", "alice", "-p"])
            .args([&login["port"].to_string(), login["ipAddress"].as_str().unwrap(), "echo in"])
            .env("SSH_ASKPASS", &ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{password} {output:?}");
    }
}
