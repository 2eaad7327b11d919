//! Discovery: which groups, versions, kinds and verbs there are, plain and aggregated (KEP-3352).

use std::collections::BTreeMap;

use axum_core::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::registry::{self, Served};
use crate::status::json_response;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The answer, if the request asks for discovery.
pub(crate) fn answer(request: &Request<Body>) -> Option<Response<Body>> {
    if request.method() != Method::GET {
        return None;
    }
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = request.uri().path().trim_matches('/');
    let aggregated = accept.contains("as=APIGroupDiscoveryList");
    match path.split('/').collect::<Vec<_>>()[..] {
        [""] => Some(json_response(StatusCode::OK, root().to_string())),
        ["api"] if aggregated => Some(aggregate(accept, |group| group.is_empty())),
        ["apis"] if aggregated => Some(aggregate(accept, |group| !group.is_empty())),
        ["api"] => Some(json_response(StatusCode::OK, core_versions().to_string())),
        ["apis"] => Some(json_response(StatusCode::OK, groups().to_string())),
        ["apis", group] => found(groups_by_name().get(group).map(|versions| api_group(group, versions))),
        ["api", version] => found(resources("", version)),
        ["apis", group, version] => found(resources(group, version)),
        _ => None,
    }
}

fn found(value: Option<Value>) -> Option<Response<Body>> {
    value.map(|value| json_response(StatusCode::OK, value.to_string()))
}

/// Every path that leads further.
fn root() -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in groups_by_name() {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    json!({ "paths": paths })
}

fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })
}

/// Named groups with their versions.
fn groups_by_name() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for served in registry::all() {
        let (group, version) = served.group_version();
        let versions = groups.entry(group).or_default();
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    groups.remove("");
    groups
}

fn groups() -> Value {
    let groups: Vec<Value> = groups_by_name().iter().map(|(group, versions)| api_group(group, versions)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn api_group(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({ "groupVersion": format!("{group}/{version}"), "version": version }))
        .collect();
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": versions, "preferredVersion": versions[0],
    })
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let served: Vec<Served> = registry::all().filter(|served| served.group_version() == (group, version)).collect();
    let api_version = served.first()?.api_version();
    let resources: Vec<Value> = served.iter().flat_map(resource).collect();
    Some(json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources }))
}

/// A kind and its subresources.
fn resource(served: &Served) -> Vec<Value> {
    let facts = served.facts();
    let mut whole = json!({
        "name": facts.plural, "singularName": facts.singular, "namespaced": facts.namespaced, "kind": facts.kind,
        "verbs": VERBS,
    });
    if !facts.short_names.is_empty() {
        whole["shortNames"] = json!(facts.short_names);
    }
    if !facts.categories.is_empty() {
        whole["categories"] = json!(facts.categories);
    }
    let subresources = subresources(served).into_iter().map(|(name, kind, verbs)| {
        json!({
            "name": format!("{}/{name}", facts.plural), "singularName": "", "namespaced": facts.namespaced,
            "kind": kind, "verbs": verbs,
        })
    });
    std::iter::once(whole).chain(subresources).collect()
}

fn subresources(served: &Served) -> Vec<(&'static str, &'static str, &'static [&'static str])> {
    let facts = served.facts();
    let status = ("status", facts.kind, &["get", "patch", "update"][..]);
    let special = match facts.kind {
        "Pod" => Some(("binding", "Binding", &["create"][..])),
        "Namespace" => Some(("finalize", "Namespace", &["update"][..])),
        _ => None,
    };
    facts.has_status.then_some(status).into_iter().chain(special).collect()
}

fn aggregate(accept: &str, wanted: impl Fn(&str) -> bool) -> Response<Body> {
    let version =
        if accept.contains("g=apidiscovery.k8s.io;v=v2;") || accept.contains("v=v2,") { "v2" } else { "v2beta1" };
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
    for served in registry::all() {
        let (group, group_version) = served.group_version();
        if wanted(group) {
            groups.entry(group).or_default().entry(group_version).or_default().push(aggregated_resource(&served));
        }
    }
    let items: Vec<Value> = groups
        .into_iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .map(|(version, resources)| json!({ "version": version, "freshness": "Current", "resources": resources }))
                .collect();
            let metadata = if group.is_empty() { json!({ "creationTimestamp": null }) } else { json!({ "name": group, "creationTimestamp": null }) };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items,
    });
    let mut response = json_response(StatusCode::OK, body.to_string());
    let media = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let media = media.parse().expect("a constant header is valid");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

fn aggregated_resource(served: &Served) -> Value {
    let facts = served.facts();
    let (group, version) = served.group_version();
    let response_kind = json!({ "group": group, "version": version, "kind": facts.kind });
    let subresources: Vec<Value> = subresources(served)
        .into_iter()
        .map(|(name, kind, verbs)| {
            let kind = json!({ "group": group, "version": version, "kind": kind });
            json!({ "subresource": name, "responseKind": kind, "verbs": verbs })
        })
        .collect();
    json!({
        "resource": facts.plural, "responseKind": response_kind,
        "scope": if facts.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": facts.singular, "verbs": VERBS,
        "shortNames": facts.short_names, "categories": facts.categories, "subresources": subresources,
    })
}
