//! What a Pod asks for, and what stands in the way.

use serde_json::{Value, json};

use crate::{Action, Identity, Means, Mode, PodPlan, Refusal, Rights, plan};

pub(super) fn means() -> Means {
    Means {
        rights: Rights { root_pods: false, only_uid: None },
        node_name: "node-7".to_owned(),
        host_ips: vec!["192.0.2.7".parse().expect("an address")],
        path: String::new(),
    }
}

/// A Pod with these fields in its spec and in its only container.
pub(super) fn pod(spec: Value, container: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "host", "command": ["serve"]}]},
    });
    merge(&mut pod["spec"]["containers"][0], container);
    merge(&mut pod["spec"], spec);
    pod
}

fn merge(into: &mut Value, from: Value) {
    for (name, value) in from.as_object().expect("fields") {
        into[name] = value.clone();
    }
}

fn planned(spec: Value, container: Value) -> PodPlan {
    plan(&pod(spec, container), &means()).expect("a Pod that can be run")
}

/// The fields that stand in the way.
fn obstacles(pod: &Value, means: &Means) -> Vec<String> {
    let fields = |refusal: Refusal| refusal.obstacles.into_iter().map(|obstacle| obstacle.field).collect();
    plan(pod, means).map_or_else(fields, |_| Vec::new())
}

#[test]
fn every_field_that_is_not_implemented_is_named_with_its_path() {
    let main = "spec.containers[0]";
    for (spec, container, expected) in [
        (json!({}), json!({}), vec![]),
        (json!({}), json!({"image": "nginx:1.29"}), vec![format!("{main}.image")]),
        (json!({}), json!({"command": []}), vec![format!("{main}.command")]),
        (json!({}), json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}), vec![format!("{main}.volumeMounts")]),
        (json!({"volumes": [{"name": "v", "emptyDir": {}}]}), json!({}), vec!["spec.volumes".into()]),
        (json!({"initContainers": [{"name": "i"}]}), json!({}), vec!["spec.initContainers".into()]),
        (json!({"activeDeadlineSeconds": 5}), json!({}), vec!["spec.activeDeadlineSeconds".into()]),
        (json!({"hostPID": true}), json!({}), vec!["spec.hostPID".into()]),
        (json!({"hostUsers": false}), json!({}), vec!["spec.hostUsers".into()]),
        (json!({"hostPID": false, "volumes": [], "overhead": {}}), json!({}), vec![]),
        (json!({}), json!({"resources": {"limits": {"cpu": "1"}}}), vec![format!("{main}.resources.limits")]),
        (json!({}), json!({"resources": {"requests": {"cpu": "1"}}}), vec![format!("{main}.resources.requests")]),
        (json!({}), json!({"resources": {"requests": {}, "limits": {}}}), vec![]),
        (
            json!({}),
            json!({"lifecycle": {"postStart": {"exec": {"command": ["x"]}}}}),
            vec![format!("{main}.lifecycle.postStart")],
        ),
        (json!({}), json!({"livenessProbe": {"grpc": {"port": 0}}}), vec![format!("{main}.livenessProbe.grpc.port")]),
        (json!({}), json!({"livenessProbe": {"grpc": {"port": 5, "service": null}}}), vec![]),
        (
            json!({}),
            json!({"readinessProbe": {"tcpSocket": {"port": "web"}}}),
            vec![format!("{main}.readinessProbe.tcpSocket.port")],
        ),
        (
            json!({}),
            json!({"ports": [{"containerPort": 80, "hostPort": 80}]}),
            vec![format!("{main}.ports[0].hostPort")],
        ),
        (json!({"hostNetwork": true}), json!({"ports": [{"containerPort": 80, "hostPort": 80}]}), vec![]),
        (
            json!({}),
            json!({"securityContext": {"privileged": true}}),
            vec![format!("{main}.securityContext.privileged")],
        ),
        (json!({"securityContext": {"fsGroup": 5}}), json!({}), vec!["spec.securityContext.fsGroup".into()]),
        (
            json!({}),
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}),
            vec![format!("{main}.env[0].valueFrom.secretKeyRef")],
        ),
        (
            json!({}),
            json!({"envFrom": [{"secretRef": {"name": "s"}}], "tty": true}),
            vec![format!("{main}.envFrom"), format!("{main}.tty")],
        ),
    ] {
        let pod = pod(spec, container);
        assert_eq!(obstacles(&pod, &means()), expected, "{pod}");
    }
}

#[test]
fn fields_that_the_server_fills_in_stand_in_no_way() {
    let spec = json!({
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30, "enableServiceLinks": true, "securityContext": {}, "nodeName": "node-7",
    });
    let container = json!({
        "imagePullPolicy": "Always", "resources": {}, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    });
    assert_eq!(planned(spec, container).grace_s, 30);
}

