//! Uploads in pieces, interrupted ones included.

use super::*;
use model::Uid;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// A file server in a temporary directory.
struct Fixture {
    _root: tempfile::TempDir,
    files: MountedFiles,
    share: PathBuf,
}

const NOW: Timestamp = Timestamp(1_000);

fn uid() -> Uid {
    Uid::from_bytes([1; 16])
}

fn fixture() -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let share = root.path().join(uid().as_str());
    std::fs::create_dir(&share).unwrap();
    let files = MountedFiles { root: root.path().to_owned() };
    Fixture { _root: root, files, share }
}

fn upload(path: &str, content: &[u8]) -> Upload {
    Upload {
        target: FileLocation { file_server: uid(), path: path.to_owned() },
        length: content.len() as u64,
        sha256: hex::encode(Sha256::digest(content)),
        executable: false,
    }
}

impl Fixture {
    fn append(&self, upload: &Upload, offset: u64, chunk: &[u8]) -> Result<Appended, Error> {
        self.files.append(upload, offset, chunk, NOW)
    }

    /// The names at the root, and those of temporary files.
    fn names(&self) -> (Vec<String>, Vec<String>) {
        let names = |path: PathBuf| {
            let mut names: Vec<String> = std::fs::read_dir(path)
                .map(|it| it.map(|it| it.unwrap().file_name().into_string().unwrap()).collect())
                .unwrap_or_default();
            names.sort();
            names.retain(|name| name != limits_name());
            names
        };
        (names(self.share.clone()), names(self.share.join(limits_name())))
    }
}

fn limits_name() -> &'static str {
    model::limits::TEMPORARY_FILES
}

