//! A Pod's status as the API shows it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::state::{Ended, Now, PodState, Sandbox};
use crate::{ContainerPlan, ContainerState, PodPlan, Refusal};

/// Where a Pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node's addresses.
    pub host_ips: Vec<IpAddr>,
}

/// The status of a Pod. `current` is the status that the API shows now: times in it stay where nothing else changed.
pub fn status(plan: &PodPlan, state: &PodState, place: &Place, current: &Value, now: Timestamp) -> Value {
    let addresses = if plan.host_network { &place.host_ips } else { &state.addresses };
    let phase = phase(state);
    let mut status = json!({
        "phase": phase,
        "conditions": conditions(plan, state, phase, current, now),
        "startTime": current["startTime"].as_str().map_or_else(|| seconds(state.seen), str::to_owned),
        "containerStatuses": plan.containers.iter().zip(&state.containers)
            .map(|(plan_of, container)| container_status(plan, plan_of, state, container)).collect::<Vec<_>>(),
        "qosClass": "BestEffort",
    });
    put_addresses(&mut status, ("hostIP", "hostIPs"), &place.host_ips);
    if state.sandbox != Sandbox::Absent {
        put_addresses(&mut status, ("podIP", "podIPs"), addresses);
    }
    status
}

/// The status of a Pod that isn't run, because fields stand in the way.
pub fn refused_status(pod: &Value, refusal: &Refusal, place: &Place, now: Timestamp) -> Value {
    let current = &pod["status"];
    let waiting = json!({"waiting": {"reason": "CreateContainerConfigError", "message": refusal.to_string()}});
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten().map(|container| {
        json!({
            "name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0,
            "ready": false, "started": false, "state": waiting, "lastState": {},
        })
    });
    let why = || Some(("ContainersNotReady", refusal.to_string()));
    let mut status = json!({
        "phase": "Pending",
        "conditions": [
            condition("Ready", why(), current, now),
            condition("ContainersReady", why(), current, now),
            condition("PodScheduled", None, current, now),
        ],
        "containerStatuses": containers.collect::<Vec<_>>(),
    });
    put_addresses(&mut status, ("hostIP", "hostIPs"), &place.host_ips);
    status
}

/// A strategic merge patch from one status to the other, or nothing if they say the same.
pub fn difference(current: &Value, new: &Value) -> Option<Value> {
    let fields = new.as_object()?;
    let changed = |(name, value): &(&String, &Value)| match name.as_str() {
        // Others write conditions of their own, which stay.
        "conditions" => !value
            .as_array()
            .into_iter()
            .flatten()
            .all(|ours| current["conditions"].as_array().into_iter().flatten().any(|theirs| says(theirs, ours))),
        name => current[name] != **value,
    };
    let said = |(name, value): (&String, &Value)| (name.clone(), whole(name, value.clone()));
    let changes: serde_json::Map<String, Value> = fields.iter().filter(changed).map(said).collect();
    (!changes.is_empty()).then(|| json!({ "status": changes }))
}

/// Addresses are merged by the address itself, so old and new ones would add up: their lists are replaced.
fn whole(name: &str, mut value: Value) -> Value {
    if let ("podIPs" | "hostIPs", Some(list)) = (name, value.as_array_mut()) {
        list.push(json!({"$patch": "replace"}));
    }
    value
}

/// Whether all that a merge of `ours` would set stands there already.
fn says(theirs: &Value, ours: &Value) -> bool {
    let fields = ours.as_object().into_iter().flatten();
    fields.into_iter().all(|(name, value)| theirs[name] == *value)
}

fn phase(state: &PodState) -> &'static str {
    let containers = &state.containers;
    if state.is_over() {
        let failed = |container: &ContainerState| matches!(&container.now, Now::Ended(ended) if ended.exit.code != 0);
        return if containers.iter().any(failed) { "Failed" } else { "Succeeded" };
    }
    let never_ran = |container: &ContainerState| {
        matches!(container.now, Now::Waiting { .. } | Now::Starting) && container.last.is_none()
    };
    if containers.iter().any(never_ran) { "Pending" } else { "Running" }
}

