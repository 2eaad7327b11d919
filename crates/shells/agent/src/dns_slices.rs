//! The node's own DNS server as an endpoint of the Service `kube-system/kube-dns`.
//!
//! The Service has no selector. Each agent owns one EndpointSlice per family, with its node's address and the hints that
//! `PreferSameNode` gives (S-220), so that Pods ask the server beside them; while that one does not serve, its endpoint is
//! not ready and another node's answers. The slices go with the Node, which owns them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::{AGENT_SLICE_MANAGER, EndpointSlice, Node, SERVICE_NAME_LABEL};
use cluster::RequestError;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::driver::Shared;

/// Namespace and name of the Service (S-428).
const NAMESPACE: &str = "kube-system";
const SERVICE: &str = "kube-dns";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// After this time they are written again, in case somebody has changed them.
const REPAIR: Duration = Duration::from_secs(60);

/// The DNS server of a node, as its agent knows it.
#[derive(Clone, Debug)]
pub struct DnsEndpoint {
    /// Its port, UDP and TCP, on the node's addresses.
    pub port: u16,
    /// Whether it answers.
    pub serving: watch::Receiver<bool>,
}

/// Keeps the slices until the future is dropped; `published` says what they say.
pub(crate) async fn keep(
    shared: Arc<Shared>,
    mut dns: DnsEndpoint,
    mut seen: watch::Receiver<Option<Arc<Node>>>,
    published: watch::Sender<Option<bool>>,
) {
    loop {
        let serving = *dns.serving.borrow_and_update();
        let node = seen.borrow_and_update().clone();
        let published_for = identity(&node);
        let pause = match node {
            // Without its uid the Node cannot own anything.
            None => REPAIR,
            Some(node) => match publish(&shared, &node, dns.port, serving).await {
                Ok(()) => {
                    published.send_replace(Some(serving));
                    REPAIR
                }
                Err(error) => {
                    tracing::warn!(error = runloop::chain(&error), "the node's DNS server was not published");
                    RETRY
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Ok(()) = dns.serving.changed() => {}
            Ok(_) = seen.wait_for(|node| identity(node) != published_for) => {}
        }
    }
}

/// What of a Node makes its slices others: which it is, where it stands, and since when it is ready, because whoever took it
/// for lost has withdrawn them.
type Identity = (String, Option<String>, Option<(String, Option<String>)>);

fn identity(node: &Option<Arc<Node>>) -> Option<Identity> {
    let node = node.as_ref()?;
    let ready = node.status.conditions.iter().find(|condition| condition.r#type == "Ready");
    let ready = ready.map(|condition| (condition.status.clone(), condition.last_transition_time.clone()));
    Some((node.metadata.uid.clone(), zone(node), ready))
}

async fn publish(shared: &Shared, node: &Node, port: u16, serving: bool) -> Result<(), RequestError> {
    for (index, address) in shared.config.node_addresses.iter().enumerate() {
        let name = slice_name(&node.metadata.name, *address, index == 0);
        let body = slice(&name, node, *address, port, serving);
        match shared.cluster.replace::<EndpointSlice>(NAMESPACE, &name, body.clone()).await {
            Err(error) if error.code() == Some(404) => {
                shared.cluster.create::<EndpointSlice>(NAMESPACE, body).await.map(drop)?;
            }
            other => other.map(drop)?,
        }
    }
    Ok(())
}

/// `kube-dns-NODE` for the node's primary family; the other one's says which it is.
fn slice_name(node: &str, address: IpAddr, is_primary: bool) -> String {
    match (is_primary, address) {
        (true, _) => format!("{SERVICE}-{node}"),
        (false, IpAddr::V4(_)) => format!("{SERVICE}-{node}-ipv4"),
        (false, IpAddr::V6(_)) => format!("{SERVICE}-{node}-ipv6"),
    }
}

fn zone(node: &Node) -> Option<String> {
    // A label may be empty, the name of a zone may not.
    node.metadata.labels.get(ZONE_LABEL).filter(|zone| !zone.is_empty()).cloned()
}

fn slice(name: &str, node: &Node, address: IpAddr, port: u16, serving: bool) -> Value {
    let node_name = &node.metadata.name;
    let mut endpoint = json!({
        "addresses": [address], "nodeName": node_name,
        "conditions": {"ready": serving, "serving": serving, "terminating": false},
    });
    let mut hints = json!({"forNodes": [{"name": node_name}]});
    if let Some(zone) = zone(node) {
        hints["forZones"] = json!([{"name": zone}]);
        endpoint["zone"] = zone.into();
    }
    if serving {
        endpoint["hints"] = hints;
    }
    json!({
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "labels": {SERVICE_NAME_LABEL: SERVICE, "endpointslice.kubernetes.io/managed-by": AGENT_SLICE_MANAGER},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node.metadata.uid}],
        },
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "ports": [
            {"name": "dns", "protocol": "UDP", "port": port}, {"name": "dns-tcp", "protocol": "TCP", "port": port},
        ],
        "endpoints": [endpoint],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": "n1", "uid": "u-1", "labels": {"topology.kubernetes.io/zone": "z"}},
        }))
        .expect("a node")
    }

    #[test]
    fn s220_a_server_that_answers_is_hinted_for_its_own_node_and_zone() {
        let slice = slice("kube-dns-n1", &node(), [192, 0, 2, 1].into(), 53, true);
        let endpoint = &slice["endpoints"][0];
        assert_eq!(endpoint["hints"], json!({"forNodes": [{"name": "n1"}], "forZones": [{"name": "z"}]}));
        assert_eq!((&endpoint["conditions"]["ready"], &endpoint["zone"]), (&json!(true), &json!("z")));
        assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], "u-1");
    }

    #[test]
    fn s220_an_empty_label_is_no_zone() {
        let mut node = node();
        node.metadata.labels.insert(ZONE_LABEL.to_owned(), String::new());
        let endpoint = &slice("kube-dns-n1", &node, [192, 0, 2, 1].into(), 53, true)["endpoints"][0];
        assert_eq!(endpoint["hints"], json!({"forNodes": [{"name": "n1"}]}));
        assert_eq!(endpoint["zone"], Value::Null);
    }

    #[test]
    fn s220_one_that_does_not_answer_is_not_ready_and_has_no_hints() {
        let slice = slice("kube-dns-n1", &node(), [192, 0, 2, 1].into(), 53, false);
        let endpoint = &slice["endpoints"][0];
        assert_eq!((&endpoint["conditions"]["ready"], &endpoint["hints"]), (&json!(false), &Value::Null));
    }

    #[test]
    fn slices_of_the_two_families_have_names_of_their_own() {
        let (v4, v6) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
        assert_eq!(slice_name("n1", v4, true), "kube-dns-n1");
        assert_eq!(slice_name("n1", v6, false), "kube-dns-n1-ipv6");
        assert_eq!(slice_name("n1", v4, false), "kube-dns-n1-ipv4");
    }
}
