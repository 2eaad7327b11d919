//! Who programs the caller's network namespace: at most one process, whatever its role and its run directory. Two of them
//! would write over each other's rules without end.
//!
//! The sign is an abstract socket, which belongs to a network namespace as the rules do, needs no directory that both know,
//! and goes with its process. It keeps operators from a mistake, and nobody from malice: any local user may bind such a name,
//! so a holder who may not write rules, or who cannot be asked, is passed over with a warning.

use std::io;
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::ControlError;

const NAME: &[u8] = b"maitred/programmer";
/// How long a predecessor may take to be gone: a process that was killed holds its sockets for a moment more.
const PATIENCE: Duration = Duration::from_secs(1);

/// The right to write Service rules in the network namespace in which it was claimed, until it is dropped.
#[derive(Debug)]
pub struct Programmer {
    /// None if a stranger keeps the name from us.
    door: Option<Door>,
}

impl Programmer {
    /// Claims the right for this process; takes a second at most.
    pub fn claim() -> Result<Programmer, ControlError> {
        let begun = Instant::now();
        loop {
            match UnixListener::bind_addr(&address().map_err(ControlError::Programmer)?) {
                Ok(listener) => {
                    let door = Door::open(listener).map_err(ControlError::Programmer)?;
                    return Ok(Programmer { door: Some(door) });
                }
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Err(ControlError::Programmer(error)),
                Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => return beside_who_is_there(),
            }
        }
    }

    /// Whether the name is this process's.
    pub fn is_known(&self) -> bool {
        self.door.is_some()
    }
}

fn beside_who_is_there() -> Result<Programmer, ControlError> {
    match programmer()? {
        Some(found) if found.may_program => Err(ControlError::Programmed { pid: found.pid }),
        _ => {
            tracing::warn!(
                "a stranger holds the name by which maitreds know of each other; see that only one runs here"
            );
            Ok(Programmer { door: None })
        }
    }
}

/// Answers whoever asks who is there. Each one that connects is let go, since the kernel keeps those that nobody accepts.
#[derive(Debug)]
struct Door {
    listener: UnixListener,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(listener: UnixListener) -> io::Result<Door> {
        let accepting = listener.try_clone()?;
        let thread = std::thread::Builder::new().name("programmer".to_owned());
        let thread = thread.spawn(move || let_in(&accepting))?;
        Ok(Door { listener, thread: Some(thread) })
    }
}

/// Until the listener is shut down, which `accept` tells by EINVAL. Any other failure, such as too many open files, passes.
fn let_in(listener: &UnixListener) {
    loop {
        match listener.accept() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // The thread holds the name as well.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A process that has claimed the right, or a stranger that keeps its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number, where it can be seen from here.
    pub pid: Option<u32>,
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
pub fn programmer() -> Result<Option<Found>, ControlError> {
    ask().map_err(ControlError::Programmer)
}

fn ask() -> io::Result<Option<Found>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A stranger may have a queue that is full, where a connection would wait for ever.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(std::ffi::OsStr::from_bytes(&[&[0], NAME].concat()))?) {
        Ok(()) => {
            let peer = kernel::peer::of(&UnixStream::from(socket))?;
            let may_program = [0, kernel::detached::user()].contains(&peer.uid);
            Ok(Some(Found { pid: Some(peer.pid).filter(|pid| *pid != 0), may_program }))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(Found { pid: None, may_program: false })),
        Err(error) => Err(error),
    }
}

fn address() -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(NAME)
}
