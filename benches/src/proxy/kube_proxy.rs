//! The rules that kube-proxy's nftables mode writes, as text: a chain per Service with an anonymous verdict map, a chain per
//! endpoint. Pure. Laid out as in [its README](https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/proxy/nftables/README.md).

use crate::objects::Pair;

/// A whole table for these Services, whose endpoints are all ready: what is always there, then a command per chain, rule and
/// element, as kube-proxy writes them.
pub(super) fn layout(pairs: &[Pair]) -> String {
    let mut commands = vec![HEAD.to_owned()];
    commands.extend(pairs.iter().flat_map(Chains::of).flat_map(|service| service.commands()));
    commands.join("\n") + "\n"
}

const HEAD: &str = "\
table ip kube-proxy {
  comment \"rules for kube-proxy\"
  set cluster-ips { type ipv4_addr; comment \"Active ClusterIPs\"; }
  map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
  map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
  map service-nodeports { type inet_proto . inet_service : verdict; }
  chain mark-for-masquerade { meta mark set meta mark or 0x4000; }
  chain masquerading {
    mark and 0x4000 == 0 return
    meta mark set meta mark xor 0x4000
    masquerade fully-random
  }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
  }
  chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
  chain cluster-ips-check { ip daddr @cluster-ips reject; }
  chain filter-input { type filter hook input priority -110; ct state new jump service-endpoints-check; }
  chain filter-forward { type filter hook forward priority -110; ct state new jump service-endpoints-check; }
  chain filter-output { type filter hook output priority -110; ct state new jump service-endpoints-check; }
  chain filter-forward-post-dnat { type filter hook forward priority 0; ct state new jump cluster-ips-check; }
  chain filter-output-post-dnat { type filter hook output priority 0; ct state new jump cluster-ips-check; }
  chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
  chain nat-output { type nat hook output priority -100; jump services; }
  chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }
}";

/// The chains of one Service port.
struct Chains {
    /// The Service's chain, and what its endpoints' end with.
    name: String,
    address: String,
    port: u16,
    /// Address and port of each endpoint.
    endpoints: Vec<(String, u16)>,
}

impl Chains {
    fn of(pair: &Pair) -> Vec<Chains> {
        let (metadata, spec) = (&pair.service.metadata, &pair.service.spec);
        let target = pair.slice.ports.iter().find_map(|port| port.port).expect("the slice has a port");
        let addresses = pair.slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
        let endpoints: Vec<(String, u16)> = addresses.map(|address| (address.clone(), target)).collect();
        let chains = |port: &api::ServicePort| Chains {
            name: format!("{}-{}/{}/tcp/{}", hash(&metadata.name), metadata.namespace, metadata.name, port.name),
            address: spec.cluster_ips[0].clone(),
            port: port.port,
            endpoints: endpoints.clone(),
        };
        spec.ports.iter().map(chains).collect()
    }

    fn endpoint_chain(&self, (address, port): &(String, u16)) -> String {
        format!("endpoint-{}-{}__{address}/{port}", hash(address), self.name)
    }

    fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        let mut slots = Vec::new();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let (chain, (address, port)) = (self.endpoint_chain(endpoint), endpoint);
            commands.push(format!("add chain ip kube-proxy {chain}"));
            commands.push(format!("add rule ip kube-proxy {chain} ip saddr {address} jump mark-for-masquerade"));
            commands.push(format!("add rule ip kube-proxy {chain} meta l4proto tcp dnat to {address}:{port}"));
            slots.push(format!("{at} : goto {chain}"));
        }
        let (name, address, count, slots) = (&self.name, &self.address, slots.len(), slots.join(", "));
        let goto = format!("{address} . tcp . {} : goto service-{name}", self.port);
        commands.extend([
            format!("add chain ip kube-proxy service-{name}"),
            format!("add rule ip kube-proxy service-{name} numgen random mod {count} vmap {{ {slots} }}"),
            format!("add element ip kube-proxy cluster-ips {{ {address} }}"),
            format!("add element ip kube-proxy service-ips {{ {goto} }}"),
        ]);
        commands
    }
}

/// Eight letters and digits by which chains of one name would differ (FNV-1a).
fn hash(text: &str) -> String {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{:08X}", (hash >> 32) as u32 ^ hash as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::pairs;

    #[test]
    fn a_service_has_a_chain_and_each_endpoint_another() {
        let text = layout(&pairs(2, 3));
        assert_eq!(text.matches("add chain ip kube-proxy service-").count(), 2);
        assert_eq!(text.matches("add chain ip kube-proxy endpoint-").count(), 6);
        assert_eq!(text.matches("numgen random mod 3 vmap { 0 : goto endpoint-").count(), 2);
        assert!(text.contains("dnat to 10.128.0.5:8080\n"), "{text}");
        assert!(text.contains("{ 10.96.1.1 . tcp . 80 : goto service-"), "{text}");
    }
}
