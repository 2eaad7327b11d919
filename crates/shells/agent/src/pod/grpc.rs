//! The gRPC health check: one call of `grpc.health.v1.Health/Check` over HTTP/2 without TLS.
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// `SERVING` of HealthCheckResponse.
const SERVING: u64 = 1;
/// More than an answer ever has.
const ANSWER_BYTES_MAX: usize = 4096;

/// Asks over a connection whether a service is being served; the empty name stands for the whole server.
pub(super) async fn check(stream: TcpStream, service: &str) -> Result<(), String> {
    let authority = stream.peer_addr().map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| error.to_string())?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/maitred")
        .body(Full::new(Bytes::from(question(service))))
        .map_err(|error| error.to_string())?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let early = status_of(response.headers());
        let answer = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let answer = answer.collect().await.map_err(|error| error.to_string())?;
        let late = answer.trailers().and_then(status_of);
        judge(early.or(late), &answer.to_bytes())
    };
    tokio::select! {
        result = asked => result,
        ended = connection => Err(ended.err().map_or("the connection was closed".to_owned(), |error| error.to_string())),
    }
}

/// `grpc-status` and `grpc-message`.
fn status_of(headers: &http::HeaderMap) -> Option<(u32, String)> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    Some((text("grpc-status").parse().ok()?, text("grpc-message")))
}

/// HealthCheckRequest with its prefix: not compressed, and its length.
fn question(service: &str) -> Vec<u8> {
    const FIELD_SERVICE: u8 = 1 << 3 | 2;
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(FIELD_SERVICE);
        put_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What a call's status and its message say.
fn judge(status: Option<(u32, String)>, framed: &[u8]) -> Result<(), String> {
    match status {
        Some((0, _)) => {}
        Some((code, message)) => return Err(format!("the health check ended with gRPC status {code}: {message}")),
        None => return Err("the answer is not gRPC".to_owned()),
    }
    match serving_status(framed.get(5..).unwrap_or_default()) {
        Some(SERVING) => Ok(()),
        Some(other) => Err(format!("service unhealthy (responded with {})", status_name(other))),
        None => Err("the answer is no HealthCheckResponse".to_owned()),
    }
}

/// The names of ServingStatus.
fn status_name(number: u64) -> String {
    match number {
        0 => "UNKNOWN".to_owned(),
        2 => "NOT_SERVING".to_owned(),
        3 => "SERVICE_UNKNOWN".to_owned(),
        other => other.to_string(),
    }
}

/// The field `status` of a HealthCheckResponse, whose absence is 0; unknown varint fields are passed over.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    const FIELD_STATUS: u64 = 1 << 3;
    let mut status = 0;
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        let (value, rest) = varint(rest)?;
        if key == FIELD_STATUS {
            status = value;
        } else if key & 7 != 0 {
            return None;
        }
        message = rest;
    }
    Some(status)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let number = bytes[..length].iter().rev().fold(0u64, |number, byte| number << 7 | u64::from(byte & 0x7f));
    Some((number, &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_the_service() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("db"), [0, 0, 0, 0, 4, 10, 2, b'd', b'b']);
        assert_eq!(question(&"x".repeat(300)).len(), 5 + 3 + 300);
    }

    #[test]
    fn only_the_status_serving_is_success() {
        let ok = || Some((0, String::new()));
        for (status, framed, expected) in [
            (ok(), &[0, 0, 0, 0, 2, 8, 1][..], Ok(())),
            (ok(), &[0, 0, 0, 0, 2, 8, 2], Err("service unhealthy (responded with NOT_SERVING)")),
            (ok(), &[0, 0, 0, 0, 0], Err("service unhealthy (responded with UNKNOWN)")),
            (ok(), &[0, 0, 0, 0, 4, 16, 7, 8, 1], Ok(())),
            (ok(), &[0, 0, 0, 0, 1, 8], Err("the answer is no HealthCheckResponse")),
            (Some((12, "no".to_owned())), &[], Err("the health check ended with gRPC status 12: no")),
            (None, &[], Err("the answer is not gRPC")),
        ] {
            assert_eq!(judge(status, framed), expected.map_err(str::to_owned), "{framed:?}");
        }
    }

    /// A health service that knows the service "db" only.
    async fn serve(listener: tokio::net::TcpListener) {
        use http_body_util::StreamBody;
        use hyper::body::{Frame, Incoming};
        while let Ok((stream, _)) = listener.accept().await {
            let answer = |request: Request<Incoming>| async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let asked = request.into_body().collect().await.expect("a body").to_bytes();
                let is_known = asked.ends_with(b"db");
                let (frame, status) = if is_known { (&[0, 0, 0, 0, 2, 8, 1][..], "0") } else { (&[][..], "5") };
                let trailers = http::HeaderMap::from_iter([
                    (http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static(status)),
                    (http::HeaderName::from_static("grpc-message"), http::HeaderValue::from_static("unknown service")),
                ]);
                let frames = [Frame::data(Bytes::from_static(frame)), Frame::trailers(trailers)];
                let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
                Ok::<_, std::convert::Infallible>(http::Response::new(body))
            };
            let service = hyper::service::service_fn(answer);
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    }

    #[tokio::test]
    async fn a_server_is_asked_over_a_real_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener));
        let ask = async |service: &str| check(TcpStream::connect(address).await.expect("a connection"), service).await;
        assert_eq!(ask("db").await, Ok(()));
        assert_eq!(ask("web").await, Err("the health check ended with gRPC status 5: unknown service".to_owned()));
    }
}
