//! What other programs put into a kernel: tables and chains of nftables that are not maitred's, made without the `nft`
//! program.

use kernel::chains::{Table, TableFamily};
use kernel::nfnetlink::{BatchError, NfSocket};

const NEW_TABLE: u16 = 10 << 8;
const NEW_CHAIN: u16 = 10 << 8 | 3;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;

/// A chain of another program.
#[derive(Clone, Copy, Debug)]
pub struct ForeignChain<'a> {
    /// Its name.
    pub name: &'a str,
    /// The hook by which packets enter it, and whether it drops them in the end; nothing for a chain that others jump to.
    pub hook: Option<(u32, bool)>,
}

/// Makes a table with chains in the caller's network namespace.
pub fn add_foreign_table(table: &Table, chains: &[ForeignChain<'_>]) -> Result<(), BatchError> {
    let family = match table.family {
        TableFamily::Inet => 1,
        TableFamily::Ip => 2,
        TableFamily::Ip6 => 10,
        TableFamily::Other(number) => number,
    };
    let mut batch = Vec::new();
    message(&mut batch, 0x10, REQUEST, 0, &[0, 0, 0, 10]);
    message(&mut batch, NEW_TABLE, REQUEST | ACK | CREATE, 1, &[&[family, 0, 0, 0], &*name(1, &table.name)].concat());
    for (chain, sequence) in chains.iter().zip(2..) {
        let mut body = [&[family, 0, 0, 0], &*name(1, &table.name), &*name(3, chain.name)].concat();
        if let Some((hook, drops)) = chain.hook {
            let place = [attribute(1, &hook.to_be_bytes()), attribute(2, &0u32.to_be_bytes())].concat();
            body.extend(attribute(4 | 0x8000, &place));
            body.extend(attribute(5, &u32::from(!drops).to_be_bytes()));
            body.extend(name(7, "filter"));
        }
        message(&mut batch, NEW_CHAIN, REQUEST | ACK | CREATE, sequence, &body);
    }
    message(&mut batch, 0x11, REQUEST, 0, &[0, 0, 0, 10]);
    let mut socket = NfSocket::open().map_err(|source| BatchError { message: None, source })?;
    socket.send_batch(&batch)
}

fn message(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, body: &[u8]) {
    out.extend((body.len() as u32 + 16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]);
    out.extend(body);
}

fn name(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = [&(payload.len() as u16 + 4).to_ne_bytes()[..], &kind.to_ne_bytes()[..], payload].concat();
    out.resize(out.len().next_multiple_of(4), 0);
    out
}
