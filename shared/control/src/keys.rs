//! Keys that are derived from the master key: for secrets in the table, for signatures (of download
//! links, continuation tokens and completed operations) and for node tokens.

use crate::Error;
use crate::files::{FileLocation, ListingPage, Upload};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use model::{ClusterRef, LaunchId, NodeId, Uid};
use sha2::Sha256;
use subtle::ConstantTimeEq;

type HmacSha256 = Hmac<Sha256>;

const NONCE_BYTES: usize = 12;

/// The derived keys. Its `Debug` shows none of them.
pub struct Keys(Option<Derived>);

struct Derived {
    seal: ChaCha20Poly1305,
    links: [u8; 32],
    nodes: [u8; 32],
    sessions: ChaCha20Poly1305,
}

/// The content of a download link: it allows to read this file until it expires, as long as its creator
/// may read the output files of the workspace.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The uid of the file server.
    pub file_server: &'a Uid,
    /// Below the root of the file server.
    pub path: &'a str,
    /// Seconds since 1970.
    pub expires_at: i64,
    /// The id of a principal, or the fingerprint of the service's own token.
    pub creator: &'a str,
    /// `subscription/resource group/workspace`.
    pub workspace: &'a str,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keys")
    }
}

impl Keys {
    /// Derives all keys from the master key.
    pub fn derive(master: &[u8; 32]) -> Self {
        let source = Hkdf::<Sha256>::new(None, master);
        let derived = |purpose: &str| {
            let mut key = [0; 32];
            source.expand(purpose.as_bytes(), &mut key).expect("32 bytes are one block");
            key
        };
        Self(Some(Derived {
            seal: ChaCha20Poly1305::new(&derived("secrets").into()),
            links: derived("links"),
            nodes: derived("nodes"),
            sessions: ChaCha20Poly1305::new(&derived("sessions").into()),
        }))
    }

    /// For functions that only reconcile: they open no secret and sign nothing, and are not permitted to read
    /// the master key. Every other method panics.
    pub fn absent() -> Self {
        Self(None)
    }

    fn derived(&self) -> &Derived {
        self.0.as_ref().expect("functions without keys open no secrets and sign nothing")
    }

    /// The signature of a request to list a directory of a file server, which expires.
    pub fn sign_listing(&self, page: &ListingPage, expires_at: i64) -> String {
        let FileLocation { file_server, path } = &page.directory;
        let (expiry, limit) = (expires_at.to_string(), page.limit.to_string());
        // `after` is a name of a file, so it contains no slash.
        let after = page.after.as_deref().unwrap_or("/");
        let parts = ["listing", file_server.as_str(), path, after, &limit, &expiry];
        URL_SAFE_NO_PAD.encode(mac(&self.derived().links, &parts))
    }

    /// Whether the signature is that of the request.
    pub fn is_listing_signed(&self, page: &ListingPage, expires_at: i64, signature: &str) -> bool {
        constant_time_eq(&self.sign_listing(page, expires_at), signature)
    }

    /// The signature of the state of a download of a large file, which its redirections carry.
    pub fn sign_copy(&self, link: &str, state: &str) -> String {
        URL_SAFE_NO_PAD.encode(&mac(&self.derived().links, &["copy", link, state])[..16])
    }

    /// Whether the signature is that of the state.
    pub fn is_copy_signed(&self, link: &str, state: &str, signature: &str) -> bool {
        constant_time_eq(&self.sign_copy(link, state), signature)
    }

    /// The signature of a request to remove a file of a file server, which expires.
    pub fn sign_removal(&self, place: &FileLocation, recursive: bool, expires_at: i64) -> String {
        let expiry = expires_at.to_string();
        let parts = ["removal", place.file_server.as_str(), &place.path, flag(recursive), &expiry];
        URL_SAFE_NO_PAD.encode(mac(&self.derived().links, &parts))
    }

    /// The signature of a link to which a file can be uploaded.
    pub fn sign_upload(&self, link: &Link<'_>, upload: &Upload) -> String {
        let Link { file_server, path, expires_at, creator, workspace } = link;
        let (expiry, length) = (expires_at.to_string(), upload.length.to_string());
        let Upload { sha256, executable, .. } = upload;
        let parts = [
            "upload",
            file_server.as_str(),
            path,
            &expiry,
            creator,
            workspace,
            &length,
            sha256,
            flag(*executable),
        ];
        URL_SAFE_NO_PAD.encode(mac(&self.derived().links, &parts))
    }

