//! Whether a certificate and a key from the disk can be used: both can be read, they belong together, and clients that
//! trust the authority will trust the certificate.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// One of the two files.
    #[error("it is not valid PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The content.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

/// Whom a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
}

/// Whether this is a certificate.
pub(super) fn certificate(pem: &str) -> Result<CertificateDer<'static>, Misfit> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes())?;
    ParsedCertificate::try_from(&certificate)?;
    Ok(certificate)
}

/// Whether a certificate is of this key.
pub(super) fn pair(certificate: CertificateDer<'static>, key: &str) -> Result<(), Misfit> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    CertifiedKey::from_der(vec![certificate], key, &provider())?;
    Ok(())
}

/// Whether a certificate is signed by this authority, for this use, and not expired.
pub(super) fn signed(certificate: &CertificateDer<'_>, authority: &str, usage: Usage) -> Result<(), Misfit> {
    let mut roots = RootCertStore::empty();
    roots.add(self::certificate(authority)?)?;
    let (now, provider) = (UnixTime::now(), Arc::new(provider()));
    if usage == Usage::Client {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        verifier.verify_client_cert(certificate, &[], now)?;
    } else {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms)?;
    }
    Ok(())
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}
