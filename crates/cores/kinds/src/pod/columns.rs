//! `kubectl get pods`.

use serde_json::Value;

use crate::json::{self, items, text};
use crate::{AGE, Column, NAME, age, column, wide};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", "How many of the containers are ready"),
    column("Status", "What the Pod is doing"),
    column("Restarts", "How often its containers were restarted"),
    AGE,
    wide("IP", "Its address"),
    wide("Node", "The node it runs on"),
    wide("Nominated Node", "The node that is being freed for it"),
    wide("Readiness Gates", "How many of its readiness gates are open"),
];

pub(super) fn row(object: &Value, now: &str) -> Vec<Value> {
    let statuses = items(object, "/status/containerStatuses");
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let total = items(object, "/spec/containers").len();
    let or_none = |pointer: &str| match text(object, pointer) {
        "" => "<none>".to_owned(),
        given => given.to_owned(),
    };
    let ip = match text(&object["status"], "/podIPs/0/ip") {
        "" => or_none("/status/podIP"),
        first => first.to_owned(),
    };
    vec![
        crate::name_cell(object),
        format!("{ready}/{total}").into(),
        status(object).into(),
        restarts(statuses, now).into(),
        crate::age_cell(object, now),
        ip.into(),
        or_none("/spec/nodeName").into(),
        or_none("/status/nominatedNodeName").into(),
        gates(object).into(),
    ]
}

/// The phase, or what keeps a container from running, or how it ended.
fn status(object: &Value) -> String {
    let phase = match text(object, "/status/reason") {
        "" => text(object, "/status/phase"),
        reason => reason,
    };
    let ended = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if !ended && !json::is_empty(object, "/metadata/deletionTimestamp") {
        return if phase == "NodeLost" { "Unknown" } else { "Terminating" }.to_owned();
    }
    let initialising = init_status(object);
    initialising.or_else(|| container_status(object)).unwrap_or_else(|| phase.to_owned())
}

fn init_status(object: &Value) -> Option<String> {
    let total = items(object, "/spec/initContainers").len();
    let statuses = items(object, "/status/initContainerStatuses");
    let (index, status) = statuses.iter().enumerate().find(|(_, status)| {
        let succeeded = json::int(status, "/state/terminated/exitCode") == Some(0);
        // A sidecar counts as initialised once it has started.
        !succeeded && status["started"] != true
    })?;
    let reason = [text(status, "/state/terminated/reason"), text(status, "/state/waiting/reason")]
        .into_iter()
        .find(|reason| !reason.is_empty() && *reason != "PodInitializing");
    Some(match (reason, json::int(status, "/state/terminated/exitCode")) {
        (Some(reason), _) => format!("Init:{reason}"),
        (None, Some(code)) => format!("Init:ExitCode:{code}"),
        (None, None) => format!("Init:{index}/{total}"),
    })
}

fn container_status(object: &Value) -> Option<String> {
    let mut reason = None;
    let mut running = false;
    // The first container's reason wins, so they are looked at from the last.
    for status in items(object, "/status/containerStatuses").iter().rev() {
        let waiting = text(status, "/state/waiting/reason");
        let ended = text(status, "/state/terminated/reason");
        if !waiting.is_empty() {
            reason = Some(waiting.to_owned());
        } else if !ended.is_empty() {
            reason = Some(ended.to_owned());
        } else if let Some(signal) = json::int(status, "/state/terminated/signal").filter(|signal| *signal != 0) {
            reason = Some(format!("Signal:{signal}"));
        } else if let Some(code) = json::int(status, "/state/terminated/exitCode") {
            reason = Some(format!("ExitCode:{code}"));
        } else if status["ready"] == true && status["state"].get("running").is_some() {
            running = true;
        }
    }
    if reason.as_deref() == Some("Completed") && running {
        let ready = items(object, "/status/conditions")
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        reason = Some(if ready { "Running" } else { "NotReady" }.to_owned());
    }
    reason
}

/// `3 (2m ago)`
fn restarts(statuses: &[Value], now: &str) -> String {
    let count: i64 =
        statuses.iter().filter_map(|status| json::int(status, "/restartCount")).fold(0, i64::saturating_add);
    let last = statuses.iter().map(|status| text(status, "/lastState/terminated/finishedAt")).max().unwrap_or_default();
    if count == 0 || last.is_empty() {
        count.to_string()
    } else {
        format!("{count} ({} ago)", age::age(Some(last), now))
    }
}

fn gates(object: &Value) -> String {
    let gates = items(object, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let conditions = items(object, "/status/conditions");
    let open = |gate: &&Value| {
        conditions.iter().any(|condition| condition["type"] == gate["conditionType"] && condition["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(open).count(), gates.len())
}