    /// The signature of a part of a digest, which the requests after it carry. `link` is the signature of their link.
    pub fn sign_digest(&self, link: &str, state: &str) -> String {
        URL_SAFE_NO_PAD.encode(&mac(&self.derived().links, &["digest", link, state])[..16])
    }

    /// Encrypts a secret for the table. `unique` must never be used twice with the same key.
    pub fn seal(&self, plain: &str, unique: &Uid) -> String {
        let digest = mac(&self.derived().links, &["nonce", unique.as_str()]);
        let nonce = &digest[..NONCE_BYTES];
        let sealed = self
            .derived()
            .seal
            .encrypt(Nonce::from_slice(nonce), plain.as_bytes())
            .expect("a secret is shorter than the cipher's limit of 256 GiB");
        STANDARD_NO_PAD.encode([nonce, &sealed].concat())
    }

    /// Decrypts a secret of the table.
    ///
    /// # Errors
    /// [`Error::Sealed`] when the text was not encrypted with this key.
    pub fn open(&self, sealed: &str) -> Result<String, Error> {
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| Error::Sealed)?;
        let (nonce, text) = bytes.split_at_checked(NONCE_BYTES).ok_or(Error::Sealed)?;
        let plain = self
            .derived()
            .seal
            .decrypt(Nonce::from_slice(nonce), text)
            .map_err(|_| Error::Sealed)?;
        String::from_utf8(plain).map_err(|_| Error::Sealed)
    }

    /// Encrypts the session of a browser, for its cookie.
    pub fn seal_session(&self, plain: &str) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = self
            .derived()
            .sessions
            .encrypt(Nonce::from_slice(&nonce), plain.as_bytes())
            .expect("a session is shorter than the cipher's limit of 256 GiB");
        URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// Decrypts the session of a browser; `None` when the text was not encrypted with this key.
    pub fn open_session(&self, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_BYTES)?;
        let plain = self.derived().sessions.decrypt(Nonce::from_slice(nonce), text).ok()?;
        String::from_utf8(plain).ok()
    }

    /// The signature of a download link.
    pub fn sign_link(&self, link: &Link<'_>) -> String {
        let Link { file_server, path, expires_at, creator, workspace } = link;
        let expiry = expires_at.to_string();
        let parts = ["link", file_server.as_str(), path, &expiry, creator, workspace];
        URL_SAFE_NO_PAD.encode(mac(&self.derived().links, &parts))
    }

    /// Whether the signature is that of the link.
    pub fn is_link_signed(&self, link: &Link<'_>, signature: &str) -> bool {
        constant_time_eq(&self.sign_link(link), signature)
    }

    /// A digest that identifies a token where the token itself must not be shown.
    pub fn fingerprint(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(&mac(&self.derived().links, &["fingerprint", token])[..16])
    }

    /// The signature of a continuation token: of this list, after this position.
    pub fn sign_page(&self, list: &str, position: &str) -> String {
        URL_SAFE_NO_PAD.encode(&mac(&self.derived().links, &["page", list, position])[..16])
    }

    /// The signature of an operation that is not stored: its id and its encoded result.
    pub fn sign_operation(&self, id: &Uid, body: &str) -> String {
        URL_SAFE_NO_PAD.encode(&mac(&self.derived().links, &["operation", id.as_str(), body])[..16])
    }

    /// Whether the signature is that of the operation.
    pub fn is_operation_signed(&self, id: &Uid, body: &str, signature: &str) -> bool {
        constant_time_eq(&self.sign_operation(id, body), signature)
    }

    /// The token of a launch, with which its instances sign in.
    pub fn launch_token(&self, cluster: &ClusterRef, launch: &LaunchId) -> String {
        let parts = ["launch", cluster.uid.as_str(), launch.as_str()];
        URL_SAFE_NO_PAD.encode(mac(&self.derived().nodes, &parts))
    }

    /// Whether the token is that of the launch.
    pub fn is_launch_token(&self, cluster: &ClusterRef, launch: &LaunchId, token: &str) -> bool {
        constant_time_eq(&self.launch_token(cluster, launch), token)
    }

    /// The seed of the key pair with which the nodes of an attempt reach each other over SSH. Not stored: it is gone with
    /// the attempt, as no assignment names it any more.
    pub fn ssh_seed(&self, job: &Uid, attempt: u32) -> [u8; 32] {
        let parts = ["ssh", job.as_str(), &attempt.to_string()];
        let mut seed = [0; 32];
        seed.copy_from_slice(&mac(&self.derived().nodes, &parts)[..32]);
        seed
    }

    /// The token of a node, with which its agent can report for this node only.
    pub fn node_token(&self, cluster: &ClusterRef, node: &NodeId) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.derived().nodes, &[cluster.uid.as_str(), node.as_str()]))
    }

    /// Whether the token is that of the node.
    pub fn is_node_token(&self, cluster: &ClusterRef, node: &NodeId, token: &str) -> bool {
        constant_time_eq(&self.node_token(cluster, node), token)
    }
}

