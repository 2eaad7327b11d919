//! The log: groups of transactions, appended to segment files.
//!
//! ```text
//!  log-00000000000000000007     ┌────────┬───────┬───────┬────┬──────┬ ─ ─ ─ ─ ─ ─
//!                               │ header │ group │ group │ …  │ zeros│
//!                               └────────┴───────┴───────┴────┴──────┴ ─ ─ ─ ─ ─ ─
//!  header (one sector)  "maitredL" · version · checksum · number · sequence of the first group · salt
//! ```
//!
//! A group is appended with one write and one `fdatasync`. The file is filled with zeros ahead of the groups, so that
//! this sync has no metadata to write but once per [`AHEAD`] bytes. A group is written only when all before it are
//! synced, and a segment is begun only when the one before it is complete; recovery leans on both. It also leans on the
//! disk to leave sectors alone that are not written (SQLite's [powersafe overwrite]).
//!
//! [powersafe overwrite]: https://www.sqlite.org/psow.html

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

use crate::Revision;
use crate::files::{Files, OpenFile};
use crate::group::{Fields, Group, SECTOR};

const MAGIC: [u8; 8] = *b"maitredL";
const VERSION: u32 = 1;

/// So many bytes ahead of the groups the file is filled with zeros.
const AHEAD: u64 = 256 * 1024;

/// The first sector of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Numbers the segments, from 1.
    pub(crate) number: u64,
    /// The sequence of its first group.
    pub(crate) sequence: u64,
    /// Seeds the checksums of its groups' headers.
    pub(crate) salt: u64,
}

impl SegmentHeader {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SECTOR);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        first_sector(MAGIC, VERSION, &bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let mut fields = read_first_sector(MAGIC, VERSION, bytes)?;
        Some(SegmentHeader { number: fields.u64()?, sequence: fields.u64()?, salt: fields.u64()? })
    }
}

/// A file's first sector: magic, version, checksum, fields.
pub(crate) fn first_sector(magic: [u8; 8], version: u32, fields: &[u8]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR];
    sector[..8].copy_from_slice(&magic);
    sector[8..12].copy_from_slice(&version.to_le_bytes());
    sector[16..16 + fields.len()].copy_from_slice(fields);
    let checksum = crc32fast::hash(&sector[16..]);
    sector[12..16].copy_from_slice(&checksum.to_le_bytes());
    sector
}

/// The fields of a first sector that is whole and of this version.
pub(crate) fn read_first_sector(magic: [u8; 8], version: u32, bytes: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields(bytes.get(..SECTOR)?.strip_prefix(&magic)?);
    let whole = fields.u32()? == version && fields.u32()? == crc32fast::hash(fields.0);
    whole.then_some(fields)
}

/// The name of a numbered file.
pub(crate) fn numbered(kind: &str, number: u64) -> String {
    format!("{kind}-{number:020}")
}

/// A segment that is there.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// The newest revision in it.
    pub(crate) last: Revision,
    pub(crate) bytes: u64,
}

/// What syncs and bytes the log has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Syncs for groups.
    pub(crate) syncs: u64,
    /// Syncs for seals and new segments.
    pub(crate) upkeep_syncs: u64,
    pub(crate) bytes: u64,
}

/// The log, open at its end.
#[derive(Debug)]
pub(crate) struct Log {
    files: Arc<dyn Files>,
    /// The segments before the one that is written.
    pub(crate) complete: VecDeque<Segment>,
    header: SegmentHeader,
    file: Box<dyn OpenFile>,
    /// Where the next group goes.
    end: u64,
    /// From `end` to here the file is there and zero.
    zeroed: u64,
    /// The next group's.
    sequence: u64,
    last: Revision,
    segment_bytes: u64,
    sealed: bool,
    pub(crate) cost: Cost,
}

impl Log {
    pub(crate) const KIND: &str = "log";

    /// Begins the log of a new store.
    pub(crate) fn begin(files: Arc<dyn Files>, segment_bytes: u64) -> io::Result<Log> {
        let header = SegmentHeader { number: 1, sequence: 1, salt: salt() };
        let file = create(&*files, &header)?;
        let (complete, end) = (VecDeque::new(), SECTOR as u64);
        let cost = Cost { upkeep_syncs: 2, ..Cost::default() };
        Ok(Log {
            files,
            complete,
            header,
            file,
            end,
            zeroed: end,
            sequence: 1,
            last: 0,
            segment_bytes,
            sealed: true,
            cost,
        })
    }

