//! nftables by netlink: transactions and dumps. What the bytes mean is known to the crate `nft`.
//!
//! Without CAP_NET_ADMIN in the initial user namespace the send buffer stays below twice `net.core.wmem_max`; a larger
//! batch must then be cut into several transactions ([`NfSocket::batch_bytes_max`]).

use std::time::{Duration, Instant};

use crate::netlink::{Counters, NetlinkError, Socket, attributes, message, messages};

const NETLINK_NETFILTER: i32 = 12;
const REQUEST: u16 = 1;
/// NFT_MSG_GETGEN of nf_tables.
const GET_GENERATION: u16 = 10 << 8 | 16;
/// NFT_MSG_NEWGEN.
const NEW_GENERATION: u16 = 10 << 8 | 15;
/// nlmsghdr and nfgenmsg.
const HEADER: usize = 20;
/// What is asked for when it is to be seen whether the send buffer can be made large.
const LARGE: usize = 8 << 20;

/// The multicast group of nf_tables.
const GROUP: u32 = 7;

/// A transaction that the kernel didn't carry out.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was not carried out{}", message.map(|at| format!(", for its message {at}")).unwrap_or_default())]
pub struct BatchError {
    /// The first message that was refused, from 0; none if it is the transaction as a whole.
    pub message: Option<usize>,
    /// Why.
    #[source]
    pub source: NetlinkError,
}

/// A socket to nftables.
#[derive(Debug)]
pub struct NfSocket {
    socket: Socket,
}

impl NfSocket {
    /// Opens a socket in the caller's network namespace, to which it belongs from then on.
    pub fn open() -> Result<NfSocket, NetlinkError> {
        Ok(NfSocket { socket: open_socket()? })
    }

    /// The most bytes of one transaction; none if only memory bounds it.
    pub fn batch_bytes_max(&self) -> Result<Option<usize>, NetlinkError> {
        let room = self.socket.reserve(LARGE).map_err(NetlinkError::Open)?;
        Ok((room < LARGE).then_some(room))
    }

    /// Sends one transaction, whose messages are numbered from 1 in their order. On success all of it is in the kernel; on
    /// failure nothing.
    pub fn send_batch(&mut self, batch: &[u8]) -> Result<(), BatchError> {
        let answers = self.socket.exchange(batch).map_err(|source| BatchError { message: None, source })?;
        if answers.is_empty() {
            return Err(BatchError { message: None, source: NetlinkError::NoAnswer });
        }
        for answer in answers {
            let message = (answer.sequence as usize).checked_sub(1);
            answer.result.map_err(|source| BatchError { message, source })?;
        }
        Ok(())
    }

    /// The answer to one dump request.
    pub fn dump(&mut self, request: &[u8]) -> Result<Vec<u8>, NetlinkError> {
        self.socket.dump(request)
    }

    /// The answers to several, of one generation of the ruleset: if it changes meanwhile, all is read anew. What there is
    /// no such thing of (ENOENT) gives an empty answer. Returns the generation too.
    pub fn dump_all(&mut self, requests: &[Vec<u8>]) -> Result<(u32, Vec<Vec<u8>>), NetlinkError> {
        const ATTEMPTS: usize = 10;
        for _ in 0..ATTEMPTS {
            let generation = self.generation()?;
            let dumps = requests
                .iter()
                .map(|request| match self.dump(request) {
                    Err(failure) if failure.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
                    other => other,
                })
                .collect::<Result<Vec<_>, _>>()?;
            if self.generation()? == generation {
                return Ok((generation, dumps));
            }
        }
        Err(NetlinkError::Interrupted)
    }

    /// The generation of the ruleset: every transaction of anybody makes a new one.
    pub fn generation(&mut self) -> Result<u32, NetlinkError> {
        let answer = self.ask(GET_GENERATION)?;
        messages(&answer)
            .filter(|message| message.kind == NEW_GENERATION)
            .filter_map(|message| attributes(message.bytes.get(HEADER..)?).find(|(kind, _)| *kind == 1))
            .find_map(|(_, number)| number.try_into().ok().map(u32::from_be_bytes))
            .ok_or(NetlinkError::NoAnswer)
    }

    /// Asks for something that there is one of.
    fn ask(&mut self, kind: u16) -> Result<Vec<u8>, NetlinkError> {
        let mut request = Vec::new();
        message(&mut request, kind, REQUEST, 0, &[0; 4]);
        // nfnetlink answers so to messages of a subsystem that is not there.
        self.socket.ask(&request).map_err(|failure| no_nftables_if(failure, libc::EINVAL))
    }

