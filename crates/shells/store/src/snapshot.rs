//! A snapshot: all keys as they stood at one revision, so that the log before it can go.
//!
//! ```text
//!  snapshot-00000000000000004711   ┌────────┬───────┬───────┬────┬───────────┐
//!                                  │ header │ block │ block │ …  │ end block │
//!                                  └────────┴───────┴───────┴────┴───────────┘
//!  header (one sector)  "maitredS" · version · checksum · revision · number of the first segment still needed
//!  block   length · checksum · number of keys · keys; the end block has no keys but their total number
//!  key     created · modified · key · value
//! ```
//!
//! It is written in small steps, synced, given its name, and the name synced, before anything older goes. A snapshot
//! with its final name is therefore whole, or damaged.

use std::io;
use std::ops::ControlFlow;

use crate::files::{Files, OpenFile};
use crate::group::{Fields, SECTOR, put_bytes};
use crate::index::{Index, Scan};
use crate::log::{UNFINISHED, first_sector, numbered, read_first_sector};
use crate::{KeyValue, Range, Revision};

const MAGIC: [u8; 8] = *b"maitredS";
const VERSION: u32 = 1;
const BLOCK_HEADER: usize = 12;

/// A step writes about so many bytes, …
const BLOCK_BYTES: usize = 128 * 1024;
/// … or so many keys.
const BLOCK_KEYS: usize = 512;
/// So many bytes are written between syncs, so that none takes long.
const SYNC_BYTES: u64 = 1024 * 1024;

/// The first sector of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    pub(crate) revision: Revision,
    pub(crate) first_segment: u64,
}

/// A snapshot that is being written.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) header: SnapshotHeader,
    file: Box<dyn OpenFile>,
    end: u64,
    synced: u64,
    scan: Scan,
    keys: u64,
    pub(crate) syncs: u64,
}

impl Snapshot {
    pub(crate) const KIND: &str = "snapshot";

    pub(crate) fn begin(files: &dyn Files, header: SnapshotHeader) -> io::Result<Snapshot> {
        let mut file = files.create(&unfinished(header.revision))?;
        let fields = [header.revision.to_le_bytes(), header.first_segment.to_le_bytes()].concat();
        file.write_at(0, &first_sector(MAGIC, VERSION, &fields))?;
        let end = SECTOR as u64;
        Ok(Snapshot { header, file, end, synced: 0, scan: Scan::default(), keys: 0, syncs: 0 })
    }

    /// The next keys to write, and whether they are the last. Holds no more than one block.
    pub(crate) fn collect(&mut self, index: &Index) -> (Vec<KeyValue>, bool) {
        let all = Range::prefix("");
        let mut done = false;
        let mut bytes = 0;
        let mut counted = 0;
        while !done && bytes < BLOCK_BYTES && self.scan.items.len() < BLOCK_KEYS {
            done = index.scan(&all, self.header.revision, &mut self.scan, BLOCK_KEYS / 16);
            bytes += self.scan.items[counted..].iter().map(|i| i.key.len() + i.value.len()).sum::<usize>();
            counted = self.scan.items.len();
        }
        (std::mem::take(&mut self.scan.items), done)
    }

    /// Writes a block of keys. Returns its length in bytes.
    pub(crate) fn write(&mut self, items: &[KeyValue]) -> io::Result<u64> {
        if items.is_empty() {
            return Ok(0);
        }
        let mut payload = Vec::new();
        for item in items {
            payload.extend_from_slice(&item.created.to_le_bytes());
            payload.extend_from_slice(&item.modified.to_le_bytes());
            put_bytes(&mut payload, item.key.as_bytes());
            put_bytes(&mut payload, &item.value);
        }
        self.keys += items.len() as u64;
        self.block(items.len(), &payload)?;
        if self.end - self.synced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(payload.len() as u64)
    }

    /// Makes the whole file durable, still without its name.
    pub(crate) fn complete(&mut self) -> io::Result<()> {
        self.block(0, &self.keys.to_le_bytes())?;
        self.sync()
    }

