//! Whether a server could listen, tried by listening for a moment; and who is in the way.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use crate::{Listen, Transport};

/// A wanted place to listen, and what stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFact {
    /// The place.
    pub listen: Listen,
    /// What stands against it.
    pub problem: Option<PortProblem>,
}

/// Why nobody can listen at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortProblem {
    /// Somebody listens there already.
    Taken {
        /// Who, if that can be seen.
        by: Option<Owner>,
    },
    /// The machine has no such address.
    NoSuchAddress,
    /// This user may not.
    NotAllowed,
    /// Anything else, in the kernel's words.
    Other(String),
}

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

pub(super) fn look(listen: &Listen) -> PortFact {
    let tried = match listen.transport {
        Transport::Tcp => TcpListener::bind(listen.address).map(drop),
        Transport::Udp => UdpSocket::bind(listen.address).map(drop),
    };
    let problem = tried.err().map(|error| match error.kind() {
        io::ErrorKind::AddrInUse => PortProblem::Taken { by: owner(listen) },
        io::ErrorKind::AddrNotAvailable => PortProblem::NoSuchAddress,
        io::ErrorKind::PermissionDenied => PortProblem::NotAllowed,
        _ => PortProblem::Other(error.to_string()),
    });
    PortFact { listen: listen.clone(), problem }
}

/// The process that has a socket at this place, as far as this user may see.
fn owner(listen: &Listen) -> Option<Owner> {
    let files = match listen.transport {
        Transport::Tcp => ["tcp", "tcp6"],
        Transport::Udp => ["udp", "udp6"],
    };
    let lists = files.map(|file| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default());
    let wanted: Vec<String> =
        lists.iter().flat_map(|list| inodes(list, listen)).map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = numbers.find(|pid| has_any(*pid, &wanted))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
    Some(Owner { pid, name })
}

fn has_any(pid: u32, sockets: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.into_iter().any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// The sockets of a list like `/proc/net/tcp` that are in the way of a place: bound to it, or to all addresses.
fn inodes<'a>(list: &'a str, listen: &'a Listen) -> impl Iterator<Item = u64> + 'a {
    const LISTENS: &str = "0A";
    list.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = parse_socket(fields.get(1)?)?;
        let (state, inode) = (*fields.get(3)?, fields.get(9)?.parse().ok()?);
        let there = local.port() == listen.address.port() && meet(local.ip(), listen.address.ip());
        (there && (listen.transport == Transport::Udp || state == LISTENS)).then_some(inode)
    })
}

fn meet(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other || one.is_unspecified() || other.is_unspecified()
}

/// `0100007F:0035`: words in the machine's order, as on every little-endian machine, and the port.
fn parse_socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match address.len() {
        8 => word(0)?.into(),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            <[u8; 16]>::try_from(bytes).ok()?.into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(address: &str, transport: Transport) -> Listen {
        let address = address.parse().expect("an address");
        let option = "--listen".to_owned();
        Listen { purpose: "a test".to_owned(), address, transport, address_option: option.clone(), option }
    }

    #[test]
    fn sockets_in_the_way_are_found_in_the_kernels_list() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 11 1 0 100 0 0 10 0\n   \
            1: 0100007F:192B 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0\n   \
            2: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0\n";
        let found = |address, transport| inodes(list, &listen(address, transport)).collect::<Vec<_>>();
        assert_eq!(found("127.0.0.1:6443", Transport::Tcp), [13], "0x192B is 6443; a connection is not in the way");
        assert_eq!(found("127.0.0.53:53", Transport::Tcp), [11]);
        assert_eq!(found("192.0.2.1:53", Transport::Tcp), [0; 0], "the resolver of systemd is not in the way");
        assert_eq!(found("0.0.0.0:53", Transport::Tcp), [11]);
        let list6 =
            "  0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 21 2\n";
        let found6 = |address| inodes(list6, &listen(address, Transport::Udp)).collect::<Vec<_>>();
        assert_eq!(found6("192.0.2.1:53"), [21], "a socket on :: takes IPv4, too");
        assert_eq!(found6("192.0.2.1:54"), [0; 0]);
    }

    #[test]
    fn a_taken_port_names_the_process_and_a_free_one_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let taken = look(&listen(&address, Transport::Tcp));
        let Some(PortProblem::Taken { by: Some(owner) }) = taken.problem else { panic!("{taken:?}") };
        assert_eq!(owner.pid, std::process::id());
        drop(listener);
        assert_eq!(look(&listen(&address, Transport::Tcp)).problem, None);
        assert_eq!(look(&listen(&address, Transport::Udp)).problem, None);
        let foreign = look(&listen("192.0.2.77:4000", Transport::Udp));
        assert_eq!(foreign.problem, Some(PortProblem::NoSuchAddress));
    }
}