    /// Goes on with a log whose last segment is as `tail` says.
    pub(crate) fn resume(files: Arc<dyn Files>, segment_bytes: u64, tail: Tail) -> io::Result<Log> {
        let file = files.open(&numbered(Self::KIND, tail.header.number))?;
        let Tail { complete, header, end, length, sequence, last, sealed } = tail;
        let zeroed = length.max(end);
        let cost = Cost::default();
        Ok(Log { files, complete, header, file, end, zeroed, sequence, last, segment_bytes, sealed, cost })
    }

    /// Makes a group durable; `floor` is the oldest readable revision. After an error nothing may be appended any more:
    /// nobody knows what of it is on the disk.
    pub(crate) fn append(&mut self, group: Group, first: Revision, count: u64, floor: Revision) -> io::Result<()> {
        if self.end > SECTOR as u64 && self.end + group.length() as u64 + SECTOR as u64 > self.segment_bytes {
            self.begin_segment()?;
        }
        let bytes = group.finish(self.sequence, first, floor, self.header.salt);
        self.file.write_at(self.end, &bytes)?;
        self.zeros_ahead(self.end + bytes.len() as u64)?;
        self.file.sync()?;
        self.cost.syncs += 1;
        self.cost.bytes += bytes.len() as u64;
        self.end += bytes.len() as u64;
        self.sequence += 1;
        self.last = first + count - 1;
        self.sealed = false;
        Ok(())
    }

    /// Whether damage to the last group could be taken for a group that was never synced.
    pub(crate) fn wants_seal(&self) -> bool {
        !self.sealed
    }

    /// Says that the last group was synced.
    pub(crate) fn seal(&mut self, floor: Revision) -> io::Result<()> {
        let seal = Group::new().finish(self.sequence, self.last + 1, floor, self.header.salt);
        self.file.write_at(self.end, &seal)?;
        self.file.sync()?;
        self.cost.upkeep_syncs += 1;
        self.end += seal.len() as u64;
        self.zeroed = self.zeroed.max(self.end);
        self.sequence += 1;
        self.sealed = true;
        Ok(())
    }

    /// Keeps zeros in front of the end, up to the segment's size.
    fn zeros_ahead(&mut self, end: u64) -> io::Result<()> {
        self.zeroed = self.zeroed.max(end);
        let wanted = (end + AHEAD).min(self.segment_bytes);
        if self.zeroed < (end + AHEAD / 4).min(self.segment_bytes) {
            self.file.write_at(self.zeroed, &vec![0; (wanted - self.zeroed) as usize])?;
            self.zeroed = wanted;
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let header = SegmentHeader { number: self.header.number + 1, sequence: self.sequence, salt: salt() };
        self.file = create(&*self.files, &header)?;
        self.cost.upkeep_syncs += 2;
        self.complete.push_back(Segment { number: self.header.number, last: self.last, bytes: self.end });
        self.header = header;
        self.end = SECTOR as u64;
        self.zeroed = self.end;
        Ok(())
    }

    /// The bytes of complete segments that hold nothing after a revision.
    pub(crate) fn bytes_until(&self, revision: Revision) -> u64 {
        self.complete.iter().take_while(|s| s.last <= revision).map(|s| s.bytes).sum()
    }

    /// The number of the first segment that holds something after a revision.
    pub(crate) fn first_after(&self, revision: Revision) -> u64 {
        self.complete.iter().find(|s| s.last > revision).map_or(self.header.number, |s| s.number)
    }

    /// Removes the segments before one.
    pub(crate) fn remove_before(&mut self, number: u64) -> io::Result<()> {
        while let Some(segment) = self.complete.front().filter(|s| s.number < number) {
            self.files.remove(&numbered(Self::KIND, segment.number))?;
            self.complete.pop_front();
        }
        Ok(())
    }

    /// The bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.end + self.complete.iter().map(|s| s.bytes).sum::<u64>()
    }
}

/// Where recovery found the log to end.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) complete: VecDeque<Segment>,
    pub(crate) header: SegmentHeader,
    pub(crate) end: u64,
    pub(crate) length: u64,
    pub(crate) sequence: u64,
    pub(crate) last: Revision,
    pub(crate) sealed: bool,
}

/// A segment gets its name only when its header is durable, and groups only when its name is.
fn create(files: &dyn Files, header: &SegmentHeader) -> io::Result<Box<dyn OpenFile>> {
    let name = numbered(Log::KIND, header.number);
    let unfinished = format!("{name}{UNFINISHED}");
    let mut file = files.create(&unfinished)?;
    file.write_at(0, &header.encode())?;
    file.sync()?;
    files.rename(&unfinished, &name)?;
    files.sync_dir()?;
    Ok(file)
}

/// What the name of a file ends with that a crash has left half-made.
pub(crate) const UNFINISHED: &str = ".new";

/// A number that users of the store cannot guess.
fn salt() -> u64 {
    RandomState::new().build_hasher().finish()
}
