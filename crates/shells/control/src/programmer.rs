//! Who programs the caller's network namespace: at most one process, whatever its role and its run directory. Two of them
//! would write over each other's rules without end.
//!
//! The sign is an abstract socket, which belongs to a network namespace as the rules do, needs no directory that both know,
//! and goes with its process. Anybody may bind such a name, so one of a user who may not write rules counts for nothing.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::ControlError;

const NAME: &[u8] = b"maitred/programmer";
/// How long a predecessor may take to be gone: a process that was killed holds its sockets for a moment more.
const PATIENCE: Duration = Duration::from_secs(1);

/// The right to write Service rules in the network namespace in which it was claimed, until it is dropped.
#[derive(Debug)]
pub struct Programmer {
    /// None if a user who may not write rules keeps the name from us.
    _socket: Option<UnixListener>,
}

impl Programmer {
    /// Claims the right for this process.
    pub fn claim() -> Result<Programmer, ControlError> {
        let begun = Instant::now();
        loop {
            match bind() {
                Ok(socket) => return Ok(Programmer { _socket: Some(socket) }),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Err(ControlError::Programmer(error)),
                Err(_) => {}
            }
            let found = programmer().map_err(ControlError::Programmer)?;
            match found {
                Some(Found { may_program: false, uid, .. }) => {
                    tracing::warn!(
                        uid,
                        "a user who may not write rules holds the name by which maitreds know each other"
                    );
                    return Ok(Programmer { _socket: None });
                }
                Some(Found { pid, .. }) if begun.elapsed() >= PATIENCE => return Err(ControlError::Programmed { pid }),
                // It is just going, or about to.
                Some(_) | None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// A process that has claimed the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number, where it can be seen from here.
    pub pid: Option<u32>,
    /// Its user, as numbered here.
    pub uid: u32,
    /// Whether it is root's or of the caller's own user: another one may not write rules.
    pub may_program: bool,
}

impl std::fmt::Display for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a maitred that keeps Service rules")?;
        self.pid.map_or(Ok(()), |pid| write!(out, " (pid {pid})"))
    }
}

/// Who programs the caller's network namespace.
pub fn programmer() -> io::Result<Option<Found>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Nobody accepts there: once its queue is full, a connection would wait for ever.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(std::ffi::OsStr::from_bytes(&[&[0], NAME].concat()))?) {
        Ok(()) => {
            let peer = kernel::peer::of(&UnixStream::from(socket))?;
            let may_program = [0, kernel::detached::user()].contains(&peer.uid);
            Ok(Some(Found { pid: Some(peer.pid).filter(|pid| *pid != 0), uid: peer.uid, may_program }))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Ok(Some(Found { pid: None, uid: 0, may_program: true }))
        }
        Err(error) => Err(error),
    }
}

fn bind() -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME)?)
}
