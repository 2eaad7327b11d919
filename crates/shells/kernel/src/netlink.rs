//! A blocking netlink socket: bytes in, bytes out, and the kernel's errors in its own words.
//!
//! The kernel handles a message before `sendto` returns, so every answer to it lies in the receive queue by then; only
//! dumps are produced while they are read. See <https://docs.kernel.org/userspace-api/netlink/intro.html>.
#![allow(unsafe_code)] // Netlink sockets have no safe interface in std; the few calls below are all there is.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// nlmsghdr.
const HEADER: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// In the flags of a dump's message: the table changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;
/// In the flags of an error: only the head of the message follows; attributes follow.
const CAPPED: u16 = 0x100;
const ATTRIBUTES_FOLLOW: u16 = 0x200;
const ERROR_TEXT: u16 = 1;
/// Dumps come in pieces of up to 32 KiB if there is room for them.
const BUFFER: usize = 256 * 1024;
/// How often a dump is begun anew when the table changes meanwhile.
const DUMP_ATTEMPTS: usize = 20;
/// Nothing that the kernel does for us takes nearly as long.
const TIMEOUT_S: i64 = 30;
/// What netlink keeps free of the send buffer.
const SEND_MARGIN: usize = 32;

/// Why something could not be said to the kernel, or what it said against it.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket could not be made.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// The kernel knows nothing of nftables; its answer.
    #[error("this kernel has no nf_tables: `modprobe nf_tables`, or use a kernel that has it (CONFIG_NF_TABLES)")]
    NoNftables(#[source] io::Error),
    /// The kernel didn't take the bytes.
    #[error("cannot send {bytes} bytes by netlink")]
    Send {
        /// How many there were.
        bytes: usize,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// No answer could be read.
    #[error("cannot receive by netlink")]
    Receive(#[source] io::Error),
    /// The kernel refused a message.
    #[error("the kernel refuses message {sequence}{}", text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The number of the message; 0 if it is the batch as a whole.
        sequence: u32,
        /// The kernel's words, if it has any.
        text: Option<String>,
        /// Its error number.
        #[source]
        source: io::Error,
    },
    /// The kernel said nothing.
    #[error("the kernel didn't answer")]
    NoAnswer,
    /// The table never stood still during a dump.
    #[error("a dump was interrupted {DUMP_ATTEMPTS} times")]
    Interrupted,
}

impl NetlinkError {
    /// The kernel's error number, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            NetlinkError::Open(source) | NetlinkError::NoNftables(source) | NetlinkError::Receive(source) => {
                source.raw_os_error()
            }
            NetlinkError::Send { source, .. } | NetlinkError::Refused { source, .. } => source.raw_os_error(),
            NetlinkError::NoAnswer | NetlinkError::Interrupted => None,
        }
    }

    /// Whether a batch was refused since the ruleset has another generation than the batch was made for.
    pub fn is_stale_generation(&self) -> bool {
        matches!(self, NetlinkError::Refused { .. }) && self.errno() == Some(libc::ERESTART)
    }
}

/// What went over a socket so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// A message that the kernel sent.
pub(crate) struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// Whose message it answers, or whose change it tells of.
    pub port: u32,
    /// With its header.
    pub bytes: &'a [u8],
}

/// An answer to one message.
pub(crate) struct Answer {
    pub sequence: u32,
    pub result: Result<(), NetlinkError>,
}

/// A netlink socket of one protocol.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
    pub counters: Counters,
}

