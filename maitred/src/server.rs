//! `maitred server`: the API and the controllers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use apiserver::credentials::{self, Names};
use apiserver::{ApiServer, Config, Identity};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli;

pub(crate) fn run(options: cli::Server) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: cli::Server) -> anyhow::Result<()> {
    check_ranges(&options)?;
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another server running there? Choose another place by --listen",
            options.listen
        )
    })?;
    let listen = listener.local_addr()?;
    let advertise = advertise(&options, listen.ip())?;
    let names = names(&options, &advertise);
    let url_host = advertise.first().copied().unwrap_or(listen.ip());
    let url = format!("https://{}", std::net::SocketAddr::new(url_host, listen.port()));
    let credentials = credentials::ensure(&options.data_dir, &names, &url)?;
    let store = store::Embedded::open(&options.data_dir.join("store"))?;
    let config = Config {
        service_ranges: options.service_cluster_ip_range.clone(),
        node_ports: options.service_node_port_range.clone(),
        advertise,
        port: listen.port(),
    };
    let server = ApiServer::start(Arc::new(store), config).await?;

    let stop = CancellationToken::new();
    let settings = controllers::Settings {
        pod_pools: controllers::pod_pools(&options.cluster_cidr).context("--cluster-cidr")?,
        node_grace: jiff::SignedDuration::from_secs(options.node_monitor_grace_period.into()),
        service_ranges: options.service_cluster_ip_range.clone(),
        ..controllers::Settings::default()
    };
    let cluster_for = |component: &str| cluster::in_process(server.client(Identity::component(component)));
    let controllers = controllers::start(cluster_for, settings);
    let mut listening = {
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move { apiserver::serve::serve(server, listener, &credentials, stop).await })
    };
    eprintln!("maitred: serving {url}; KUBECONFIG={}", options.data_dir.join("admin.kubeconfig").display());
    tokio::select! {
        () = crate::stop_signal() => {}
        ended = &mut listening => return Ok(ended??),
    }
    drop(controllers);
    stop.cancel();
    listening.await??;
    Ok(())
}

fn check_ranges(options: &cli::Server) -> anyhow::Result<()> {
    match options.service_cluster_ip_range.as_slice() {
        [_] => Ok(()),
        [a, b] if a.addr().is_ipv4() != b.addr().is_ipv4() => Ok(()),
        _ => bail!("--service-cluster-ip-range: give one range, or one of each IP family"),
    }
}

/// The addresses to publish: as given, else the listen address, else the machine's own.
fn advertise(options: &cli::Server, listen: IpAddr) -> anyhow::Result<Vec<IpAddr>> {
    if !options.advertise_address.is_empty() {
        return Ok(options.advertise_address.clone());
    }
    if !listen.is_unspecified() {
        return Ok(vec![listen]);
    }
    let found = machine_addresses();
    if found.is_empty() {
        bail!("no address to advertise was found on this machine: give --advertise-address");
    }
    Ok(found)
}

/// The addresses that this machine would use towards the world. Connecting a UDP socket sends nothing.
fn machine_addresses() -> Vec<IpAddr> {
    let probes: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    ];
    let source = |(any, far): (IpAddr, IpAddr)| {
        let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
        socket.connect((far, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    probes.into_iter().filter_map(source).filter(|address| !address.is_loopback()).collect()
}

/// Everything by which clients may call this server.
fn names(options: &cli::Server, advertise: &[IpAddr]) -> Names {
    let domain = &options.cluster_domain;
    let mut dns: Vec<String> = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("kubernetes.default.svc.{domain}")])
        .collect();
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        dns.push(host.trim().to_owned());
    }
    let mut addresses = advertise.to_vec();
    addresses.push(options.listen.ip());
    addresses.extend([IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
    addresses.extend(options.service_cluster_ip_range.iter().map(apiserver::first_address));
    addresses.retain(|address| !address.is_unspecified());
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    Names { dns, addresses }
}
