//! What a Pod gets where its author said nothing.

use serde_json::{Value, json};

use crate::json;

/// Fills in the spec.
pub(super) fn set(object: &mut Value) {
    let spec = json::object(object, "spec");
    json::set_default(spec, "restartPolicy", "Always");
    json::set_default(spec, "dnsPolicy", "ClusterFirst");
    json::set_default(spec, "schedulerName", "default-scheduler");
    json::set_default(spec, "terminationGracePeriodSeconds", 30);
    json::set_default(spec, "enableServiceLinks", true);
    json::set_default(spec, "securityContext", json!({}));
    let host_network = spec["hostNetwork"] == true;
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            set_container(container, host_network);
        }
    }
}

/// A new Pod hasn't run yet, whatever its author says.
pub(super) fn set_status(object: &mut Value) {
    json::set(object, "status", json!({"phase": "Pending"}));
}

fn set_container(container: &mut Value, host_network: bool) {
    let image = json::text(container, "/image");
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    json::set_default(container, "imagePullPolicy", policy);
    json::set_default(container, "resources", json!({}));
    json::set_default(container, "terminationMessagePath", "/dev/termination-log");
    json::set_default(container, "terminationMessagePolicy", "File");
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        json::set_default(port, "protocol", "TCP");
        if host_network && json::int(port, "/hostPort").unwrap_or(0) == 0 {
            // On the host's network the two are one.
            json::keep_as(port, "containerPort", "hostPort");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            set_probe(probe);
        }
    }
}

fn set_probe(probe: &mut Value) {
    for (field, seconds_or_times) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if json::int(probe, &format!("/{field}")).unwrap_or(0) == 0 {
            json::set(probe, field, seconds_or_times);
        }
    }
    if let Some(get) = probe.get_mut("httpGet") {
        json::set_default(get, "path", "/");
        json::set_default(get, "scheme", "HTTP");
    }
}

/// Whether an image reference names no fixed version: no digest, and no tag or `latest`.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}
