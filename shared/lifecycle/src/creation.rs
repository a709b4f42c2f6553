//! Checks of every creation: whether the name is taken, and that nothing is created below a
//! resource
//! that is being deleted.

use crate::refusal::{Refusal, ResourceKind};
use model::{
    Cluster, Experiment, FileServer, FileServerState, Job, Name, ResourceGroup, Uid, Workspace,
};

/// Ids of a new resource.
#[derive(Clone, Debug)]
pub struct NewIds {
    /// Uid of the resource.
    pub uid: Uid,
    /// Its etag.
    pub etag: Uid,
}

/// A resource that users name.
pub trait NamedResource {
    /// The kind of the resource.
    const KIND: ResourceKind;

    /// Its name.
    fn name(&self) -> &Name;
    /// Its uid.
    fn uid(&self) -> &Uid;
    /// Whether it is being deleted.
    fn is_deleting(&self) -> bool;
}

/// What a PUT finds under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing<R> {
    /// Nothing.
    None,
    /// The resource, created by an earlier try of the same request whose answer was lost.
    FromRetry(R),
    /// A resource with the requested properties.
    Identical(R),
}

/// Checks whether a name is free for a PUT. `found` is the resource of that name, `uid` the uid
/// that the request assigns to a new resource.
///
/// # Errors
/// When a different resource has the name, or a resource of that name is being deleted.
pub fn check_name<R: NamedResource>(
    found: Option<R>,
    uid: &Uid,
    is_same: impl FnOnce(&R) -> bool,
) -> Result<Existing<R>, Refusal> {
    let Some(found) = found else { return Ok(Existing::None) };
    if found.uid() == uid {
        return Ok(Existing::FromRetry(found));
    }
    require_not_deleting(&found)?;
    match is_same(&found) {
        true => Ok(Existing::Identical(found)),
        false => Err(Refusal::Exists { kind: R::KIND, name: found.name().clone() }),
    }
}

/// Checks that a resource is not being deleted.
///
/// # Errors
/// When it is.
pub fn require_not_deleting<R: NamedResource>(record: &R) -> Result<(), Refusal> {
    match record.is_deleting() {
        true => Err(Refusal::BeingDeleted { kind: R::KIND, name: record.name().clone() }),
        false => Ok(()),
    }
}

macro_rules! named {
    ($($record:ident: |$it:ident| $name:expr, $is_deleting:expr;)*) => {$(
        impl NamedResource for $record {
            const KIND: ResourceKind = ResourceKind::$record;

            fn name(&self) -> &Name {
                let $it = self;
                &$name
            }

            fn uid(&self) -> &Uid {
                &self.uid
            }

            fn is_deleting(&self) -> bool {
                let $it = self;
                $is_deleting
            }
        }
    )*};
}

named! {
    ResourceGroup: |it| it.name, it.lifecycle.is_deleting();
    Workspace: |it| it.names.workspace, it.lifecycle.is_deleting();
    Experiment: |it| it.name, it.lifecycle.is_deleting();
    FileServer: |it| it.name, matches!(it.state, FileServerState::Deleting { .. });
    Cluster: |it| it.name, it.state.is_deleting();
    Job: |it| it.names.job, it.deletion.is_some();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn existing(found: Option<Experiment>, is_same: bool) -> String {
        match check_name(found, &uid("own"), |_| is_same) {
            Ok(Existing::None) => "nothing".to_owned(),
            Ok(Existing::FromRetry(_)) => "its own".to_owned(),
            Ok(Existing::Identical(_)) => "the same".to_owned(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn a_put_finds_what_exists_under_its_name() {
        let own = |it| Experiment { uid: uid("own"), ..it };
        let deleting = |it| {
            let lifecycle = model::Lifecycle::Deleting { operation: uid("op"), since: NOW };
            Experiment { lifecycle, ..it }
        };
        let deleted = "The specified experiment X is being deleted; wait until that is done";
        let exists = "The specified experiment X exists already with other properties; delete it first or choose another name";
        let cases = [
            (None, ["nothing", "nothing"]),
            (Some(experiment()), [exists, "the same"]),
            (Some(deleting(experiment())), [deleted, deleted]),
            (Some(own(experiment())), ["its own", "its own"]),
            (Some(own(deleting(experiment()))), ["its own", "its own"]),
        ];
        for (found, expected) in cases {
            assert_eq!([false, true].map(|is_same| existing(found.clone(), is_same)), expected);
        }
    }

    #[test]
    fn a_resource_being_deleted_is_refused() {
        let open = |it: Result<(), Refusal>| it.map_err(|refusal| refusal.to_string());
        let refused =
            |what| Err(format!("The specified {what} is being deleted; wait until that is done"));
        assert_eq!(open(require_not_deleting(&manual_cluster(0))), Ok(()));
        assert_eq!(open(require_not_deleting(&deleting(manual_cluster(0)))), refused("cluster c"));
        let mut deleted = job("a", 1);
        assert_eq!(open(require_not_deleting(&deleted)), Ok(()));
        deleted.deletion = Some(model::Deletion { operation: uid("op"), since: NOW });
        assert_eq!(open(require_not_deleting(&deleted)), refused("job a"));
        let failed = FileServerState::Failed { since: NOW };
        assert_eq!(open(require_not_deleting(&file_server(failed))), Ok(()));
        let deleted = FileServerState::Deleting { operation: uid("op"), since: NOW };
        assert_eq!(open(require_not_deleting(&file_server(deleted))), refused("file server F"));
    }
}