    /// The number by which [`NftablesWatch`] knows changes that were made through this socket.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        self.socket.port()
    }

    /// What went over this socket so far.
    pub fn counters(&self) -> Counters {
        self.socket.counters
    }
}

/// Hears of changes that others make to a table: an operator's flush, another program's mistake. The kernel also tells
/// of one's own changes, which are left out by the number of their socket.
#[derive(Debug)]
pub struct NftablesWatch {
    socket: Socket,
    table: String,
}

impl NftablesWatch {
    /// Listens, in the caller's network namespace, for changes of the tables of this name in all families.
    pub fn open(table: &str) -> Result<NftablesWatch, NetlinkError> {
        let socket = open_socket()?;
        socket.join(GROUP)?;
        Ok(NftablesWatch { socket, table: table.to_owned() })
    }

    /// Waits until somebody else has changed the table, or may have: what comes too fast is lost, and then this says yes.
    /// No if the time is over.
    pub fn changed_by_others(&mut self, own_ports: &[u32], timeout: Duration) -> Result<bool, NetlinkError> {
        let end = Instant::now() + timeout;
        loop {
            let table = self.table.clone();
            let left = end.saturating_duration_since(Instant::now());
            match self.socket.wait(left) {
                Ok(None) => return Ok(false),
                Ok(Some(datagram)) if is_foreign(datagram, &table, own_ports) => return Ok(true),
                Ok(Some(_)) if left.is_zero() => return Ok(false),
                Ok(Some(_)) => {}
                Err(failure) if failure.errno() == Some(libc::ENOBUFS) => return Ok(true),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether somebody else has changed the table, or may have, since it was asked last. Doesn't wait.
    pub fn was_changed_by_others(&mut self, own_ports: &[u32]) -> Result<bool, NetlinkError> {
        let mut changed = false;
        loop {
            match self.socket.wait(Duration::ZERO) {
                Ok(None) => return Ok(changed),
                Ok(Some(datagram)) => changed |= is_foreign(datagram, &self.table, own_ports),
                Err(failure) if failure.errno() == Some(libc::ENOBUFS) => changed = true,
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn open_socket() -> Result<Socket, NetlinkError> {
    // A kernel without nfnetlink has no such protocol.
    Socket::open(NETLINK_NETFILTER).map_err(|failure| no_nftables_if(failure, libc::EPROTONOSUPPORT))
}

/// A failure in clearer words if it is the answer of a kernel without nf_tables.
fn no_nftables_if(failure: NetlinkError, answer: i32) -> NetlinkError {
    match failure {
        NetlinkError::Open(source) | NetlinkError::Refused { source, .. } if source.raw_os_error() == Some(answer) => {
            NetlinkError::NoNftables(source)
        }
        other => other,
    }
}

/// Every message of nf_tables but that of a new generation names its table first.
fn is_foreign(datagram: &[u8], table: &str, own_ports: &[u32]) -> bool {
    messages(datagram)
        .filter(|message| message.kind != NEW_GENERATION && !own_ports.contains(&message.port))
        .filter_map(|message| attributes(message.bytes.get(HEADER..)?).find(|(kind, _)| *kind == 1))
        .any(|(_, name)| name.strip_suffix(&[0]).unwrap_or(name) == table.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Subsystem 255 of nfnetlink, of which the kernel knows as little as of nf_tables where that is missing.
    const OF_NO_SUBSYSTEM: u16 = 0xff00;

    #[test]
    fn a_subsystem_that_the_kernel_lacks_is_named_with_the_way_out() {
        let Ok(namespace) = crate::netns::Namespace::create() else {
            println!("SKIP: a_subsystem_that_the_kernel_lacks: no network namespaces");
            return;
        };
        let failure = namespace.run(|| NfSocket::open().unwrap().ask(OF_NO_SUBSYSTEM).unwrap_err()).unwrap();
        let said = failure.to_string();
        assert!(matches!(failure, NetlinkError::NoNftables(_)), "{failure:?}");
        for word in ["no nf_tables", "modprobe nf_tables", "CONFIG_NF_TABLES"] {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    }

    #[test]
    fn other_failures_keep_their_words() {
        let refused = |number| NetlinkError::Refused {
            sequence: 0,
            text: None,
            source: std::io::Error::from_raw_os_error(number),
        };
        let kept = no_nftables_if(refused(libc::EPERM), libc::EINVAL);
        assert!(matches!(kept, NetlinkError::Refused { .. }) && kept.errno() == Some(libc::EPERM), "{kept:?}");
        let told = no_nftables_if(refused(libc::EINVAL), libc::EINVAL);
        assert!(matches!(told, NetlinkError::NoNftables(_)) && told.errno() == Some(libc::EINVAL), "{told:?}");
    }
}
