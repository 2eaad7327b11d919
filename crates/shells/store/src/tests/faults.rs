//! A disk that is full, breaks or is damaged.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};

use super::put;
use crate::simulated::SimFiles;
use crate::writer::Writer;
use crate::{Embedded, Error, Options, Store};

fn open(disk: &SimFiles) -> Embedded {
    Embedded::open_on(Arc::new(disk.clone()), Options::default()).unwrap()
}

#[tokio::test]
async fn a_full_or_broken_disk_makes_the_store_read_only_and_loses_nothing() {
    type Break = fn(&SimFiles, io::ErrorKind);
    let on_write: Break = |disk, kind| disk.fail_write(1, kind);
    let on_sync: Break = |disk, kind| disk.fail_sync(1, kind);
    for (id, fail, kind, remedy) in [
        ("full disk on write", on_write, io::ErrorKind::StorageFull, "free space"),
        ("full disk on sync", on_sync, io::ErrorKind::StorageFull, "free space"),
        ("quota on write", on_write, io::ErrorKind::QuotaExceeded, "free space"),
        ("error on write", on_write, io::ErrorKind::Other, "check that disk"),
        ("error on sync", on_sync, io::ErrorKind::Other, "check that disk"),
    ] {
        println!("case {id}");
        let disk = SimFiles::new();
        let store = open(&disk);
        let mut watch = store.watch("", 0).await.unwrap();
        for value in ["1", "2"] {
            store.commit(put("a", value)).await.unwrap();
        }
        assert_eq!(store.read_only(), None, "{id}");
        fail(&disk, kind);
        let waiting = (0..3).map(|_| store.commit(put("a", "lost")));
        for outcome in futures::future::join_all(waiting).await {
            assert!(matches!(outcome, Err(Error::ReadOnly(_))), "{id}: {outcome:?}");
        }
        let why = store.read_only().unwrap_or_else(|| panic!("{id}: it is read-only"));
        assert!(why.contains(remedy) && why.contains("the simulated disk") && why.contains("restart"), "{id}: {why}");
        // Not even if the disk has recovered: nobody knows what it holds.
        assert!(matches!(store.commit(put("a", "lost")).await, Err(Error::ReadOnly(_))), "{id}");
        assert_eq!(&store.get("a", None).await.unwrap().unwrap().value[..], b"2", "{id}: reads go on");
        let seen: Vec<_> = (0..2).map_while(|_| watch.next().now_or_never()).collect();
        assert_eq!(seen.len(), 2, "{id}: watches go on");
        assert!(watch.next().now_or_never().is_none(), "{id}: what was not synced is not seen");
        drop(store);
        let disk = disk.after_kill();
        let store = open(&disk);
        let found = store.revision().await.unwrap();
        assert!((2..=5).contains(&found), "{id}: what was refused is there as a whole or not at all: {found}");
        assert_eq!(store.commit(put("b", "1")).await.unwrap(), found + 1, "{id}: after a restart it takes writes");
    }
}

#[test]
fn a_write_found_after_a_failed_sync_is_made_durable_before_it_is_served() {
    for seed in 0..50 {
        let disk = SimFiles::new();
        let open = |disk: &SimFiles| Writer::open(Arc::new(disk.clone()), Options::default()).unwrap();
        let mut writer = open(&disk);
        writer.commit(vec![put("a", "1")], Instant::now())[0].as_ref().unwrap();
        disk.fail_sync(1, io::ErrorKind::Other);
        assert!(writer.commit(vec![put("a", vec![7; 3000])], Instant::now())[0].is_err());
        let disk = disk.after_kill();
        let served = open(&disk).shared.index.read().current("a").unwrap();
        assert_eq!(served.modified, 2, "the bytes are in the page cache");
        let kept = open(&disk.after_power_loss(seed)).shared.index.read().current("a").unwrap();
        assert_eq!(served, kept, "seed {seed}");
    }
}

#[test]
fn the_file_layer_sees_one_sync_for_each_group() {
    let (disk, now) = (SimFiles::new(), Instant::now());
    let mut writer = Writer::open(Arc::new(disk.clone()), Options::default()).unwrap();
    let before = disk.syncs();
    for size in 1..=50 {
        let group = (0..size).map(|i| put(&format!("key-{i}"), "1")).collect();
        assert!(writer.commit(group, now).iter().all(Result::is_ok));
    }
    assert_eq!(disk.syncs() - before, 50);
    let conflict = crate::Transaction { expect: vec![crate::Expect::Absent("key-0".into())], writes: Vec::new() };
    assert!(matches!(writer.commit(vec![conflict], now)[0], Err(Error::Conflict { .. })));
    assert_eq!(disk.syncs() - before, 50, "a conflict with what is durable costs none");
}

#[test]
fn a_snapshot_that_cannot_be_written_is_put_off_and_commits_go_on() {
    let disk = SimFiles::new();
    let options = Options {
        history_revisions: 0,
        history_age: Duration::ZERO,
        segment_bytes: 4096,
        checkpoint_bytes: 4096,
        ..Options::default()
    };
    let mut writer = Writer::open(Arc::new(disk.clone()), options.clone()).unwrap();
    let now = Instant::now();
    while !disk.contents().keys().any(|name| name.starts_with("snapshot")) {
        writer.commit(vec![put("a", "1")], now)[0].as_ref().unwrap();
        writer.step(now);
    }
    // The first write of the next step is the snapshot's.
    disk.fail_write(1, io::ErrorKind::StorageFull);
    writer.step(now);
    let disk = disk.after_kill();
    assert_eq!(writer.shared.stats.lock().snapshots, 0);
    assert!(!disk.contents().keys().any(|name| name.starts_with("snapshot")), "the half-made file is gone");
    for _ in 0..50 {
        writer.commit(vec![put("a", "2")], now)[0].as_ref().expect("commits go on");
        while writer.step(now) {}
    }
    assert!(writer.shared.stats.lock().snapshots > 0, "later it is written after all");
    drop(writer);
    let writer = Writer::open(Arc::new(disk), options).unwrap();
    assert_eq!(&writer.shared.index.read().current("a").unwrap().value[..], b"2");
}

