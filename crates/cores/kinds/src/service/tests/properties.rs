//! What holds for every sequence of accepted writes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn pick(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(values).prop_map(Value::from)
}

/// Specs of which a good part is accepted.
fn specs() -> impl Strategy<Value = Value> {
    let port = (
        prop::sample::select(&[80, 81, 53][..]),
        prop::sample::select(&["TCP", "UDP"][..]),
        prop::sample::select(&[0, 0, 30080, 30081, 30082, 31000][..]),
    );
    let ports = prop::collection::vec(port, 1..4).prop_map(|ports| {
        let named = ports.into_iter().enumerate().map(|(index, (port, protocol, node_port))| {
            json!({"name": format!("p{index}"), "port": port, "protocol": protocol, "nodePort": node_port})
        });
        Value::from(named.collect::<Vec<_>>())
    });
    (
        pick(&["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "ExternalName"]),
        ports,
        pick(&["", "", "", "None", "10.96.0.9", "10.96.0.10", "fd00::9"]),
        prop::option::of(pick(&["SingleStack", "PreferDualStack", "RequireDualStack"])),
        prop::option::weighted(0.2, pick(&["IPv4", "IPv6"])),
        pick(&["", "", "Local", "Cluster"]),
        prop::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(|(r#type, ports, ip, policy, family, external, allocate)| {
            json!({
                "type": r#type, "ports": ports, "clusterIP": ip, "ipFamilyPolicy": policy,
                "ipFamilies": family.map(|family| vec![family]).unwrap_or_default(), "externalName": "example.com",
                "externalTrafficPolicy": external, "allocateLoadBalancerNodePorts": allocate,
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Claims and releases tell the whole difference between what is held before and after, and nothing that somebody
    /// else holds is ever claimed.
    #[test]
    fn s108_claims_and_releases_account_for_everything(steps in prop::collection::vec(specs(), 1..6), seed: u64) {
        let others = dual().taking(&["10.96.0.10", "fd00::a"], &[30082]);
        let mut stored: Option<Value> = None;
        for spec in steps {
            let cluster = stored.as_ref().map_or_else(|| others.clone(), |object| holding(&others, object));
            let context = Context { seed, ..cluster.context() };
            let result = match &stored {
                None => Service.create(service(spec), &context),
                Some(old) => Service.update(service(spec), old, &context),
            };
            let Ok(admitted) = result else { continue };
            let before: BTreeSet<Claim> = stored.iter().flat_map(|object| Service.holds(object)).collect();
            let after: BTreeSet<Claim> = Service.holds(&admitted.object).into_iter().collect();
            prop_assert_eq!(admitted.claims.iter().copied().collect::<BTreeSet<_>>(), &after - &before);
            prop_assert_eq!(admitted.releases.iter().copied().collect::<BTreeSet<_>>(), &before - &after);
            for claim in &admitted.claims {
                let free = match claim {
                    Claim::Address(address) => !cluster.addresses.contains(address),
                    Claim::Port(port) => !cluster.ports.contains(port),
                };
                prop_assert!(free, "{:?} is somebody else's", claim);
            }
            let again = Service.update(admitted.object.clone(), &admitted.object, &holding(&others, &admitted.object).context());
            let again = again.expect("what was stored can be written again");
            prop_assert_eq!(&again.object, &admitted.object);
            prop_assert!(again.claims.is_empty() && again.releases.is_empty());
            stored = Some(admitted.object);
        }
    }
}
