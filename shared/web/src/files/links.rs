//! Links for downloads and uploads. A link is signed; it is valid for an hour at most, and only as long as its creator
//! has the role.

use super::FilesWeb;
use control::files::{FileLocation, Upload};
use control::keys::{Keys, Link, constant_time_eq};
use control::{Error, roles};
use model::{Name, Principal, Role, Scope, Timestamp, Uid, WorkspaceNames};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// The query of a link: see [`Link`].
#[derive(Debug, Deserialize)]
pub(crate) struct Signature {
    pub(super) se: i64,
    pub(super) by: String,
    pub(super) r#in: String,
    pub(super) sig: String,
}

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3).
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As [`UNRESERVED`], and keeps the slashes of a path.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// The role that the operations require which make the links.
const LISTING_ROLE: Role = Role::Contributor;

/// Makes the links of one listing, which share their creator, workspace and expiry.
pub(crate) struct Links<'a> {
    keys: &'a Keys,
    base: &'a str,
    expires_at: i64,
    creator: String,
    workspace: String,
}

impl<'a> Links<'a> {
    /// Links that start with `base`. `service` identifies the service itself.
    pub(crate) fn new(
        (keys, service): (&'a Keys, &str),
        base: &'a str,
        creator: &Principal,
        names: &WorkspaceNames,
        expires_at: Timestamp,
    ) -> Self {
        let creator = match creator {
            Principal::Service => keys.fingerprint(service),
            Principal::Known(id) => id.to_string(),
        };
        let WorkspaceNames { subscription, resource_group, workspace } = names;
        let workspace = format!("{subscription}/{resource_group}/{workspace}");
        Self { keys, base, expires_at: expires_at.epoch_seconds(), creator, workspace }
    }

    pub(crate) fn to(&self, place: &FileLocation) -> String {
        let Self { keys, base, expires_at, creator, workspace } = self;
        let FileLocation { file_server, path } = place;
        let expires_at = *expires_at;
        let link = Link { file_server, path, expires_at, creator, workspace };
        let sig = keys.sign_link(&link);
        let signature =
            Signature { se: expires_at, by: creator.clone(), r#in: workspace.clone(), sig };
        format!("{base}{}", path_and_query(place, &signature))
    }

    /// The link to which a file can be uploaded.
    pub(crate) fn to_upload(&self, upload: &Upload) -> String {
        let Self { keys, base, expires_at, creator, workspace } = self;
        let Upload { target: FileLocation { file_server, path }, length, sha256, executable } =
            upload;
        let link = Link { file_server, path, expires_at: *expires_at, creator, workspace };
        let sig = keys.sign_upload(&link, upload);
        let path = utf8_percent_encode(path, PATH);
        let workspace = utf8_percent_encode(workspace, PATH);
        format!(
            "{base}/uploads/{file_server}/{path}?length={length}&sha256={sha256}&executable={executable}&se={expires_at}&by={creator}&in={workspace}&sig={sig}"
        )
    }
}

/// The path and the query of a link.
pub(super) fn path_and_query(place: &FileLocation, signature: &Signature) -> String {
    let FileLocation { file_server, path } = place;
    let Signature { se, by, r#in, sig } = signature;
    let path = utf8_percent_encode(path, PATH);
    let workspace = utf8_percent_encode(r#in, PATH);
    format!("/files/{file_server}/{path}?se={se}&by={by}&in={workspace}&sig={sig}")
}

pub(super) fn not_signed() -> Error {
    Error::denied(
        "AuthenticationFailed",
        "The link is invalid or expired, or its creator lost the role; request a new one: list the files, or begin the upload, again",
    )
}

/// The file of a link. `expected` computes its signature.
///
/// # Errors
/// 403 when the link is invalid or expired, or its creator lost the role.
pub(super) async fn verified(
    web: &FilesWeb,
    file_server: &str,
    path: &str,
    signature: &Signature,
    expected: impl FnOnce(&Link<'_>) -> String,
) -> Result<FileLocation, Error> {
    let uid = Uid::parse(file_server).ok_or_else(not_signed)?;
    let link = Link {
        file_server: &uid,
        path,
        expires_at: signature.se,
        creator: &signature.by,
        workspace: &signature.r#in,
    };
    let signed = constant_time_eq(&expected(&link), &signature.sig);
    if !signed
        || web.clock.now().epoch_seconds() >= signature.se
        || !may_read(web, signature).await?
    {
        return Err(not_signed());
    }
    Ok(FileLocation { file_server: uid, path: path.to_owned() })
}

/// Whether the creator of the link still has the role that made the link.
async fn may_read(web: &FilesWeb, signature: &Signature) -> Result<bool, Error> {
    let Some(creator) = Uid::parse(&signature.by) else {
        return Ok(constant_time_eq(&web.keys.fingerprint(&web.service), &signature.by));
    };
    let mut names = signature.r#in.split('/').map(Name::new);
    let (Some(subscription), resource_group, workspace) =
        (names.next(), names.next(), names.next())
    else {
        return Ok(false);
    };
    let scope = Scope { subscription, resource_group, workspace };
    roles::may(&web.table, &Principal::Known(creator), LISTING_ROLE, &scope).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OPERATIONS, Operation, RequiredAccess};

    #[test]
    fn a_link_takes_the_role_of_the_listing() {
        for operation in [
            Operation::JobsListOutputFiles,
            Operation::FileServersListFiles,
            Operation::FileServersBeginUploads,
        ] {
            let listing = OPERATIONS.iter().find(|row| row.operation == operation);
            assert_eq!(listing.map(|row| row.requires), Some(RequiredAccess::Role(LISTING_ROLE)));
        }
    }
}
