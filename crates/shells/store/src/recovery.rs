//! Opening a store: from the files a crash may have left to the state that was acknowledged.
//!
//! What the log ends with may never have been synced: such a torn tail is cut. What was synced and can't be read is
//! damage, which is reported and left untouched. Which of the two bad bytes are is known for certain in nearly all
//! cases, since a group is written only when all before it are synced:
//!
//! * a valid header of a *later* group anywhere behind the bad bytes proves that they were synced: damage;
//! * so does a later segment, whose header tells with which group the one before it ended;
//! * otherwise they are the last group, which may be torn. A seal is written behind the last group when the store
//!   falls idle or closes, so that only damage to the very last group of a crashed process can be mistaken for a tear.
//!
//! Nothing is served before the tail is written once more and synced: a crashed process may have left it in the page
//! cache only, and after a failed sync the kernel takes pages for clean that never reached the disk.

use std::io;
use std::sync::Arc;

use crate::files::Files;
use crate::group::{self, Header, SECTOR};
use crate::index::Index;
use crate::log::{Log, Segment, SegmentHeader, Tail, UNFINISHED, numbered};
use crate::snapshot::{self, Broken, Snapshot};
use crate::{Error, Revision};

/// No store lives to count further: a larger number is damage, and would overflow when it is counted on.
const COUNTER_MAX: u64 = 1 << 62;

/// What an open store begins with.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) log: Log,
    /// The length of the newest snapshot.
    pub(crate) snapshot_bytes: u64,
}

/// Reads a directory and makes it ready to be written.
pub(crate) fn recover(files: &Arc<dyn Files>, segment_bytes: u64) -> Result<Recovered, Error> {
    // A killed process may have left names that are not durable yet; what they replace is removed below.
    files.sync_dir().map_err(|e| cannot(&**files, "sync", "the directory", &e))?;
    let names = files.list().map_err(|e| cannot(&**files, "list", "the directory", &e))?;
    let snapshots = numbers(&names, Snapshot::KIND);
    let (first_segment, mut index, snapshot_bytes) = match snapshots.last() {
        Some(&revision) => read_snapshot(&**files, revision)?,
        None => (1, Index::default(), 0),
    };
    let segments: Vec<u64> = numbers(&names, Log::KIND).into_iter().filter(|&n| n >= first_segment).collect();
    if segments.is_empty() && snapshots.is_empty() {
        tidy(&**files, &names, 0, 0).map_err(|e| cannot(&**files, "tidy", "the directory", &e))?;
        let log = Log::begin(files.clone(), segment_bytes).map_err(|e| cannot(&**files, "begin", "the log", &e))?;
        return Ok(Recovered { index, log, snapshot_bytes });
    }
    let tail = Replay { files: &**files, index: &mut index }.segments(first_segment, &segments)?;
    let kept = snapshots.last().copied().unwrap_or(0);
    tidy(&**files, &names, kept, first_segment).map_err(|e| cannot(&**files, "tidy", "the directory", &e))?;
    let name = numbered(Log::KIND, tail.header.number);
    let log = Log::resume(files.clone(), segment_bytes, tail).map_err(|e| cannot(&**files, "open", &name, &e))?;
    Ok(Recovered { index, log, snapshot_bytes })
}

/// The numbers of the files of a kind, ascending.
fn numbers(names: &[String], kind: &str) -> Vec<u64> {
    let number = |name: &String| name.strip_prefix(kind)?.strip_prefix('-')?.parse().ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Removes what a crash left half-made, and what a snapshot made unnecessary.
fn tidy(files: &dyn Files, names: &[String], snapshot: Revision, first_segment: u64) -> io::Result<()> {
    for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
        files.remove(name)?;
    }
    for old in numbers(names, Snapshot::KIND).into_iter().filter(|&n| n < snapshot) {
        files.remove(&numbered(Snapshot::KIND, old))?;
    }
    for old in numbers(names, Log::KIND).into_iter().filter(|&n| n < first_segment) {
        files.remove(&numbered(Log::KIND, old))?;
    }
    Ok(())
}

fn read_snapshot(files: &dyn Files, revision: Revision) -> Result<(u64, Index, u64), Error> {
    let name = numbered(Snapshot::KIND, revision);
    match snapshot::read(files, revision) {
        Ok((header, index, bytes)) => Ok((header.first_segment, index, bytes)),
        Err(Broken::Io(e)) => Err(cannot(files, "read", &name, &e)),
        Err(Broken::Damaged(offset)) => Err(unreadable(format!(
            "{}/{name} is damaged at byte {offset}, or was written by another version: restore the directory from a backup",
            files.place()
        ))),
    }
}

/// Replays the log into the index.
struct Replay<'a> {
    files: &'a dyn Files,
    index: &'a mut Index,
}

/// What was found in one segment.
struct Read {
    header: SegmentHeader,
    bytes: Vec<u8>,
    /// Where its valid groups end.
    end: usize,
    /// Where the last of them begins.
    last_group: Option<(usize, Header)>,
    /// The sequence of the group that would come next.
    sequence: u64,
}

