//! `--job-user`: jobs run as another user, who can write what jobs write, and read nothing of the service.

use super::service::Service;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// A user that every Linux has.
const USER: &str = "nobody";

#[tokio::test]
async fn a_job_of_another_user_reads_nothing_of_the_service() {
    let place = tempfile::tempdir().unwrap();
    if std::fs::metadata(place.path()).unwrap().uid() != 0 {
        return eprintln!("skipped: only root can run jobs as another user");
    }
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let data_dir = place.path().join("data");
    let service = Service::start_in(place, data_dir.clone(), &["--job-user", USER]);
    service.prepare(1).await;
    let data = data_dir.display();
    let script = format!(
        "id -un; for file in token key batchai.db batchai.db-wal lock; do cat {data}/$file && exit 1; done; \
         ls {data} && exit 2; cat /proc/$PPID/environ; \
         echo made > $AZ_BATCHAI_OUTPUT_MODEL/file && echo kept > $AZ_BATCHAI_JOB_TEMP/file && exit 7"
    );
    let output = json!([{ "id": "MODEL", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" }]);
    service.submit("j", &script, json!({ "outputDirectories": output })).await;
    let job = service.job_in("j", "failed").await;
    let exit_code = &job["properties"]["executionInfo"]["exitCode"];
    assert_eq!(*exit_code, 7, "{job:#}");
    let is_secret =
        |path: &str| std::fs::metadata(data_dir.join(path)).unwrap().mode() & 0o077 == 0;
    for path in ["token", "key", "batchai.db", "batchai.db-wal"] {
        assert!(is_secret(path), "{path} is readable for others");
    }
}
