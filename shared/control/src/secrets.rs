//! Secrets of jobs and set-up tasks, opened for the node that needs them, and hashes of passwords.

use crate::ports::{PortError, SecretError, SecretStore};
use crate::{Context, Error};
use async_trait::async_trait;
use model::{ResourceError, SecretValue, SecretVariable, Uid};
use pbkdf2::password_hash::{self, PasswordHasher, SaltString};
use pbkdf2::{Params, Pbkdf2};
use protocol::{Problem, Variable};
use tokio::sync::Semaphore;
use wire::PasswordInput;

/// What a node gets, or why it cannot get it: the failure of the job, or of the set-up of the node.
pub(crate) type Provided<T> = Result<T, Problem>;

/// The values of secret variables.
///
/// # Errors
/// When a value was encrypted with another key, or the store of secrets cannot be used now.
pub(crate) async fn opened(
    context: &Context,
    secrets: &[SecretVariable],
) -> Result<Provided<Vec<Variable>>, Error> {
    let mut variables = Vec::with_capacity(secrets.len());
    for secret in secrets {
        match value(context, &secret.value).await? {
            Ok(value) => variables.push(Variable { name: secret.name.clone(), value }),
            Err(error) => return Ok(Err(problem("Variable", &secret.name, error))),
        }
    }
    Ok(Ok(variables))
}

/// A secret that is no variable: `what` it is, and of which `name`, for the error.
///
/// # Errors
/// As [`opened`].
pub(crate) async fn open(
    context: &Context,
    what: &str,
    name: &str,
    secret: &SecretValue,
) -> Result<Provided<String>, Error> {
    let value = value(context, secret).await?;
    Ok(value.map_err(|error| problem(what, name, error)))
}

/// The value of a secret, or why it can never be read.
async fn value(
    context: &Context,
    secret: &SecretValue,
) -> Result<Result<String, ResourceError>, Error> {
    match secret {
        SecretValue::Sealed(sealed) => Ok(Ok(context.keys.open(sealed)?)),
        SecretValue::Reference(reference) => {
            match context.secret_store.read(&reference.secret_url).await {
                Ok(value) => Ok(Ok(value)),
                Err(SecretError::Unreadable(error)) => Ok(Err(error)),
                Err(SecretError::Port(error)) => Err(error.into()),
            }
        }
    }
}

/// Iterations of the hash of a password: what OWASP recommends for PBKDF2 with SHA-256, a tenth of a second.
const ROUNDS: u32 = 600_000;

/// Bytes of the hash. The record of a cluster is charged by the kilobyte, and nobody finds a password of 128 bits.
const HASH_BYTES: usize = 16;

/// One password is hashed at a time, so that requests with passwords do not take every core from the others.
static HASHING: Semaphore = Semaphore::const_new(1);

/// The hash of the password of a cluster's administrator, as nodes check it: PBKDF2 in a PHC string. `salt` is new.
///
/// # Errors
/// When the process is about to end.
pub(crate) async fn hash_of_password(
    password: &PasswordInput,
    salt: &Uid,
) -> Result<String, Error> {
    let _turn = HASHING.acquire().await.map_err(PortError::other)?;
    let (PasswordInput(password), salt) = (password.clone(), salt.clone());
    // On a thread of its own: the tasks of other requests share the thread of this one.
    let hashed = tokio::task::spawn_blocking(move || hash(&password, &salt)).await;
    Ok(hashed.map_err(PortError::other)??)
}

fn hash(password: &str, salt: &Uid) -> Result<String, PortError> {
    let failed = |error: password_hash::Error| PortError::other(error.to_string());
    let parameters = Params { rounds: ROUNDS, output_length: HASH_BYTES };
    let salt = hex::decode(salt.as_str().replace('-', "")).map_err(PortError::other)?;
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    let hash = Pbkdf2.hash_password_customized(password.as_bytes(), None, None, parameters, &salt);
    Ok(hash.map_err(failed)?.to_string())
}

fn problem(what: &str, name: &str, error: ResourceError) -> Problem {
    let details = vec![(what.to_owned(), name.to_owned())];
    Problem { code: error.code, message: error.message, details }
}

/// The store of a service on one machine, which has none.
#[derive(Debug)]
pub struct NoSecretStore;

#[async_trait]
impl SecretStore for NoSecretStore {
    async fn read(&self, reference: &str) -> Result<String, SecretError> {
        Err(SecretError::Unreadable(ResourceError::new(
            "SecretReferenceNotProvided",
            format!(
                "This service runs on one machine and cannot read {reference}: give the secret itself as its value; it is kept encrypted and never shown"
            ),
        )))
    }
}