    /// Gives the complete file its name. Returns its length in bytes.
    pub(crate) fn install(&mut self, files: &dyn Files) -> io::Result<u64> {
        files.rename(&unfinished(self.header.revision), &numbered(Self::KIND, self.header.revision))?;
        files.sync_dir()?;
        self.syncs += 1;
        Ok(self.end)
    }

    /// Gives it up.
    pub(crate) fn abandon(self, files: &dyn Files) {
        // What can't be removed now is removed by the next open.
        let _ = files.remove(&unfinished(self.header.revision));
    }

    fn block(&mut self, count: usize, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BLOCK_HEADER + payload.len());
        for field in [payload.len() as u32, block_checksum(count as u32, payload), count as u32] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(payload);
        self.file.write_at(self.end, &bytes)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.syncs += 1;
        self.synced = self.end;
        Ok(())
    }
}

fn unfinished(revision: Revision) -> String {
    format!("{}{UNFINISHED}", numbered(Snapshot::KIND, revision))
}

fn block_checksum(count: u32, payload: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&count.to_le_bytes());
    checksum.update(payload);
    checksum.finalize()
}

/// Why a snapshot could not be read.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The operating system did not read it.
    Io(io::Error),
    /// The bytes from this offset on are not what was written.
    Damaged(u64),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Io(error)
    }
}

/// Reads a snapshot: its header, the index at its revision and its length in bytes.
pub(crate) fn read(files: &dyn Files, revision: Revision) -> Result<(SnapshotHeader, Index, u64), Broken> {
    let name = numbered(Snapshot::KIND, revision);
    let sector = files.read(&name, 0, SECTOR)?;
    let header = decode_header(&sector).filter(|h| h.revision == revision).ok_or(Broken::Damaged(0))?;
    let mut index = Index::at_snapshot(revision);
    let (mut offset, mut keys) = (SECTOR as u64, 0);
    loop {
        let (next, block) = read_block(files, &name, offset)?;
        match load(&mut index, &block, keys).ok_or(Broken::Damaged(offset))? {
            ControlFlow::Continue(total) => (offset, keys) = (next, total),
            ControlFlow::Break(()) => return Ok((header, index, next)),
        }
    }
}

fn decode_header(sector: &[u8]) -> Option<SnapshotHeader> {
    let mut fields = read_first_sector(MAGIC, VERSION, sector)?;
    Some(SnapshotHeader { revision: fields.u64()?, first_segment: fields.u64()? })
}

/// A block's number of keys and payload.
type Block = (u32, Vec<u8>);

fn read_block(files: &dyn Files, name: &str, offset: u64) -> Result<(u64, Block), Broken> {
    let damaged = || Broken::Damaged(offset);
    let header = files.read(name, offset, BLOCK_HEADER)?;
    let mut fields = Fields(&header);
    let (Some(length), Some(checksum), Some(count)) = (fields.u32(), fields.u32(), fields.u32()) else {
        return Err(damaged());
    };
    let start = offset + BLOCK_HEADER as u64;
    let end = start + u64::from(length);
    // A damaged length must not ask for memory that the file can't fill.
    if end > files.length(name)? {
        return Err(damaged());
    }
    let payload = files.read(name, start, length as usize)?;
    if block_checksum(count, &payload) != checksum {
        return Err(damaged());
    }
    Ok((end, (count, payload)))
}

/// Loads a block into the index: the number of keys so far, or the end if the block says so and the number is right.
fn load(index: &mut Index, (count, payload): &Block, keys: u64) -> Option<ControlFlow<(), u64>> {
    let mut fields = Fields(payload);
    if *count == 0 {
        return (fields.u64()? == keys).then_some(ControlFlow::Break(()));
    }
    for _ in 0..*count {
        let (created, modified) = (fields.u64()?, fields.u64()?);
        index.load(KeyValue { key: fields.key()?, value: fields.value()?, created, modified });
    }
    fields.0.is_empty().then_some(ControlFlow::Continue(keys + u64::from(*count)))
}
