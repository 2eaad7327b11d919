//! One request and its answer over a route netlink socket.

// Sockets are opened, read and written here; see the crate's documentation.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::LinkError;
use super::listing::text;
use super::message::{Message, attributes, messages, u16_at, u32_at};

/// Why a request failed, before it is told which request it was.
pub struct Refusal {
    detail: String,
    source: io::Error,
}

impl Refusal {
    /// The error once it is known what was asked.
    pub fn named(self, operation: String) -> LinkError {
        LinkError::Refused { operation, detail: self.detail, source: self.source }
    }
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Self {
        Self { detail: String::new(), source }
    }
}

/// Attribute of an error message that holds the kernel's own words (`NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;

/// A route netlink socket; it belongs to the namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    pub fn open() -> io::Result<Self> {
        // SAFETY: plain system call; the result is checked before it is owned.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let on: libc::c_int = 1;
            // SAFETY: the value outlives the call and its size is given. Failure only costs the text of errors.
            unsafe {
                libc::setsockopt(
                    fd.as_raw_fd(),
                    libc::SOL_NETLINK,
                    option,
                    (&raw const on).cast(),
                    size_of_val(&on) as libc::socklen_t,
                );
            }
        }
        Ok(Self { fd, sequence: 0, buffer: vec![0; 64 * 1024] })
    }

    /// Sends one request and returns the payloads that answer it, up to its acknowledgement or end.
    pub fn ask(&mut self, message: Message) -> Result<Vec<Vec<u8>>, Refusal> {
        self.sequence += 1;
        let request = message.finish(self.sequence);
        let flags = u16_at(&request, 6).unwrap_or_default();
        let ends_with_status = flags & (libc::NLM_F_ACK | libc::NLM_F_DUMP) as u16 != 0;
        self.send(&request)?;
        let mut answers = Vec::new();
        loop {
            let length = self.receive()?;
            for received in messages(&self.buffer[..length]) {
                if received.sequence != self.sequence {
                    continue;
                }
                match i32::from(received.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => return outcome(received.payload).map(|()| answers),
                    _ => answers.push(received.payload.to_vec()),
                }
            }
            if !ends_with_status && !answers.is_empty() {
                return Ok(answers);
            }
        }
    }

    fn send(&self, request: &[u8]) -> io::Result<()> {
        // SAFETY: pointer and length describe `request`.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn receive(&mut self) -> io::Result<usize> {
        loop {
            let (start, capacity) = (self.buffer.as_mut_ptr(), self.buffer.len());
            // SAFETY: pointer and length describe `buffer`, which nobody else uses meanwhile.
            let received = unsafe { libc::recv(self.fd.as_raw_fd(), start.cast(), capacity, 0) };
            if received >= 0 {
                return Ok(received as usize);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

/// What an error or end message says; error number 0 is an acknowledgement.
fn outcome(payload: &[u8]) -> Result<(), Refusal> {
    let code = u32_at(payload, 0).map_or(0, |code| code as i32);
    if code == 0 {
        return Ok(());
    }
    // After the number stands the header of the request (NETLINK_CAP_ACK), then the attributes.
    let words = payload.get(20..).and_then(|rest| attributes(rest).find(|(kind, _)| *kind == ERROR_TEXT));
    Err(Refusal {
        detail: words.map_or_else(String::new, |(_, value)| format!(": {}", text(value))),
        source: io::Error::from_raw_os_error(-code),
    })
}