fn conditions(plan: &PodPlan, state: &PodState, phase: &str, current: &Value, now: Timestamp) -> Vec<Value> {
    let unready: Vec<&str> = plan
        .containers
        .iter()
        .zip(&state.containers)
        .filter(|(_, container)| !container.is_ready())
        .map(|(plan, _)| plan.name.as_str())
        .collect();
    let why = if unready.is_empty() {
        None
    } else if phase == "Succeeded" {
        Some(("PodCompleted", String::new()))
    } else if phase == "Failed" {
        Some(("PodFailed", String::new()))
    } else {
        Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
    };
    let sandbox = (state.sandbox != Sandbox::Ready).then(|| ("", state.trouble.clone().unwrap_or_default()));
    [
        ("PodReadyToStartContainers", sandbox),
        ("Initialized", None),
        ("Ready", why.clone()),
        ("ContainersReady", why),
        ("PodScheduled", None),
    ]
    .into_iter()
    .map(|(name, why)| condition(name, why, current, now))
    .collect()
}

/// A condition that holds unless there is a reason and a message why not.
fn condition(name: &str, why: Option<(&str, String)>, current: &Value, now: Timestamp) -> Value {
    let status = if why.is_none() { "True" } else { "False" };
    let before = current["conditions"].as_array().into_iter().flatten().find(|before| before["type"] == name);
    let since =
        before.filter(|before| before["status"] == status).and_then(|before| before["lastTransitionTime"].as_str());
    let mut condition = json!({
        "type": name, "status": status, "lastTransitionTime": since.map_or_else(|| seconds(now), str::to_owned),
    });
    let (reason, message) = why.unwrap_or_default();
    for (field, text) in [("reason", reason), ("message", &message)] {
        let had_one = before.is_some_and(|before| before.get(field).is_some_and(|text| !text.is_null()));
        match (text, had_one) {
            ("", false) => {}
            // A merge keeps what isn't named.
            ("", true) => condition[field] = Value::Null,
            (text, _) => condition[field] = text.into(),
        }
    }
    condition
}

fn container_status(plan: &PodPlan, plan_of: &ContainerPlan, pod: &PodState, container: &ContainerState) -> Value {
    let id = |attempt: u32| format!("maitred://{}/{}/{attempt}", plan.uid, plan_of.name);
    // The newest attempt that there has been; one that is still waited for counts as no restart.
    let newest = match &container.now {
        Now::Waiting { .. } | Now::Starting => container.restarts.checked_sub(1),
        Now::Running(_) | Now::Ended(_) => Some(container.restarts),
    };
    let mut status = json!({
        "name": plan_of.name,
        "image": plan_of.image,
        "imageID": "",
        "restartCount": newest.unwrap_or(0),
        "ready": container.is_ready(),
        "started": matches!(&container.now, Now::Running(running) if running.started),
        "state": now_of(container, pod, &id(container.restarts)),
        "lastState": {},
    });
    if let Some(last) = &container.last {
        status["lastState"] = terminated(last, &id(container.restarts.saturating_sub(1)));
    }
    if let Some(attempt) = newest {
        status["containerID"] = id(attempt).into();
    }
    status
}

fn now_of(container: &ContainerState, pod: &PodState, id: &str) -> Value {
    match &container.now {
        Now::Waiting { until: Some(_) } => {
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}})
        }
        Now::Waiting { until: None } | Now::Starting => match &pod.trouble {
            Some(trouble) => json!({"waiting": {"reason": "ContainerCreating", "message": trouble}}),
            None => json!({"waiting": {"reason": "ContainerCreating"}}),
        },
        Now::Running(running) => json!({"running": {"startedAt": seconds(running.since)}}),
        Now::Ended(ended) => terminated(ended, id),
    }
}

fn terminated(ended: &Ended, id: &str) -> Value {
    let exit = &ended.exit;
    let usual = if exit.code == 0 { "Completed" } else { "Error" };
    let mut terminated = json!({
        "exitCode": exit.code,
        "reason": exit.reason.as_deref().unwrap_or(usual),
        "finishedAt": seconds(ended.finished),
        "containerID": id,
    });
    if let Some(started) = ended.started {
        terminated["startedAt"] = seconds(started).into();
    }
    if let Some(signal) = exit.signal {
        terminated["signal"] = signal.into();
    }
    if !exit.message.is_empty() {
        terminated["message"] = exit.message.as_str().into();
    }
    json!({ "terminated": terminated })
}

fn put_addresses(status: &mut Value, (one, all): (&str, &str), addresses: &[IpAddr]) {
    if let Some(first) = addresses.first() {
        status[one] = first.to_string().into();
        status[all] = addresses.iter().map(|address| json!({"ip": address.to_string()})).collect();
    }
}

/// RFC 3339 in whole seconds, as Kubernetes writes times.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
