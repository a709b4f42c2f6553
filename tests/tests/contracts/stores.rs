//! Ports on AWS against moto: file shares, copies of large files and secrets.

use async_trait::async_trait;
use aws::{AwsSecretStore, EfsShares, S3Copies};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use control::directories::DiskDirectories;
use control::ports::{
    Copied, DownloadCopies, FileShares, Ids, LargeFile, SecretError, SecretStore,
};
use control::secrets::NoSecretStore;
use control::system::{RandomIds, SystemClock};
use model::{FileShare, Uid};
use std::sync::Arc;
use std::time::Duration;
use tests::moto::Moto;

/// What the tests of file shares need to know of an implementation.
#[async_trait]
trait SharesFixture {
    fn shares(&self) -> &dyn FileShares;
    fn directory(&self, file_server: &Uid) -> std::path::PathBuf;
    async fn access_points(&self) -> usize;
}

struct OnDisk {
    root: tempfile::TempDir,
    shares: DiskDirectories,
}

#[async_trait]
impl SharesFixture for OnDisk {
    fn shares(&self) -> &dyn FileShares {
        &self.shares
    }

    fn directory(&self, file_server: &Uid) -> std::path::PathBuf {
        self.root.path().join(file_server.as_str())
    }

    async fn access_points(&self) -> usize {
        0
    }
}

struct OnEfs {
    root: tempfile::TempDir,
    client: aws_sdk_efs::Client,
    file_system: String,
    shares: EfsShares,
}

#[async_trait]
impl SharesFixture for OnEfs {
    fn shares(&self) -> &dyn FileShares {
        &self.shares
    }

    fn directory(&self, file_server: &Uid) -> std::path::PathBuf {
        self.root.path().join(file_server.as_str())
    }

    async fn access_points(&self) -> usize {
        let request = self.client.describe_access_points().file_system_id(&self.file_system);
        request.send().await.unwrap().access_points().len()
    }
}

/// Create twice, remove twice, keep twice. `per_share`: access points of one share.
async fn check_shares(fixture: &dyn SharesFixture, per_share: usize) {
    let (one, other) = (RandomIds.uid(), RandomIds.uid());
    let share = fixture.shares().create(&one).await.unwrap();
    assert_eq!(share.is_directory(), per_share == 0, "{share:?}");
    std::fs::write(fixture.directory(&one).join("file"), "").unwrap();
    assert_eq!(fixture.shares().create(&one).await.unwrap(), share, "a repetition");
    assert!(fixture.directory(&one).join("file").exists(), "a repetition keeps the files");
    let second = fixture.shares().create(&other).await.unwrap();
    if let (FileShare::Efs { access_point, .. }, FileShare::Efs { access_point: second, .. }) =
        (&share, &second)
    {
        assert_ne!(access_point, second);
    }
    assert_eq!(fixture.access_points().await, 2 * per_share);
    fixture.shares().remove(&one).await.unwrap();
    assert!(!fixture.directory(&one).exists() && fixture.directory(&other).exists());
    assert_eq!(fixture.access_points().await, per_share);
    fixture.shares().remove(&one).await.unwrap();
    assert_eq!(fixture.access_points().await, per_share);
    check_keeping(fixture, &other).await;
}

/// What is kept survives late passes: of the deletion, and of a creation that was slower than it.
async fn check_keeping(fixture: &dyn SharesFixture, uid: &Uid) {
    let (shares, directory) = (fixture.shares(), fixture.directory(uid));
    let kept = directory.with_file_name("kept");
    std::fs::write(directory.join("file"), "content").unwrap();
    let is_kept = || std::fs::read_to_string(kept.join("file")).unwrap() == "content";
    for _ in 0..2 {
        shares.keep(uid, "kept").await.unwrap();
        assert!(is_kept() && !directory.exists());
        assert_eq!(fixture.access_points().await, 0);
    }
    shares.create(uid).await.unwrap();
    shares.keep(uid, "kept").await.unwrap();
    assert!(is_kept());
    shares.remove(uid).await.unwrap();
    assert!(is_kept() && !directory.exists());
    assert_eq!(fixture.access_points().await, 0);
}

