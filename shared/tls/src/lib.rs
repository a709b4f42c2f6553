//! HTTP clients with TLS: rustls with the cryptography of `ring`, trusting what the system trusts.
//!
//! `ring` and not `aws-lc-rs`, which the AWS SDK uses: it compiles in a few seconds, and for another
//! target with nothing but a C compiler for it. So the agent can be built for an old glibc anywhere.

#![warn(missing_docs)]

use reqwest::ClientBuilder;

/// What a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// `https` with the certificate authorities of the system, which are read when the client is
    /// built (`SSL_CERT_FILE` and `SSL_CERT_DIR` replace them), and `http`.
    Public,
    /// `http` only: no certificate is trusted, and none is read.
    WithoutTls,
}

impl Servers {
    /// For a base URL.
    pub fn of(url: &str) -> Self {
        match url.trim().get(..6) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https:") => Self::Public,
            Some(_) | None => Self::WithoutTls,
        }
    }

    /// A new client. Without this function a client has no cryptography, and building it panics.
    #[expect(clippy::disallowed_methods, reason = "the one place in which clients are made")]
    pub fn client(self) -> ClientBuilder {
        // An error means that this process has installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match self {
            Self::Public => ClientBuilder::new(),
            Self::WithoutTls => ClientBuilder::new().tls_certs_only([]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_for_https_only() {
        for (url, servers) in [
            ("https://api.example", Servers::Public),
            (" HTTPS://api.example\n", Servers::Public),
            ("http://127.0.0.1:8470", Servers::WithoutTls),
            ("http", Servers::WithoutTls),
        ] {
            assert_eq!(Servers::of(url), servers, "{url}");
        }
        assert!(Servers::WithoutTls.client().build().is_ok());
    }
}