#[test]
fn what_the_scheduler_answers_for_stands_in_no_way_of_a_pod_that_has_its_node() {
    let apart = json!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}]);
    let spec = json!({
        "nodeName": "node-7", "schedulerName": "other", "schedulingGates": [{"name": "example.com/quota"}],
        "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "high",
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}},
        "topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    });
    assert_eq!(obstacles(&pod(spec, json!({})), &means()), Vec::<String>::new());
}

#[test]
fn a_process_runs_as_who_its_author_and_the_agent_agree_on() {
    let any = Rights { root_pods: false, only_uid: None };
    let root = Rights { root_pods: true, only_uid: None };
    let one = Rights { root_pods: false, only_uid: Some(1000) };
    let own = "spec.containers[0].securityContext.runAsUser";
    let escalation = "spec.containers[0].securityContext.allowPrivilegeEscalation";
    for (rights, pod_wide, container, expected) in [
        (any, json!({}), json!({}), Ok(Some((65534, 65534)))),
        (any, json!({"runAsUser": 7, "runAsGroup": 1008}), json!({}), Ok(Some((7, 1008)))),
        (any, json!({"runAsUser": 7, "runAsGroup": 6}), json!({}), Err("spec.securityContext.runAsGroup")),
        (any, json!({}), json!({"allowPrivilegeEscalation": true}), Err(escalation)),
        (any, json!({}), json!({"allowPrivilegeEscalation": false}), Ok(Some((65534, 65534)))),
        (any, json!({"runAsUser": 7}), json!({"runAsUser": 9}), Ok(Some((9, 65534)))),
        (any, json!({}), json!({"runAsUser": 0}), Err(own)),
        (any, json!({"runAsUser": 0}), json!({}), Err("spec.securityContext.runAsUser")),
        (root, json!({}), json!({"runAsUser": 0, "runAsGroup": 0}), Ok(Some((0, 0)))),
        (root, json!({}), json!({}), Ok(Some((65534, 65534)))),
        (root, json!({"runAsNonRoot": true}), json!({"runAsUser": 0}), Err(own)),
        (one, json!({}), json!({}), Ok(None)),
        (one, json!({"runAsUser": 1000}), json!({}), Ok(None)),
        (one, json!({}), json!({"runAsUser": 65534}), Err(own)),
        (one, json!({}), json!({"runAsUser": 0}), Err(own)),
    ] {
        let pod = pod(json!({"securityContext": pod_wide}), json!({"securityContext": container}));
        let means = Means { rights, ..means() };
        let found = plan(&pod, &means).map(|plan| plan.containers[0].identity);
        let found = found.map_err(|refusal| refusal.obstacles[0].field.clone());
        assert_eq!(
            found,
            expected.map(|ids| Identity { ids, new_privileges: rights.root_pods }).map_err(str::to_owned),
            "{rights:?} {pod}"
        );
    }
}

