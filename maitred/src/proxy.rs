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
    let _programmer = control::Programmer::claim()?;
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
        |name: &Option<String>, flag| name.clone().with_context(|| format!("this --detect-local-mode needs {flag}"));
    let detector = match options.detect_local_mode {
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn told(words: &[&str]) -> anyhow::Result<Config> {
        let all = ["maitred", "proxy", "--kubeconfig", "f", "--node-name", "n"].iter().chain(words);
        match cli::Cli::try_parse_from(all)?.command {
            cli::Command::Proxy(options) => config(&options.node),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn s322_local_pods_are_known_by_kube_proxys_flags_and_by_nothing_without_them() {
        let detector = |words: &[&str]| told(words).expect("good flags").detector;
        let ranges = vec!["10.244.0.0/16".parse().expect("a range"), "fd00::/56".parse().expect("a range")];
        assert_eq!(detector(&[]), Detector::ClusterCidr(Vec::new()), "which is none");
        assert_eq!(detector(&["--cluster-cidr", "10.244.0.0/16,fd00::/56"]), Detector::ClusterCidr(ranges.clone()));
        let given = ["--detect-local-mode=ClusterCIDR", "--cluster-cidr=10.244.0.0/16,fd00::/56"];
        assert_eq!(detector(&given), Detector::ClusterCidr(ranges));
        assert_eq!(detector(&["--detect-local-mode", "NodeCIDR", "--cluster-cidr", "10.0.0.0/8"]), Detector::NodeCidr);
        let bridge = ["--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cni0"];
        assert_eq!(detector(&bridge), Detector::Interface("cni0".to_owned()));
        let prefix = ["--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "veth"];
        assert_eq!(detector(&prefix), Detector::InterfacePrefix("veth".to_owned()));
    }

    #[test]
    fn a_mode_without_what_it_needs_names_it() {
        for (mode, flag) in
            [("BridgeInterface", "--pod-bridge-interface"), ("InterfaceNamePrefix", "--pod-interface-name-prefix")]
        {
            let error = told(&["--detect-local-mode", mode]).expect_err("refused").to_string();
            assert_eq!(error, format!("this --detect-local-mode needs {flag}"));
        }
    }
}
