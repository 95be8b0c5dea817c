//! HTTPS: a certificate chain and its key from PEM files, with one named provider of cryptography.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};

use super::config::TlsConfig;

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or not there.
    #[error("server.tls.{key}: can't read {path}: {cause}; it must be a PEM file that this user may read")]
    Unreadable {
        /// `cert` or `key`.
        key: &'static str,
        /// As configured.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// They don't belong together, say.
    #[error(
        "server.tls: the certificate and the key can't be used: {0}; check that the key belongs to the first certificate"
    )]
    Unusable(rustls::Error),
}

/// Reads both files.
pub fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_file_iter(&config.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("cert", &config.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable("cert", &config.cert, "there is no certificate in it".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&config.key).map_err(|error| unreadable("key", &config.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let server = builder.map_err(TlsError::Unusable)?.with_no_client_auth().with_single_cert(chain, key);
    let mut server = server.map_err(TlsError::Unusable)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn unreadable(key: &'static str, path: &Path, cause: String) -> TlsError {
    TlsError::Unreadable { key, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_an_empty_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for cert in [folder.path().join("missing.pem"), empty] {
            let config = TlsConfig { cert: cert.clone(), key: cert.clone() };
            let text = acceptor(&config).err().unwrap().to_string();
            assert!(text.contains("server.tls.cert") && text.contains(&cert.display().to_string()), "{text}");
        }
    }
}