impl Replay<'_> {
    fn segments(mut self, first: u64, segments: &[u64]) -> Result<Tail, Error> {
        let mut complete = std::collections::VecDeque::new();
        let mut before: Option<Read> = None;
        for (number, found) in (first..).zip(segments.iter().map(Some).chain([None])) {
            match found {
                Some(&found) if found == number => {}
                None if number > first => break,
                _ => return Err(self.missing(number)),
            }
            let header = self.header(number)?;
            if let Some(before) = before {
                if before.sequence != header.sequence {
                    return Err(self.damaged(&before));
                }
                let (number, bytes) = (before.header.number, before.end as u64);
                complete.push_back(Segment { number, last: self.index.revision(), bytes });
            }
            before = Some(self.segment(header)?);
        }
        let last = before.ok_or_else(|| self.missing(first))?;
        if later_group(&last) {
            return Err(self.damaged(&last));
        }
        self.settle(&last).map_err(|e| cannot(self.files, "write", &numbered(Log::KIND, last.header.number), &e))?;
        let sealed = last.last_group.is_none_or(|(_, header)| header.transactions == 0);
        Ok(Tail {
            complete,
            header: last.header,
            end: last.end as u64,
            length: last.bytes.len() as u64,
            sequence: last.sequence,
            last: self.index.revision(),
            sealed,
        })
    }

    fn header(&self, number: u64) -> Result<SegmentHeader, Error> {
        let name = numbered(Log::KIND, number);
        let sector = self.files.read(&name, 0, SECTOR).map_err(|e| cannot(self.files, "read", &name, &e))?;
        SegmentHeader::decode(&sector).filter(|h| h.number == number).ok_or_else(|| {
            unreadable(format!(
                "{}/{name} is damaged at byte 0, or was written by another version: restore the directory from a backup",
                self.files.place()
            ))
        })
    }

    fn segment(&mut self, header: SegmentHeader) -> Result<Read, Error> {
        let name = numbered(Log::KIND, header.number);
        let length = self.files.length(&name).map_err(|e| cannot(self.files, "read", &name, &e))?;
        let bytes = self.files.read(&name, 0, length as usize).map_err(|e| cannot(self.files, "read", &name, &e))?;
        let mut read = Read { header, bytes, end: SECTOR, last_group: None, sequence: header.sequence };
        if header.sequence > COUNTER_MAX {
            return Err(self.damaged(&read));
        }
        while let Some(group) = Header::decode(&read.bytes[read.end.min(read.bytes.len())..], header.salt) {
            let rest = &read.bytes[read.end..];
            let Some(payload) = group.payload(rest) else { break };
            if group.sequence != read.sequence {
                break;
            }
            self.group(&group, payload).ok_or_else(|| self.damaged(&read))?;
            read.last_group = Some((read.end, group));
            read.end += group.group_length();
            read.sequence += 1;
        }
        Ok(read)
    }

    /// Replays a group; `None` if it doesn't follow what was replayed before.
    fn group(&mut self, header: &Header, payload: &[u8]) -> Option<()> {
        if header.sequence.max(header.first) > COUNTER_MAX {
            return None;
        }
        let transactions = group::transactions(payload, header.transactions)?;
        for (revision, writes) in header.revisions().zip(&transactions) {
            let newest = self.index.revision();
            if revision == newest + 1 {
                self.index.apply(writes);
            } else if revision > newest {
                return None;
            }
        }
        self.index.compact(header.floor.min(self.index.revision())).ok()
    }

    /// Clears what is behind the last group, and makes sure that the group is on the disk.
    fn settle(&self, last: &Read) -> io::Result<()> {
        let mut file = self.files.open(&numbered(Log::KIND, last.header.number))?;
        if let Some((start, _)) = last.last_group {
            file.write_at(start as u64, &last.bytes[start..last.end.min(last.bytes.len())])?;
        }
        let torn = last.bytes.get(last.end..).unwrap_or_default();
        if let Some(length) = torn.iter().rposition(|&byte| byte != 0) {
            tracing::warn!(offset = last.end, bytes = length + 1, "cutting a write that a crash left unfinished");
            file.write_at(last.end as u64, &vec![0; length + 1])?;
        }
        file.sync()
    }

    fn missing(&self, number: u64) -> Error {
        let name = numbered(Log::KIND, number);
        unreadable(format!("{}/{name} is missing: restore the directory from a backup", self.files.place()))
    }

    fn damaged(&self, read: &Read) -> Error {
        let name = format!("{}/{}", self.files.place(), numbered(Log::KIND, read.header.number));
        let (offset, lost) = (read.end, self.index.revision() + 1);
        unreadable(format!(
            "{name} is damaged at byte {offset}, in writes that were already on the disk: restore the directory from a \
             backup, or give up revision {lost} and all later ones by removing the log files with higher numbers and \
             `truncate -s {offset} {name}`"
        ))
    }
}

/// Whether a group stands behind the end of the valid ones that was written after the missing one was synced.
fn later_group(read: &Read) -> bool {
    let rest = read.bytes.get(read.end..).unwrap_or_default();
    rest.chunks(SECTOR)
        .filter_map(|sector| Header::decode(sector, read.header.salt))
        .any(|header| header.sequence > read.sequence)
}

fn cannot(files: &dyn Files, verb: &str, name: &str, error: &io::Error) -> Error {
    unreadable(format!("cannot {verb} {name} in {}: {error}", files.place()))
}

fn unreadable(what: String) -> Error {
    Error::Unreadable(Arc::from(what))
}
