//! A store's files, whatever a crash, a disk or a person has made of them.

use std::sync::Arc;

use store::files::Files;
use store::simulated::SimFiles;
use store::{Embedded, Error, Options, Page, Range, Store};
use tokio::runtime::Runtime;

use crate::checksums::repair;
use crate::parts::{block, byte};

/// What files are written in.
const SECTOR: usize = 512;

/// Files, each as a byte that says what it is, two with its number, and its bytes behind their length.
pub fn recovery(data: &[u8]) {
    let disk = SimFiles::new();
    let mut rest = data;
    while let Some((name, bytes, after)) = file(rest) {
        let mut written = disk.create(&name).expect("memory takes it");
        written.write_at(0, &bytes).expect("memory takes it");
        rest = after;
    }
    let before = disk.contents();
    match open(&disk) {
        Ok(page) => assert_eq!(open(&disk.after_kill()).as_ref().ok(), Some(&page), "opened again"),
        Err(error) => {
            assert!(matches!(error, Error::Unreadable(_)), "{error}");
            let untouched = |(name, bytes): (&String, &Vec<u8>)| disk.contents().get(name) == Some(bytes);
            assert!(before.iter().all(untouched), "damage is left for a person to look at: {error}");
        }
    }
}

/// The next file: its name, its bytes filled up to whole sectors, and what follows it. A capital letter makes its checksums
/// good.
fn file(data: &[u8]) -> Option<(String, Vec<u8>, &[u8])> {
    let (kind, rest) = byte(data)?;
    let (number, rest) = rest.split_first_chunk::<2>()?;
    let number = u16::from_be_bytes(*number);
    let (bytes, rest) = block(rest)?;
    let name = match kind.to_ascii_lowercase() {
        b'l' => format!("log-{number:020}"),
        b's' => format!("snapshot-{number:020}"),
        _ => format!("snapshot-{number:020}.new"),
    };
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    if kind.is_ascii_uppercase() {
        repair(&mut bytes);
    }
    Some((name, bytes, rest))
}

/// Everything that a store on these files holds.
fn open(disk: &SimFiles) -> Result<Page, Error> {
    let store = Embedded::open_on(Arc::new(disk.clone()), Options::default())?;
    runtime().block_on(store.range(&Range::prefix(""), None))
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without I/O and time needs nothing that can be missing")
}
