//! What a caller of the embedded store sees.

use std::time::Duration;

use futures::StreamExt;

use super::{delete, key, put};
use crate::{Embedded, Error, Expect, Options, Range, Store, Transaction, Watch, Write};

fn open() -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    (dir, store)
}

/// The next item of a watch as (revision, key, value after, value before).
async fn next(watch: &mut Watch) -> Vec<(u64, String, Option<String>, Option<String>)> {
    let text = |v: &Option<crate::KeyValue>| v.as_ref().map(|v| String::from_utf8(v.value.to_vec()).unwrap());
    let item = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.expect("an event within 10 s");
    let events = item.expect("the watch goes on").expect("no error");
    events.iter().map(|e| (e.revision, e.key().to_string(), text(&e.current), text(&e.previous))).collect()
}

#[tokio::test]
async fn a_write_is_read_back_after_a_restart_with_its_revisions() {
    let (dir, store) = open();
    assert_eq!(store.commit(put("a", "1")).await.unwrap(), 1);
    assert_eq!(store.commit(put("b", "2")).await.unwrap(), 2);
    assert_eq!(store.commit(put("a", "3")).await.unwrap(), 3);
    assert_eq!(store.commit(delete("b")).await.unwrap(), 4);
    drop(store);
    let store = Embedded::open(dir.path()).unwrap();
    assert_eq!(store.revision().await.unwrap(), 4);
    let a = store.get("a", None).await.unwrap().unwrap();
    assert_eq!((&a.value[..], a.created, a.modified), (&b"3"[..], 1, 3));
    assert_eq!(store.get("b", None).await.unwrap(), None);
    assert_eq!(&store.get("a", Some(2)).await.unwrap().unwrap().value[..], b"1", "history outlives a restart");
    assert_eq!(store.commit(put("b", "4")).await.unwrap(), 5);
    assert_eq!(store.get("b", None).await.unwrap().unwrap().created, 5, "a key that comes back is a new one");
}

