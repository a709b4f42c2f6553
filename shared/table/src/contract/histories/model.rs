//! The sequential model: a few items, with reads of one and commits of several.

use crate::memory::changed;
use crate::{Attributes, Body, Item, Write};
use stateright::semantics::SequentialSpec;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Debug, Default)]
pub(super) struct Registers(BTreeMap<String, (Attributes, Body)>);

#[derive(Clone, Debug)]
pub(super) enum Call {
    Get(String),
    Commit(Vec<Write>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Read(Option<(Attributes, Body)>),
    CarriedOut,
    /// The positions whose condition failed; none if transactions conflicted and nothing was
    /// written.
    Conflict(Vec<usize>),
}

impl SequentialSpec for Registers {
    type Op = Call;
    type Ret = Outcome;

    fn invoke(&mut self, call: &Call) -> Outcome {
        let writes = match call {
            Call::Get(sk) => return Outcome::Read(self.0.get(sk).cloned()),
            Call::Commit(writes) => writes,
        };
        let stored = |write: &Write| self.0.get(&write.key.sk).map(|(attributes, _)| attributes);
        let failed: Vec<usize> =
            (0..writes.len()).filter(|it| !writes[*it].holds(stored(&writes[*it]))).collect();
        if !failed.is_empty() {
            return Outcome::Conflict(failed);
        }
        for Write { key, kind, .. } in writes {
            let before = self.0.remove(&key.sk);
            self.0.extend(changed(before, kind.clone()).map(|after| (key.sk.clone(), after)));
        }
        Outcome::CarriedOut
    }

    fn is_valid_step(&mut self, call: &Call, outcome: &Outcome) -> bool {
        let transactions_met = matches!(
            (call, outcome),
            (Call::Commit(_), Outcome::Conflict(failed)) if failed.is_empty()
        );
        transactions_met || self.invoke(call) == *outcome
    }
}

impl From<Option<Item>> for Outcome {
    fn from(item: Option<Item>) -> Self {
        Self::Read(item.map(|Item { attributes, body, .. }| (attributes, body)))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Commit(writes) = self else { return write!(formatter, "{self:?}") };
        let shown =
            |write: &Write| format!("{}: {:?} if {:?}", write.key.sk, write.kind, write.condition);
        write!(formatter, "{:?}", writes.iter().map(shown).collect::<Vec<_>>())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}