/// Compares two secrets in a time that does not depend on where they differ.
pub fn constant_time_eq(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

fn mac(key: &[u8; 32], parts: &[&str]) -> [u8; 32] {
    let mut mac = <HmacSha256 as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

fn flag(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(byte: u8) -> Uid {
        Uid::from_bytes([byte; 16])
    }

    #[test]
    fn a_secret_is_decrypted_only_with_its_key() {
        let keys = Keys::derive(&[1; 32]);
        let sealed = keys.seal("hunter2", &uid(1));
        assert!(!sealed.contains("hunter2"));
        assert_ne!(sealed, keys.seal("hunter2", &uid(2)));
        assert_eq!(keys.open(&sealed).unwrap(), "hunter2");
        assert!(matches!(Keys::derive(&[2; 32]).open(&sealed), Err(Error::Sealed)));
        assert!(matches!(keys.open("c2hvcnQ"), Err(Error::Sealed)));
    }

    #[test]
    fn a_session_is_neither_a_secret_of_the_table_nor_of_another_key() {
        let keys = Keys::derive(&[1; 32]);
        let sealed = keys.seal_session("session");
        assert_eq!(keys.open_session(&sealed).as_deref(), Some("session"));
        assert_ne!(sealed, keys.seal_session("session"));
        assert_eq!(Keys::derive(&[2; 32]).open_session(&sealed), None);
        let secret =
            URL_SAFE_NO_PAD.encode(STANDARD_NO_PAD.decode(keys.seal("session", &uid(1))).unwrap());
        assert_eq!(keys.open_session(&secret), None);
        assert_eq!(keys.open_session("c2hvcnQ"), None);
    }

    #[test]
    fn a_signature_covers_every_part_of_a_listing() {
        let keys = Keys::derive(&[1; 32]);
        let directory =
            |byte, path: &str| FileLocation { file_server: uid(byte), path: path.into() };
        let page = ListingPage { directory: directory(1, "a"), after: Some("f".into()), limit: 9 };
        let signature = keys.sign_listing(&page, 100);
        assert!(keys.is_listing_signed(&page, 100, &signature));
        assert!(!keys.is_listing_signed(&page, 101, &signature));
        for changed in [
            ListingPage { directory: directory(2, "a"), ..page.clone() },
            ListingPage { directory: directory(1, "b"), ..page.clone() },
            ListingPage { after: None, ..page.clone() },
            ListingPage { limit: 10, ..page.clone() },
        ] {
            assert!(!keys.is_listing_signed(&changed, 100, &signature), "{changed:?}");
        }
    }

    #[test]
    fn a_signature_covers_every_part_of_a_link() {
        let keys = Keys::derive(&[1; 32]);
        let (server, other) = (uid(1), uid(2));
        let link = Link {
            file_server: &server,
            path: "a/b.txt",
            expires_at: 100,
            creator: "c",
            workspace: "s/g/w",
        };
        let signature = keys.sign_link(&link);
        assert!(keys.is_link_signed(&link, &signature));
        for changed in [
            Link { file_server: &other, ..link },
            Link { path: "a/c.txt", ..link },
            Link { expires_at: 101, ..link },
            Link { creator: "d", ..link },
            Link { workspace: "s/g/v", ..link },
        ] {
            assert!(!keys.is_link_signed(&changed, &signature), "{changed:?}");
        }
    }
}
