//! The tables and chains of nftables, whoever made them: names, hooks and policies, for finding out who else programs this
//! machine. What the rules of maitred's own tables mean is known to the crate `nft`.
//!
//! Chains of `iptables-nft` are seen here too, in tables `filter`, `nat` and so on; those of the older `iptables-legacy`
//! are not. <https://wiki.nftables.org/wiki-nftables/index.php/Configuring_chains>

use crate::netlink::{NetlinkError, attribute, attributes, message, messages};
use crate::nfnetlink::{BatchError, NfSocket};

/// nf_tables among the parts of nfnetlink, and its messages.
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const GET_TABLE: u16 = SUBSYSTEM << 8 | 1;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// nlmsghdr and nfgenmsg, and where the family stands.
const HEADER: usize = 20;
const FAMILY: usize = 16;
/// What a verdict is as a policy (`NF_DROP`).
const DROP: u32 = 0;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableFamily {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// ARP, a bridge's or a device's packets: by its number.
    Other(u8),
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// Which packets it sees.
    pub family: TableFamily,
    /// Its name.
    pub name: String,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Where it stands.
    pub table: Table,
    /// Its name.
    pub name: String,
    /// Where packets enter it, if they do: the kernel's number for the hook.
    pub hook: Option<u32>,
    /// Whether it drops what no rule speaks of.
    pub drops: bool,
}

/// `NF_INET_FORWARD`: packets that this machine passes on.
pub const FORWARD: u32 = 2;

impl TableFamily {
    fn number(self) -> u8 {
        match self {
            TableFamily::Inet => 1,
            TableFamily::Ip => 2,
            TableFamily::Ip6 => 10,
            TableFamily::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> TableFamily {
        let known = [TableFamily::Inet, TableFamily::Ip, TableFamily::Ip6];
        known.into_iter().find(|family| family.number() == number).unwrap_or(TableFamily::Other(number))
    }
}

impl std::fmt::Display for TableFamily {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TableFamily::Inet => out.write_str("inet"),
            TableFamily::Ip => out.write_str("ip"),
            TableFamily::Ip6 => out.write_str("ip6"),
            TableFamily::Other(3) => out.write_str("arp"),
            TableFamily::Other(5) => out.write_str("netdev"),
            TableFamily::Other(7) => out.write_str("bridge"),
            TableFamily::Other(number) => write!(out, "family-{number}"),
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.family, self.name)
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.table, self.name)
    }
}

/// All tables of the socket's network namespace.
pub fn tables(socket: &mut NfSocket) -> Result<Vec<Table>, NetlinkError> {
    list(socket, GET_TABLE, NEW_TABLE, |family, attributes| Some(Table { family, name: text(attributes, 1)? }))
}

/// All chains of the socket's network namespace.
pub fn chains(socket: &mut NfSocket) -> Result<Vec<Chain>, NetlinkError> {
    list(socket, GET_CHAIN, NEW_CHAIN, |family, attributes| {
        let hook = find(attributes, 4).and_then(|hook| be32(find(hook, 1)?));
        let policy = find(attributes, 5).and_then(be32);
        let table = Table { family, name: text(attributes, 1)? };
        Some(Chain { table, name: text(attributes, 3)?, hook, drops: policy == Some(DROP) })
    })
}

/// Deletes tables with all that is in them, in one transaction.
pub fn delete(socket: &mut NfSocket, tables: &[Table]) -> Result<(), BatchError> {
    let mut batch = Vec::new();
    message(&mut batch, BATCH_BEGIN, REQUEST, 0, &head(0, SUBSYSTEM));
    for (table, sequence) in tables.iter().zip(1..) {
        let mut body = head(table.family.number(), 0).to_vec();
        attribute(&mut body, 1, &[table.name.as_bytes(), &[0]].concat());
        message(&mut batch, DELETE_TABLE, REQUEST | ACK, sequence, &body);
    }
    message(&mut batch, BATCH_END, REQUEST, 0, &head(0, SUBSYSTEM));
    if tables.is_empty() { Ok(()) } else { socket.send_batch(&batch) }
}

/// nfgenmsg.
fn head(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn list<T>(
    socket: &mut NfSocket,
    ask: u16,
    answer: u16,
    parse: impl Fn(TableFamily, &[u8]) -> Option<T>,
) -> Result<Vec<T>, NetlinkError> {
    let mut request = Vec::new();
    message(&mut request, ask, REQUEST | DUMP, 0, &head(0, 0));
    let dump = socket.dump(&request)?;
    let items = messages(&dump).filter(|message| message.kind == answer).filter_map(|message| {
        let family = TableFamily::from_number(*message.bytes.get(FAMILY)?);
        parse(family, message.bytes.get(HEADER..)?)
    });
    Ok(items.collect())
}

fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, payload)| payload)
}

fn text(bytes: &[u8], kind: u16) -> Option<String> {
    let name = find(bytes, kind)?;
    Some(String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned())
}

fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}