#[test]
fn commands_ports_and_probes_are_read() {
    let planned = planned(
        json!({"hostname": "w", "subdomain": "s", "terminationGracePeriodSeconds": 5, "restartPolicy": "Never"}),
        json!({
            "args": ["--port", "80"], "workingDir": "/srv", "ports": [{"name": "http", "containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": "http", "path": "ready"}, "periodSeconds": 2, "failureThreshold": 1},
            "livenessProbe": {"tcpSocket": {"port": 81, "host": "::1"}, "initialDelaySeconds": 4},
            "startupProbe": {"httpGet": {"port": 443, "scheme": "HTTPS"}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
        }),
    );
    let main = &planned.containers[0];
    assert_eq!(main.command, ["serve", "--port", "80"]);
    assert_eq!((planned.hostname.as_str(), planned.subdomain.as_str(), main.working_dir.as_str()), ("w", "s", "/srv"));
    let ready = main.readiness.as_ref().expect("a probe");
    assert_eq!(ready.action, Action::Http { tls: false, host: None, port: 80, path: "/ready".into(), headers: vec![] });
    assert_eq!((ready.period_s, ready.failures, ready.successes, ready.timeout_s), (2, 1, 1, 1));
    let started = main.startup.as_ref().expect("a probe");
    assert_eq!(started.action, Action::Http { tls: true, host: None, port: 443, path: "/".into(), headers: vec![] });
    let alive = main.liveness.as_ref().expect("a probe");
    assert_eq!(alive.action, Action::Tcp { host: Some("::1".into()), port: 81 });
    assert_eq!((alive.initial_delay_s, alive.period_s, alive.failures), (4, 10, 3));
    assert_eq!(main.pre_stop, Some(Action::Sleep(3)));
}

#[test]
fn a_pod_that_runs_elsewhere_needs_no_command_and_cannot_be_restarted() {
    let elsewhere = |address: &str, container: Value| {
        let mut pod = pod(json!({}), container);
        pod["metadata"]["annotations"] = json!({"maitred.dev/address": address});
        pod["spec"]["containers"][0]["image"] = "whatever:1".into();
        pod
    };
    let good = elsewhere("192.0.2.9, fd00::9", json!({"command": [], "volumeMounts": [{"name": "v"}]}));
    let addresses = ["192.0.2.9", "fd00::9"].map(|address| address.parse().expect("an address"));
    assert_eq!(plan(&good, &means()).expect("a plan").mode, Mode::Elsewhere(addresses.to_vec()));
    let annotation = "metadata.annotations[maitred.dev/address]";
    for (address, container, expected) in [
        ("nowhere", json!({}), annotation),
        ("192.0.2.9,192.0.2.10", json!({}), annotation),
        ("192.0.2.9", json!({"livenessProbe": {"tcpSocket": {"port": 1}}}), "spec.containers[0].livenessProbe"),
        (
            "192.0.2.9",
            json!({"readinessProbe": {"exec": {"command": ["x"]}}}),
            "spec.containers[0].readinessProbe.exec",
        ),
    ] {
        assert_eq!(obstacles(&elsewhere(address, container), &means()), [expected]);
    }
}

#[test]
fn variables_may_use_those_before_them_and_fields_of_the_pod() {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let planned = planned(
        json!({}),
        json!({"env": [
            {"name": "PORT", "value": "80"}, {"name": "URL", "value": "http://x:$(PORT)$(LATER)"}, {"name": "LATER"},
            field("NAME", "metadata.name"), field("NODE", "spec.nodeName"), field("APP", "metadata.labels['app']"),
            field("IP", "status.podIP"), field("IPS", "status.podIPs"), field("HOST", "status.hostIP"),
        ]}),
    );
    let addresses = ["10.244.7.2", "fd00::2"].map(|address| address.parse().expect("an address"));
    let variables = crate::environment(&planned, &planned.containers[0], &addresses);
    let value = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    for (name, expected) in [
        ("URL", "http://x:80$(LATER)"),
        ("LATER", ""),
        ("NAME", "web"),
        ("NODE", "node-7"),
        ("APP", "web"),
        ("IP", "10.244.7.2"),
        ("IPS", "10.244.7.2,fd00::2"),
        ("HOST", "192.0.2.7"),
        ("HOSTNAME", "web"),
    ] {
        assert_eq!(value(name), Some(expected), "{name}");
    }
}

#[test]
fn a_grpc_probe_names_the_service_that_it_asks_for() {
    let action = |grpc: Value| {
        let plan = planned(json!({}), json!({ "readinessProbe": { "grpc": grpc } }));
        plan.containers[0].readiness.as_ref().expect("a probe").action.clone()
    };
    let expected = |service: &str| Action::Grpc { port: 9000, service: service.to_owned() };
    assert_eq!(action(json!({"port": 9000})), expected(""));
    assert_eq!(action(json!({"port": 9000, "service": "db"})), expected("db"));
}

#[test]
fn programs_are_looked_for_where_the_agent_does_unless_the_container_says_otherwise() {
    let path = |path: &str, env: Value| {
        let means = Means { path: path.to_owned(), ..means() };
        let plan = plan(&pod(json!({}), json!({ "env": env })), &means).expect("a Pod that can be run");
        let env = crate::environment(&plan, &plan.containers[0], &[]);
        env.into_iter().find(|(name, _)| name == "PATH").expect("a path").1
    };
    assert!(path("", json!([])).contains("/usr/bin"));
    assert_eq!(path("/opt/$x:/bin", json!([])), "/opt/$x:/bin");
    assert_eq!(path("/opt:/bin", json!([{"name": "PATH", "value": "/own:$(PATH)"}])), "/own:/opt:/bin");
}

#[test]
fn privileges_are_gained_only_where_pods_may_be_root_and_unless_the_container_forbids_it() {
    let gains = |root_pods: bool, context: Value| {
        let means = Means { rights: Rights { root_pods, only_uid: None }, ..means() };
        let pod = pod(json!({}), json!({ "securityContext": context }));
        plan(&pod, &means).expect("a Pod that can be run").containers[0].identity.new_privileges
    };
    assert!(!gains(false, json!({})));
    assert!(gains(true, json!({})));
    assert!(!gains(true, json!({"allowPrivilegeEscalation": false})));
}

#[test]
fn values_of_fields_are_taken_as_they_are() {
    let mut pod = pod(
        json!({}),
        json!({"env": [
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['a']"}}},
            {"name": "B", "value": "$(maitred:status.podIP)"},
            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ]}),
    );
    pod["metadata"]["annotations"] = json!({"a": "$(HOME)$$"});
    let plan = plan(&pod, &means()).expect("a Pod that can be run");
    let env = crate::environment(&plan, &plan.containers[0], &["10.0.0.2".parse().expect("an address")]);
    let value = |name: &str| env.iter().find(|(known, _)| known == name).expect("a variable").1.as_str();
    assert_eq!([value("A"), value("B"), value("C")], ["$(HOME)$$", "$(maitred:status.podIP)", "10.0.0.2"]);
}
