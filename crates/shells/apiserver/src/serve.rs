//! The TLS listener: client certificates become identities, requests go to the [`ApiServer`].

use std::sync::Arc;

use axum_core::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::credentials::Credentials;
use crate::{ApiServer, Identity};

/// How long open requests may take after the stop signal. Watches never end by themselves.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(2);

/// How long a client may take for the TLS handshake, and for the answer to a ping.
const HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(10);
/// How long a client may take to send a request's headers; a connection without requests is closed after that, too.
const HEADERS: std::time::Duration = std::time::Duration::from_secs(60);
/// How often an HTTP/2 client is asked whether it is still there.
const PING: std::time::Duration = std::time::Duration::from_secs(30);

/// Why the listener could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The PEM texts.
    #[error("the server's certificate or key is not valid PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// What TLS makes of them.
    #[error("the server's certificate and key cannot be used")]
    Tls(#[from] rustls::Error),
    /// The authority for clients.
    #[error("the client authority cannot be used")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What TLS needs to know: who this server is, and whose clients it trusts.
pub fn tls(credentials: &Credentials) -> Result<Tls, Error> {
    Ok(Tls(Arc::new(config(credentials)?)))
}

/// The TLS side of a server, ready to serve.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ServerConfig>);

/// Serves until `stop`, then lets open requests finish for a short time.
pub async fn serve(server: ApiServer, listener: TcpListener, tls: Tls, stop: CancellationToken) {
    let acceptor = TlsAcceptor::from(tls.0);
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((socket, _)) => {
                let watcher = open.watcher();
                tokio::spawn(connection(server.clone(), acceptor.clone(), socket, watcher));
            }
            Err(error) => {
                // Out of file descriptors: wait for some to close rather than spin.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    let drained = tokio::time::timeout(DRAIN, open.shutdown()).await;
    tracing::debug!(in_time = drained.is_ok(), "connections drained");
}

async fn connection(
    server: ApiServer,
    acceptor: TlsAcceptor,
    socket: TcpStream,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = socket.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let identity = stream.get_ref().1.peer_certificates().and_then(|chain| identity(chain.first()?));
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, identity) = (server.clone(), identity.clone());
        async move {
            // The answer to HEAD has no body; one that is sent all the same breaks an HTTP/2 stream.
            let is_head = request.method() == http::Method::HEAD;
            let mut request = request.map(Body::new);
            if let Some(identity) = identity {
                request.extensions_mut().insert(identity);
            }
            let response = server.handle(request).await;
            Ok::<_, std::convert::Infallible>(if is_head { response.map(|_| Body::empty()) } else { response })
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(HANDSHAKE);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// Common name and organizations of a client's certificate. The authority has been checked by TLS.
fn identity(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok().map(str::to_owned)).collect();
    Some(Identity { user, groups })
}

fn config(credentials: &Credentials) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut clients = RootCertStore::empty();
    clients.add(CertificateDer::from_pem_slice(credentials.ca.as_bytes())?)?;
    // A client without certificate is anonymous: it gets health and version, and 401 for the rest.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let chain = vec![
        CertificateDer::from_pem_slice(credentials.certificate.as_bytes())?,
        CertificateDer::from_pem_slice(credentials.ca.as_bytes())?,
    ];
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(credentials.key.as_bytes())?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
