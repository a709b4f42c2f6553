//! Keys: of the host, of an attempt, of the administrator. All keys that are made here are ed25519, and are made of
//! a seed that the caller gives.

use std::fmt;

use russh::keys::ssh_key;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("it is not an SSH key")]
pub struct KeyError(#[from] ssh_key::Error);

/// A pair of ed25519 keys.
#[derive(Clone)]
pub struct KeyPair {
    private: ssh_key::PrivateKey,
}

impl KeyPair {
    /// The key pair of `seed`, which is 32 random bytes. The same seed gives the same keys. `comment` is the last field
    /// of both texts.
    pub fn from_seed(seed: &[u8; 32], comment: &str) -> Self {
        let mut private = ssh_key::PrivateKey::from(Ed25519Keypair::from_seed(seed));
        private.set_comment(comment);
        Self { private }
    }

    /// A private key as OpenSSH writes it, without a passphrase.
    ///
    /// # Errors
    /// When the text is no private key, or one with a passphrase.
    pub fn from_openssh(text: &str) -> Result<Self, KeyError> {
        let private = ssh_key::PrivateKey::from_openssh(text)?;
        if private.is_encrypted() {
            return Err(KeyError(ssh_key::Error::Encrypted));
        }
        Ok(Self { private })
    }

    /// The private key as OpenSSH writes it (`-----BEGIN OPENSSH PRIVATE KEY-----`), for a file of mode 0600.
    ///
    /// # Errors
    /// When the key cannot be encoded, which does not happen with keys that were made or read here.
    pub fn private_key(&self) -> Result<String, KeyError> {
        Ok(self.private.to_openssh(LineEnding::LF)?.to_string())
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.private.public_key().clone())
    }

    pub(crate) fn into_russh(self) -> ssh_key::PrivateKey {
        self.private
    }
}

/// Without the keys.
impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// A public key that a client may prove to have.
#[derive(Clone, Debug)]
pub struct PublicKey(ssh_key::PublicKey);

impl PublicKey {
    /// A line of `authorized_keys` or `id_ed25519.pub`: type, key and an optional comment.
    ///
    /// # Errors
    /// When the text is no public key.
    pub fn from_openssh(line: &str) -> Result<Self, KeyError> {
        Ok(Self(ssh_key::PublicKey::from_openssh(line.trim())?))
    }

    /// The key as such a line.
    ///
    /// # Errors
    /// When the key cannot be encoded, which does not happen with keys that were made or read here.
    pub fn to_openssh(&self) -> Result<String, KeyError> {
        Ok(self.0.to_openssh()?)
    }

    /// Whether it is `other`, whatever the comments are.
    pub(crate) fn is(&self, other: &ssh_key::PublicKey) -> bool {
        self.0.key_data() == other.key_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_is_read_as_it_was_written() {
        let pair = KeyPair::from_seed(&[7; 32], "attempt");
        let text = pair.private_key().unwrap();
        assert!(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "{text}");
        let read = KeyPair::from_openssh(&text).unwrap();
        let line = read.public_key().to_openssh().unwrap();
        assert_eq!(line, pair.public_key().to_openssh().unwrap());
        assert!(line.starts_with("ssh-ed25519 AAAA") && line.ends_with(" attempt"), "{line}");
        assert!(PublicKey::from_openssh(&format!("{line}\n")).unwrap().is(&read.public_key().0));
        let other = KeyPair::from_seed(&[8; 32], "attempt").public_key();
        assert!(!other.is(&read.public_key().0));
        assert!(KeyPair::from_openssh("no key").is_err());
        assert!(!format!("{pair:?}").contains("key_data"));
    }
}
