//! Uploads of files to file servers, an addition to the contract.

use super::query::{self, file_path_problem, optional_flag};
use crate::patterns;
use crate::read::{self, Fields, Place};
use crate::{Violations, paths};
use model::limits;
use serde_json::json;

/// A file that is to be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUploadRequest {
    /// Below the root of the file server, without `.`, `..` and a slash at the start.
    pub path: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the whole file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Whether the file can be executed as a program.
    pub executable: bool,
}

/// Parses the body of `beginUploads`.
///
/// # Errors
/// All violations of the body.
pub fn parse_file_uploads(body: &[u8]) -> Result<Vec<FileUploadRequest>, Violations> {
    read::body(body, file_uploads)
}

pub(crate) fn file_uploads(fields: &Fields<'_>) -> Option<Vec<FileUploadRequest>> {
    let files = fields.required("files")?.items_up_to(limits::MAX_UPLOADS_PER_REQUEST)?;
    let read: Vec<Option<FileUploadRequest>> = files.iter().map(file_upload).collect();
    read.into_iter().collect()
}

fn file_upload(place: &Place<'_>) -> Option<FileUploadRequest> {
    let file = place.object()?;
    let path = file.required("path").and_then(|place| file_path(&place));
    let length = file.required("length").and_then(|it| it.whole_number(0..=limits::MAX_FILE_BYTES));
    let sha256 = file.required("sha256").and_then(|it| it.matching(&[&patterns::SHA256]));
    let executable = match file.optional("executable") {
        Some(place) => place.boolean()?,
        None => false,
    };
    Some(FileUploadRequest { path: path?, length: length?, sha256: sha256?.to_owned(), executable })
}

fn file_path(place: &Place<'_>) -> Option<String> {
    place.describe(|| json!({ "minLength": 1, "maxLength": limits::MAX_FILE_PATH_BYTES }));
    let path = place.matching(&[
        &patterns::RELATIVE,
        &patterns::NOT_UPWARDS,
        &patterns::NAMES_DIRECTORY,
    ])?;
    match file_path_problem(path) {
        Some(problem) => {
            place.invalid(problem);
            None
        }
        None => Some(paths::normalized(path)),
    }
}

/// The query of `DELETE …/files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRemovalQuery {
    /// Below the root of the file server, as in [`FileUploadRequest`].
    pub path: String,
    /// Whether a directory may be removed, with all that it has.
    pub recursive: bool,
}

/// Parses the query of `DELETE …/files`: pairs of name and value, percent-decoded.
///
/// # Errors
/// All violations of the query.
pub fn parse_file_removal_query(
    pairs: &[(String, String)],
) -> Result<FileRemovalQuery, Violations> {
    let mut violations = Vec::new();
    let path = query::relative_path(pairs, "path", &mut violations);
    if path.is_empty() && violations.is_empty() {
        violations.push(query::invalid("path", "is required; it must name a file or a directory"));
    }
    if let Some(problem) = file_path_problem(&path) {
        violations.push(query::invalid("path", problem));
    }
    let recursive = optional_flag(pairs, "recursive", &mut violations);
    match Violations::collected(violations) {
        Some(violations) => Err(violations),
        None => Ok(FileRemovalQuery { path, recursive }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::refused;

    #[test]
    fn an_upload_has_a_normal_path() {
        let body = format!(
            r#"{{"files":[{{"path":"./a//b.py","length":7,"sha256":"{}"}}]}}"#,
            "0a".repeat(32)
        );
        let expected = FileUploadRequest {
            path: "a/b.py".to_owned(),
            length: 7,
            sha256: "0a".repeat(32),
            executable: false,
        };
        assert_eq!(parse_file_uploads(body.as_bytes()), Ok(vec![expected]));
    }

    #[test]
    fn refused_uploads() {
        let sha = "a".repeat(64);
        let body = |path: &str, length: &str, sha: &str| {
            format!(r#"{{"files":[{{"path":"{path}","length":{length},"sha256":"{sha}"}}]}}"#)
        };
        for (body, expected) in [
            (body("../a", "1", &sha), "files[0].path must not contain `..`"),
            (
                body("/a", "1", &sha),
                "files[0].path must be a relative path, without `/` at its start",
            ),
            (body("./", "1", &sha), "files[0].path must name a directory"),
            (body(r"a\u0000b", "1", &sha), "files[0].path must not contain NUL characters"),
            (
                body(".batchai-temp/a", "1", &sha),
                "files[0].path must not begin with .batchai-temp, which the service uses itself",
            ),
            (
                body(&"a/".repeat(600), "1", &sha),
                "files[0].path must have at most 1024 bytes, and 255 in each name",
            ),
            (
                body(&"a".repeat(256), "1", &sha),
                "files[0].path must have at most 1024 bytes, and 255 in each name",
            ),
            (
                body("a", "2199023255553", &sha),
                "files[0].length must be a whole number from 0 to 2199023255552, but is 2199023255553",
            ),
            (
                body("a", "1", "A"),
                "files[0].sha256 must be 64 lower-case hexadecimal digits, but is \"A\"",
            ),
        ] {
            assert_eq!(refused(parse_file_uploads(body.as_bytes())), [expected]);
        }
    }

    #[test]
    fn refused_removals() {
        let parse = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            parse_file_removal_query(&pairs.iter().map(owned).collect::<Vec<_>>())
        };
        let expected = FileRemovalQuery { path: "a/b".to_owned(), recursive: true };
        assert_eq!(parse(&[("path", "a//b/"), ("recursive", "true")]), Ok(expected));
        let empty = "path is required; it must name a file or a directory";
        assert_eq!(refused(parse(&[])), [empty]);
        assert_eq!(refused(parse(&[("path", "./")])), [empty]);
        assert_eq!(
            refused(parse(&[("path", "a/../b"), ("recursive", "yes")])),
            [
                "path must be a relative path without `..`, but is \"a/../b\"",
                "recursive must be true or false, but is \"yes\"",
            ]
        );
        assert_eq!(
            refused(parse(&[("path", ".batchai-temp/x")])),
            ["path must not begin with .batchai-temp, which the service uses itself"]
        );
    }
}
