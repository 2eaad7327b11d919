use super::*;
use crate::sample::{config, node};

/// The host's interfaces: loopback, one for the cluster, one for something else.
const HOST: [&str; 6] = ["127.0.0.1", "192.168.0.1", "172.16.0.1", "::1", "fd00::1", "fd77::1"];

type Texts = &'static [&'static str];

fn here(config: Config, node: Option<&Node>) -> Here {
    Here::of(&config, node, &HOST.map(|address| address.parse().unwrap()))
}

fn set<T: std::str::FromStr<Err: std::fmt::Debug> + Ord>(texts: &[&str]) -> BTreeSet<T> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn s319_which_addresses_accept_node_ports() {
    let ranges = |texts: &[&str]| NodePortAddresses::Ranges(texts.iter().map(|text| text.parse().unwrap()).collect());
    let named = |addresses: &[(&str, &str)]| {
        let mut node = node();
        let listed = addresses
            .iter()
            .map(|(kind, address)| api::NodeAddress { r#type: (*kind).to_owned(), address: (*address).to_owned() });
        node.status.addresses = listed.collect();
        Some(node)
    };
    use NodePortAddresses::{All, Primary};
    let table: [(&str, NodePortAddresses, Option<Node>, Texts, Texts); 12] = [
        ("s319_primary", Primary, Some(node()), &["192.168.0.1"], &["fd00::1"]),
        (
            "s319_primary_is_one",
            Primary,
            named(&[("InternalIP", "10.0.0.1"), ("InternalIP", "10.0.0.2"), ("InternalIP", "fd00::1")]),
            &["10.0.0.1"],
            &["fd00::1"],
        ),
        (
            "s362_internal_before_external",
            Primary,
            named(&[("ExternalIP", "203.0.113.1"), ("InternalIP", "10.0.0.1"), ("InternalIP", "fd00::1")]),
            &["10.0.0.1"],
            &["fd00::1"],
        ),
        (
            "s362_external_if_need_be",
            Primary,
            named(&[("Hostname", "10.0.0.3"), ("ExternalIP", "203.0.113.1"), ("InternalIP", "fd00::1")]),
            &["203.0.113.1"],
            &["fd00::1"],
        ),
        ("s362_without_a_node_there_is_no_primary_address", Primary, None, &[], &[]),
        (
            "s362_a_family_that_the_node_does_not_name_has_none",
            Primary,
            named(&[("InternalIP", "10.0.0.1")]),
            &["10.0.0.1"],
            &[],
        ),
        ("s319_all", All, Some(node()), &["192.168.0.1", "172.16.0.1"], &["fd00::1", "fd77::1"]),
        ("s319_ranges", ranges(&["172.16.0.0/12", "fd77::/16"]), Some(node()), &["172.16.0.1"], &["fd77::1"]),
        (
            "s319_family_without_range_accepts_all",
            ranges(&["172.16.0.0/12"]),
            Some(node()),
            &["172.16.0.1"],
            &["fd00::1", "fd77::1"],
        ),
        ("s319_range_without_address", ranges(&["172.31.0.0/16", "fd77::/16"]), Some(node()), &[], &["fd77::1"]),
        ("s319_no_range_at_all", ranges(&[]), Some(node()), &["192.168.0.1", "172.16.0.1"], &["fd00::1", "fd77::1"]),
        ("s320_loopback_never", ranges(&["127.0.0.0/8", "::1/128"]), Some(node()), &[], &[]),
    ];
    for (id, node_port_addresses, node, v4, v6) in table {
        println!("case {id}");
        let here = here(Config { node_port_addresses, ..config() }, node.as_ref());
        assert_eq!(here.in_family(Family::V4).accepted, set(v4), "{id}: IPv4");
        assert_eq!(here.in_family(Family::V6).accepted, set(v6), "{id}: IPv6");
    }
}

#[test]
fn s322_detectors_and_their_values() {
    let cluster = |texts: &[&str]| Detector::ClusterCidr(texts.iter().map(|text| text.parse().unwrap()).collect());
    let ranges = |texts: &[&str]| LocalPods::Ranges(set(texts));
    let unknown = || LocalPods::Unknown;
    let interface = || LocalPods::Interface("cni0".to_owned());
    let prefix = || LocalPods::InterfacePrefix("veth".to_owned());
    let table = [
        ("s322_none", Detector::None, Some(node()), unknown(), unknown()),
        (
            "s322_cluster",
            cluster(&["10.1.0.0/16", "fd01::/48"]),
            None,
            ranges(&["10.1.0.0/16"]),
            ranges(&["fd01::/48"]),
        ),
        ("s322_cluster_one_family", cluster(&["10.1.0.0/16"]), None, ranges(&["10.1.0.0/16"]), unknown()),
        ("s322_cluster_empty", cluster(&[]), Some(node()), unknown(), unknown()),
        ("s322_node", Detector::NodeCidr, Some(node()), ranges(&["10.1.0.0/24"]), ranges(&["fd01::/64"])),
        ("s322_node_unknown", Detector::NodeCidr, None, unknown(), unknown()),
        ("s322_node_without_range", Detector::NodeCidr, Some(Node::default()), unknown(), unknown()),
        ("s322_interface", Detector::Interface("cni0".to_owned()), None, interface(), interface()),
        ("s322_interface_empty", Detector::Interface(String::new()), None, unknown(), unknown()),
        ("s322_prefix", Detector::InterfacePrefix("veth".to_owned()), None, prefix(), prefix()),
        ("s322_prefix_empty", Detector::InterfacePrefix(String::new()), None, unknown(), unknown()),
    ];
    for (id, detector, node, v4, v6) in table {
        println!("case {id}");
        let here = here(Config { detector, ..config() }, node.as_ref());
        assert_eq!(here.in_family(Family::V4).local_pods, v4, "{id}: IPv4");
        assert_eq!(here.in_family(Family::V6).local_pods, v6, "{id}: IPv6");
    }
}

#[test]
fn s302_the_own_name_is_compared_as_a_host_name() {
    assert_eq!(here(Config { node_name: " Node-A\n".to_owned(), ..config() }, None).name, "node-a");
}

#[test]
fn s308_the_zone_is_the_nodes_label() {
    assert_eq!(here(config(), Some(&node())).zone.as_deref(), Some("east"));
    assert_eq!(here(config(), None).zone, None);
    let mut unlabelled = node();
    unlabelled.metadata.labels.clear();
    assert_eq!(here(config(), Some(&unlabelled)).zone, None);
}
