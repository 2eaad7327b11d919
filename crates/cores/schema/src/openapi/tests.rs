use super::*;

const CORE: GroupVersion = GroupVersion { group: "", version: "v1" };
const DISCOVERY: GroupVersion = GroupVersion { group: "discovery.k8s.io", version: "v1" };

const fn kind<'a>(kind: &'a str, plural: &'a str, namespaced: bool, has_status: bool) -> Served<'a> {
    Served { kind, plural, namespaced, has_status, subresources: &[] }
}

fn served() -> Vec<(GroupVersion<'static>, Vec<Served<'static>>)> {
    let binding = &[Subresource { name: "binding", kind: "Binding", methods: &[Method::Post] }];
    let finalize = &[Subresource { name: "finalize", kind: "Namespace", methods: &[Method::Put] }];
    vec![
        (
            CORE,
            vec![
                Served { subresources: finalize, ..kind("Namespace", "namespaces", false, true) },
                kind("Node", "nodes", false, true),
                Served { subresources: binding, ..kind("Pod", "pods", true, true) },
                kind("Service", "services", true, true),
                kind("Endpoints", "endpoints", true, false),
                kind("ConfigMap", "configmaps", true, false),
                kind("Event", "events", true, false),
            ],
        ),
        (DISCOVERY, vec![kind("EndpointSlice", "endpointslices", true, false)]),
        (
            GroupVersion { group: "networking.k8s.io", version: "v1" },
            vec![kind("ServiceCIDR", "servicecidrs", false, true), kind("IPAddress", "ipaddresses", false, false)],
        ),
        (GroupVersion { group: "events.k8s.io", version: "v1" }, vec![kind("Event", "events", true, false)]),
        (GroupVersion { group: "coordination.k8s.io", version: "v1" }, vec![kind("Lease", "leases", true, false)]),
    ]
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("a path item").iter().filter(|(method, _)| *method != "parameters");
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn parameters(operation: &Value) -> Vec<&str> {
    let list = operation["parameters"].as_array().expect("parameters");
    list.iter().map(|parameter| parameter["name"].as_str().expect("a name")).collect()
}

#[test]
fn every_kind_can_be_patched_with_field_validation() {
    for (of, kinds) in served() {
        let document = openapi_v3(of, &kinds);
        for served in kinds {
            let gvk = json!({ "group": of.group, "version": of.version, "kind": served.kind });
            let patches: Vec<&Value> = operations(&document)
                .filter(|(_, method, operation)| {
                    *method == "patch" && operation["x-kubernetes-group-version-kind"] == gvk
                })
                .map(|(_, _, operation)| operation)
                .collect();
            assert_eq!(patches.len(), if served.has_status { 2 } else { 1 }, "{}", served.kind);
            for patch in patches {
                assert_eq!(
                    parameters(patch),
                    ["dryRun", "fieldManager", "fieldValidation", "force"],
                    "{}",
                    served.kind
                );
                let strategic = &patch["requestBody"]["content"]["application/strategic-merge-patch+json"];
                assert!(strategic.is_object(), "{}", served.kind);
            }
        }
    }
}

#[test]
fn a_namespaced_kind_with_status_has_four_paths() {
    let document = openapi_v3(CORE, &[kind("Service", "services", true, true)]);
    let found: Vec<(&str, &str, &str)> = operations(&document)
        .map(|(path, method, operation)| (path, method, operation["x-kubernetes-action"].as_str().expect("an action")))
        .collect();
    let one = "/api/v1/namespaces/{namespace}/services/{name}";
    let status = "/api/v1/namespaces/{namespace}/services/{name}/status";
    assert_eq!(
        found,
        [
            ("/api/v1/namespaces/{namespace}/services", "delete", "deletecollection"),
            ("/api/v1/namespaces/{namespace}/services", "get", "list"),
            ("/api/v1/namespaces/{namespace}/services", "post", "post"),
            (one, "delete", "delete"),
            (one, "get", "get"),
            (one, "patch", "patch"),
            (one, "put", "put"),
            (status, "get", "get"),
            (status, "patch", "patch"),
            (status, "put", "put"),
            ("/api/v1/services", "get", "list"),
        ]
    );
    let names = |path: &str| {
        let list = document["paths"][path]["parameters"].as_array().expect("parameters");
        list.iter().map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(one), ["name", "namespace", "pretty"]);
    assert_eq!(names("/api/v1/services"), ["pretty"]);
}

#[test]
fn operations_are_named_as_kubernetes_names_them() {
    let ids = |of: GroupVersion, served: Served| -> Vec<String> {
        let document = openapi_v3(of, &[served]);
        operations(&document)
            .map(|(_, _, operation)| operation["operationId"].as_str().expect("an id").to_owned())
            .collect()
    };
    let slices = ids(DISCOVERY, kind("EndpointSlice", "endpointslices", true, false));
    for id in [
        "listDiscoveryV1EndpointSliceForAllNamespaces",
        "listDiscoveryV1NamespacedEndpointSlice",
        "deleteDiscoveryV1CollectionNamespacedEndpointSlice",
        "readDiscoveryV1NamespacedEndpointSlice",
        "patchDiscoveryV1NamespacedEndpointSlice",
    ] {
        assert!(slices.iter().any(|found| found == id), "{id} is not among {slices:?}");
    }
    let nodes = ids(CORE, kind("Node", "nodes", false, true));
    for id in ["listCoreV1Node", "replaceCoreV1NodeStatus", "deleteCoreV1CollectionNode"] {
        assert!(nodes.iter().any(|found| found == id), "{id} is not among {nodes:?}");
    }
}

#[test]
fn ids_are_unique_and_every_reference_resolves_within_its_document() {
    fn references(value: &Value, found: &mut Vec<String>) {
        if let Some(to) = value.get("$ref").and_then(Value::as_str) {
            found.push(to.to_owned());
        }
        value.as_object().into_iter().flat_map(Map::values).for_each(|value| references(value, found));
        value.as_array().into_iter().flatten().for_each(|value| references(value, found));
    }
    for (of, kinds) in served() {
        let document = openapi_v3(of, &kinds);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for to in found {
            let name = to.strip_prefix("#/components/schemas/").expect("a component");
            assert!(document["components"]["schemas"].get(name).is_some(), "{to}");
        }
        let ids: Vec<&Value> = operations(&document).map(|(_, _, operation)| &operation["operationId"]).collect();
        let distinct: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), ids.len());
    }
}

