//! `maitred dns`: the names of the cluster.

use anyhow::Context as _;
use serde_json::json;
use tokio::sync::watch;
use zone::ResolvConf;

use crate::cli;

pub(crate) fn run(options: cli::Dns) -> anyhow::Result<()> {
    let config = config(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let cluster = cluster::kubeconfig(&options.kubeconfig).await?;
        let (stop, stopped) = watch::channel(false);
        let inputs = ::dns::follow(&cluster, config.zone.pods);
        let server = ::dns::start(config, inputs, stopped)?;
        let served: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
        eprintln!("maitred: answering for {} at {}", options.cluster_domain, served.join(", "));
        let _held =
            crate::status::hold_if_possible(&options.run_dir, "dns", move || json!({ "dns": { "addresses": served } }));
        crate::stop_signal().await;
        let _ = stop.send(true);
        tokio::task::spawn_blocking(|| server.join()).await.context("the DNS server's threads panicked")
    })
}

fn config(options: &cli::Dns) -> anyhow::Result<::dns::Config> {
    let zone = zone::Config::new(&options.cluster_domain).context("--cluster-domain")?;
    let mut zone = zone.with_ttl(options.ttl).context("--ttl")?.with_reverse(options.reverse.clone());
    zone.local_addresses = options.listen.iter().map(std::net::SocketAddr::ip).collect();
    let mut config = ::dns::Config::new(zone, options.listen.clone());
    config.recursion.extend(&options.allow_recursion);
    config.upstreams = if options.upstream.is_empty() {
        let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        ::dns::upstreams(&ResolvConf::parse(&host), &options.listen)
    } else {
        options.upstream.clone()
    };
    Ok(config)
}
