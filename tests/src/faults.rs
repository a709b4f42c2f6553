//! Faults between the control plane and its table: throttles, writes whose answer is lost,
//! transactions that meet, and the end of a function between any two calls.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use local::engine::Engine;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    /// Transactions that reached the engine.
    transactions: AtomicU64,
}

#[derive(Debug)]
struct State {
    dice: StdRng,
    /// Chance of a fault at each call, in thousandths.
    per_mille: u32,
    /// Calls that still succeed before the function ends; `None` while it is to live.
    crash_after: Option<u32>,
    crashed: bool,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Refused, without effect.
    Throttled,
    /// Refused, without effect: another transaction was there.
    Met,
    /// Carried out, but nobody hears of it.
    AnswerLost,
    /// Never carried out, and nothing after it either.
    CrashedBefore,
    /// Carried out, and nothing after it.
    CrashedAfter,
}

impl Faults {
    pub fn new(seed: u64) -> Self {
        let dice = StdRng::seed_from_u64(seed ^ 0xfa17);
        let state = State { dice, per_mille: 0, crash_after: None, crashed: false };
        Self { state: Mutex::new(state), transactions: AtomicU64::new(0) }
    }

    pub fn set_rate(&self, per_mille: u32) {
        self.state().per_mille = per_mille;
    }

    /// The function that is called next ends after so many calls, or never.
    pub fn crash_after(&self, calls: Option<u32>) {
        let mut state = self.state();
        state.crash_after = calls;
        state.crashed = false;
    }

    pub fn draw(&self) -> Fault {
        let mut state = self.state();
        if state.crashed {
            return Fault::CrashedBefore;
        }
        if let Some(left) = state.crash_after {
            if left == 0 {
                state.crashed = true;
                let carried_out = state.dice.random_bool(0.5);
                return if carried_out { Fault::CrashedAfter } else { Fault::CrashedBefore };
            }
            state.crash_after = Some(left - 1);
        }
        if state.dice.random_range(0..1000) >= state.per_mille {
            return Fault::None;
        }
        match state.dice.random_range(0..3) {
            0 => Fault::Throttled,
            1 => Fault::Met,
            _ => Fault::AnswerLost,
        }
    }

    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while drawing")
    }
}

/// The embedded engine behind faults.
#[derive(Clone, Debug)]
pub struct FaultyEngine {
    engine: Engine,
    faults: Arc<Faults>,
}

impl FaultyEngine {
    pub fn new(engine: Engine, faults: Arc<Faults>) -> Self {
        Self { engine, faults }
    }

    fn answer(&self, request: &HttpRequest, is_transaction: bool) -> HttpResponse {
        if is_transaction {
            self.faults.transactions.fetch_add(1, Ordering::Relaxed);
        }
        self.engine.answer(request)
    }
}

impl HttpConnector for FaultyEngine {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_transaction = request
            .headers()
            .get("x-amz-target")
            .is_some_and(|target| target.ends_with("TransactWriteItems"));
        let lost = || ConnectorError::timeout("the answer was lost".into());
        let crashed = || ConnectorError::other("the function has ended".into(), None);
        HttpConnectorFuture::ready(match self.faults.draw() {
            Fault::None => Ok(self.answer(&request, is_transaction)),
            Fault::Met if is_transaction => Ok(refusal(
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"Transaction cancelled","CancellationReasons":[{"Code":"TransactionConflict"}]}"#,
            )),
            Fault::Throttled | Fault::Met => Ok(refusal(
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}"#,
            )),
            Fault::AnswerLost => {
                self.answer(&request, is_transaction);
                Err(lost())
            }
            Fault::CrashedBefore => Err(crashed()),
            Fault::CrashedAfter => {
                self.answer(&request, is_transaction);
                Err(crashed())
            }
        })
    }
}

fn refusal(body: &'static str) -> HttpResponse {
    let status = StatusCode::try_from(400).expect("400 is a status");
    HttpResponse::new(status, SdkBody::from(body))
}