impl Socket {
    /// Opens a socket in the caller's network namespace.
    pub fn open(protocol: i32) -> Result<Socket, NetlinkError> {
        // SAFETY: socket() takes no pointers; its result is checked before it is owned.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        if fd < 0 {
            return Err(NetlinkError::Open(io::Error::last_os_error()));
        }
        // SAFETY: the descriptor was just made, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = Socket { fd, buffer: vec![0; BUFFER], sequence: 0, counters: Counters::default() };
        socket.prepare().map_err(NetlinkError::Open)?;
        Ok(socket)
    }

    fn prepare(&self) -> io::Result<()> {
        const CAP_ACK: i32 = 10;
        const EXT_ACK: i32 = 11;
        self.bind()?;
        self.set(libc::SOL_NETLINK, CAP_ACK, &1i32)?;
        self.set(libc::SOL_NETLINK, EXT_ACK, &1i32)?;
        let timeout = libc::timeval { tv_sec: TIMEOUT_S, tv_usec: 0 };
        self.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &timeout)?;
        self.set(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &timeout)?;
        // A refused batch may have an error per message. Without privileges the default has to do.
        let _ = self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &(4i32 << 20));
        Ok(())
    }

    /// Lets the kernel number the socket now; it would do so at the first message.
    fn bind(&self) -> io::Result<()> {
        // SAFETY: zeroes are a valid sockaddr_nl.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the pointer and the length are those of a live variable.
        let result = unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), length) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn set<T>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        let length = size_of_val(value) as libc::socklen_t;
        // SAFETY: the pointer and the length are those of a live reference.
        let result =
            unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, option, (&raw const *value).cast(), length) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Hears what the kernel tells a group.
    pub fn join(&self, group: u32) -> Result<(), NetlinkError> {
        const ADD_MEMBERSHIP: i32 = 1;
        self.set(libc::SOL_NETLINK, ADD_MEMBERSHIP, &group).map_err(NetlinkError::Open)
    }

    /// The number by which the kernel knows this socket in its network namespace.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        // SAFETY: zeroes are a valid sockaddr_nl.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&address) as libc::socklen_t;
        let fd = self.fd.as_raw_fd();
        // SAFETY: both pointers are those of live variables, and the length is that of the first.
        let result = unsafe { libc::getsockname(fd, (&raw mut address).cast(), &raw mut length) };
        if result == 0 { Ok(address.nl_pid) } else { Err(NetlinkError::Open(io::Error::last_os_error())) }
    }

    /// Waits for one datagram; none if none comes in time.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<&[u8]>, NetlinkError> {
        // Zero would mean to wait for ever.
        let timeout = timeout.max(Duration::from_millis(1));
        let timeout = libc::timeval {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_usec: i64::from(timeout.subsec_micros()),
        };
        self.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &timeout).map_err(NetlinkError::Receive)?;
        Ok(self.receive(0)?.map(|length| &self.buffer[..length]))
    }

    /// The most bytes that can be sent at once: what SO_SNDBUFFORCE gives, which needs CAP_NET_ADMIN in the initial user
    /// namespace, else SO_SNDBUF, which `net.core.wmem_max` bounds.
    pub fn reserve(&self, bytes: usize) -> io::Result<usize> {
        let wanted = i32::try_from(bytes + SEND_MARGIN).unwrap_or(i32::MAX / 2);
        if self.send_buffer()? < bytes + SEND_MARGIN
            && self.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &wanted).is_err()
        {
            self.set(libc::SOL_SOCKET, libc::SO_SNDBUF, &wanted)?;
        }
        Ok(self.send_buffer()? - SEND_MARGIN)
    }

    fn send_buffer(&self) -> io::Result<usize> {
        let mut size = 0i32;
        let mut length = size_of::<i32>() as libc::socklen_t;
        let (option, fd) = (libc::SO_SNDBUF, self.fd.as_raw_fd());
        // SAFETY: both pointers are those of live variables, and the length is that of the first.
        let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut size).cast(), &raw mut length) };
        if result == 0 { Ok(size.max(0) as usize) } else { Err(io::Error::last_os_error()) }
    }

    /// Sends messages at once and collects the answers to them.
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Vec<Answer>, NetlinkError> {
        self.drain()?;
        self.send(bytes)?;
        let mut answers = Vec::new();
        while let Some(length) = self.receive(libc::MSG_DONTWAIT)? {
            answers
                .extend(messages(&self.buffer[..length]).filter(|message| message.kind == ERROR).map(|m| answer(&m)));
        }
        Ok(answers)
    }

    /// Sends a question that is answered by one datagram.
    pub fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, NetlinkError> {
        self.drain()?;
        self.send(request)?;
        let length = self.receive(0)?.ok_or(NetlinkError::NoAnswer)?;
        for message in messages(&self.buffer[..length]).filter(|message| message.kind == ERROR) {
            answer(&message).result?;
        }
        Ok(self.buffer[..length].to_vec())
    }

    /// Asks for a dump and returns its messages, one after the other; begins anew if the table changed meanwhile.
    pub fn dump(&mut self, request: &[u8]) -> Result<Vec<u8>, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            self.drain()?;
            self.sequence = self.sequence.wrapping_add(1).max(1);
            let mut request = request.to_vec();
            if let Some(field) = request.get_mut(8..12) {
                field.copy_from_slice(&self.sequence.to_ne_bytes());
            }
            self.send(&request)?;
            if let Some(dump) = self.collect()? {
                return Ok(dump);
            }
        }
        Err(NetlinkError::Interrupted)
    }

    /// A dump up to its end; none if the table changed meanwhile.
    fn collect(&mut self) -> Result<Option<Vec<u8>>, NetlinkError> {
        let mut dump = Vec::new();
        let mut interrupted = false;
        loop {
            let length = self.receive(0)?.ok_or(NetlinkError::NoAnswer)?;
            for message in messages(&self.buffer[..length]).filter(|message| message.sequence == self.sequence) {
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    ERROR | DONE => match error(&message) {
                        Some(libc::EINTR) => return Ok(None),
                        Some(_) => return answer(&message).result.map(|()| None),
                        None => return Ok((!interrupted).then_some(dump)),
                    },
                    _ => dump.extend_from_slice(message.bytes),
                }
            }
        }
    }

    fn drain(&mut self) -> Result<(), NetlinkError> {
        while self.receive(libc::MSG_DONTWAIT)?.is_some() {}
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), NetlinkError> {
        let failed = |source| NetlinkError::Send { bytes: bytes.len(), source };
        self.reserve(bytes.len()).map_err(failed)?;
        // SAFETY: pointer and length are those of a live slice.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        self.counters.messages += messages(bytes).count() as u64;
        self.counters.bytes += bytes.len() as u64;
        Ok(())
    }

    /// One datagram into the buffer; none if there is none.
    fn receive(&mut self, flags: i32) -> Result<Option<usize>, NetlinkError> {
        loop {
            // SAFETY: pointer and length are those of the buffer, which is borrowed mutably.
            let length =
                unsafe { libc::recv(self.fd.as_raw_fd(), self.buffer.as_mut_ptr().cast(), self.buffer.len(), flags) };
            if length >= 0 {
                return Ok(Some(length as usize));
            }
            let failure = io::Error::last_os_error();
            match failure.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(None),
                _ => return Err(NetlinkError::Receive(failure)),
            }
        }
    }
}