#[tokio::test]
async fn an_expectation_that_does_not_hold_changes_nothing_and_tells_what_stands_there() {
    let (_dir, store) = open();
    store.commit(put("a", "1")).await.unwrap();
    let both = |expect| Transaction {
        expect,
        writes: vec![Write::Put(key("a"), "2".into()), Write::Put(key("b"), "2".into())],
    };
    for (expect, conflict) in [
        (vec![Expect::Absent(key("a"))], Some(("a", true))),
        (vec![Expect::Modified(key("a"), 7)], Some(("a", true))),
        (vec![Expect::Modified(key("a"), 1), Expect::Modified(key("b"), 1)], Some(("b", false))),
        (vec![Expect::Modified(key("a"), 1), Expect::Absent(key("b"))], None),
    ] {
        let outcome = store.commit(both(expect.clone())).await;
        match (outcome, conflict) {
            (Ok(2), None) => {}
            (Err(Error::Conflict { key, current }), Some(expected)) => {
                assert_eq!((&*key, current.is_some()), expected, "{expect:?}");
                assert_eq!(store.revision().await.unwrap(), 1, "{expect:?}");
            }
            (outcome, _) => panic!("{expect:?}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn a_range_is_paged_and_counts_what_remains() {
    let (_dir, store) = open();
    for name in ["p/a", "p/b", "p/c", "p/d", "q/a", "p"] {
        store.commit(put(name, name)).await.unwrap();
    }
    store.commit(delete("p/c")).await.unwrap();
    for (after, limit, at, keys, remaining) in [
        (None, None, None, "p/a p/b p/d", 0),
        (None, Some(2), None, "p/a p/b", 1),
        (Some("p/b"), Some(2), None, "p/d", 0),
        (None, Some(1), Some(6), "p/a", 3),
        (Some("p/b"), None, Some(6), "p/c p/d", 0),
        (None, None, Some(2), "p/a p/b", 0),
        (None, Some(0), None, "", 3),
        (None, None, Some(0), "", 0),
        (Some("z"), None, None, "", 0),
        (Some("a"), Some(1), None, "p/a", 2),
    ] {
        let range = Range { prefix: "p/".into(), after: after.map(str::to_owned), limit };
        let page = store.range(&range, at).await.unwrap();
        let found: Vec<_> = page.items.iter().map(|i| &*i.key).collect();
        assert_eq!((found.join(" "), page.remaining), (keys.to_owned(), remaining), "{range:?} at {at:?}");
        assert_eq!(page.revision, at.unwrap_or(7));
    }
}

#[tokio::test]
async fn a_watch_replays_history_and_goes_on_live_with_previous_values() {
    let (_dir, store) = open();
    store.commit(put("p/a", "1")).await.unwrap();
    let mut watch = store.watch("p/", 0).await.unwrap();
    let mut later = store.watch("p/", 1).await.unwrap();
    store.commit(put("q/a", "x")).await.unwrap();
    store.commit(put("p/a", "2")).await.unwrap();
    let writes = vec![Write::Delete(key("p/a")), Write::Put(key("q/b"), "y".into()), Write::Delete(key("p/none"))];
    store.commit(Transaction { expect: Vec::new(), writes }).await.unwrap();
    let s = |text: &str| Some(text.to_owned());
    assert_eq!(next(&mut watch).await, [(1, "p/a".to_owned(), s("1"), None)]);
    for watch in [&mut watch, &mut later] {
        assert_eq!(next(watch).await, [(3, "p/a".to_owned(), s("2"), s("1"))]);
        assert_eq!(next(watch).await, [(4, "p/a".to_owned(), None, s("2"))]);
    }
    drop(store);
    assert!(matches!(watch.next().await, Some(Err(Error::ReadOnly(_)))), "a closed store ends its watches");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn what_was_compacted_or_is_still_to_come_is_refused() {
    let (_dir, store) = open();
    for value in ["1", "2", "3"] {
        store.commit(put("a", value)).await.unwrap();
    }
    store.compact(2).await.unwrap();
    let all = Range::prefix("");
    for asked in [0, 1] {
        let refused = |e: Error| matches!(e, Error::Compacted { asked: a, oldest: 2 } if a == asked);
        assert!(refused(store.get("a", Some(asked)).await.unwrap_err()));
        assert!(refused(store.range(&all, Some(asked)).await.unwrap_err()));
        assert!(refused(store.watch("", asked).await.err().unwrap()));
    }
    let refused = |e: Error| matches!(e, Error::Future { asked: 4, newest: 3 });
    assert!(refused(store.get("a", Some(4)).await.unwrap_err()));
    assert!(refused(store.range(&all, Some(4)).await.unwrap_err()));
    assert!(refused(store.watch("", 4).await.err().unwrap()));
    assert!(refused(store.compact(4).await.unwrap_err()));
    assert_eq!(&store.get("a", Some(2)).await.unwrap().unwrap().value[..], b"2");
    assert_eq!(next(&mut store.watch("", 2).await.unwrap()).await[0].0, 3);
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_told_so_after_what_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(dir.path(), Options { watch_queue: 2, ..Options::default() }).unwrap();
    let mut watch = store.watch("", 0).await.unwrap();
    for value in ["1", "2", "3", "4"] {
        store.commit(put("a", value)).await.unwrap();
    }
    assert_eq!(next(&mut watch).await[0].0, 1);
    assert_eq!(next(&mut watch).await[0].0, 2);
    assert!(matches!(watch.next().await, Some(Err(Error::Compacted { .. }))));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_second_process_is_turned_away_by_the_lock_file() {
    let (dir, store) = open();
    let error = Embedded::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("another process holds") && error.contains("/lock"), "{error}");
    drop(store);
    Embedded::open(dir.path()).expect("the lock goes with the store");
}

#[tokio::test]
async fn each_group_costs_one_sync() {
    let (_dir, store) = open();
    for i in 0..50 {
        store.commit(put("a", i.to_string())).await.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.groups, stats.syncs), (50, 50, 50), "one client: one sync for each commit");
    futures::future::join_all((0..500).map(|i| store.commit(put("a", i.to_string())))).await;
    let stats = store.stats();
    assert_eq!((stats.commits, stats.syncs), (550, stats.groups));
    assert!(stats.groups < 250, "those who wait together share a sync: {stats:?}");
}