fn code(error: &Error) -> &str {
    match error {
        Error::Api(error) => error.code(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_appears_when_it_is_whole() {
    let fixture = fixture();
    let file = Upload { executable: true, ..upload("a/b/run.sh", b"0123456789") };
    assert_eq!(fixture.append(&file, 0, b"0123").unwrap(), Appended::Written(4));
    assert_eq!(fixture.files.uploaded(&file).unwrap(), 4);
    assert_eq!(fixture.append(&file, 0, b"0123").unwrap(), Appended::OtherOffset(4));
    assert_eq!(code(&fixture.files.finish(&file, None).unwrap_err()), "UploadIncomplete");
    assert!(fixture.names().0.is_empty(), "nothing is visible yet");
    assert_eq!(code(&fixture.append(&file, 4, b"4567890").unwrap_err()), "UploadTooLong");
    assert_eq!(fixture.append(&file, 4, b"456789").unwrap(), Appended::Written(10));
    assert_eq!(fixture.files.finish(&file, None).unwrap(), Finished::Done);
    let path = fixture.share.join("a/b/run.sh");
    assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fixture.names(), (vec!["a".to_owned()], Vec::new()));
}

#[test]
fn another_content_is_refused_and_removed() {
    let fixture = fixture();
    std::fs::write(fixture.share.join("a"), "before").unwrap();
    let file = upload("a", b"0123456789");
    fixture.append(&file, 0, b"012345678X").unwrap();
    assert_eq!(code(&fixture.files.finish(&file, None).unwrap_err()), "ChecksumMismatch");
    assert_eq!(fixture.names(), (vec!["a".to_owned()], Vec::new()));
    assert_eq!(std::fs::read(fixture.share.join("a")).unwrap(), b"before");
}

#[test]
fn an_empty_file_and_one_that_replaces_another() {
    let fixture = fixture();
    std::fs::write(fixture.share.join("a"), "before").unwrap();
    assert_eq!(fixture.files.finish(&upload("a", b""), None).unwrap(), Finished::Done);
    assert_eq!(std::fs::read(fixture.share.join("a")).unwrap(), b"");
}

#[test]
fn links_and_files_in_the_way_are_refused_and_not_followed() {
    let fixture = fixture();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), fixture.share.join("out")).unwrap();
    symlink("/nowhere", fixture.share.join("dangling")).unwrap();
    std::fs::write(fixture.share.join("file"), "x").unwrap();
    std::fs::create_dir(fixture.share.join("directory")).unwrap();
    for (path, expected) in [
        ("out/x", "PathNotDirectory"),
        ("out/below/x", "PathNotDirectory"),
        ("dangling/x", "PathNotDirectory"),
        ("file/x", "PathNotDirectory"),
        ("directory", "PathIsDirectory"),
    ] {
        let file = upload(path, b"x");
        assert_eq!(code(&fixture.append(&file, 0, b"x").unwrap_err()), expected, "{path}");
        assert_eq!(code(&fixture.files.uploaded(&file).unwrap_err()), expected, "{path}");
    }
    // A link in the place of the file is replaced itself.
    let file = upload("out", b"x");
    fixture.append(&file, 0, b"x").unwrap();
    fixture.files.finish(&file, None).unwrap();
    assert!(fixture.share.join("out").symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_link_inside_the_file_server_is_followed() {
    let fixture = fixture();
    std::fs::create_dir(fixture.share.join("data")).unwrap();
    symlink("data", fixture.share.join("link")).unwrap();
    let file = upload("link/new/x", b"x");
    fixture.append(&file, 0, b"x").unwrap();
    fixture.files.finish(&file, None).unwrap();
    assert_eq!(std::fs::read(fixture.share.join("data/new/x")).unwrap(), b"x");
}

#[test]
fn an_upload_is_written_by_one_request_at_a_time() {
    let fixture = fixture();
    let file = upload("a", b"0123456789");
    fixture.append(&file, 0, b"0").unwrap();
    let directory = temporary::directory(&fixture.files.share(&file.target).unwrap()).unwrap();
    let other = open(&directory, &file, OFlags::RDWR).unwrap();
    lock(&other).unwrap();
    assert_eq!(code(&fixture.append(&file, 1, b"1").unwrap_err()), "UploadInUse");
    drop(other);
    assert_eq!(fixture.append(&file, 1, b"1").unwrap(), Appended::Written(2));
}

#[test]
fn what_nobody_continued_for_a_day_is_removed() {
    let fixture = fixture();
    let (left, new) = (upload("a", b"0123456789"), upload("b", b"0123456789"));
    fixture.append(&left, 0, b"0").unwrap();
    let written = std::fs::metadata(fixture.share.join(limits_name()).join(left.temporary_name()));
    let seconds = written.unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH);
    let written = Timestamp(i64::try_from(seconds.unwrap().as_secs()).unwrap() * 1000);
    let almost = written.plus_seconds(model::limits::UPLOAD_SECONDS - 1);
    fixture.files.sweep(almost).unwrap();
    assert_eq!(fixture.names().1, [left.temporary_name()]);
    let day = written.plus_seconds(model::limits::UPLOAD_SECONDS);
    fixture.files.append(&new, 0, b"0", day).unwrap();
    assert_eq!(fixture.names().1, [new.temporary_name()]);
}

#[test]
fn a_pipe_in_the_place_of_an_upload_does_not_block() {
    let fixture = fixture();
    let file = upload("a", b"0");
    temporary::directory(&fixture.files.share(&file.target).unwrap()).unwrap();
    let path = fixture.share.join(limits_name()).join(file.temporary_name());
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0)
        .unwrap();
    assert!(fixture.append(&file, 0, b"0").is_err());
}

#[tokio::test]
async fn removals() {
    use crate::files::Removal;
    use crate::ports::SharedFiles;
    let fixture = fixture();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("kept"), "").unwrap();
    std::fs::create_dir_all(fixture.share.join("tree/deep")).unwrap();
    std::fs::write(fixture.share.join("tree/deep/file"), "").unwrap();
    std::fs::write(fixture.share.join("file"), "").unwrap();
    symlink(outside.path(), fixture.share.join("out")).unwrap();
    for (path, recursive, expected) in [
        ("nothing", true, Removal::NotFound),
        ("out/kept", true, Removal::NotFound),
        ("file/x", true, Removal::NotFound),
        ("tree", false, Removal::IsDirectory),
        ("tree", true, Removal::Removed),
        ("file", false, Removal::Removed),
        ("out", false, Removal::Removed),
        ("out", false, Removal::NotFound),
    ] {
        let place = FileLocation { file_server: uid(), path: path.to_owned() };
        let removed = fixture.files.remove(&place, recursive, NOW).await.unwrap();
        assert_eq!(removed, expected, "{path}");
    }
    assert_eq!(fixture.names(), (Vec::new(), Vec::new()));
    assert!(outside.path().join("kept").exists());
}