/// The messages in a buffer; total over any bytes.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let message = bytes.get(..length).filter(|_| length >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16_at(message, 4)?,
            flags: u16_at(message, 6)?,
            sequence: u32_at(message, 8)?,
            port: u32_at(message, 12)?,
            bytes: message,
        })
    })
}

/// The attributes in a buffer: type without flags, and payload; total over any bytes.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let payload = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// Appends an attribute, padded to four bytes.
pub(crate) fn attribute(out: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u16 + 4).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends a message.
pub(crate) fn message(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, body: &[u8]) {
    out.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn answer(message: &Message) -> Answer {
    // In an error message, the head of the message that it is about follows the error number.
    let about = u32_at(message.bytes, HEADER + 4 + 8).filter(|_| message.kind == ERROR);
    let sequence = about.unwrap_or(message.sequence);
    let result = match error(message) {
        None => Ok(()),
        Some(number) => Err(NetlinkError::Refused {
            sequence,
            text: error_text(message),
            source: io::Error::from_raw_os_error(number),
        }),
    };
    Answer { sequence, result }
}

/// The error number of an ERROR or DONE message, if it isn't 0.
fn error(message: &Message) -> Option<i32> {
    let number = u32_at(message.bytes, HEADER).unwrap_or(0) as i32;
    (number != 0).then_some(number.wrapping_neg())
}

fn error_text(message: &Message) -> Option<String> {
    if message.flags & ATTRIBUTES_FOLLOW == 0 {
        return None;
    }
    let about = match (message.kind, message.flags & CAPPED) {
        (DONE, _) => 0,
        (_, 0) => u32_at(message.bytes, HEADER + 4)? as usize,
        _ => HEADER,
    };
    let rest = message.bytes.get(HEADER + 4 + about.next_multiple_of(4)..)?;
    let (_, text) = attributes(rest).find(|(kind, _)| *kind == ERROR_TEXT)?;
    Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}
