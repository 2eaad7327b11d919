use serde_json::json;

use super::*;
use crate::tests::{Cluster, NOW, changed, created, mistakes, object, refused};

fn pod(spec: Value) -> Value {
    let mut whole = json!({"containers": [{"name": "c", "image": "host"}]});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"spec": whole})
}

#[test]
fn defaults() {
    let object = created(
        &Pod,
        pod(json!({"containers": [
            {"name": "c", "image": "host", "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}}},
            {"name": "d", "image": "registry:5000/app:v1"},
            {"name": "e", "image": "app@sha256:00"},
        ]})),
    );
    let spec = &object["spec"];
    for (field, expected) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
    ] {
        assert_eq!(spec[field], expected, "{field}");
    }
    let container = &spec["containers"][0];
    assert_eq!(container["ports"][0]["protocol"], "TCP");
    let probe = json!({
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    });
    assert_eq!(container["readinessProbe"], probe);
    let policies: Vec<&Value> = spec["containers"].as_array().unwrap().iter().map(|c| &c["imagePullPolicy"]).collect();
    assert_eq!(policies, ["Always", "IfNotPresent", "IfNotPresent"]);
    assert_eq!(object["status"]["phase"], "Pending");
}

#[test]
fn what_is_refused() {
    let container = |fields: Value| {
        let mut container = json!({"name": "c", "image": "host"});
        for (field, value) in fields.as_object().unwrap() {
            container[field] = value.clone();
        }
        pod(json!({"containers": [container]}))
    };
    #[rustfmt::skip]
    let cases = [
        (pod(json!({"containers": []})), "spec.containers: Required value"),
        (container(json!({"name": ""})), "spec.containers[0].name: Required value"),
        (container(json!({"image": ""})), "spec.containers[0].image: Required value"),
        (pod(json!({"containers": [{"name": "c", "image": "host"}, {"name": "c", "image": "host"}]})),
            "spec.containers[1].name: Duplicate value: \"c\""),
        (container(json!({"ports": [{}]})), "spec.containers[0].ports[0].containerPort: Required value"),
        (container(json!({"ports": [{"containerPort": 70000}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
        (container(json!({"ports": [{"containerPort": 80, "protocol": "X"}]})),
            "spec.containers[0].ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\""),
        (container(json!({"ports": [{"name": "a", "containerPort": 80}, {"name": "a", "containerPort": 81}]})),
            "spec.containers[0].ports[1].name: Duplicate value: \"a\""),
        (pod(json!({"restartPolicy": "Sometimes"})),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\""),
        (pod(json!({"terminationGracePeriodSeconds": -1})),
            "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0"),
    ];
    for (fields, expected) in cases {
        assert_eq!(refused(&Pod, fields), [expected]);
    }
}

#[test]
fn what_may_change() {
    let gates = json!([{"name": "a"}, {"name": "b"}]);
    let tolerations = json!([{"key": "a", "operator": "Exists"}]);
    let spec = json!({"tolerations": tolerations, "activeDeadlineSeconds": 60, "schedulingGates": gates});
    let old = || pod(spec.clone());
    let tolerations = json!([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]);
    for change in [
        json!({"/spec/containers/0/image": "other"}),
        json!({"/spec/tolerations": tolerations}),
        json!({"/spec/activeDeadlineSeconds": 30}),
        json!({"/spec/schedulingGates": [{"name": "b"}]}),
        json!({"/spec/schedulingGates": []}),
        json!({"/metadata/labels": {"a": "b"}}),
        json!({}),
    ] {
        changed(&Pod, old(), change).unwrap();
    }
    #[rustfmt::skip]
    let cases = [
        (json!({"/spec/nodeName": "n1"}), "spec: Forbidden: pod updates may not change fields other than"),
        (json!({"/spec/containers/0/command": ["x"]}), "spec: Forbidden: pod updates may not change fields other than"),
        (json!({"/spec/hostNetwork": true}), "spec: Forbidden: pod updates may not change fields other than"),
        (json!({"/spec/containers": [{"name": "c", "image": "host"}, {"name": "d", "image": "host"}]}),
            "spec.containers: Forbidden: pod updates may not add or remove containers"),
        (json!({"/spec/tolerations": []}), "spec.tolerations: Forbidden: existing toleration can not be modified"),
        (json!({"/spec/schedulingGates": [{"name": "c"}]}),
            "spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate 'c'"),
        (json!({"/spec/activeDeadlineSeconds": 90}), "spec.activeDeadlineSeconds: Invalid value: 90: must be less than or equal to previous value"),
    ];
    for (change, start) in cases {
        let found = mistakes(changed(&Pod, old(), change.clone()));
        assert!(found[0].starts_with(start), "{change}: {found:?}");
    }
}

#[test]
fn the_status_is_written_by_its_subresource_only() {
    let old = created(&Pod, pod(json!({})));
    let mut new = old.clone();
    new["status"] = json!({"phase": "Running", "podIPs": [{"ip": "10.244.0.5"}, {"ip": "fd00:1::5"}]});
    new["spec"]["nodeName"] = json!("n1");
    let cluster = Cluster::default();
    let written = Pod.update_status(new.clone(), &old, &cluster.context()).unwrap().object;
    assert_eq!((&written["spec"], &written["status"]), (&old["spec"], &new["status"]));
    new["spec"] = old["spec"].clone();
    assert_eq!(Pod.update(new.clone(), &old, &cluster.context()).unwrap().object["status"], old["status"]);
    new["status"]["podIPs"] = json!([{"ip": "10.244.0.5"}, {"ip": "x"}]);
    let found = mistakes(Pod.update_status(new, &old, &cluster.context()));
    assert!(found[0].starts_with("status.podIPs[1]: Invalid value: \"x\""), "{found:?}");
}

#[test]
fn selectable_fields() {
    let object =
        object(&Pod, json!({"spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": "10.244.0.5"}}));
    #[rustfmt::skip]
    let cases = [
        ("spec.nodeName", Some("n1")), ("status.phase", Some("Running")), ("status.podIP", Some("10.244.0.5")),
        ("spec.restartPolicy", Some("")), ("spec.hostNetwork", Some("false")), ("spec.hostname", None),
    ];
    for (path, expected) in cases {
        assert_eq!(Pod.field(&object, path).as_deref(), expected, "{path}");
    }
}

#[test]
fn rows() {
    let running = json!({"state": {"running": {}}, "ready": true, "restartCount": 0});
    let crashing = json!({
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3,
        "lastState": {"terminated": {"finishedAt": "2026-03-01T11:58:00Z"}},
    });
    let spec = json!({"containers": [{}, {}], "nodeName": "n1", "readinessGates": [{"conditionType": "x"}]});
    let status = |phase: &str, statuses: Value| {
        json!({"spec": spec, "status": {
            "phase": phase, "containerStatuses": statuses, "podIPs": [{"ip": "10.244.0.5"}],
            "conditions": [{"type": "x", "status": "True"}],
        }})
    };
    let mut deleted = status("Running", json!([running, running]));
    deleted["metadata"] = json!({"deletionTimestamp": NOW});
    let init = json!({
        "spec": {"containers": [{}], "initContainers": [{}, {}]},
        "status": {"phase": "Pending", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 0}}}, {"state": {"running": {}}}]},
    });
    let wide = ["10.244.0.5", "n1", "<none>", "1/1"];
    #[rustfmt::skip]
    let cases = [
        (status("Running", json!([running, running])), ["a", "2/2", "Running", "0", "0s"], wide),
        (status("Running", json!([running, crashing])), ["a", "1/2", "CrashLoopBackOff", "3 (2m ago)", "0s"], wide),
        (status("Failed", json!([{"state": {"terminated": {"exitCode": 2}}}])), ["a", "0/2", "ExitCode:2", "0", "0s"], wide),
        (deleted, ["a", "2/2", "Terminating", "0", "0s"], wide),
        (init, ["a", "0/1", "Init:1/2", "0", "0s"], ["<none>", "<none>", "<none>", "<none>"]),
        (json!({"status": {"phase": "Pending", "reason": "Unbound"}}), ["a", "0/0", "Unbound", "0", "0s"], ["<none>"; 4]),
    ];
    for (fields, narrow, wide) in cases {
        let expected: Vec<Value> = narrow.into_iter().chain(wide).map(Value::from).collect();
        assert_eq!(Pod.row(&object(&Pod, fields.clone()), NOW), expected, "{fields}");
    }
}
