//! Files of file servers over HTTP: whole uploads, and what is refused.

use crate::roles::{caller, code};
use http::{Method, Request, StatusCode};
use model::{Role, Scope, limits};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use tests::api::{Api, SERVICE_TOKEN};
use tests::harness::{Harness, names};

const SERVER: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/fileServers/f";
const VERSION: &str = "api-version=2018-05-01";

struct Fixture {
    harness: Harness,
    api: Api,
    /// The directory of the file server.
    share: PathBuf,
}

struct Answer {
    status: StatusCode,
    offset: Option<u64>,
    body: Value,
}

impl Fixture {
    async fn start() -> Self {
        let harness = Harness::new(1).await;
        let api = Api::new(&harness.environment);
        let body = json!({"properties": {
            "vmSize": "STANDARD_D1",
            "sshConfiguration": {
                "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"}
            },
            "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
        }});
        let path = format!("{SERVER}?{VERSION}");
        let (status, answer) =
            api.call(Method::PUT, &path, Some(SERVICE_TOKEN), &body.to_string()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        harness.environment.deliver_all().await;
        let root = harness.environment.control.context.settings.file_server_root.clone().unwrap();
        let share = std::fs::read_dir(root).unwrap().next().unwrap().unwrap().path();
        Self { harness, api, share }
    }

    async fn ask(&self, method: Method, action: &str, query: &str, body: &str) -> (u16, Value) {
        let path = format!("{SERVER}/{action}?{VERSION}{query}");
        let (status, body) = self.api.call(method, &path, Some(SERVICE_TOKEN), body).await;
        (status.as_u16(), body)
    }

    async fn list(&self, query: &str) -> (u16, Value) {
        self.ask(Method::POST, "listFiles", query, "").await
    }

    async fn begin(&self, path: &str, content: &[u8]) -> String {
        self.begin_with(path, content.len(), &hex::encode(Sha256::digest(content))).await
    }

    async fn begin_with(&self, path: &str, length: usize, sha256: &str) -> String {
        let file = json!({ "path": path, "length": length, "sha256": sha256 });
        let body = json!({ "files": [file] }).to_string();
        let (status, answer) = self.ask(Method::POST, "beginUploads", "", &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["value"][0]["path"], path);
        answer["value"][0]["uploadUrl"].as_str().unwrap().to_owned()
    }

    /// A request to a link, without a token.
    async fn send(&self, method: Method, link: &str, offset: Option<u64>, body: &[u8]) -> Answer {
        let path = link.strip_prefix("http://127.0.0.1").unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if let Some(offset) = offset {
            request = request.header("upload-offset", offset);
        }
        let answer = self.api.send(request, body.to_vec()).await;
        let offset = answer.headers().get("upload-offset");
        Answer {
            status: answer.status(),
            offset: offset.map(|it| it.to_str().unwrap().parse().unwrap()),
            body: serde_json::from_slice(answer.body()).unwrap_or_default(),
        }
    }

    /// Uploads a small file.
    async fn put(&self, path: &str, content: &[u8]) {
        let link = self.begin(path, content).await;
        assert_eq!(self.send(Method::PATCH, &link, Some(0), content).await.status, 204);
        let finished = self.send(Method::POST, &link, None, b"").await;
        assert_eq!((finished.status.as_u16(), &finished.body), (200, &json!({"complete": true})));
    }
}

