use super::*;

const HOST: &str = "# the host's\nnameserver 192.0.2.53 # comment\nnameserver fe80::1%eth0\n\
                    search example.com. corp.example\noptions timeout:2 rotate\n";

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn s430_each_policy_gives_its_file() {
    let check = |id: &str, policy: DnsPolicy, dns_ips: &[&str], config: DnsConfig, expected: &str| {
        let dns_ips: Vec<IpAddr> = dns_ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let text = resolv_conf(policy, "shop", "cluster.local", &dns_ips, &ResolvConf::parse(HOST), &config);
        assert_eq!(text, expected, "{id}");
    };
    let none = DnsConfig::default;
    let host =
        "search example.com corp.example\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\noptions timeout:2 rotate\n";
    let cluster = "search shop.svc.cluster.local svc.cluster.local cluster.local example.com corp.example\n\
                   nameserver 10.96.0.10\noptions ndots:5\n";
    check("s430-cluster-first", DnsPolicy::ClusterFirst, &["10.96.0.10"], none(), cluster);
    check("s430-host-net", DnsPolicy::ClusterFirstWithHostNet, &["10.96.0.10"], none(), cluster);
    check("s430-default", DnsPolicy::Default, &["10.96.0.10"], none(), host);
    check("s430-no-cluster-dns", DnsPolicy::ClusterFirst, &[], none(), host);
    check("s430-none-empty", DnsPolicy::None, &["10.96.0.10"], none(), "");
    let own = DnsConfig {
        nameservers: strings(&["203.0.113.1", "203.0.113.1"]),
        searches: strings(&[".", "under_score.example"]),
        options: vec![("ndots".into(), Some("2".into())), ("edns0".into(), None)],
    };
    let expected = "search . under_score.example\nnameserver 203.0.113.1\noptions ndots:2 edns0\n";
    check("s430-none", DnsPolicy::None, &["10.96.0.10"], own.clone(), expected);
    let expected = "search shop.svc.cluster.local svc.cluster.local cluster.local example.com corp.example . \
                    under_score.example\nnameserver 10.96.0.10\nnameserver fd00::a\nnameserver 203.0.113.1\n\
                    options ndots:2 edns0\n";
    check("s430-merged", DnsPolicy::ClusterFirst, &["10.96.0.10", "fd00::a"], own, expected);
    let many = DnsConfig { nameservers: strings(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]), ..none() };
    let expected = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
    check("s430-three-nameservers", DnsPolicy::None, &[], many.clone(), expected);
    let expected = cluster.replace("options", "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions");
    check("s430-three-in-all", DnsPolicy::ClusterFirst, &["10.96.0.10"], many, &expected);
}

#[test]
fn s430_search_lists_keep_to_32_paths_and_2048_characters() {
    let check = |id: &str, searches: Vec<String>, expected: usize| {
        let config = DnsConfig { searches, ..DnsConfig::default() };
        let text = resolv_conf(DnsPolicy::None, "shop", "cluster.local", &[], &ResolvConf::default(), &config);
        assert_eq!(text.lines().next().unwrap_or_default().split(' ').count() - 1, expected, "{id}");
    };
    check("s430-32-paths", (0..40).map(|n| format!("d{n}.example")).collect(), 32);
    // 20 paths of 100 characters and 19 blanks fit; the 21st would end at 2,120.
    check("s430-2048-characters", (0..30).map(|n| format!("{n:0>100}")).collect(), 20);
    check("s430-one-path-too-long", vec!["a".into(), "b".repeat(254), "c".into()], 2);
}

#[test]
fn s430_cluster_first_on_the_hosts_network_is_default() {
    assert_eq!(DnsPolicy::parse("").for_pod(true), DnsPolicy::Default);
    assert_eq!(DnsPolicy::parse("ClusterFirst").for_pod(false), DnsPolicy::ClusterFirst);
    assert_eq!(DnsPolicy::parse("ClusterFirstWithHostNet").for_pod(true), DnsPolicy::ClusterFirstWithHostNet);
    assert_eq!(DnsPolicy::parse("None").for_pod(true), DnsPolicy::None);
}
