//! A record as it was read and as it is to be written.

use table::Writes;

#[derive(Clone, Debug)]
pub(crate) struct Tracked<T> {
    pub before: Option<T>,
    pub after: Option<T>,
    /// Written even if it did not change: the new version orders this change before others that
    /// were planned on the same version.
    pub fenced: bool,
}

impl<T: Clone + PartialEq> Tracked<T> {
    pub(crate) fn read(record: T) -> Self {
        Self { before: Some(record.clone()), after: Some(record), fenced: false }
    }

    pub(crate) fn created(record: T) -> Self {
        Self { before: None, after: Some(record), fenced: false }
    }

    /// The changed record, or the read one if it was removed.
    pub(crate) fn any(&self) -> Option<&T> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// One write for the record itself, if it changed.
pub(crate) fn write_record<T>(writes: &mut Writes, it: &Tracked<T>)
where
    T: table::Versioned + PartialEq,
{
    match (&it.before, &it.after) {
        (None, None) => {}
        (None, Some(new)) => writes.create(new),
        (Some(old), None) => writes.remove(old),
        (Some(old), Some(new)) if old == new && !it.fenced => {}
        (Some(old), Some(new)) => writes.replace(old, new),
    }
}