fn entries(body: &Value) -> Vec<&str> {
    body["value"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_uploaded_listed_downloaded_and_removed() {
    let fixture = Fixture::start().await;
    let content: Vec<u8> = (0..limits::UPLOAD_CHUNK_BYTES + 5).map(|at| (at % 251) as u8).collect();
    let (first, second) = content.split_at(limits::UPLOAD_CHUNK_BYTES);
    let link = fixture.begin("data/weights of a model.bin", &content).await;
    let head = fixture.send(Method::HEAD, &link, None, b"").await;
    assert_eq!((head.status.as_u16(), head.offset), (200, Some(0)));
    let written = fixture.send(Method::PATCH, &link, Some(0), first).await;
    assert_eq!((written.status.as_u16(), written.offset), (204, Some(first.len() as u64)));
    let repeated = fixture.send(Method::PATCH, &link, Some(0), first).await;
    assert_eq!(repeated.status, 409, "{}", repeated.body);
    assert_eq!(repeated.offset, Some(first.len() as u64));
    assert_eq!(code(&repeated.body), "UploadOffsetMismatch");
    assert_eq!(entries(&fixture.list("").await.1), [""; 0], "nothing is visible before the end");

    // Another link for the same file continues.
    let link = fixture.begin("data/weights of a model.bin", &content).await;
    let head = fixture.send(Method::HEAD, &link, None, b"").await;
    assert_eq!(head.offset, Some(first.len() as u64));
    let written = fixture.send(Method::PATCH, &link, Some(first.len() as u64), second).await;
    assert_eq!(written.status, 204);
    let finished = fixture.send(Method::POST, &link, None, b"").await;
    assert_eq!(finished.body, json!({"complete": true}));
    assert!(std::fs::read(fixture.share.join("data/weights of a model.bin")).unwrap() == content);

    assert_eq!(entries(&fixture.list("").await.1), ["data"], "not what the service uses itself");
    let (_, listed) = fixture.list("&directory=data").await;
    assert_eq!(entries(&listed), ["weights of a model.bin"]);
    let download = listed["value"][0]["downloadUrl"].as_str().unwrap();
    let digest = fixture.send(Method::GET, &format!("{download}&digest="), None, b"").await;
    let expected = hex::encode(Sha256::digest(&content));
    assert_eq!(digest.body, json!({"length": content.len(), "sha256": expected}));

    let (status, answer) = fixture.ask(Method::DELETE, "files", "&path=data", "").await;
    assert_eq!((status, code(&answer)), (409, "PathIsDirectory"));
    let remove = async |query| fixture.ask(Method::DELETE, "files", query, "").await;
    assert_eq!(remove("&path=data&recursive=true").await.0, 204);
    let (status, answer) = remove("&path=data&recursive=true").await;
    assert_eq!((status, code(&answer)), (404, "FileNotFound"));
    let (status, answer) = fixture.list("&directory=data").await;
    assert_eq!((status, code(&answer)), (404, "DirectoryNotFound"));
}

#[tokio::test]
async fn a_wrong_checksum_stores_nothing() {
    let fixture = Fixture::start().await;
    let link = fixture.begin_with("a", 3, &"0".repeat(64)).await;
    fixture.send(Method::PATCH, &link, Some(0), b"abc").await;
    let refused = fixture.send(Method::POST, &link, None, b"").await;
    assert_eq!((refused.status.as_u16(), code(&refused.body)), (409, "ChecksumMismatch"));
    assert_eq!(entries(&fixture.list("").await.1), [""; 0]);
    let head = fixture.send(Method::HEAD, &link, None, b"").await;
    assert_eq!(head.offset, Some(0), "the upload was removed");
}

#[tokio::test]
async fn chunks_have_a_limit() {
    let fixture = Fixture::start().await;
    let chunk = vec![0; limits::UPLOAD_CHUNK_BYTES + 1];
    let link = fixture.begin("a", &chunk).await;
    let refused = fixture.send(Method::PATCH, &link, Some(0), &chunk).await;
    assert_eq!((refused.status.as_u16(), code(&refused.body)), (413, "RequestTooLarge"));
    let beyond = fixture.send(Method::PATCH, &link, Some(chunk.len() as u64), b"x").await;
    assert_eq!((beyond.status.as_u16(), code(&beyond.body)), (400, "UploadTooLong"));
    let none = fixture.send(Method::PATCH, &link, None, b"x").await;
    assert_eq!((none.status.as_u16(), code(&none.body)), (400, "InvalidUploadOffset"));
    let early = fixture.send(Method::POST, &link, None, b"").await;
    assert_eq!((early.status.as_u16(), code(&early.body)), (409, "UploadIncomplete"));
    let other = fixture.send(Method::PUT, &link, None, b"").await;
    assert_eq!(other.status, 405);
}

#[tokio::test]
async fn a_link_is_for_one_file_one_content_and_one_use() {
    let fixture = Fixture::start().await;
    fixture.put("a", b"abc").await;
    let link = fixture.begin("b", b"abc").await;
    let (_, listed) = fixture.list("").await;
    let download = listed["value"][0]["downloadUrl"].as_str().unwrap();
    for forged in [
        link.replace("/b?", "/c?"),
        link.replace("length=3", "length=4"),
        link.replace("executable=false", "executable=true"),
        link.replace("sha256=", "sha256=0"),
        link.replace("se=", "se=1"),
        link.replace("in=s/g/w", "in=s/g/v"),
        // The signature of a download is none for an upload.
        link.split_once("sig=").unwrap().0.to_owned()
            + &format!("sig={}", download.split_once("sig=").unwrap().1),
        format!("{link}&check=3.0.1.2.3.4.5.6.7.8~x"),
    ] {
        let method = if forged.contains("check") { Method::POST } else { Method::HEAD };
        if forged.contains("check") {
            fixture.send(Method::PATCH, &link, Some(0), b"abc").await;
        }
        assert_eq!(fixture.send(method, &forged, None, b"").await.status, 403, "{forged}");
    }
    let digest = format!("{download}&digest=3.0.1.2.3.4.5.6.7.8~x");
    assert_eq!(fixture.send(Method::GET, &digest, None, b"").await.status, 403);
    fixture.harness.environment.clock.advance_millis(3_600_000);
    assert_eq!(fixture.send(Method::HEAD, &link, None, b"").await.status, 403, "expired");
}

/// Every operation is called by everybody in `roles`; this is what their links are worth.
#[tokio::test]
async fn a_link_ends_with_the_role_of_its_creator() {
    let fixture = Fixture::start().await;
    let scope = Scope::from(&names());
    let who = caller(&fixture.harness, "writer", Some(Role::Contributor), scope.clone()).await;
    let body = json!({ "files": [{ "path": "a", "length": 3, "sha256": "0".repeat(64) }] });
    let path = format!("{SERVER}/beginUploads?{VERSION}");
    let token = Some(who.token.as_str());
    let (_, answer) = fixture.api.call(Method::POST, &path, token, &body.to_string()).await;
    let link = answer["value"][0]["uploadUrl"].as_str().unwrap();
    assert_eq!(fixture.send(Method::PATCH, link, Some(0), b"a").await.status, 204);
    let control = &fixture.harness.environment.control;
    for assignment in control.roles.list(&scope).await.unwrap() {
        control.roles.delete(&scope, &assignment.id).await.unwrap();
    }
    assert_eq!(fixture.send(Method::PATCH, link, Some(1), b"b").await.status, 403);
}

#[tokio::test]
async fn paths_cannot_leave_the_file_server() {
    let fixture = Fixture::start().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), fixture.share.join("out")).unwrap();
    for path in ["../x", "a/../../x", "/etc/x", "", ".", ".batchai-temp/x", "a\u{0}b"] {
        let file = json!({ "path": path, "length": 1, "sha256": "0".repeat(64) });
        let body = json!({ "files": [file] }).to_string();
        let (status, answer) = fixture.ask(Method::POST, "beginUploads", "", &body).await;
        assert_eq!(status, 400, "{path:?}: {answer}");
    }
    for query in ["&path=../x", "&path=/etc", "&path=", "&path=.batchai-temp", ""] {
        let (status, answer) = fixture.ask(Method::DELETE, "files", query, "").await;
        assert_eq!(status, 400, "{query}: {answer}");
    }
    for directory in ["..", "a/../..", "/etc", ".batchai-temp"] {
        assert_eq!(fixture.list(&format!("&directory={directory}")).await.0, 400, "{directory}");
    }
    let link = fixture.begin("out/x", b"x").await;
    let refused = fixture.send(Method::PATCH, &link, Some(0), b"x").await;
    assert_eq!((refused.status.as_u16(), code(&refused.body)), (409, "PathNotDirectory"));
    assert_eq!(fixture.list("&directory=out").await.0, 404);
    let remove = fixture.ask(Method::DELETE, "files", "&path=out/secret", "").await;
    assert_eq!(remove.0, 404);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_directory_is_listed_in_pages() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c"] {
        fixture.put(name, name.as_bytes()).await;
    }
    let (_, first) = fixture.list("&maxresults=2").await;
    assert_eq!(entries(&first), ["a", "b"]);
    let next = first["nextLink"].as_str().unwrap();
    let (_, second) = fixture.api.call(Method::POST, next, Some(SERVICE_TOKEN), "").await;
    assert_eq!((entries(&second), second.get("nextLink")), (vec!["c"], None));
}
