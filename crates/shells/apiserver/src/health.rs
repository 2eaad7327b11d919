//! `/healthz`, `/livez`, `/readyz` and `/version`, which need no identity.

use axum_core::body::Body;
use http::{Response, StatusCode, header};
use serde_json::json;

use crate::status::json_response;
use crate::{ApiServer, Config, bootstrap};

/// The Kubernetes version whose API is served.
const VERSION: &str = "v1.36.0";

/// The answer, if the path is one of these.
pub(crate) fn answer(server: &ApiServer, path: &str, query: Option<&str>) -> Option<Response<Body>> {
    match path {
        "/healthz" | "/livez" => Some(text(StatusCode::OK, "ok".to_owned())),
        "/readyz" => Some(ready(server, query.unwrap_or_default().contains("verbose"))),
        "/version" => Some(json_response(StatusCode::OK, version())),
        _ => None,
    }
}

/// One line per thing that must hold; only what is wrong unless `verbose`.
fn ready(server: &ApiServer, verbose: bool) -> Response<Body> {
    let mut lines = vec!["[+]ping ok".to_owned()];
    let store = server.inner.store().read_only();
    match &store {
        None => lines.push("[+]store ok".to_owned()),
        Some(why) => lines.push(format!("[-]store failed: it takes no writes: {why}")),
    }
    lines.push(advertised(&server.inner.config));
    let (code, last) = match store {
        None => (StatusCode::OK, "readyz check passed"),
        Some(_) => (StatusCode::INTERNAL_SERVER_ERROR, "readyz check failed"),
    };
    if code == StatusCode::OK && !verbose {
        return text(code, "ok".to_owned());
    }
    lines.push(last.to_owned());
    text(code, lines.join("\n") + "\n")
}

/// Where `default/kubernetes` leads, or why it leads nowhere. Either is fine for a server: Pods may have no need of it.
fn advertised(config: &Config) -> String {
    let family = if config.service_ranges[0].addr().is_ipv4() { "IPv4" } else { "IPv6" };
    match bootstrap::published(config) {
        Some(address) => format!("[+]advertise-address ok: default/kubernetes leads to {address}"),
        None => format!(
            "[+]advertise-address ok: {:?} has no {family} address beyond loopback, so default/kubernetes has no \
             endpoints; to publish this server to Pods, let it --listen on an {family} address that they reach",
            config.advertise
        ),
    }
}

fn version() -> String {
    json!({
        "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
    .to_string()
}

fn text(code: StatusCode, body: String) -> Response<Body> {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Body::from(body))
        .expect("a constant header is valid")
}
