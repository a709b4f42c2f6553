//! Listings and links cannot leave the file server, whatever jobs and callers try.

use super::api::{VERSION, WORKSPACE, job};
use super::service::Service;
use control::keys::{Keys, Link};
use model::Uid;
use reqwest::Method;
use serde_json::json;
use std::fs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A command that leaves symbolic links to other directories in its output.
const ESCAPES: &str = "
echo fine
cd $AZ_BATCHAI_STDOUTERR_DIR
ln -s /etc escape
ln -s /etc/passwd passwd
ln -s ../../../../../../../../../../../../../../../../../../etc/passwd climbs
ln -s stdout.txt inside
mkfifo pipe
ln -s / $AZ_BATCHAI_OUTPUT_OUT/root
";

/// Text of a file outside, which no answer may have.
const OUTSIDE: &str = "root:";

async fn with_escapes() -> Service {
    let service = Service::start();
    service.prepare(1).await;
    let outputs = json!({ "outputDirectories": [
        { "id": "OUT", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs", "pathSuffix": "x" }] });
    service.submit("j", ESCAPES, outputs).await;
    service.job_in("j", "succeeded").await;
    service
}

#[tokio::test]
async fn listings_do_not_follow_links_out_of_the_file_server() {
    let service = with_escapes().await;
    let files = service.files("j", "stdouterr", ".").await;
    let names: Vec<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
    for inside in ["stdout.txt", "stderr.txt", "execution.log", "inside"] {
        assert!(names.contains(&inside), "{names:?}");
    }
    for outside in ["escape", "passwd", "climbs", "pipe"] {
        assert!(!names.contains(&outside), "{names:?}");
    }
    for (id, directory) in [
        ("stdouterr", "escape"),
        ("stdouterr", "escape/ssl"),
        ("OUT", "root"),
        ("OUT", "root/etc"),
        ("stdouterr", ".."),
        ("stdouterr", "../../../../../../../../../../../.."),
        ("stdouterr", "/etc"),
        ("stdouterr", "a/../../b"),
    ] {
        let path = format!(
            "/experiments/e/jobs/j/listOutputFiles?outputdirectoryid={id}&directory={directory}"
        );
        let answer = service.ask(Method::POST, &path, None).await;
        match answer.status {
            200 => assert_eq!(answer.body()["value"], json!([]), "{directory}"),
            _ => {
                answer.error(400);
            }
        }
    }
}

#[tokio::test]
async fn paths_with_parent_directories_are_refused() {
    let service = Service::start();
    service.prepare(1).await;
    let outputs = |suffix: &str| {
        json!({ "outputDirectories": [
            { "id": "OUT", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs", "pathSuffix": suffix }] })
    };
    let mount = |path: &str, source: &str| {
        json!({ "mountVolumes": { "fileServers": [{
            "fileServer": { "id": format!("{WORKSPACE}/fileServers/nfs") },
            "relativeMountPath": path, "sourceDirectory": source }] } })
    };
    for more in [
        outputs("../x"),
        outputs("/etc"),
        outputs("a/../../b"),
        mount("../x", "s"),
        mount("/x", "s"),
        mount("x", "../s"),
        mount("x", "a/../../s"),
        json!({ "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs/../../x" }),
    ] {
        let answer = service.put("/experiments/e/jobs/j", &job("true", more.clone())).await;
        let (_, message) = answer.error(400);
        assert!(
            message.contains("properties."),
            "the message names the field: {message} of {more}"
        );
    }
}

#[tokio::test]
async fn links_are_valid_for_one_file_and_a_limited_time() {
    let service = with_escapes().await;
    let files = service.files("j", "stdouterr", ".").await;
    let named = |name: &str| {
        let file = files.iter().find(|file| file["name"] == name).unwrap();
        file["downloadUrl"].as_str().unwrap().to_owned()
    };
    let link = named("stdout.txt");
    assert_eq!(status(&service, &link).await, 200);
    assert_eq!(service.send(service.http.get(named("inside"))).await.text, "fine\n");

    let (path, query) = link.split_once('?').unwrap();
    let (se, rest) = query.strip_prefix("se=").unwrap().split_once('&').unwrap();
    let (creator_query, signature) = rest.split_once("&sig=").unwrap();
    let expiry: i64 = se.parse().unwrap();
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    let with = |se: i64, sig: &str| format!("{path}?se={se}&{creator_query}&sig={sig}");
    for tampered in [
        path.to_owned(),
        format!("{path}?se={se}"),
        with(expiry + 1, signature),
        with(i64::MAX, signature),
        with(expiry, ""),
        with(expiry, &format!("{flipped}{}", &signature[1..])),
        link.replace("by=", "by=x"),
        link.replace("in=", "in=x"),
        link.replace("stdout.txt", "stderr.txt"),
        link.replace("stdout.txt", "execution.log"),
        link.replace("stdout.txt", "./stdout.txt"),
        link.replace("stdout.txt", "%96"), // not UTF-8
    ] {
        let is_same = tampered.contains("/./"); // the client normalizes the path
        assert_eq!(
            status(&service, &tampered).await,
            if is_same { 200 } else { 403 },
            "{tampered}"
        );
    }
    // Signed with the key of the service, but expired.
    let keys = keys(&service);
    let (server, file) = path.split_once("/files/").unwrap().1.split_once('/').unwrap();
    let server = Uid::parse(server).unwrap();
    let (creator, workspace) = creator(&service, &keys);
    for (expires_at, expected) in [(expiry, 200), (1_530_000_000, 403), (0, 403), (-1, 403)] {
        let link = Link {
            file_server: &server,
            path: file,
            expires_at,
            creator: &creator,
            workspace: &workspace,
        };
        let (se, signature) = (expires_at, keys.sign_link(&link));
        assert_eq!(status(&service, &with(se, &signature)).await, expected, "se={se}");
    }
}

/// Even a link with a valid signature cannot have a path outside the file server.
#[tokio::test]
async fn signed_paths_cannot_leave_the_file_server() {
    let service = with_escapes().await;
    let keys = keys(&service);
    let directory = service.file_server();
    let server = Uid::parse(directory.file_name().unwrap().to_str().unwrap()).unwrap();
    let job = service.job("j").await;
    let segment = job["properties"]["jobOutputDirectoryPathSegment"].as_str().unwrap();
    let inside = format!("{segment}/stdouterr/stdout.txt");
    let until = 4_000_000_000;
    let (creator, workspace) = creator(&service, &keys);
    let paths = [
        format!("{segment}/stdouterr/escape/passwd"),
        format!("{segment}/stdouterr/passwd"),
        format!("{segment}/stdouterr/climbs"),
        format!("{segment}/stdouterr/pipe"),
        format!("{segment}/stdouterr"),
        format!("{segment}/outputs/x/root/etc/passwd"),
        "../../token".to_owned(),
        "../../key".to_owned(),
        "/etc/passwd".to_owned(),
        format!("{}etc/passwd", "../".repeat(20)),
        "%2e%2e/%2e%2e/token".to_owned(),
    ];
    for path in paths.iter().chain([&inside]) {
        let link = Link {
            file_server: &server,
            path,
            expires_at: until,
            creator: &creator,
            workspace: &workspace,
        };
        let signature = keys.sign_link(&link);
        // Without a client, which would normalize the path.
        let target = format!(
            "/files/{server}/{path}?se={until}&by={creator}&in={workspace}&sig={signature}"
        );
        let answer = raw(&service, &target).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let good = head.starts_with("HTTP/1.1 200");
        assert_eq!(good, *path == inside, "{path}: {answer}");
        let secret = body.contains(OUTSIDE) || body.contains(&service.token);
        assert!(!secret, "{path}: {answer}");
    }
}

/// The creator and the workspace in links that the service's own token creates.
fn creator(service: &Service, keys: &Keys) -> (String, String) {
    let names: Vec<&str> = WORKSPACE.split('/').collect();
    (keys.fingerprint(&service.token), format!("{}/{}/{}", names[2], names[4], names[8]))
}

#[tokio::test]
async fn a_link_ends_with_the_role_of_its_creator() {
    let service = with_escapes().await;
    let batchai = |arguments: &[&str]| {
        let done = service.batchai(arguments);
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let link = async |token: &str, minutes: u32| {
        let url = format!(
            "{}{WORKSPACE}/experiments/e/jobs/j/listOutputFiles?{VERSION}&outputdirectoryid=stdouterr&linkexpiryinminutes={minutes}",
            service.endpoint
        );
        let answer = service.send(service.http.post(&url).bearer_auth(token)).await;
        let entries = answer.body()["value"].as_array().unwrap().clone();
        let entry = entries.iter().find(|entry| entry["name"] == "stdout.txt").unwrap();
        entry["downloadUrl"].as_str().unwrap().to_owned()
    };
    let expiry = |link: &str| -> i64 {
        let (_, query) = link.split_once("se=").unwrap();
        query.split_once('&').unwrap().0.parse().unwrap()
    };
    for revoked in ["role", "token"] {
        let alice = batchai(&["token", "create", "alice", "-o", "quiet"]);
        let grant = ["role", "assign", "contributor", "--to", "alice", "-w", "w", "-o", "quiet"];
        let assignment = batchai(&grant);
        let (hour, longest) = (link(&alice, 60).await, link(&alice, 600).await);
        assert!(expiry(&longest) - expiry(&hour) < 60, "an hour at most");
        assert_eq!(status(&service, &longest).await, 200);
        match revoked {
            "role" => batchai(&["role", "delete", &assignment, "-w", "w", "-y"]),
            _ => batchai(&["token", "revoke", "alice", "-y"]),
        };
        assert_eq!(status(&service, &longest).await, 403, "after the {revoked} was revoked");
        if revoked == "role" {
            batchai(&["token", "revoke", "alice", "-y"]);
        }
    }
}

async fn status(service: &Service, url: &str) -> u16 {
    service.send(service.http.get(url)).await.status
}

async fn raw(service: &Service, target: &str) -> String {
    let address = service.endpoint.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A named pipe without a writer must not block the service.
    let all = tokio::time::timeout(super::service::TIMEOUT, stream.read_to_string(&mut answer));
    all.await.unwrap().unwrap();
    answer
}

fn keys(service: &Service) -> Keys {
    let text = fs::read_to_string(service.data_dir().join("key")).unwrap();
    let text = text.trim();
    let mut master = [0; 32];
    for (index, byte) in master.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
    }
    Keys::derive(&master)
}
