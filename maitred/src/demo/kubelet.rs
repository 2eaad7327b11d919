//! What the lab plays of a kubelet: Nodes, and Pods that run. It goes when the agent stands.

use std::net::IpAddr;

use api::{Node, Pod};
use http::Method;
use lab::Server;
use serde_json::{Value, json};

use super::scene::Scene;

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

    /// Binds a Pod to the node with the fewest, runs a server in its namespace and says that it is ready.
    pub(super) fn run_pod(&mut self, pod: &Pod) -> anyhow::Result<()> {
        let name = pod.metadata.name.clone();
        let node = self.servers.len() % self.lab.nodes().len();
        let ips = self.lab.pod_ips(node, self.servers.len());
        let host = self.lab.add_pod(node, &name, ips)?;
        let port = pod.spec.containers.iter().flat_map(|container| &container.ports).next();
        self.servers.insert(name.clone(), Server::start(&host, port.map_or(8080, |port| port.container_port))?);
        let node = self.lab.node(node).name().to_owned();
        let path = format!("/api/v1/namespaces/default/pods/{name}/binding");
        let binding = json!({ "target": { "kind": "Node", "name": node } });
        self.api(move |cluster| async move {
            cluster.send::<Value>(Method::POST, &path, "application/json", Some(&binding)).await
        })?;
        let addresses: Vec<IpAddr> = ips.iter().collect();
        let pod_ips: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip.to_string() })).collect();
        let status = json!({ "status": {
            "phase": "Running", "podIP": addresses[0].to_string(), "podIPs": pod_ips,
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        self.api(move |cluster| async move { cluster.patch_status::<Pod>("default", &name, &status).await })?;
        Ok(())
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
