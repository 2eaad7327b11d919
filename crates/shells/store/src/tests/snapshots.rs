//! Snapshots of many keys, written a few at a time while commits go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{delete, put};
use crate::index::{Index, Scan};
use crate::simulated::{Random, SimFiles};
use crate::writer::Writer;
use crate::{KeyValue, Options, Range, Revision};

const KEYS: u64 = 3000;

fn options() -> Options {
    Options {
        history_revisions: 100,
        history_age: Duration::ZERO,
        segment_bytes: 64 * 1024,
        checkpoint_bytes: 64 * 1024,
        ..Options::default()
    }
}

fn all(index: &Index, revision: Revision) -> Vec<KeyValue> {
    let mut scan = Scan::default();
    assert!(index.scan(&Range::prefix(""), revision, &mut scan, usize::MAX));
    scan.items
}

#[test]
fn a_snapshot_holds_one_revision_although_writes_go_on() {
    let (disk, now) = (SimFiles::new(), Instant::now());
    let mut random = Random::new(1);
    let mut writer = Writer::open(Arc::new(disk.clone()), options()).unwrap();
    for start in (0..KEYS).step_by(100) {
        let group = (start..start + 100).map(|i| put(&format!("key-{i:05}"), vec![b'x'; 100])).collect();
        assert!(writer.commit(group, now).iter().all(Result::is_ok));
    }
    let (mut steps, mut begun) = (0, false);
    // Until a snapshot is done that was begun when all keys were there.
    while writer.shared.stats.lock().snapshots == 0 {
        let key = format!("key-{:05}", random.below(KEYS + 100));
        let transaction = if random.below(3) == 0 { delete(&key) } else { put(&key, vec![b'y'; 200]) };
        assert!(writer.commit(vec![transaction], now)[0].is_ok());
        writer.step(now);
        begun |= disk.contents().keys().any(|name| name.starts_with("snapshot"));
        steps += u64::from(begun);
    }
    assert!(steps > 5, "it took {steps} steps, commits went on between them");
    let before = writer.shared.index.read();
    let reopened = Writer::open(Arc::new(disk.after_power_loss(1)), options()).unwrap();
    let after = reopened.shared.index.read();
    assert_eq!(after.revision(), before.revision());
    for revision in [before.floor(), before.revision()] {
        assert!(all(&before, revision).len() > 1000);
        assert_eq!(all(&after, revision), all(&before, revision), "revision {revision}");
    }
}

#[test]
fn the_log_does_not_grow_for_ever() {
    let (disk, now) = (SimFiles::new(), Instant::now());
    let mut writer = Writer::open(Arc::new(disk.clone()), options()).unwrap();
    let mut most = 0;
    for i in 0..5000 {
        assert!(writer.commit(vec![put(&format!("key-{}", i % 10), vec![b'x'; 400])], now)[0].is_ok());
        writer.step(now);
        if i % 100 == 0 {
            most = most.max(disk.contents().values().map(Vec::len).sum());
        }
    }
    // 5,000 sectors were written; 100 revisions are kept, and up to a snapshot's worth and a segment on top.
    assert!(most < 400 * 1024, "the files had {most} bytes");
    assert!(writer.shared.stats.lock().bytes >= 5000 * 512);
}

#[test]
fn large_groups_do_not_outrun_the_upkeep() {
    let (disk, now) = (SimFiles::new(), Instant::now());
    let mut writer = Writer::open(Arc::new(disk.clone()), options()).unwrap();
    for _ in 0..40 {
        let group = (0..1000).map(|i| put(&format!("key-{}", i % 500), vec![b'x'; 100])).collect();
        assert!(writer.commit(group, now).iter().all(Result::is_ok));
        // One step after each group, as when the next one always waits already.
        writer.step(now);
    }
    let (revisions, bytes) = writer.shared.index.read().history_size();
    assert!(revisions <= 2000 && bytes < 2000 * 500, "{revisions} revisions with {bytes} bytes are kept");
    let files: usize = disk.contents().values().map(Vec::len).sum();
    assert!(files < 2 << 20, "5 MB were written, the files have {files} bytes");
}
