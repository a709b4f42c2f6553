//! The storage of the handlers: memory behind delays and faults. Each commit is checked before another
//! task runs.

use crate::sim::{Call, Fault, Sim};
use async_trait::async_trait;
use std::sync::Arc;
use table::{Consumed, Error, Item, Key, Memory, Range, Storage, Write};

#[derive(Debug)]
pub struct SimStorage {
    pub sim: Arc<Sim>,
    pub memory: Arc<Memory>,
}

fn error(fault: Fault) -> Error {
    match fault {
        Fault::Throttled => Error::Throttled("too many requests".into()),
        Fault::Conflict => Error::Conflict { failed: Vec::new() },
        Fault::None | Fault::AnswerLost | Fault::Down => Error::other("no answer"),
    }
}

impl SimStorage {
    async fn read(&self) -> Result<(), Error> {
        match self.sim.call(Call::Read).await {
            Fault::None => Ok(()),
            fault => Err(error(fault)),
        }
    }

    fn check_refusal(&self, error: &Error, writes: &[Write]) {
        let mut state = self.sim.state();
        match error {
            Error::Invalid(_) | Error::TooLarge(_) => {
                state.report_violation(format!(
                    "a commit beyond the limits: {error} ({} writes)",
                    writes.len()
                ));
            }
            Error::Conflict { failed } if state.trace.on() => {
                let keys: Vec<String> =
                    failed.iter().map(|it| crate::trace::key(&writes[*it].key)).collect();
                state.note(format!("conflict on {keys:?}"));
            }
            Error::Conflict { .. }
            | Error::Throttled(_)
            | Error::StorageFull(_)
            | Error::Other(_) => {}
        }
    }
}

#[async_trait]
impl Storage for SimStorage {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        self.read().await?;
        self.memory.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error> {
        self.read().await?;
        let outcome = self.memory.get_many(keys).await;
        if let Err(Error::Invalid(error)) = &outcome {
            self.sim.state().report_violation(format!("a read beyond the limits: {error}"));
        }
        outcome
    }

    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error> {
        self.read().await?;
        self.memory.range(range).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), Error> {
        let fault = self.sim.call(Call::Commit).await;
        if !matches!(fault, Fault::None | Fault::AnswerLost) {
            return Err(error(fault));
        }
        let copy = writes.clone();
        let outcome = self.memory.commit(writes).await;
        match &outcome {
            Ok(()) => self.sim.state().committed(&copy),
            Err(error) => self.check_refusal(error, &copy),
        }
        self.sim.delay_call().await;
        match (fault, outcome) {
            (Fault::AnswerLost, Ok(())) => Err(error(fault)),
            (_, outcome) => outcome,
        }
    }

    fn consumed(&self) -> Consumed {
        Consumed::default()
    }
}