#[tokio::test]
async fn file_shares_on_a_disk() {
    let root = tempfile::tempdir().unwrap();
    let shares = DiskDirectories { root: root.path().to_owned() };
    check_shares(&OnDisk { root, shares }, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_shares_on_efs() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    let (client, file_system) =
        (aws_sdk_efs::Client::new(&moto.config()), moto.file_system().await);
    let root = tempfile::tempdir().unwrap();
    let directories = DiskDirectories { root: root.path().to_owned() };
    let shares =
        EfsShares::new(client.clone(), "stack".to_owned(), file_system.clone(), directories);
    check_shares(&OnEfs { root, client, file_system, shares }, 1).await;
}

const BUCKET: &str = "artifacts";

/// moto gives lists of parts a root element of another name than S3 does (Amazon S3 API Reference, "ListParts").
#[derive(Clone, Debug)]
struct PartLists(SharedHttpConnector);

impl Default for PartLists {
    fn default() -> Self {
        Self(SharedHttpConnector::new(Connector::builder().build_http()))
    }
}

impl HttpClient for PartLists {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for PartLists {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_list = request.method() == "GET" && request.uri().contains("uploadId=");
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            if is_list {
                let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
                let body = ByteStream::new(body).collect().await;
                let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
                let text = String::from_utf8_lossy(&body);
                let text = text.replace("ListPartsResponse", "ListPartsResult");
                answer.headers_mut().remove("content-length");
                *answer.body_mut() = SdkBody::from(text);
            }
            Ok(answer)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_takes_too_long_is_continued() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    moto.bucket(BUCKET).await;
    let config = aws_sdk_s3::config::Builder::from(&moto.config());
    let client = aws_sdk_s3::Client::from_conf(config.http_client(PartLists::default()).build());
    let content: Vec<u8> = (0..(40 << 20) + 77).map(|at: u32| (at % 241) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &content).unwrap();
    let key = "server/digest-1-2/weights.bin".to_owned();
    let large = LargeFile { key, file: Arc::new(file), length: content.len() as u64 };
    let copies =
        |limit| S3Copies::new(client.clone(), BUCKET.to_owned(), Arc::new(SystemClock), limit);
    // No time: nothing but the upload is begun.
    let hurried = copies(Duration::ZERO);
    assert_eq!(hurried.copy(&large).await.unwrap(), Copied::InProgress);
    assert_eq!(hurried.copy(&large).await.unwrap(), Copied::InProgress);
    let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert_eq!(uploads.uploads().len(), 1, "the second call continues the first one's upload");
    let upload = uploads.uploads()[0].clone();
    // An earlier call has uploaded the second part.
    client
        .upload_part()
        .bucket(BUCKET)
        .key(upload.key().unwrap())
        .upload_id(upload.upload_id().unwrap())
        .part_number(2)
        .body(content[16 << 20..32 << 20].to_vec().into())
        .send()
        .await
        .unwrap();
    let Copied::Complete { url } = copies(Duration::from_secs(60)).copy(&large).await.unwrap()
    else {
        panic!("it has time")
    };
    let http = tls::Servers::WithoutTls.client().build().unwrap();
    let copied = http.get(&url).send().await.unwrap();
    assert_eq!(copied.headers()["content-disposition"], "attachment");
    assert!(copied.bytes().await.unwrap() == content, "the copy differs");
    assert!(url.contains("/downloads/server/digest-1-2/weights.bin?"), "{url}");
    // The finished copy is used again, whatever the time.
    assert!(matches!(hurried.copy(&large).await.unwrap(), Copied::Complete { .. }));
    let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert!(uploads.uploads().is_empty());
}

fn code(read: Result<String, SecretError>) -> String {
    match read {
        Ok(value) => value,
        Err(SecretError::Unreadable(error)) => error.code,
        Err(SecretError::Port(error)) => panic!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_read_by_their_arns() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    let config = moto.config();
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let parameters = aws_sdk_ssm::Client::new(&config);
    let created = secrets.create_secret().name("lab/token").secret_string("one").send().await;
    let secret = created.unwrap().arn.unwrap();
    let parameter = parameters.put_parameter().name("/lab/token").value("two");
    parameter.r#type(ParameterType::SecureString).send().await.unwrap();
    let store = AwsSecretStore::new(secrets, parameters);
    let of_parameter = |name: &str| format!("arn:aws:ssm:eu-west-1:123456789012:parameter{name}");
    for (reference, expected) in [
        (secret.clone(), "one"),
        (of_parameter("/lab/token"), "two"),
        (secret.replace("token", "other"), "SecretNotFound"),
        (of_parameter("/lab/other"), "SecretNotFound"),
        ("arn:aws:s3:::bucket/key".to_owned(), "SecretNotReadable"),
    ] {
        assert_eq!(code(store.read(&reference).await), expected, "{reference}");
    }
    assert_eq!(code(NoSecretStore.read(&secret).await), "SecretReferenceNotProvided");
}
