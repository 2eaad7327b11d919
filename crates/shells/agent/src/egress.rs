//! Masquerading of what Pods send out of the cluster, by tables of its own beside the Model ([`nft::Egress`]).

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::Node;
use ipnet::IpNet;
use kernel::netlink::NetlinkError;
use kernel::nfnetlink::{BatchError, NfSocket, NftablesWatch};
use model::Family;

use crate::routes::internal_addresses;

/// Keeps the tables.
#[derive(Debug)]
pub(crate) struct Masquerade {
    socket: NfSocket,
    watch: NftablesWatch,
    /// What the kernel was told last, by family.
    written: [Option<nft::Egress>; 2],
}

impl Masquerade {
    /// In the caller's network namespace.
    pub(crate) fn open() -> Result<Masquerade, NetlinkError> {
        Ok(Masquerade {
            socket: NfSocket::open()?,
            watch: NftablesWatch::open(nft::EGRESS_TABLE)?,
            written: [None, None],
        })
    }

    /// Has the next [`Masquerade::apply`] write everything if somebody else has changed the tables. Otherwise nothing is
    /// written: each commit disturbs whoever else is about to write rules.
    pub(crate) fn doubt(&mut self) {
        let own = self.socket.port().map(|port| [port]);
        if !own.and_then(|own| self.watch.was_changed_by_others(&own)).is_ok_and(|changed| !changed) {
            self.written = [None, None];
        }
    }

    /// Writes what differs from what was written last.
    pub(crate) fn apply(&mut self, wanted: [nft::Egress; 2]) -> Result<(), BatchError> {
        for (wanted, written) in wanted.into_iter().zip(&mut self.written) {
            if written.as_ref() != Some(&wanted) {
                *written = None;
                self.socket.send_batch(&wanted.encode())?;
                *written = Some(wanted);
            }
        }
        Ok(())
    }
}

/// What the tables of a node are to say: its Pods are seen under their own addresses by all Pods and all nodes, and under
/// the node's by anybody else.
pub(crate) fn plan<'a>(nodes: impl IntoIterator<Item = &'a Node>, own: &str) -> [nft::Egress; 2] {
    let (mut pods, mut cluster) = (BTreeSet::new(), BTreeSet::new());
    for node in nodes {
        if node.metadata.name == own {
            pods.extend(node.spec.pod_cidrs.iter().copied());
        }
        cluster.extend(node.spec.pod_cidrs.iter().copied());
        cluster.extend(internal_addresses(node).into_iter().map(IpNet::from));
    }
    let of = |family: Family, all: &BTreeSet<IpNet>| {
        let is_v4 = family == Family::V4;
        all.iter().filter(|range| matches!(range.addr(), IpAddr::V4(_)) == is_v4).copied().collect()
    };
    Family::ALL.map(|family| nft::Egress { family, pods: of(family, &pods), cluster: of(family, &cluster) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_this_node_keep_their_addresses_towards_all_pods_and_nodes() {
        let node = |name: &str, address: &str, range: &str| -> Node {
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": name}, "spec": {"podCIDRs": [range]},
                "status": {"addresses": [{"type": "InternalIP", "address": address}]},
            }))
            .expect("a node")
        };
        let nodes = [node("a", "192.0.2.1", "10.244.0.0/24"), node("b", "2001:db8::2", "fd00:10:244:1::/64")];
        let [v4, v6] = plan(&nodes, "a");
        let texts = |all: &BTreeSet<IpNet>| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&v4.pods), ["10.244.0.0/24"]);
        assert_eq!(texts(&v4.cluster), ["10.244.0.0/24", "192.0.2.1/32"]);
        assert!(v6.pods.is_empty());
        assert_eq!(texts(&v6.cluster), ["2001:db8::2/128", "fd00:10:244:1::/64"]);
    }
}
