//! `maitred server`: the API and the controllers.

mod addresses;
mod options;
mod ports;
mod ranges;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use apiserver::credentials;
use apiserver::{ApiServer, Config, Identity};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli;

pub(crate) fn run(options: cli::Server) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: cli::Server) -> anyhow::Result<()> {
    let mut running = start(&options).await?;
    let url = running.url.clone();
    let _held = crate::status::hold_if_possible(&options.run_dir, "server", move || json!({ "url": url }));
    eprintln!("maitred: serving {}; KUBECONFIG={}", running.url, running.kubeconfig.display());
    tokio::select! {
        () = crate::stop_signal() => running.stop().await,
        ended = running.ended() => ended,
    }
}

/// The API and the controllers at work. Dropped without [`Running::stop`], the controllers end at once and the listener
/// stays until its runtime ends.
pub(crate) struct Running {
    /// For clients in the same process: [`ApiServer::client`].
    pub(crate) api: ApiServer,
    /// Where others reach the API.
    pub(crate) url: String,
    /// How an administrator reaches it.
    pub(crate) kubeconfig: PathBuf,
    controllers: controllers::Running,
    stop: CancellationToken,
    listening: JoinHandle<()>,
}

impl Running {
    /// Resolves when the listener ends though nobody asked it to.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        Ok((&mut self.listening).await?)
    }

    /// Takes this server out of `default/kubernetes` (S-149), ends the controllers, and lets open requests finish for a
    /// short time.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.controllers);
        if let Err(status) = self.api.leave().await {
            tracing::warn!(error = %status, "this server's address stays in default/kubernetes");
        }
        self.stop.cancel();
        // Whoever has seen the listener end has its result; a task can be waited for once.
        if self.listening.is_finished() {
            return Ok(());
        }
        Ok(self.listening.await?)
    }
}

/// Starts the API and the controllers in the caller's runtime.
pub(crate) async fn start(options: &cli::Server) -> anyhow::Result<Running> {
    options::check(options)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {}: {}", options.listen, unbound(&error)))?;
    let listen = listener.local_addr()?;
    // The store is held by one process: whoever cannot have it must not write credentials beside it, either.
    let store = store::Embedded::open(&options.data_dir.join("store"))
        .with_context(|| format!("cannot use the data directory {} (--data-dir)", options.data_dir.display()))?;
    let advertise = addresses::advertise(options, listen.ip())?;
    let names = addresses::names(options, &advertise);
    let url_host = advertise.first().copied().unwrap_or(listen.ip());
    let url = format!("https://{}", SocketAddr::new(url_host, listen.port()));
    let credentials = credentials::ensure(&options.data_dir, &names, &url)?;
    let tls = apiserver::serve::tls(&credentials)?;
    let config = Config {
        service_ranges: options.service_cluster_ip_range.clone(),
        pod_ranges: options.cluster_cidr.clone(),
        node_ports: options.service_node_port_range.clone(),
        advertise,
        port: listen.port(),
    };
    let api = ApiServer::start(Arc::new(store), config).await?;
    let cluster_for = |component: &str| cluster::in_process(api.client(Identity::component(component)));
    let controllers = controllers::start(cluster_for, settings(options, &api)?);
    let stop = CancellationToken::new();
    let listening = {
        let (api, stop) = (api.clone(), stop.clone());
        tokio::spawn(apiserver::serve::serve(api, listener, tls, stop))
    };
    let kubeconfig = options.data_dir.join("admin.kubeconfig");
    Ok(Running { api, url, kubeconfig, controllers, stop, listening })
}

/// Why an address cannot be listened on, and what to do.
fn unbound(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "is another server running there? Choose another place by --listen".to_owned(),
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; --listen takes one of its own, or 0.0.0.0 or [::] for all of them"
                .to_owned()
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges; choose a higher one by --listen, such as 6443".to_owned()
        }
        _ => format!("{error}; choose another place by --listen"),
    }
}

fn settings(options: &cli::Server, api: &ApiServer) -> anyhow::Result<controllers::Settings> {
    let ports = controllers::Ports {
        keys: Arc::new(ports::Keys(api.clone())),
        range: options.service_node_port_range.clone(),
        period: controllers::PORTS_PERIOD_DEFAULT,
    };
    Ok(controllers::Settings {
        pod_pools: pod_pools(options)?,
        node_grace: jiff::SignedDuration::from_secs(options.node_monitor_grace_period.into()),
        service_ranges: options.service_cluster_ip_range.clone(),
        event_ttl: options.event_ttl,
        ports: Some(ports),
        ..controllers::Settings::default()
    })
}

/// What nodes' Pod ranges are taken from.
fn pod_pools(options: &cli::Server) -> anyhow::Result<Vec<controllers::Pool>> {
    controllers::pod_pools(&options.cluster_cidr)
        .context("--cluster-cidr is too small: choose a /24 of IPv4 and a /64 of IPv6, or larger")
}
