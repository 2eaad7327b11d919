//! Containers: what is started, with which variables.

use serde_json::Value;

use crate::fields::{Obstacles, items, says_nothing, text, texts};
use crate::{Action, ContainerPlan, Identity, Means, Mode};

use super::{identity, probes};

/// The one image that stands for "a process of the host".
const HOST_IMAGE: &str = "host";

const READ: &[&str] = &[
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "env",
    "ports",
    "securityContext",
    "startupProbe",
    "livenessProbe",
    "readinessProbe",
    "lifecycle",
    "resources",
];

/// Fields without effect on a process of the host: nothing is pulled, resized or read from a message file.
const OTHERS: &[&str] = &["imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy", "resizePolicy"];

/// Reads all containers of a Pod.
pub(super) fn containers(pod: &Value, mode: &Mode, means: &Means, obstacles: &mut Obstacles) -> Vec<ContainerPlan> {
    let list = items(&pod["spec"], "containers");
    if list.is_empty() {
        obstacles.add("spec.containers", "there must be one");
    }
    let read = |(index, container)| {
        let path = format!("spec.containers[{index}]");
        match mode {
            Mode::Host => started(&path, container, pod, means, obstacles),
            Mode::Elsewhere(_) => probed(&path, container, obstacles),
        }
    };
    list.iter().enumerate().map(read).collect()
}

/// A container that the agent starts.
fn started(path: &str, container: &Value, pod: &Value, means: &Means, obstacles: &mut Obstacles) -> ContainerPlan {
    obstacles.unknown(path, container, &[READ, OTHERS].concat());
    let image = text(container, "image");
    if image != HOST_IMAGE {
        let why = format!("maitred pulls no images: use \"{HOST_IMAGE}\" with a command of this machine");
        obstacles.add(format!("{path}.image"), format!("\"{image}\" cannot be run; {why}"));
    } else if items(container, "command").is_empty() {
        obstacles.add(format!("{path}.command"), "is needed, since the image \"host\" has none of its own");
    }
    check_resources(path, &container["resources"], obstacles);
    let mut planned = common(path, container, obstacles);
    planned.command = [texts(container, "command"), texts(container, "args")].concat();
    planned.env = variables(path, container, pod, means, obstacles);
    planned.identity = identity::identity(path, container, &pod["spec"], means.rights, obstacles);
    planned.pre_stop = pre_stop(path, &container["lifecycle"], &planned.ports, obstacles);
    check_ports(path, container, pod, obstacles);
    planned
}

/// A container that runs already, somewhere: whatever it says about being started is for whoever started it.
fn probed(path: &str, container: &Value, obstacles: &mut Obstacles) -> ContainerPlan {
    if !says_nothing(&container["livenessProbe"]) {
        let why = "maitred cannot restart what it does not run: use readinessProbe";
        obstacles.add(format!("{path}.livenessProbe"), why);
    }
    let planned = common(path, container, obstacles);
    for (field, probe) in [("startupProbe", &planned.startup), ("readinessProbe", &planned.readiness)] {
        if probe.as_ref().is_some_and(|probe| matches!(probe.action, Action::Exec(_))) {
            obstacles.add(format!("{path}.{field}.exec"), "what runs elsewhere cannot be entered");
        }
    }
    planned
}

fn common(path: &str, container: &Value, obstacles: &mut Obstacles) -> ContainerPlan {
    let port =
        |port: &Value| Some((text(port, "name").to_owned(), u16::try_from(port["containerPort"].as_u64()?).ok()?));
    let ports: Vec<(String, u16)> = items(container, "ports").iter().filter_map(port).collect();
    let mut probe = |field: &str| probes::probe(&format!("{path}.{field}"), &container[field], &ports, obstacles);
    ContainerPlan {
        name: text(container, "name").to_owned(),
        image: text(container, "image").to_owned(),
        command: Vec::new(),
        env: Vec::new(),
        working_dir: Some(text(container, "workingDir")).filter(|dir| !dir.is_empty()).unwrap_or("/").to_owned(),
        identity: Identity { ids: None, new_privileges: false },
        startup: probe("startupProbe"),
        liveness: probe("livenessProbe"),
        readiness: probe("readinessProbe"),
        pre_stop: None,
        ports,
    }
}

