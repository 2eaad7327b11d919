//! Probes over the network, and hooks of the same kind.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::grpc;

/// As much of an answer as holds its status line.
const STATUS_BYTES: usize = 64;

/// Opens a connection and closes it.
pub(super) async fn tcp(
    address: Option<&str>,
    default: Option<IpAddr>,
    port: u16,
    time: Duration,
) -> Result<(), String> {
    within(time, async { connect(address, default, port).await.map(drop) }).await
}

/// GETs a path; 200 to 399 is success.
pub(super) async fn http(
    address: Option<&str>,
    default: Option<IpAddr>,
    port: u16,
    (path, headers): (&str, &[(String, String)]),
    time: Duration,
) -> Result<(), String> {
    let asked = async {
        let mut stream = connect(address, default, port).await?;
        let host = stream.peer_addr().map_err(|error| error.to_string())?;
        let request = request(path, &host.to_string(), headers);
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut answer = Vec::with_capacity(STATUS_BYTES);
        while answer.len() < STATUS_BYTES && !answer.contains(&b'\n') {
            match stream.read_buf(&mut answer).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        judge(&answer)
    };
    within(time, asked).await
}

/// Asks the gRPC health service.
pub(super) async fn grpc(default: Option<IpAddr>, port: u16, service: &str, time: Duration) -> Result<(), String> {
    within(time, async { grpc::check(connect(None, default, port).await?, service).await }).await
}

fn request(path: &str, host: &str, headers: &[(String, String)]) -> String {
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    for (name, value) in [("Host", host), ("User-Agent", "kube-probe/maitred"), ("Accept", "*/*")] {
        if !has(name) {
            request += &format!("{name}: {value}\r\n");
        }
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request + "Connection: close\r\n\r\n"
}

fn judge(answer: &[u8]) -> Result<(), String> {
    let line = String::from_utf8_lossy(answer);
    let line = line.lines().next().unwrap_or_default();
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse::<u16>().ok());
    match code {
        Some(200..=399) => Ok(()),
        Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
        None => Err("the answer is not HTTP".to_owned()),
    }
}

async fn connect(address: Option<&str>, default: Option<IpAddr>, port: u16) -> Result<TcpStream, String> {
    let connected = match (address, default) {
        (Some(host), _) => TcpStream::connect((host, port)).await,
        (None, Some(address)) => TcpStream::connect(SocketAddr::new(address, port)).await,
        (None, None) => return Err("the Pod has no address".to_owned()),
    };
    connected.map_err(|error| error.to_string())
}

async fn within(time: Duration, action: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::time::timeout(time, action)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", time.as_secs_f32())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_from_200_to_399_is_success() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.0 399 x\r\n", true),
            ("HTTP/1.1 302 Found\r\nLocation: /", true),
            ("HTTP/1.1 199 x\r\n", false),
            ("HTTP/1.1 400 Bad\r\n", false),
            ("HTTP/1.1 503 no\r\n", false),
            ("SSH-2.0", false),
            ("", false),
        ] {
            assert_eq!(judge(answer.as_bytes()).is_ok(), expected, "{answer:?}");
        }
    }

    #[test]
    fn a_header_of_the_probe_replaces_the_usual_one() {
        let headers = [("host".to_owned(), "web.example".to_owned())];
        let text = request("/ready?x=1", "10.0.0.2:80", &headers);
        assert!(text.starts_with("GET /ready?x=1 HTTP/1.1\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(text.contains("host: web.example\r\n") && !text.contains("10.0.0.2"), "{text}");
    }
}
