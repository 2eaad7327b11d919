//! What the lab plays of a kubelet: Nodes, and Pods that run. It goes when the agent stands.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{EndpointSlice, Lease, Node, Pod, Service};
use lab::{Namespace, Server};
use serde_json::{Value, json};

use super::probe::settled;
use super::scene::{PATIENCE, Scene};

/// A Pod that runs.
pub(super) struct Running {
    /// Index of its node.
    node: usize,
    server: Server,
}

impl Scene {
    /// Registers a node of the lab: its Pod ranges, zone and addresses.
    pub(super) fn register_node(&self, node: usize) -> anyhow::Result<()> {
        let host = self.lab.node(node).clone();
        let (v4, v6) = self.lab.pod_ranges(node);
        let zone = self.lab.zone(node).unwrap_or_default().to_owned();
        let body = json!({
            "metadata": { "name": host.name(), "labels": { "topology.kubernetes.io/zone": zone } },
            "spec": { "podCIDR": v4.to_string(), "podCIDRs": [v4.to_string(), v6.to_string()] },
        });
        self.api(move |cluster| async move { cluster.create::<Node>("", body).await })?;
        let addresses: Vec<Value> =
            host.ips().iter().map(|ip| json!({ "type": "InternalIP", "address": ip.to_string() })).collect();
        let status = json!({ "status": {
            "addresses": addresses, "conditions": [{ "type": "Ready", "status": "True", "reason": "LabReady" }],
        } });
        let name = host.name().to_owned();
        self.api(move |cluster| async move { cluster.patch_status::<Node>("", &name, &status).await })?;
        Ok(())
    }

    /// Publishes the nodes' DNS servers behind the tenth address of the Service range (S-428): a Service without
    /// selector, and a slice per node.
    pub(super) fn publish_dns(&self) -> anyhow::Result<()> {
        let ports = json!([
            { "name": "dns", "protocol": "UDP", "port": 53 }, { "name": "dns-tcp", "protocol": "TCP", "port": 53 },
        ]);
        let service = json!({
            "metadata": { "name": "kube-dns", "labels": { "k8s-app": "kube-dns" } },
            "spec": { "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ports": ports },
        });
        self.api(move |cluster| async move { cluster.create::<Service>("kube-system", service).await })?;
        for node in self.lab.nodes() {
            let address = node.ips().v4.context("a node has an IPv4 address")?;
            let slice = json!({
                "metadata": {
                    "name": format!("kube-dns-{}", node.name()), "labels": { "kubernetes.io/service-name": "kube-dns" },
                },
                "addressType": "IPv4", "ports": ports,
                "endpoints": [{
                    "addresses": [address.to_string()], "conditions": { "ready": true }, "nodeName": node.name(),
                    "hints": { "forNodes": [{ "name": node.name() }] },
                }],
            });
            self.api(move |cluster| async move { cluster.create::<EndpointSlice>("kube-system", slice).await })?;
        }
        Ok(())
    }

    /// Waits until the scheduler has bound a Pod, runs a server in its namespace and says that it is ready.
    pub(super) fn run_pod(&mut self, pod: &Pod) -> anyhow::Result<()> {
        let name = pod.metadata.name.clone();
        let node = self.bound_to(pod.clone())?;
        self.addresses_given += 1;
        let ips = self.lab.pod_ips(node, self.addresses_given);
        let host = self.lab.add_pod(node, &name, ips)?;
        let port = pod.spec.containers.iter().flat_map(|container| &container.ports).next();
        let server = Server::start(&host, port.map_or(8080, |port| port.container_port))?;
        self.pods.insert(name.clone(), Running { node, server });
        let addresses: Vec<IpAddr> = ips.iter().collect();
        let pod_ips: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip.to_string() })).collect();
        let status = json!({ "status": {
            "phase": "Running", "podIP": addresses[0].to_string(), "podIPs": pod_ips,
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        self.api(move |cluster| async move { cluster.patch_status::<Pod>("default", &name, &status).await })?;
        Ok(())
    }

    /// The index of the node that a Pod is bound to, once it is.
    fn bound_to(&self, mut pod: Pod) -> anyhow::Result<usize> {
        let begun = Instant::now();
        let name = pod.metadata.name.clone();
        while pod.spec.node_name.is_empty() {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "Pod {name} was bound to no node");
            std::thread::sleep(Duration::from_millis(1));
            let name = name.clone();
            pod = self.api(move |cluster| async move { cluster.get::<Pod>("default", &name).await })?;
        }
        let node = self.lab.nodes().iter().position(|node| node.name() == pod.spec.node_name);
        node.with_context(|| format!("Pod {name} is bound to {}, which is no node of the lab", pod.spec.node_name))
    }

    /// Keeps the nodes' Leases fresh, as kubelets do.
    pub(super) fn renew_leases(&self) {
        let nodes: Vec<String> = self.lab.nodes().iter().map(|node| node.name().to_owned()).collect();
        let cluster = self.cluster.clone();
        self.runtime.handle().spawn(async move {
            loop {
                for node in &nodes {
                    let lease = json!({
                        "metadata": { "name": node, "namespace": "kube-node-lease" },
                        "spec": {
                            "holderIdentity": node, "leaseDurationSeconds": 40,
                            "renewTime": format!("{:.6}", jiff::Timestamp::now()),
                        },
                    });
                    // A missed renewal is made up for by the next one.
                    let _ = cluster.replace::<Lease>("kube-node-lease", node, lease).await;
                }
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
    }

    /// Ends a Pod as a kubelet does: it is terminating first, and its server ends once no new connection comes to it.
    pub(crate) fn stop_pod(&mut self, client: &Namespace, to: SocketAddr, name: &str) -> anyhow::Result<()> {
        self.delete_pod(name, json!({ "gracePeriodSeconds": 30 }))?;
        let others: BTreeSet<&str> = self.pods.keys().map(String::as_str).filter(|other| *other != name).collect();
        settled(client, to, &others, 40)?;
        if let Some(running) = self.pods.remove(name) {
            running.server.stop();
        }
        self.lab.remove_pod(name)?;
        self.delete_pod(name, json!({ "gracePeriodSeconds": 0 }))
    }

    fn delete_pod(&self, name: &str, options: Value) -> anyhow::Result<()> {
        let name = name.to_owned();
        self.api(move |cluster| async move { cluster.delete::<Pod>("default", &name, Some(&options)).await })
    }

    /// The node that a Pod runs on.
    pub(crate) fn node_of(&self, pod: &str) -> anyhow::Result<usize> {
        Ok(self.pods.get(pod).with_context(|| format!("Pod {pod} runs"))?.node)
    }

    /// Says whether a Pod is ready.
    pub(crate) fn set_ready(&self, pod: &str, ready: bool) -> anyhow::Result<()> {
        let status = if ready { "True" } else { "False" };
        let patch = json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
        let pod = pod.to_owned();
        self.api(move |cluster| async move { cluster.patch_status::<Pod>("default", &pod, &patch).await })?;
        Ok(())
    }
}