/// A store of three segments, the first commits in a snapshot.
fn aged(disk: &SimFiles) {
    let options = Options {
        history_revisions: 20,
        history_age: Duration::ZERO,
        segment_bytes: 8192,
        checkpoint_bytes: 8192,
        ..Options::default()
    };
    let mut writer = Writer::open(Arc::new(disk.clone()), options).unwrap();
    let now = Instant::now();
    for i in 0..60 {
        writer.commit(vec![put(&format!("key-{}", i % 7), vec![b'x'; 600])], now)[0].as_ref().unwrap();
        while writer.step(now) {}
    }
    writer.seal();
    assert!(writer.shared.stats.lock().snapshots > 0);
}

#[test]
fn a_flipped_byte_in_synced_data_is_reported_and_left_alone() {
    let disk = SimFiles::new();
    aged(&disk);
    let files = disk.contents();
    assert!(files.keys().filter(|n| n.starts_with("log")).count() >= 3, "{:?}", files.keys());
    assert!(files.keys().any(|n| n.starts_with("snapshot")));
    let mut flipped = 0;
    for (name, bytes) in &files {
        let end = bytes.iter().rposition(|&b| b != 0).unwrap();
        for offset in (0..=end).step_by(97) {
            // Behind a group's payload and in the rest of the header's sector there is nothing to lose; nor in the seal.
            let lost = if bytes[offset] == 0 { continue } else { name.as_str() };
            if name == files.keys().rfind(|n| n.starts_with("log")).unwrap() && offset >= end / 512 * 512 {
                continue;
            }
            disk.flip(lost, offset as u64);
            let damaged = disk.contents();
            let error = Writer::open(Arc::new(disk.clone()), Options::default()).expect_err(name);
            let Error::Unreadable(text) = &error else { panic!("{error:?}") };
            assert!(text.contains(name.as_str()) && text.contains("damaged at byte"), "{text}");
            assert!(text.contains("restore the directory from a backup"), "{text}");
            assert_eq!(disk.contents(), damaged, "nothing was changed");
            disk.flip(lost, offset as u64);
            flipped += 1;
        }
    }
    assert!(flipped > 100, "{flipped}");
    Writer::open(Arc::new(disk), Options::default()).expect("undamaged, it opens");
}

#[tokio::test]
async fn the_way_out_of_damage_that_the_message_names_works() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    for i in 1..=5 {
        assert_eq!(store.commit(put("a", i.to_string())).await.unwrap(), i);
    }
    drop(store);
    let log = dir.path().join("log-00000000000000000001");
    let mut bytes = std::fs::read(&log).unwrap();
    // The groups begin in sector 1; the third has its payload here.
    bytes[3 * 512 + 60] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let error = Embedded::open(dir.path()).unwrap_err().to_string();
    let advice = format!("truncate -s 1536 {}", log.display());
    assert!(error.contains("damaged at byte 1536") && error.contains("give up revision 3") && error.contains(&advice));
    assert_eq!(std::fs::read(&log).unwrap(), bytes, "the file is untouched");
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(1536).unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    assert_eq!(store.revision().await.unwrap(), 2);
    assert_eq!(store.commit(put("a", "again")).await.unwrap(), 3);
}

#[test]
fn a_missing_segment_or_snapshot_is_reported() {
    for missing in 0..4 {
        let disk = SimFiles::new();
        aged(&disk);
        let names: Vec<_> = disk.contents().into_keys().collect();
        let last = names.iter().rfind(|n| n.starts_with("log")).unwrap();
        let Some(name) = names.get(missing).filter(|n| *n != last) else { continue };
        crate::Files::remove(&disk, name).unwrap();
        let error = Writer::open(Arc::new(disk), Options::default()).expect_err(name).to_string();
        assert!(error.contains("is missing: restore the directory from a backup"), "{name}: {error}");
    }
}

#[test]
fn a_stored_value_that_looks_like_a_later_group_is_no_proof_of_damage() {
    let name = "log-00000000000000000001";
    let now = Instant::now();
    let open = |disk: &SimFiles| Writer::open(Arc::new(disk.clone()), Options::default());
    let other = SimFiles::new();
    let mut writer = open(&other).unwrap();
    for _ in 0..50 {
        writer.commit(vec![put("a", "1")], now)[0].as_ref().unwrap();
    }
    let group = other.contents()[name][40 * 512..41 * 512].to_vec();
    assert_eq!(group[..4], *b"\xFFmtG");
    let disk = SimFiles::new();
    // Group header, number of writes, kind, length, key, length: then the value, filled up to the next sector.
    let before = 48 + 4 + 1 + 4 + 1 + 4;
    let value = [vec![1; 512 - before], group.clone(), group.clone()].concat();
    open(&disk).unwrap().commit(vec![put("a", value)], now)[0].as_ref().unwrap();
    assert_eq!(disk.contents()[name][1024..1536], group, "it stands at the beginning of a sector");
    disk.flip(name, 700);
    let writer = open(&disk).expect("the last group, unsealed, is taken for a torn one");
    assert_eq!(writer.shared.index.read().revision(), 0);
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var/lib/store");
    let store = Embedded::open(&path).unwrap();
    store.commit(put("secret", "s")).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
