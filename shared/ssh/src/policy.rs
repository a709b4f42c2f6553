//! Who may log in, and in which surroundings. Changed at run time: a change applies to the next login, and a key that
//! is revoked ends the connections that it had opened.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pbkdf2::Pbkdf2;
use pbkdf2::password_hash::{self, PasswordHash, PasswordVerifier};
use russh::keys::ssh_key;
use tokio_util::sync::CancellationToken;

use crate::keys::PublicKey;
use crate::spawn::Spawn;

/// Keys that were revoked and are remembered, so that the log says why they are refused.
const REMEMBERED: usize = 256;

/// What a login may do, and in which surroundings.
#[derive(Clone)]
pub struct Access {
    /// Starts the processes of the login.
    pub spawn: Arc<dyn Spawn>,
    /// Addresses to which the client may forward connections (`ssh -L`), besides the loopback addresses. Not every
    /// address: the connections are made by this process, to which rules for users do not apply.
    pub forward_to: Vec<IpAddr>,
}

/// The administrator of a cluster.
pub struct Administrator {
    /// The name to log in with.
    pub user: String,
    /// The keys that are accepted.
    pub keys: Vec<PublicKey>,
    /// The password that is accepted, if there is one.
    pub password: Option<Password>,
    /// What the administrator may do.
    pub access: Access,
}

/// A password, of which only a slow hash is known. It is compared in constant time.
#[derive(Clone)]
pub struct Password(String);

/// A text that is no hash of a password.
#[derive(Debug, thiserror::Error)]
#[error("it is not a PHC string: {0}")]
pub struct PasswordError(password_hash::Error);

impl Password {
    /// Of its hash: PBKDF2, as a PHC string (`$pbkdf2-sha256$i=...`).
    ///
    /// # Errors
    /// When the text is no such string.
    pub fn from_hash(text: &str) -> Result<Self, PasswordError> {
        PasswordHash::new(text).map_err(PasswordError)?;
        Ok(Self(text.to_owned()))
    }

    fn matches(&self, text: &str) -> bool {
        PasswordHash::new(&self.0)
            .and_then(|hash| Pbkdf2.verify_password(text.as_bytes(), &hash))
            .is_ok()
    }
}

/// Without the hash.
impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password")
    }
}

/// Who may log in. An empty policy admits nobody.
#[derive(Default)]
pub struct Policy {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    attempts: BTreeMap<String, Attempt>,
    administrator: Option<(Administrator, CancellationToken)>,
    revoked: VecDeque<PublicKey>,
}

struct Attempt {
    key: PublicKey,
    access: Access,
    ended: CancellationToken,
}

impl Policy {
    /// Accepts `key`, with any user name, until `attempt` is revoked. An attempt of this name that was
    /// admitted before is revoked first.
    pub fn admit(&self, attempt: &str, key: PublicKey, access: Access) {
        self.revoke(attempt);
        let attempt = attempt.to_owned();
        let entry = Attempt { key, access, ended: CancellationToken::new() };
        self.lock().attempts.insert(attempt, entry);
    }

    /// Accepts the key of `attempt` no longer, and ends the connections that it has opened: their processes get
    /// SIGHUP and, some seconds later, SIGKILL. Returns before they have ended.
    pub fn revoke(&self, attempt: &str) {
        let mut entries = self.lock();
        if let Some(attempt) = entries.attempts.remove(attempt) {
            attempt.ended.cancel();
            if entries.revoked.len() == REMEMBERED {
                entries.revoked.pop_front();
            }
            entries.revoked.push_back(attempt.key);
        }
    }

    /// Replaces the administrator, and ends the connections of the one before.
    pub fn set_administrator(&self, administrator: Option<Administrator>) {
        let entry = administrator.map(|it| (it, CancellationToken::new()));
        let former = std::mem::replace(&mut self.lock().administrator, entry);
        if let Some((_, ended)) = former {
            ended.cancel();
        }
    }

    /// The login of a client that has the private key of `key`, or why there is none.
    pub(crate) fn with_key(&self, user: &str, key: &ssh_key::PublicKey) -> Result<Login, Refusal> {
        let entries = self.lock();
        for (name, attempt) in &entries.attempts {
            if attempt.key.is(key) {
                let name = format!("attempt {name}");
                return Ok(Login::new(name, &attempt.access, &attempt.ended));
            }
        }
        match &entries.administrator {
            Some((administrator, ended)) if administrator.keys.iter().any(|it| it.is(key)) => {
                administrator.login(user, ended)
            }
            _ if entries.revoked.iter().any(|it| it.is(key)) => Err(Refusal::AttemptEnded),
            _ => Err(Refusal::UnknownKey),
        }
    }

    /// The login of a client that has given a password, or why there is none.
    pub(crate) fn with_password(&self, user: &str, password: &str) -> Result<Login, Refusal> {
        let entries = self.lock();
        let Some((administrator, ended)) = &entries.administrator else {
            return Err(Refusal::NoPasswords);
        };
        let Some(expected) = &administrator.password else { return Err(Refusal::NoPasswords) };
        // Before the name is compared, so that both take the same time.
        if expected.matches(password) {
            administrator.login(user, ended)
        } else {
            Err(Refusal::WrongPassword)
        }
    }

    /// Whether anybody can log in with a password.
    pub(crate) fn accepts_passwords(&self) -> bool {
        let entries = self.lock();
        entries.administrator.as_ref().is_some_and(|(it, _)| it.password.is_some())
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Administrator {
    fn login(&self, user: &str, ended: &CancellationToken) -> Result<Login, Refusal> {
        if user == self.user {
            Ok(Login::new("administrator".into(), &self.access, ended))
        } else {
            Err(Refusal::UnknownUser)
        }
    }
}

/// Of the names only.
impl fmt::Debug for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.lock();
        let attempts: Vec<&String> = entries.attempts.keys().collect();
        formatter.debug_struct("Policy").field("attempts", &attempts).finish_non_exhaustive()
    }
}

/// A client that was admitted.
#[derive(Clone)]
pub struct Login {
    /// Who it is, for the log.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// Cancelled when it is not admitted any more.
    pub ended: CancellationToken,
}

impl Login {
    fn new(name: String, access: &Access, ended: &CancellationToken) -> Self {
        Self { name, access: access.clone(), ended: ended.clone() }
    }
}

/// Why a client was not admitted. Only the log says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key was the one of an attempt that has ended.
    #[error("the attempt of this key has ended")]
    AttemptEnded,
    /// The key is the one of another node's attempt, or of nobody.
    #[error("the key is not known")]
    UnknownKey,
    /// The administrator has another name.
    #[error("the user is not known")]
    UnknownUser,
    /// The password is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// A signature with RSA and SHA-1.
    #[error("signatures with SHA-1 are not accepted")]
    WeakSignature,
    /// Nobody logs in with a password.
    #[error("passwords are not accepted")]
    NoPasswords,
}
