//! Netlink sockets, namespaces and links: the only system calls and `unsafe` code of maitred. Bytes are moved here; what
//! they mean is known to the cores.

mod conntrack;
mod netlink;
mod nfnetlink;

pub use conntrack::{Conntrack, ConntrackEntry, Tuple};
pub use netlink::{Counters, NetlinkError};
pub use nfnetlink::{BatchError, NfSocket};
