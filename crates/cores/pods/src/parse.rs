//! From a Pod's JSON to a plan, or to the list of what stands in the way.

mod container;
mod identity;
mod probes;

pub(crate) use container::{POD_IP, POD_IPS};

use std::net::IpAddr;

use serde_json::Value;

use crate::fields::{Obstacles, items, pairs, text, texts};
use crate::{Dns, Means, Mode, PodPlan, Refusal, RestartPolicy};

/// Addresses of what already runs, one per family, separated by commas.
const ADDRESS: &str = "maitred.dev/address";

/// Fields of a Pod's spec that are read here.
const READ: &[&str] = &[
    "containers",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "hostNetwork",
    "hostname",
    "subdomain",
    "dnsPolicy",
    "dnsConfig",
    "hostAliases",
    "securityContext",
];

/// Fields that ask nothing of the node: they belong to others (the scheduler, admission), or say what holds anyway.
const OTHERS: &[&str] = &[
    // The scheduler acts on these, or refuses the Pod for them. It never sees a Pod that was made with a `nodeName`, which
    // therefore goes there whatever they ask for, as in Kubernetes.
    "nodeName",
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "schedulerName",
    "schedulingGates",
    // Nobody's: Pods are not measured, so none has to make way for another.
    "priority",
    "priorityClassName",
    "preemptionPolicy",
    // No credentials are mounted and no variables tell of Services: names are the way to find them.
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "enableServiceLinks",
    // The processes of a Pod's containers always see each other.
    "shareProcessNamespace",
    "os",
];

/// Says what running a Pod takes on a node with these means.
pub fn plan(pod: &Value, means: &Means) -> Result<PodPlan, Refusal> {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let mut obstacles = Obstacles::default();
    obstacles.unknown("spec", spec, &[READ, OTHERS].concat());
    if spec["hostUsers"] == false {
        obstacles.add("spec.hostUsers", "maitred gives Pods no user namespace");
    }
    let mode = mode(metadata, &mut obstacles);
    let planned = PodPlan {
        namespace: text(metadata, "namespace").to_owned(),
        name: text(metadata, "name").to_owned(),
        uid: text(metadata, "uid").to_owned(),
        containers: container::containers(pod, &mode, means, &mut obstacles),
        restart_policy: restart_policy(text(spec, "restartPolicy")),
        grace_s: spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(30).max(0),
        host_network: spec["hostNetwork"] == true,
        hostname: hostname(metadata, spec),
        subdomain: text(spec, "subdomain").to_owned(),
        dns: dns(&spec["dnsConfig"], text(spec, "dnsPolicy"), &mut obstacles),
        host_aliases: host_aliases(spec, &mut obstacles),
        mode,
    };
    let obstacles = obstacles.into_found();
    if obstacles.is_empty() { Ok(planned) } else { Err(Refusal { obstacles }) }
}

fn mode(metadata: &Value, obstacles: &mut Obstacles) -> Mode {
    let annotation = pairs(metadata, "annotations").and_then(|all| all.get(ADDRESS)).and_then(Value::as_str);
    let Some(list) = annotation else { return Mode::Host };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for text in list.split(',').map(str::trim) {
        match text.parse::<IpAddr>() {
            Ok(address) if addresses.iter().any(|known| known.is_ipv4() == address.is_ipv4()) => {
                obstacles.add(format!("metadata.annotations[{ADDRESS}]"), "give at most one address of each IP family");
            }
            Ok(address) => addresses.push(address),
            Err(_) => obstacles.add(format!("metadata.annotations[{ADDRESS}]"), format!("\"{text}\" is no IP address")),
        }
    }
    Mode::Elsewhere(addresses)
}

fn restart_policy(text: &str) -> RestartPolicy {
    match text {
        "OnFailure" => RestartPolicy::OnFailure,
        "Never" => RestartPolicy::Never,
        _ => RestartPolicy::Always,
    }
}

/// The host name, cut to what the kernel and DNS labels take.
fn hostname(metadata: &Value, spec: &Value) -> String {
    let name = Some(text(spec, "hostname")).filter(|name| !name.is_empty()).unwrap_or(text(metadata, "name"));
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

fn dns(config: &Value, policy: &str, obstacles: &mut Obstacles) -> Dns {
    obstacles.unknown("spec.dnsConfig", config, &["nameservers", "searches", "options"]);
    let option = |option: &Value| (text(option, "name").to_owned(), option["value"].as_str().map(str::to_owned));
    Dns {
        policy: policy.to_owned(),
        nameservers: texts(config, "nameservers"),
        searches: texts(config, "searches"),
        options: items(config, "options").iter().map(option).collect(),
    }
}

fn host_aliases(spec: &Value, obstacles: &mut Obstacles) -> Vec<(IpAddr, Vec<String>)> {
    let mut aliases = Vec::new();
    for (index, alias) in items(spec, "hostAliases").iter().enumerate() {
        match text(alias, "ip").parse() {
            Ok(address) => aliases.push((address, texts(alias, "hostnames"))),
            Err(_) => obstacles.add(format!("spec.hostAliases[{index}].ip"), "is no IP address"),
        }
    }
    aliases
}
