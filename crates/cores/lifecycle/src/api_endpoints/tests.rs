use serde_json::json;

use super::*;

fn live(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|text| text.parse().expect("the fixture is an address")).collect()
}

/// Plans for port 6443 and IPv4.
fn plan(
    addresses: &[&str],
    leaving: bool,
    endpoints: Option<&Endpoints>,
    slice: Option<&EndpointSlice>,
) -> (Write<Endpoints>, Write<EndpointSlice>) {
    let live = live(addresses);
    plan_api_endpoints(&Inputs { live: &live, port: 6443, family: AddressType::IPv4, leaving, endpoints, slice })
}

fn created(addresses: &[&str]) -> (Endpoints, EndpointSlice) {
    match plan(addresses, false, None, None) {
        (Write::Create(endpoints), Write::Create(slice)) => (endpoints, slice),
        other => panic!("expected creations, found {other:?}"),
    }
}

#[test]
fn s149_both_objects_list_the_live_servers() {
    let (endpoints, slice) = created(&["192.0.2.2", "192.0.2.1", "2001:db8::1"]);
    let port = json!({"name": "https", "protocol": "TCP", "port": 6443});
    let expected = json!({
        "metadata": {"name": "kubernetes", "namespace": "default",
                     "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}], "ports": [port]}],
    });
    assert_eq!(serde_json::to_value(endpoints).expect("Endpoints encode"), expected);
    let endpoint = |address: &str| json!({"addresses": [address], "conditions": {"ready": true}});
    let expected = json!({
        "metadata": {"name": "kubernetes", "namespace": "default",
                     "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [endpoint("192.0.2.1"), endpoint("192.0.2.2")],
        "ports": [port],
    });
    assert_eq!(serde_json::to_value(slice).expect("slices encode"), expected);
}

#[test]
fn s149_an_unchanged_list_is_not_written() {
    let (endpoints, slice) = created(&["192.0.2.1"]);
    let again = plan(&["192.0.2.1"], false, Some(&endpoints), Some(&slice));
    assert_eq!(again, (Write::Keep, Write::Keep));
}

#[test]
fn s149_the_list_is_never_emptied_by_expiry() {
    let (endpoints, slice) = created(&["192.0.2.1"]);
    assert_eq!(plan(&[], false, Some(&endpoints), Some(&slice)), (Write::Keep, Write::Keep));
    match plan(&[], true, Some(&endpoints), Some(&slice)) {
        (Write::Update(endpoints), Write::Update(slice)) => {
            assert_eq!((endpoints.subsets.len(), slice.endpoints.len()), (0, 0), "the last server says goodbye");
        }
        other => panic!("expected updates, found {other:?}"),
    }
}

#[test]
fn s149_an_update_keeps_what_others_wrote_in_the_metadata() {
    let (mut endpoints, mut slice) = created(&["192.0.2.1"]);
    endpoints.metadata.resource_version = "7".to_owned();
    slice.metadata.labels.insert("team".to_owned(), "x".to_owned());
    match plan(&["192.0.2.1", "192.0.2.9"], false, Some(&endpoints), Some(&slice)) {
        (Write::Update(endpoints), Write::Update(slice)) => {
            assert_eq!(endpoints.metadata.resource_version, "7");
            assert_eq!(slice.metadata.labels.get("team").map(String::as_str), Some("x"));
            assert_eq!(slice.endpoints.len(), 2);
        }
        other => panic!("expected updates, found {other:?}"),
    }
}

#[test]
fn s149_a_slice_of_the_wrong_family_is_replaced() {
    let (endpoints, mut slice) = created(&["192.0.2.1"]);
    slice.address_type = AddressType::IPv6;
    let (_, write) = plan(&["192.0.2.1"], false, Some(&endpoints), Some(&slice));
    assert_eq!(write, Write::Replace(slice.metadata.clone()));
}