/// Nothing keeps a Pod to limits, and nobody counts requests: a Pod that names them must not believe that it has them.
fn check_resources(path: &str, resources: &Value, obstacles: &mut Obstacles) {
    obstacles.unknown(&format!("{path}.resources"), resources, &[]);
}

fn check_ports(path: &str, container: &Value, pod: &Value, obstacles: &mut Obstacles) {
    let host_network = pod["spec"]["hostNetwork"] == true;
    for (index, port) in items(container, "ports").iter().enumerate() {
        if !host_network && port["hostPort"].as_u64().unwrap_or(0) != 0 {
            let why = "maitred does not implement this field: use a Service of type NodePort, or hostNetwork";
            obstacles.add(format!("{path}.ports[{index}].hostPort"), why);
        }
    }
}

fn pre_stop(path: &str, lifecycle: &Value, ports: &[(String, u16)], obstacles: &mut Obstacles) -> Option<Action> {
    let path = format!("{path}.lifecycle");
    obstacles.unknown(&path, lifecycle, &["preStop"]);
    let hook = &lifecycle["preStop"];
    if let Some(seconds) = hook["sleep"]["seconds"].as_i64() {
        return Some(Action::Sleep(seconds));
    }
    if says_nothing(hook) { None } else { probes::action(&format!("{path}.preStop"), hook, ports, &[], obstacles) }
}

fn variables(
    path: &str,
    container: &Value,
    pod: &Value,
    means: &Means,
    obstacles: &mut Obstacles,
) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    if !means.path.is_empty() {
        variables.push(("PATH".to_owned(), means.path.replace('$', "$$")));
    }
    for (index, variable) in items(container, "env").iter().enumerate() {
        let field = format!("{path}.env[{index}]");
        obstacles.unknown(&field, variable, &["name", "value", "valueFrom"]);
        let source = &variable["valueFrom"];
        obstacles.unknown(&format!("{field}.valueFrom"), source, &["fieldRef"]);
        let value = match source["fieldRef"]["fieldPath"].as_str() {
            None => Some(literal(text(variable, "value"))),
            Some(reference) => referred(reference, pod, means),
        };
        match value {
            Some(value) => variables.push((text(variable, "name").to_owned(), value)),
            None => obstacles.add(format!("{field}.valueFrom.fieldRef"), "maitred does not know this field"),
        }
    }
    variables
}

/// Stands for an address that is known only once the Pod has one; the agent puts it in.
pub(crate) const POD_IP: &str = "$(maitred:status.podIP)";
/// The same for all addresses.
pub(crate) const POD_IPS: &str = "$(maitred:status.podIPs)";

/// A value as its author wrote it, in which other variables are expanded; never one of the marks below.
fn literal(value: &str) -> String {
    if [POD_IP, POD_IPS].contains(&value) { format!("${value}") } else { value.to_owned() }
}

/// A field's value; what looks like a variable in it is none.
fn referred(reference: &str, pod: &Value, means: &Means) -> Option<String> {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let plain = |text: &str| text.replace('$', "$$");
    let entry = |map: &str, key: &str| Some(plain(metadata[map][key].as_str().unwrap_or_default()));
    if let Some((map, key)) = reference.strip_suffix("']").and_then(|text| text.split_once("['")) {
        return match map {
            "metadata.labels" => entry("labels", key),
            "metadata.annotations" => entry("annotations", key),
            _ => None,
        };
    }
    let host_ips = || means.host_ips.iter().map(ToString::to_string);
    Some(match reference {
        "metadata.name" => text(metadata, "name").to_owned(),
        "metadata.namespace" => text(metadata, "namespace").to_owned(),
        "metadata.uid" => text(metadata, "uid").to_owned(),
        "spec.nodeName" => means.node_name.clone(),
        "spec.serviceAccountName" => text(spec, "serviceAccountName").to_owned(),
        "status.hostIP" => host_ips().next().unwrap_or_default(),
        "status.hostIPs" => host_ips().collect::<Vec<_>>().join(","),
        "status.podIP" => POD_IP.to_owned(),
        "status.podIPs" => POD_IPS.to_owned(),
        _ => return None,
    })
}
