//! `maitred proxy`: the rules of one node.

use anyhow::{Context as _, bail};
use proxy::{Config, Dataplane, Detector, NodePortAddresses};
use serde_json::json;
use tokio::sync::watch;

use crate::cli::{self, DetectLocal};

pub(crate) fn run(options: cli::Proxy) -> anyhow::Result<()> {
    let mut dataplane = proxy::Nftables::open()?;
    if options.cleanup {
        dataplane.cleanup()?;
        return Ok(());
    }
    let config = config(&options.node)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let cluster = cluster::kubeconfig(&options.node.kubeconfig).await?;
        let (stop, stopped) = watch::channel(false);
        let (thread, mut progress) = proxy::start(&cluster, config, Box::new(dataplane), stopped)?;
        let (node, seen) = (options.node.node_name.clone(), progress.clone());
        let _held = crate::status::hold_if_possible(
            &options.run_dir,
            "proxy",
            move || json!({ "node": node, "proxy": crate::node::shown(&seen.borrow()) }),
        );
        tokio::select! {
            () = crate::stop_signal() => {}
            _ = progress.wait_for(|_| false) => {
                bail!("the proxy's thread ended, which is a mistake in maitred; the log says more. The rules stay")
            }
        }
        // The rules stay: connections outlive the proxy (S-364).
        let _ = stop.send(true);
        thread.join().ok().context("the proxy's thread panicked")
    })
}

/// What the proxy of a node is told on the command line.
pub(crate) fn config(options: &cli::ProxiedNode) -> anyhow::Result<Config> {
    let interface =
        |name: &Option<String>, flag| name.clone().with_context(|| format!("--detect-local-mode needs {flag}"));
    let detector = match options.detect_local_mode {
        DetectLocal::None => Detector::None,
        DetectLocal::ClusterCidr => Detector::ClusterCidr(options.cluster_cidr.clone()),
        DetectLocal::NodeCidr => Detector::NodeCidr,
        DetectLocal::BridgeInterface => {
            Detector::Interface(interface(&options.pod_bridge_interface, "--pod-bridge-interface")?)
        }
        DetectLocal::InterfaceNamePrefix => {
            let prefix = interface(&options.pod_interface_name_prefix, "--pod-interface-name-prefix")?;
            Detector::InterfacePrefix(prefix)
        }
    };
    Ok(Config {
        node_name: options.node_name.clone(),
        detector,
        masquerade_all: options.masquerade_all,
        node_port_addresses: node_port_addresses(&options.nodeport_addresses)?,
        service_proxy_name: None,
    })
}

fn node_port_addresses(given: &[String]) -> anyhow::Result<NodePortAddresses> {
    match given {
        [word] if word == "primary" => Ok(NodePortAddresses::Primary),
        [] => Ok(NodePortAddresses::All),
        ranges => {
            let parse = |text: &String| {
                text.parse().with_context(|| {
                    format!("--nodeport-addresses: {text:?} is no range like 192.168.0.0/16, nor `primary` alone")
                })
            };
            Ok(NodePortAddresses::Ranges(ranges.iter().map(parse).collect::<anyhow::Result<_>>()?))
        }
    }
}
