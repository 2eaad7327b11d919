//! Servers that say who they are, and clients that ask.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// A server that says its name to whoever connects.
pub fn tcp_server(address: IpAddr, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(name.as_bytes());
        }
    });
    at
}

pub fn udp_server(address: IpAddr, name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(name.as_bytes(), client);
        }
    });
    at
}

/// Who answers at an address, or how it fails.
/// Long enough for a busy machine, and for the second SYN, which follows the first after 1 s.
const PATIENCE: Duration = Duration::from_millis(1500);

pub fn knock(at: SocketAddr) -> Result<String, ErrorKind> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE).map_err(|failure| failure.kind())?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut name = String::new();
    stream.read_to_string(&mut name).map_err(|failure| failure.kind())?;
    Ok(name)
}

pub fn ask(at: SocketAddr) -> Result<String, ErrorKind> {
    let local = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).unwrap();
    socket.connect(at).unwrap();
    ask_again(&socket)
}

pub fn ask_again(socket: &UdpSocket) -> Result<String, ErrorKind> {
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket.send(b"?").map_err(|failure| failure.kind())?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).map_err(|failure| failure.kind())?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
