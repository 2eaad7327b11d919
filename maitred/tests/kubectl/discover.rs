//! api-resources, explain, version, cluster-info.

use crate::harness::Server;

#[test]
fn s100_api_resources_lists_every_kind() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("api-resources --sort-by=name").table(&[
        &["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"],
        &["configmaps", "cm", "v1", "true", "ConfigMap"],
        &["endpoints", "ep", "v1", "true", "Endpoints"],
        &["endpointslices", "", "discovery.k8s.io/v1", "true", "EndpointSlice"],
        &["events", "ev", "v1", "true", "Event"],
        &["events", "ev", "events.k8s.io/v1", "true", "Event"],
        &["ipaddresses", "ip", "networking.k8s.io/v1", "false", "IPAddress"],
        &["leases", "", "coordination.k8s.io/v1", "true", "Lease"],
        &["namespaces", "ns", "v1", "false", "Namespace"],
        &["nodes", "no", "v1", "false", "Node"],
        &["pods", "po", "v1", "true", "Pod"],
        &["servicecidrs", "", "networking.k8s.io/v1", "false", "ServiceCIDR"],
        &["services", "svc", "v1", "true", "Service"],
    ]);
    server.kubectl("api-resources --categories=all -o name").ok("pods\nservices\n");
    server.kubectl("api-resources --sort-by=age").refused("error: --sort-by accepts only name or kind\n");
    server
        .kubectl("api-versions")
        .ok("coordination.k8s.io/v1\ndiscovery.k8s.io/v1\nevents.k8s.io/v1\nnetworking.k8s.io/v1\nv1\n");
}

/// S-102.
#[test]
fn s102_explain_knows_the_fields() {
    let Some(server) = Server::for_kubectl() else { return };
    // Made of the comments and types of k8s.io/api v0.36.0, laid out as kubectl does.
    server.kubectl("explain service.spec").ok(include_str!("explain_service_spec.txt"));
    server.kubectl("explain endpointslice.endpoints.conditions.serving").ok(concat!(
        "GROUP:      discovery.k8s.io\nKIND:       EndpointSlice\nVERSION:    v1\n\nFIELD: serving <boolean>\n\n\n",
        "DESCRIPTION:\n",
        "    serving indicates that this endpoint is able to receive traffic, according\n",
        "    to whatever system is managing the endpoint. For endpoints backed by pods,\n",
        "    the EndpointSlice controller will mark the endpoint as serving if the pod's\n",
        "    Ready condition is True. A nil value should be interpreted as \"true\".\n",
        "    \n\n",
    ));
    server
        .kubectl("explain service.spec.flavour")
        .partly_refused("KIND:       Service\nVERSION:    v1\n\n", "error: field \"flavour\" does not exist\n");
}

#[test]
fn version_and_cluster_info_name_the_server() {
    let Some(server) = Server::for_kubectl() else { return };
    let version = server.kubectl("version");
    assert!(version.code == 0 && version.out.contains("\nServer Version: v1.36."), "{version:?}");
    let info = server.kubectl("cluster-info");
    assert!(info.code == 0 && info.out.contains("Kubernetes control plane"), "{info:?}");
    server.kubectl("get --raw /readyz").ok("ok");
    let paths = server.kubectl("get --raw /");
    let paths: serde_json::Value = serde_json::from_str(&paths.out).expect("JSON");
    for path in ["/api/v1", "/apis/discovery.k8s.io/v1", "/openapi/v3"] {
        assert!(paths["paths"].as_array().is_some_and(|paths| paths.iter().any(|found| found == path)), "{path}");
    }
}

#[test]
fn a_client_without_certificate_is_unauthorized() {
    let Some(server) = Server::for_kubectl() else { return };
    let config = std::fs::read_to_string(server.kubeconfig()).expect("it was written");
    let key = |line: &&str| !line.contains("client-certificate-data") && !line.contains("client-key-data");
    let anonymous: String = config.lines().filter(key).map(|line| format!("{line}\n")).collect();
    let path = server.kubeconfig().with_file_name("anonymous.kubeconfig");
    std::fs::write(&path, anonymous.replace("user:\n", "user:\n    token: nonsense\n")).expect("it is writable");
    let url = server.kubectl("config view --minify -o jsonpath={.clusters[0].cluster.server}").out;
    let raw = server.kubectl(&format!("get --raw /api/v1/services --kubeconfig {} --server {url}", path.display()));
    assert_eq!(raw.code, 1, "{raw:?}");
    assert!(raw.err.contains("Unauthorized") || raw.err.contains("must be logged in"), "{raw:?}");
}
