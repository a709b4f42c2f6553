//! Query parameters of lists (docs/contract.md, "Lists and paging" and "Output files"). Their names
//! match in any case: the swagger and the SDK write them in lower case, other clients may not.

use super::job::STANDARD_OUTPUT;
use crate::error::quoted;
use crate::{Violation, Violations, codes, paths};
use model::limits;
use std::ops::RangeInclusive;

/// The query of `listOutputFiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFilesQuery {
    /// `stdouterr`, or the id of an entry of `outputDirectories`.
    pub output_directory_id: String,
    /// The page of a directory below it.
    pub page: DirectoryQuery,
}

/// What the queries of listings of files have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryQuery {
    /// Relative, without `.` and `..`; empty for the root itself.
    pub directory: String,
    /// The requested lifetime of the links.
    pub link_expiry_minutes: u32,
    /// The number of entries per page.
    pub max_results: u32,
}

impl OutputFilesQuery {
    /// Whether the directory of the standard output is to be listed.
    pub fn is_standard_output(&self) -> bool {
        self.output_directory_id.eq_ignore_ascii_case(STANDARD_OUTPUT)
    }
}

/// Parses the query of `listOutputFiles`: pairs of name and value, percent-decoded.
///
/// # Errors
/// All violations of the query.
pub fn parse_output_files_query(
    pairs: &[(String, String)],
) -> Result<OutputFilesQuery, Violations> {
    let mut violations = Vec::new();
    let id = find(pairs, "outputdirectoryid").unwrap_or_default();
    if id.is_empty() {
        violations.push(invalid("outputdirectoryid", "is required"));
    }
    let page = directory_page(pairs, &mut violations);
    match Violations::collected(violations) {
        Some(violations) => Err(violations),
        None => Ok(OutputFilesQuery { output_directory_id: id.to_owned(), page }),
    }
}

/// Parses the query of `listFiles` of a file server: pairs of name and value, percent-decoded.
///
/// # Errors
/// All violations of the query.
pub fn parse_directory_query(pairs: &[(String, String)]) -> Result<DirectoryQuery, Violations> {
    let mut violations = Vec::new();
    let page = directory_page(pairs, &mut violations);
    if let Some(problem) = file_path_problem(&page.directory) {
        violations.push(invalid("directory", problem));
    }
    match Violations::collected(violations) {
        Some(violations) => Err(violations),
        None => Ok(page),
    }
}

fn directory_page(pairs: &[(String, String)], violations: &mut Vec<Violation>) -> DirectoryQuery {
    let directory = relative_path(pairs, "directory", violations);
    let (least, most, usual) = limits::LINK_MINUTES;
    let link_expiry_minutes = number(pairs, "linkexpiryinminutes", least..=most, usual, violations);
    let max_results = max_results(pairs, violations);
    DirectoryQuery { directory, link_expiry_minutes, max_results }
}

/// A path below a root, without empty components and `.`; empty if it is absent or refused.
pub(super) fn relative_path(
    pairs: &[(String, String)],
    name: &str,
    violations: &mut Vec<Violation>,
) -> String {
    let path = find(pairs, name).unwrap_or_default();
    if path.starts_with('/') || paths::leads_upwards(path) || path.contains('\0') {
        let predicate = format!("must be a relative path without `..`, but is {}", quoted(path));
        violations.push(invalid(name, &predicate));
        return String::new();
    }
    paths::normalized(path)
}

/// What is wrong with the path of a file, whatever directory it is below.
pub(super) fn file_path_problem(path: &str) -> Option<&'static str> {
    if path.contains('\0') {
        return Some("must not contain NUL characters");
    }
    let is_long = |name: &str| name.len() > limits::MAX_FILE_NAME_BYTES;
    if path.len() > limits::MAX_FILE_PATH_BYTES || paths::components(path).any(is_long) {
        return Some("must have at most 1024 bytes, and 255 in each name");
    }
    (paths::components(path).next() == Some(limits::TEMPORARY_FILES))
        .then_some("must not begin with .batchai-temp, which the service uses itself")
}

/// `true` or `false`; false if it is absent.
pub(super) fn optional_flag(
    pairs: &[(String, String)],
    name: &str,
    violations: &mut Vec<Violation>,
) -> bool {
    match find(pairs, name) {
        None => false,
        Some(text) => text.parse().unwrap_or_else(|_| {
            let predicate = format!("must be true or false, but is {}", quoted(text));
            violations.push(invalid(name, &predicate));
            false
        }),
    }
}

/// Parses `maxresults` of any list.
///
/// # Errors
/// When it is no number in the range.
pub fn parse_max_results(pairs: &[(String, String)]) -> Result<u32, Violations> {
    let mut violations = Vec::new();
    let max_results = max_results(pairs, &mut violations);
    match Violations::collected(violations) {
        Some(violations) => Err(violations),
        None => Ok(max_results),
    }
}

fn max_results(pairs: &[(String, String)], violations: &mut Vec<Violation>) -> u32 {
    number(pairs, "maxresults", 1..=limits::MAX_PAGE, limits::MAX_PAGE, violations)
}

fn number(
    pairs: &[(String, String)],
    name: &str,
    range: RangeInclusive<u32>,
    usual: u32,
    violations: &mut Vec<Violation>,
) -> u32 {
    let Some(text) = find(pairs, name) else {
        return usual;
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.unwrap_or_else(|| {
        let predicate = format!(
            "must be a whole number from {} to {}, but is {}",
            range.start(),
            range.end(),
            quoted(text)
        );
        violations.push(invalid(name, &predicate));
        usual
    })
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

pub(super) fn invalid(target: &str, predicate: &str) -> Violation {
    Violation::new(codes::INVALID_PARAMETER, target, predicate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::refused;

    fn parse(pairs: &[(&str, &str)]) -> Result<OutputFilesQuery, Violations> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        parse_output_files_query(&pairs.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_query_and_its_defaults() {
        let query = parse(&[("outputdirectoryid", "stdouterr"), ("Directory", "./a//b/")]);
        let expected = OutputFilesQuery {
            output_directory_id: "stdouterr".to_owned(),
            page: DirectoryQuery {
                directory: "a/b".to_owned(),
                link_expiry_minutes: 60,
                max_results: 1000,
            },
        };
        assert_eq!(query, Ok(expected));
    }

    #[test]
    fn refused_queries() {
        assert_eq!(
            refused(parse(&[
                ("directory", "a/../../b"),
                ("linkexpiryinminutes", "4"),
                ("maxresults", "many"),
            ])),
            [
                "outputdirectoryid is required",
                "directory must be a relative path without `..`, but is \"a/../../b\"",
                "linkexpiryinminutes must be a whole number from 5 to 600, but is \"4\"",
                "maxresults must be a whole number from 1 to 1000, but is \"many\"",
            ]
        );
    }
}
