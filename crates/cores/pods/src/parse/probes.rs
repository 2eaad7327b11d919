//! Probes and hooks.

use serde_json::Value;

use crate::fields::{Obstacles, items, says_nothing, text, texts};
use crate::{Action, Port, Probe};

/// Fields of a probe beside its action.
const TIMES: &[&str] = &[
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "terminationGracePeriodSeconds",
];

/// Reads a probe, if there is one.
pub(super) fn probe(path: &str, probe: &Value, ports: &[(String, u16)], obstacles: &mut Obstacles) -> Option<Probe> {
    if says_nothing(probe) {
        return None;
    }
    let action = match grpc(path, &probe["grpc"], obstacles) {
        Some(grpc) => grpc,
        None => action(path, probe, ports, &[TIMES, &["grpc"]].concat(), obstacles)?,
    };
    let number = |field: &str, default: i64| probe[field].as_i64().filter(|n| *n > 0).unwrap_or(default);
    let times = |field: &str, default: i64| u32::try_from(number(field, default)).unwrap_or(u32::MAX);
    Some(Probe {
        action,
        initial_delay_s: number("initialDelaySeconds", 0),
        period_s: number("periodSeconds", 10),
        timeout_s: number("timeoutSeconds", 1),
        failures: times("failureThreshold", 3),
        successes: times("successThreshold", 1),
        grace_s: probe["terminationGracePeriodSeconds"].as_i64(),
    })
}

/// Reads the health check by gRPC, which only probes have; its port is always a number.
fn grpc(path: &str, grpc: &Value, obstacles: &mut Obstacles) -> Option<Action> {
    if !grpc.is_object() {
        return None;
    }
    obstacles.unknown(&format!("{path}.grpc"), grpc, &["port", "service"]);
    let port = port(&format!("{path}.grpc.port"), &grpc["port"], &[], obstacles)?;
    Some(Action::Grpc { port, service: text(grpc, "service").to_owned() })
}

/// Reads what a probe or a hook does. `beside` are the other fields that may stand there.
pub(super) fn action(
    path: &str,
    holder: &Value,
    ports: &[(String, u16)],
    beside: &[&str],
    obstacles: &mut Obstacles,
) -> Option<Action> {
    obstacles.unknown(path, holder, &[&["exec", "httpGet", "tcpSocket"], beside].concat());
    if holder["exec"].is_object() {
        let command = texts(&holder["exec"], "command");
        if command.is_empty() {
            obstacles.add(format!("{path}.exec.command"), "is empty");
        }
        return Some(Action::Exec(command));
    }
    let host = |of: &Value| Some(text(of, "host").to_owned()).filter(|host| !host.is_empty());
    let (get, tcp) = (&holder["httpGet"], &holder["tcpSocket"]);
    if tcp.is_object() {
        let port = port(&format!("{path}.tcpSocket.port"), &tcp["port"], ports, obstacles)?;
        return Some(Action::Tcp { host: host(tcp), port });
    }
    if !get.is_object() {
        return None;
    }
    let port = port(&format!("{path}.httpGet.port"), &get["port"], ports, obstacles)?;
    let tls = text(get, "scheme").eq_ignore_ascii_case("https");
    let header = |header: &Value| (text(header, "name").to_owned(), text(header, "value").to_owned());
    let path = match text(get, "path") {
        "" => "/".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    let headers = items(get, "httpHeaders").iter().map(header).collect();
    Some(Action::Http { tls, host: host(get), port, path, headers })
}

/// A port by number or by name.
fn port(path: &str, port: &Value, ports: &[(String, u16)], obstacles: &mut Obstacles) -> Option<Port> {
    let found = match port {
        Value::String(name) => ports
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, number)| *number)
            .or_else(|| name.parse().ok().filter(|number| *number > 0)),
        other => other.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0),
    };
    if found.is_none() {
        obstacles.add(path, format!("{port} is no port of this container"));
    }
    found
}