#[test]
fn a_document_holds_only_what_its_kinds_need() {
    let document = openapi_v3(DISCOVERY, &[kind("EndpointSlice", "endpointslices", true, false)]);
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    assert!(schemas.contains_key("io.k8s.api.discovery.v1.EndpointSliceList"));
    assert!(schemas.contains_key("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"));
    assert!(!schemas.contains_key("io.k8s.api.core.v1.Service"));
}

#[test]
fn s103_clients_find_the_merge_keys_of_ports() {
    let document = openapi_v3(CORE, &[kind("Service", "services", true, true)]);
    let schemas = &document["components"]["schemas"];
    let ports = &schemas["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "port");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(ports["x-kubernetes-list-type"], "map");
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["port", "protocol"]));
    let spec = &schemas["io.k8s.api.core.v1.ServiceSpec"]["properties"];
    assert_eq!(spec["clusterIPs"]["x-kubernetes-list-type"], "atomic");
    assert_eq!(spec["selector"]["x-kubernetes-map-type"], "atomic");
    let port = &schemas["io.k8s.api.core.v1.ServicePort"]["properties"];
    assert_eq!((&port["protocol"]["default"], &port["port"]["format"]), (&json!("TCP"), &json!("int32")));
    let either = &schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
    assert_eq!(either["format"], "int-or-string");
    assert_eq!(
        schemas["io.k8s.api.core.v1.Service"]["x-kubernetes-group-version-kind"],
        json!([{ "group": "", "version": "v1", "kind": "Service" }])
    );
}

#[test]
fn subresources_take_their_own_kind() {
    let (of, kinds) = served().swap_remove(0);
    let document = openapi_v3(of, &kinds);
    let binding = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/binding"]["post"];
    assert_eq!(binding["operationId"], "createCoreV1NamespacedPodBinding");
    assert_eq!(binding["x-kubernetes-group-version-kind"]["kind"], "Binding");
    let finalize = &document["paths"]["/api/v1/namespaces/{name}/finalize"]["put"];
    assert_eq!(finalize["operationId"], "replaceCoreV1NamespaceFinalize");
}

#[test]
fn the_index_leads_to_documents_by_a_hash_of_their_content() {
    let slices = [kind("EndpointSlice", "endpointslices", true, false)];
    let documents =
        [Document::new(CORE, &[kind("Service", "services", true, true)]), Document::new(DISCOVERY, &slices)];
    let index = openapi_v3_index(&documents);
    let url = |path: &str| index["paths"][path]["serverRelativeURL"].as_str().expect("a URL").to_owned();
    assert_eq!(url("api/v1"), format!("/openapi/v3/api/v1?hash={}", documents[0].hash));
    assert_eq!(
        url("apis/discovery.k8s.io/v1"),
        format!("/openapi/v3/apis/discovery.k8s.io/v1?hash={}", documents[1].hash)
    );
    assert_eq!(Document::new(DISCOVERY, &slices), documents[1]);
    let changed = Document::new(DISCOVERY, &[kind("EndpointSlice", "endpointslices", true, true)]);
    assert_ne!(changed.hash, documents[1].hash);
    // The check values of FNV-1a 64 for the empty text and "a".
    assert_eq!((hash(b"").as_str(), hash(b"a").as_str()), ("CBF29CE484222325", "AF63DC4C8601EC8C"));
}

#[test]
fn a_kind_without_definition_is_an_object() {
    let pools = kind("IPAddressPool", "ipaddresspools", true, false);
    let document = openapi_v3(GroupVersion { group: "metallb.io", version: "v1beta1" }, &[pools]);
    let post = &document["paths"]["/apis/metallb.io/v1beta1/namespaces/{namespace}/ipaddresspools"]["post"];
    assert_eq!(post["requestBody"]["content"]["*/*"]["schema"], json!({ "type": "object" }));
}
