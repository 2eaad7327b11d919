//! Many datagrams with one system call, each answered from the address that it was sent to.
//!
//! A socket on a wildcard address would answer from whatever address the route prefers, and clients drop a reply from
//! an address that they did not ask. So the kernel says with each datagram where it was sent to (`IP_PKTINFO`,
//! `IPV6_RECVPKTINFO`), and the reply carries that back as its source.
//! <https://man7.org/linux/man-pages/man2/recvmmsg.2.html>, <https://man7.org/linux/man-pages/man7/ip.7.html>

// System calls on raw pointers; each block says why its pointers are good.
#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

/// Where a datagram came from and which of our addresses it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address that the reply has to come from, if the kernel said it.
    pub local: Option<IpAddr>,
    /// The interface it came in on; it matters for link-local addresses only.
    interface: u32,
}

/// Makes a socket tell the [`Origin`] of what it receives.
pub fn tell_origin(socket: &UdpSocket) -> io::Result<()> {
    let (level, name) = match socket.local_addr()? {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    let on: libc::c_int = 1;
    // SAFETY: `on` outlives the call and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Datagrams that were received together, with room for the reply to each.
pub struct Batch {
    /// One piece of `bytes_max` for each slot. A page costs memory when a datagram first comes to lie in it.
    bytes: Box<[u8]>,
    bytes_max: usize,
    slots: Box<[Slot]>,
    /// How many slots hold a datagram.
    received: usize,
    parts: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

struct Slot {
    length: usize,
    name: libc::sockaddr_storage,
    control: Control,
    origin: Option<Origin>,
    reply: Vec<u8>,
}

/// Room for one control message with packet information, aligned as its header.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// One datagram of a [`Batch`].
pub struct Datagram<'b> {
    /// What was received.
    pub bytes: &'b [u8],
    /// Where from and where to.
    pub origin: Origin,
    /// What to send back; empty for nothing.
    pub reply: &'b mut Vec<u8>,
}

impl Batch {
    /// Room for `count` datagrams of up to `bytes_max`; what is longer is cut.
    pub fn new(count: usize, bytes_max: usize) -> Batch {
        let slot =
            || Slot { length: 0, name: zeroed_name(), control: Control([0; 64]), origin: None, reply: Vec::new() };
        Batch {
            bytes: vec![0; count * bytes_max].into(),
            bytes_max,
            slots: (0..count).map(|_| slot()).collect(),
            received: 0,
            parts: Vec::with_capacity(count),
            headers: Vec::with_capacity(count),
        }
    }

    /// Waits for one datagram, as long as the socket's time-out says, and takes all that are there, up to the room.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.received = 0;
        self.parts.clear();
        self.headers.clear();
        for piece in self.bytes.chunks_exact_mut(self.bytes_max) {
            self.parts.push(libc::iovec { iov_base: piece.as_mut_ptr().cast(), iov_len: piece.len() });
        }
        for (slot, part) in self.slots.iter_mut().zip(&mut self.parts) {
            let mut header = zeroed_header();
            header.msg_name = (&raw mut slot.name).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            header.msg_control = slot.control.0.as_mut_ptr().cast();
            header.msg_controllen = mem::size_of::<Control>();
            self.headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
        // SAFETY: every header points into a slot of `self.slots` and a part of `self.parts`, which points to a piece of
        // `self.bytes`; nothing moves or touches them before the call returns; the lengths are those of the buffers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        self.received = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (slot, header) in self.slots.iter_mut().zip(&self.headers).take(self.received) {
            slot.origin = origin(&slot.name, &header.msg_hdr);
            slot.length = (header.msg_len as usize).min(self.bytes_max);
            slot.reply.clear();
        }
        Ok(())
    }

    /// What was received last. Datagrams whose sender is of neither IP family do not occur.
    pub fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        let received = self.slots[..self.received].iter_mut().zip(self.bytes.chunks_exact(self.bytes_max));
        received.filter_map(|(slot, bytes)| {
            Some(Datagram { bytes: &bytes[..slot.length], origin: slot.origin?, reply: &mut slot.reply })
        })
    }

    /// Sends every reply that is not empty, each from the address that was asked. A reply that the kernel refuses is
    /// lost, as a datagram may be; the others are sent.
    pub fn send_replies(&mut self, socket: &UdpSocket) {
        self.parts.clear();
        self.headers.clear();
        for slot in &mut self.slots[..self.received] {
            // The kernel only reads from here, whatever the pointer's type says.
            self.parts.push(libc::iovec { iov_base: slot.reply.as_mut_ptr().cast(), iov_len: slot.reply.len() });
        }
        for (slot, part) in self.slots.iter_mut().zip(&mut self.parts).filter(|(slot, _)| !slot.reply.is_empty()) {
            if let Some(origin) = slot.origin {
                let header = sending(&origin, &mut slot.name, part, &mut slot.control);
                self.headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
            }
        }
        self.received = 0;
        let mut from = 0;
        while from < self.headers.len() {
            let rest = &mut self.headers[from..];
            // SAFETY: as in `receive`; the kernel reads the slots' names, replies and control messages.
            let count = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0) };
            // An error is about the first of the rest.
            from += usize::try_from(count).unwrap_or(1).max(1);
        }
    }
}

