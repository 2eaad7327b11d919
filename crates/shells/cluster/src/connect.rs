//! Ways to an API server.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use jiff::Timestamp;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::Cluster;

/// What a library said, with its causes, on one line: a parser of YAML draws pictures below.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OneLine(String);

impl OneLine {
    fn of(error: &dyn std::error::Error) -> OneLine {
        let chain = std::iter::successors(Some(error), |error| error.source());
        let mut said: Vec<String> = Vec::new();
        for text in chain.filter_map(|error| error.to_string().lines().next().map(str::to_owned)) {
            // Some repeat their cause, others leave it to the reader of the chain.
            if said.last().is_none_or(|last| !last.contains(&text)) {
                said.push(text);
            }
        }
        OneLine(said.join(": "))
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig file.
    #[error("cannot use the kubeconfig {}: give the path of a readable one by --kubeconfig", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: OneLine,
    },
    /// The client certificate in it is too old.
    #[error(
        "the client certificate in the kubeconfig {} expired at {since}: take a new kubeconfig from the server's \
         administrator (`maitred server` writes one into its data directory)",
        path.display()
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// Since when.
        since: Timestamp,
    },
    /// TLS or the address in it.
    #[error("cannot make a client from the kubeconfig {}", path.display())]
    Client {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

/// A client of the API server that a kubeconfig file names.
pub async fn kubeconfig(path: &Path) -> Result<Cluster, ConnectError> {
    let unusable = |error: kube::config::KubeconfigError| ConnectError::Kubeconfig {
        path: path.to_owned(),
        source: OneLine::of(&error),
    };
    let file = Kubeconfig::read_from(path).map_err(unusable)?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(unusable)?;
    if let Some(since) = end_of_certificate(&config).filter(|end| *end < Timestamp::now()) {
        return Err(ConnectError::Expired { path: path.to_owned(), since });
    }
    let client = kube::Client::try_from(config)
        .map_err(|source| ConnectError::Client { path: path.to_owned(), source: Box::new(source) })?;
    Ok(Cluster::new(client))
}

/// When the client certificate ends, if there is one that can be read. The server would only close the connection.
fn end_of_certificate(config: &kube::Config) -> Option<Timestamp> {
    let user = &config.auth_info;
    let pem = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => base64::engine::general_purpose::STANDARD.decode(data).ok()?,
        (None, Some(file)) => std::fs::read(file).ok()?,
        (None, None) => return None,
    };
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    Timestamp::from_second(pem.parse_x509().ok()?.validity().not_after.timestamp()).ok()
}

/// A client over a transport in the same process.
pub fn in_process<S, B>(transport: S) -> Cluster
where
    S: tower::Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<tower::BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    Cluster::new(kube::Client::new(transport, "default"))
}
