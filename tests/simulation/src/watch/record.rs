//! A record in the form in which it was written, shared without a copy.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use table::item::Value;
use table::{Body, WriteKind};

pub struct Record<T>(Arc<dyn Value>, PhantomData<fn() -> T>);

impl<T: 'static> Record<T> {
    /// The record that a put writes; `None` for other writes.
    ///
    /// # Panics
    /// When the body holds a value of another type: the table has one type below each key.
    pub fn put(kind: &WriteKind) -> Option<Self> {
        match kind {
            WriteKind::Put { body: Body::Value(value), .. } => {
                let any: &dyn Any = value.as_ref();
                assert!(any.is::<T>(), "{} expected", std::any::type_name::<T>());
                Some(Self(Arc::clone(value), PhantomData))
            }
            WriteKind::Put { .. }
            | WriteKind::Delete
            | WriteKind::Check
            | WriteKind::Add(_)
            | WriteKind::SetSeenAt(_) => None,
        }
    }
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<T: 'static> Deref for Record<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let any: &dyn Any = self.0.as_ref();
        any.downcast_ref().expect("the type was checked when it was put")
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for Record<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
