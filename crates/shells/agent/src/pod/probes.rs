//! Probes over the network, and hooks of the same kind.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{grpc, tls};

/// So much of an answer is read, as by the kubelet.
const ANSWER_BYTES: usize = 10 << 10;

/// Opens a connection and closes it.
pub(super) async fn tcp(
    address: Option<&str>,
    default: Option<IpAddr>,
    port: u16,
    time: Duration,
) -> Result<(), String> {
    within(time, async { connect(address, default, port).await.map(drop) }).await
}

/// GETs a path, over TLS if asked for; 200 to 399 is success.
pub(super) async fn http(
    tls: bool,
    address: Option<&str>,
    default: Option<IpAddr>,
    port: u16,
    (path, headers): (&str, &[(String, String)]),
    time: Duration,
) -> Result<(), String> {
    let asked = async {
        let stream = connect(address, default, port).await?;
        let peer = stream.peer_addr().map_err(|error| error.to_string())?;
        let request = request(path, &peer.to_string(), headers);
        let answer = match tls {
            true => exchange(tls::connect(stream, address, peer.ip()).await?, &request).await,
            false => exchange(stream, &request).await,
        };
        judge(&answer.map_err(|error| error.to_string())?)
    };
    within(time, asked).await
}

/// Sends a request and reads its answer.
async fn exchange(mut with: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> std::io::Result<Vec<u8>> {
    with.write_all(request.as_bytes()).await?;
    let answer = read_answer(&mut with).await?;
    // The answer is there; that its sender has gone meanwhile is no matter.
    let _ = with.shutdown().await;
    Ok(answer)
}

/// Reads an answer to its end: closing the connection before would reset it, which many servers take for a fault.
async fn read_answer(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES && !is_whole(&answer) {
        match from.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            // Many servers end TLS by closing the connection.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Whether an answer ends here, by what its head says (RFC 9112, section 6.3). One that does not say ends with its connection,
/// which was asked to be closed.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase(), &answer[end + 4..]);
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    if header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
        // The last chunk, without trailers.
        return body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n");
    }
    let is_bare = [" 204", " 304"].iter().any(|code| head.lines().next().is_some_and(|line| line.contains(code)));
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
    is_bare || length.is_some_and(|length| body.len() >= length)
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
    fn an_answer_is_whole_when_its_head_says_so() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nX-Content-Length: 0\r\n\r\n", false),
        ] {
            assert_eq!(is_whole(answer.as_bytes()), expected, "{answer:?}");
        }
    }

    /// Reads a request.
    async fn hear(stream: &mut (impl AsyncRead + Unpin)) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.expect("a request"), 0);
        }
    }

    /// Probes a server that sends this answer in two pieces and, if it may, closes. Says how the probe and the server ended.
    async fn probe_of(answer: String, closes: bool) -> (Result<(), String>, std::io::Result<usize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a probe");
            hear(&mut stream).await;
            let (first, second) = answer.split_at(answer.len() / 2);
            stream.write_all(first.as_bytes()).await.expect("the probe reads");
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(second.as_bytes()).await.expect("the probe still reads");
            if closes {
                stream.shutdown().await.expect("the probe is still there");
            }
            // Fails if the probe has closed with something unread.
            stream.read(&mut [0; 1]).await
        };
        tokio::join!(http(false, None, Some(at.ip()), at.port(), ("/", &[]), Duration::from_secs(5)), server)
    }

    #[tokio::test]
    async fn the_answer_is_read_to_its_end_so_that_the_connection_is_not_reset() {
        let body = "x".repeat(4000);
        for (head, closes) in [("", true), ("Content-Length: 4000\r\n", false)] {
            let (probe, server) = probe_of(format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}"), closes).await;
            assert_eq!(probe, Ok(()), "{head}");
            assert_eq!(server.expect("no reset"), 0, "{head}");
        }
    }

    #[tokio::test]
    async fn over_tls_any_certificate_will_do() {
        let certified = rcgen::generate_simple_self_signed(vec!["somebody.example".to_owned()]).expect("a certificate");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("its versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .expect("a server");
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let server = async {
            for code in ["200 OK", "503 No"] {
                let (stream, _) = listener.accept().await.expect("a probe");
                let mut stream = acceptor.accept(stream).await.expect("it speaks TLS");
                hear(&mut stream).await;
                stream.write_all(format!("HTTP/1.1 {code}\r\n\r\n").as_bytes()).await.expect("it reads");
                stream.flush().await.expect("it reads");
                // As many servers do: the connection is closed without a word.
            }
        };
        let probe = async || http(true, None, Some(at.ip()), at.port(), ("/", &[]), Duration::from_secs(5)).await;
        let probes = async { (probe().await, probe().await) };
        let (results, ()) = tokio::join!(probes, server);
        assert_eq!(results, (Ok(()), Err("HTTP probe failed with statuscode: 503".to_owned())));
    }

    #[test]
    fn a_header_of_the_probe_replaces_the_usual_one() {
        let headers = [("host".to_owned(), "web.example".to_owned())];
        let text = request("/ready?x=1", "10.0.0.2:80", &headers);
        assert!(text.starts_with("GET /ready?x=1 HTTP/1.1\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(text.contains("host: web.example\r\n") && !text.contains("10.0.0.2"), "{text}");
    }
}
