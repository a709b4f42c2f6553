//! The Lambda functions: a few execution environments of each, which are started when they are needed.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tests::binaries::build;
use tests::lambda_runtime::{Function, FunctionError};
use tokio::sync::Semaphore;

/// Execution environments of a function at the same time, at most.
const CONCURRENCY: usize = 3;

pub struct Functions {
    environment: BTreeMap<String, BTreeMap<String, String>>,
    pools: BTreeMap<String, Pool>,
}

struct Pool {
    permits: Semaphore,
    warm: Mutex<Vec<Function>>,
}

impl Functions {
    pub fn new(environment: BTreeMap<String, BTreeMap<String, String>>) -> Self {
        let pool = || Pool { permits: Semaphore::new(CONCURRENCY), warm: Mutex::default() };
        let pools = environment.keys().map(|name| (name.clone(), pool())).collect();
        Self { environment, pools }
    }

    /// The variables of a function.
    pub fn variables(&self, function: &str) -> &BTreeMap<String, String> {
        &self.environment[function]
    }

    /// Invokes a function in a warm environment, or in a new one. An environment that failed is not used again.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, FunctionError> {
        let pool = &self.pools[name];
        let _permit = pool.permits.acquire().await.unwrap();
        let warm = pool.warm.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut function = match warm {
            Some(function) => function,
            None => self.start(name).await,
        };
        let result = function.invoke(event).await?;
        pool.warm.lock().unwrap_or_else(PoisonError::into_inner).push(function);
        Ok(result)
    }

    async fn start(&self, name: &str) -> Function {
        let binary = name.to_owned();
        let binary = tokio::task::spawn_blocking(move || build(&binary)).await.unwrap();
        let variables: Vec<(&str, String)> = self.environment[name]
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        Function::start(name, &binary, &variables).await
    }

    /// What went wrong in the execution environments that are warm.
    pub fn problems(&self) -> String {
        let mut problems = String::new();
        for (name, pool) in &self.pools {
            let warm = pool.warm.lock().unwrap_or_else(PoisonError::into_inner);
            let logs: String = warm.iter().map(Function::log).collect();
            let is_problem = |line: &&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
            for line in logs.lines().filter(is_problem).take(20) {
                problems.push_str(&format!("{name}: {line}\n"));
            }
        }
        problems
    }
}
