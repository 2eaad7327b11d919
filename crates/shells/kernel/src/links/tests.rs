use super::*;
use crate::process::can_make_namespaces;

/// Two namespaces joined by a veth pair, or `None` with the reason printed.
fn pair() -> Option<(Namespace, Namespace)> {
    if let Err(error) = can_make_namespaces() {
        eprintln!("SKIP: no network namespaces here: {error:?}");
        return None;
    }
    let (near, far) = (Namespace::create().unwrap(), Namespace::create().unwrap());
    let veth = Veth {
        name: "near0",
        mac: Some([2, 0, 0, 0, 0, 1]),
        peer_name: "far0",
        peer_mac: Some([2, 0, 0, 0, 0, 2]),
        peer_namespace: Some(&far),
        mtu: Some(1400),
    };
    near.links().add_veth(&veth).unwrap();
    Some((near, far))
}

fn link(namespace: &Namespace, name: &str) -> Link {
    let links = namespace.links().links().unwrap();
    links.into_iter().find(|link| link.name == name).unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn a_veth_pair_has_the_names_addresses_and_size_that_were_asked_for() {
    let Some((near, far)) = pair() else { return };
    let (one, other) = (link(&near, "near0"), link(&far, "far0"));
    assert_eq!((one.mac, one.mtu, one.is_up), (Some([2, 0, 0, 0, 0, 1]), 1400, false));
    assert_eq!((other.mac, other.mtu), (Some([2, 0, 0, 0, 0, 2]), 1400));
    assert!(near.links().add_bridge("near0").unwrap_err().is_already_so());
}

#[test]
fn a_link_can_be_renamed_moved_changed_and_deleted() {
    let Some((near, far)) = pair() else { return };
    near.links().rename("near0", "eth1").unwrap();
    near.links().set_mtu("eth1", 1300).unwrap();
    near.links().set_mac("eth1", [2, 0, 0, 0, 0, 9]).unwrap();
    near.links().move_to("eth1", &far).unwrap();
    let moved = link(&far, "eth1");
    assert_eq!((moved.mtu, moved.mac), (1300, Some([2, 0, 0, 0, 0, 9])));
    far.links().delete("eth1").unwrap();
    assert_eq!(far.links().links().unwrap().len(), 1);
    assert!(far.links().delete("eth1").unwrap_err().is_already_so());
}

#[test]
fn addresses_and_routes_read_back_as_they_were_written() {
    let Some((near, far)) = pair() else { return };
    near.links().set_up("near0", true).unwrap();
    far.links().set_up("far0", true).unwrap();
    let index = near.links().index("near0").unwrap();
    for address in ["192.0.2.1/24", "2001:db8::1/64"] {
        near.links().add_address("near0", net(address), Scope::Global).unwrap();
        assert!(near.links().addresses().unwrap().contains(&(index, net(address))), "{address}");
    }
    let routes = [
        Route::new(net("198.51.100.0/24")).via("192.0.2.2".parse().unwrap()).link("near0"),
        Route::new(net("0.0.0.0/0")).via("192.0.2.3".parse().unwrap()).link("near0"),
        Route::new(net("2001:db8:1::/48")).via("2001:db8::2".parse().unwrap()).link("near0"),
        Route::new(net("203.0.113.7/32")).link("near0").source("192.0.2.1".parse().unwrap()),
    ];
    for route in &routes {
        near.links().replace_route(route).unwrap();
        near.links().replace_route(route).unwrap();
        let listed = near.links().routes().unwrap();
        assert_eq!(listed.iter().filter(|other| *other == route).count(), 1, "{route:?} in {listed:?}");
    }
    for route in &routes {
        near.links().remove_route(route).unwrap();
        assert!(!near.links().routes().unwrap().contains(route), "{route:?}");
        assert!(near.links().remove_route(route).unwrap_err().is_already_so(), "{route:?}");
    }
    near.links().remove_address("near0", net("192.0.2.1/24")).unwrap();
    assert!(!near.links().addresses().unwrap().contains(&(index, net("192.0.2.1/24"))));
}

#[test]
fn a_bridge_port_becomes_ready_once_both_ends_are_up() {
    let Some((near, far)) = pair() else { return };
    near.links().add_bridge("br0").unwrap();
    near.links().set_up("br0", true).unwrap();
    near.links().set_bridge("near0", Some("br0")).unwrap();
    near.links().set_up("near0", true).unwrap();
    assert!(!link(&near, "near0").is_ready);
    far.links().set_up("far0", true).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !link(&near, "near0").is_ready {
        assert!(std::time::Instant::now() < deadline, "{:?}", link(&near, "near0"));
        std::thread::yield_now();
    }
    near.links().set_bridge("near0", None).unwrap();
}

#[test]
fn an_error_names_operation_and_subject() {
    let Some((near, _far)) = pair() else { return };
    let error = near.links().set_up("nowhere", true).unwrap_err();
    assert!(error.to_string().starts_with("cannot switch on link nowhere"), "{error}");
}