/// Sends one datagram to where another came from, from the address that that was sent to.
pub fn send_to_origin(socket: &UdpSocket, bytes: &[u8], origin: &Origin) -> io::Result<()> {
    let mut name = zeroed_name();
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let header = sending(origin, &mut name, &mut part, &mut control);
    // SAFETY: the header points to locals and to `bytes`, which outlive the call and are only read.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &header, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A header that sends `part` to an origin's peer from its local address.
fn sending(
    origin: &Origin,
    name: &mut libc::sockaddr_storage,
    part: &mut libc::iovec,
    control: &mut Control,
) -> libc::msghdr {
    let mut header = zeroed_header();
    header.msg_namelen = write_name(&origin.peer, name);
    header.msg_name = ptr::from_mut(name).cast();
    header.msg_iov = part;
    header.msg_iovlen = 1;
    match origin.local {
        Some(IpAddr::V4(local)) => {
            let source = libc::in_addr { s_addr: u32::from(local).to_be() };
            // The route chooses the interface: a client may be reached by another one than it came in on.
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
            write_control(&mut header, control, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
        }
        Some(IpAddr::V6(local)) => {
            let interface = if local.is_unicast_link_local() { origin.interface } else { 0 };
            let source = libc::in6_addr { s6_addr: local.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: interface };
            write_control(&mut header, control, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info);
        }
        None => {}
    }
    header
}

/// Puts one control message into a header.
fn write_control<T>(header: &mut libc::msghdr, control: &mut Control, (level, kind): (i32, i32), data: T) {
    let size = mem::size_of::<T>() as libc::c_uint;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes. `Control` is aligned for a header and, at 64 bytes, larger than the 40 that the
    // larger of the two messages needs, so the first header exists and the data fits behind it.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(size) as usize;
        let first = libc::CMSG_FIRSTHDR(header);
        (*first).cmsg_level = level;
        (*first).cmsg_type = kind;
        (*first).cmsg_len = libc::CMSG_LEN(size) as usize;
        libc::CMSG_DATA(first).cast::<T>().write_unaligned(data);
    }
}

/// What the kernel said about a received datagram; nothing for a sender of an unknown family.
fn origin(name: &libc::sockaddr_storage, header: &libc::msghdr) -> Option<Origin> {
    let peer = read_name(name)?;
    let (mut local, mut interface) = (None, 0);
    // SAFETY: the header is as the kernel left it: its control length covers whole messages in the slot's buffer, and
    // the data of each is as long as its type says.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = data.cast::<libc::in_pktinfo>().read_unaligned();
                    local = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))));
                    interface = info.ipi_ifindex.unsigned_abs();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    local = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                    interface = info.ipi6_ifindex;
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    Some(Origin { peer, local, interface })
}

fn read_name(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which type the storage holds, and it is large and aligned enough for it.
            let v4 = unsafe { *ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { *ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id)))
        }
        _ => None,
    }
}

/// Writes an address into a storage and returns how many bytes of it count.
fn write_name(peer: &SocketAddr, name: &mut libc::sockaddr_storage) -> libc::socklen_t {
    match peer {
        SocketAddr::V4(peer) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: peer.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*peer.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: a storage is large and aligned enough for every address.
            unsafe { ptr::from_mut(name).cast::<libc::sockaddr_in>().write(v4) };
            mem::size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(peer) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: peer.port().to_be(),
                sin6_flowinfo: peer.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: peer.ip().octets() },
                sin6_scope_id: peer.scope_id(),
            };
            // SAFETY: as above.
            unsafe { ptr::from_mut(name).cast::<libc::sockaddr_in6>().write(v6) };
            mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

fn zeroed_name() -> libc::sockaddr_storage {
    // SAFETY: plain bytes, for which zero is a value (family "unspecified").
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn zeroed_header() -> libc::msghdr {
    // SAFETY: numbers and pointers, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(wildcard: &str, asked: &str) {
        let server = UdpSocket::bind(wildcard).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        tell_origin(&server).unwrap();
        let client = UdpSocket::bind(wildcard).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let target = SocketAddr::new(asked.parse().unwrap(), server.local_addr().unwrap().port());
        for bytes in [&b"one"[..], b"two", b"no reply"] {
            client.send_to(bytes, target).unwrap();
        }
        let mut batch = Batch::new(8, 16);
        let mut origin = None;
        let mut seen = Vec::new();
        while seen.len() < 3 {
            batch.receive(&server).unwrap();
            for datagram in batch.datagrams() {
                assert_eq!(datagram.origin.local, Some(target.ip()), "{asked}");
                seen.push(datagram.bytes.to_vec());
                if datagram.bytes.len() == 3 {
                    datagram.reply.extend_from_slice(datagram.bytes);
                    datagram.reply.push(b'!');
                }
                origin = Some(datagram.origin);
            }
            batch.send_replies(&server);
        }
        assert_eq!(seen, [&b"one"[..], b"two", b"no reply"], "{asked}");
        send_to_origin(&server, b"later", &origin.unwrap()).unwrap();
        for expected in [&b"one!"[..], b"two!", b"later"] {
            let mut reply = [0; 16];
            let (length, from) = client.recv_from(&mut reply).unwrap();
            assert_eq!((&reply[..length], from), (expected, target), "{asked}");
        }
    }

    #[test]
    fn replies_come_from_the_address_that_was_asked() {
        // Not 127.0.0.1, which the route would choose by itself.
        check("0.0.0.0:0", "127.0.0.2");
        match UdpSocket::bind("[::1]:0") {
            Ok(_) => check("[::]:0", "::1"),
            Err(_) => println!("SKIP: no IPv6 on this machine"),
        }
    }

    #[test]
    fn a_socket_without_datagrams_times_out() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let error = Batch::new(2, 16).receive(&server).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
