//! The store against the reference: reads at every revision, watches, conflicts, compaction; and many writers at once.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};

use super::history::{Reference, any_transaction, sorted};
use super::{key, put};
use crate::simulated::{Random, SimFiles};
use crate::{Embedded, Error, Event, Expect, Options, Range, Revision, Store, Transaction, Watch, Write};

/// A watch and what it has delivered so far.
struct Watching {
    prefix: &'static str,
    after: Revision,
    watch: Watch,
    seen: Vec<Event>,
}

impl Watching {
    async fn new(store: &Embedded, prefix: &'static str, after: Revision) -> Watching {
        Watching { prefix, after, watch: store.watch(prefix, after).await.unwrap(), seen: Vec::new() }
    }

    fn drain(&mut self) {
        // Unconstrained, as a task that polls much is otherwise told to wait although there is more.
        while let Some(Some(item)) = tokio::task::unconstrained(self.watch.next()).now_or_never() {
            let events = item.unwrap();
            assert!(events.iter().all(|e| e.revision == events[0].revision), "an item is one revision");
            self.seen.extend(sorted(&events));
        }
    }

    fn check(&mut self, reference: &Reference) {
        self.drain();
        let expected = (self.after + 1..=reference.revision()).flat_map(|r| reference.events(r, self.prefix));
        assert_eq!(self.seen, expected.collect::<Vec<_>>(), "watch of {:?} after {}", self.prefix, self.after);
    }
}

fn check_reads(store: &Embedded, reference: &Reference, random: &mut Random, floor: Revision) {
    let at = floor + random.below(reference.revision() - floor + 1);
    let state = reference.at(at);
    let prefix = ["", "p", "p/", "q/", "pods/", "x"][random.below(6) as usize];
    let limit = [None, Some(random.below(6) as usize)][random.below(2) as usize];
    let after =
        [None, Some(format!("{prefix}{}", random.below(4))), Some("p/2".to_owned())][random.below(3) as usize].clone();
    let matching: Vec<_> = state
        .values()
        .filter(|v| v.key.starts_with(prefix) && after.as_deref().is_none_or(|after| &*v.key > after))
        .cloned()
        .collect();
    let wanted = limit.unwrap_or(usize::MAX).min(matching.len());
    let range = Range { prefix: prefix.to_owned(), after, limit };
    let page = store.range(&range, Some(at)).now_or_never().unwrap().unwrap();
    assert_eq!(page.items, matching[..wanted], "{range:?} at {at}");
    assert_eq!((page.remaining, page.revision), (matching.len() - wanted, at), "{range:?} at {at}");
    for name in ["p/0", "q/1", "pods/2", "none"] {
        let found = store.get(name, Some(at)).now_or_never().unwrap().unwrap();
        assert_eq!(found.as_ref(), state.get(name), "{name} at {at}");
    }
}

#[tokio::test]
async fn reads_watches_and_conflicts_are_as_in_the_reference_across_compactions_and_restarts() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let disk = SimFiles::new();
        let options = Options { segment_bytes: 32 * 1024, checkpoint_bytes: 32 * 1024, ..Options::default() };
        let mut store = Embedded::open_on(Arc::new(disk.clone()), options.clone()).unwrap();
        let (mut reference, mut floor) = (Reference::new(), 0);
        let mut watches = vec![Watching::new(&store, "", 0).await];
        for _ in 0..300 {
            let transaction = any_transaction(&mut random, &reference);
            match (store.commit(transaction.clone()).await, reference.commit(&transaction)) {
                (Ok(revision), Some(expected)) => assert_eq!(revision, expected, "seed {seed}"),
                (Err(Error::Conflict { key, current }), None) => {
                    assert_eq!(current.as_ref(), reference.at(reference.revision()).get(&*key), "seed {seed}");
                }
                (outcome, expected) => panic!("seed {seed}: {outcome:?} instead of {expected:?}"),
            }
            check_reads(&store, &reference, &mut random, floor);
            match random.below(40) {
                0 => {
                    floor += random.below(reference.revision() - floor + 1);
                    store.compact(floor).await.unwrap();
                    let before = store.get("p/0", Some(floor.saturating_sub(1))).await;
                    assert_eq!(matches!(before, Err(Error::Compacted { .. })), floor > 0, "seed {seed}");
                }
                1..=4 => {
                    let after = floor + random.below(reference.revision() - floor + 1);
                    let prefix = ["", "p", "p/", "pods/", "q/1", "x"][random.below(6) as usize];
                    watches.push(Watching::new(&store, prefix, after).await);
                }
                5 => watches.iter_mut().for_each(Watching::drain),
                6 => {
                    watches.drain(..).for_each(|mut watch| watch.check(&reference));
                    drop(store);
                    store = Embedded::open_on(Arc::new(disk.clone()), options.clone()).unwrap();
                }
                _ => {}
            }
        }
        watches.into_iter().for_each(|mut watch| watch.check(&reference));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_of_one_counter_lose_no_update_and_a_watcher_sees_each_once() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    store.commit(put("counter", "0")).await.unwrap();
    let mut watch = store.watch("counter", 1).await.unwrap();
    let writers = (0..WRITERS).map(|_| tokio::spawn(count_up(store.clone(), EACH)));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let counter = store.get("counter", None).await.unwrap().unwrap();
    assert_eq!(&counter.value[..], (WRITERS * EACH).to_string().as_bytes());
    for expected in 1..=WRITERS * EACH {
        let events = watch.next().await.unwrap().unwrap();
        assert_eq!(&events[0].current.as_ref().unwrap().value[..], expected.to_string().as_bytes());
        assert_eq!(events[0].revision, expected + 1);
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.syncs), (WRITERS * EACH + 1, stats.groups));
    assert!(stats.conflicts > 0, "the writers met: {stats:?}");
}

async fn count_up(store: Arc<Embedded>, times: u64) {
    for _ in 0..times {
        loop {
            let now = store.get("counter", None).await.unwrap().unwrap();
            let next = std::str::from_utf8(&now.value).unwrap().parse::<u64>().unwrap() + 1;
            let transaction = Transaction {
                expect: vec![Expect::Modified(key("counter"), now.modified)],
                writes: vec![Write::Put(key("counter"), next.to_string().into())],
            };
            match store.commit(transaction).await {
                Ok(_) => break,
                Err(Error::Conflict { current: Some(current), .. }) => {
                    assert!(current.modified > now.modified, "a conflict is about something newer");
                    let read = store.get("counter", None).await.unwrap().unwrap();
                    assert!(read.modified >= current.modified, "what a conflict tells of can be read");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn history_goes_by_itself_once_it_is_long_and_old() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { history_revisions: 100, history_age: Duration::ZERO, ..Options::default() };
    let store = Embedded::open_with(dir.path(), options).unwrap();
    for i in 0..300 {
        store.commit(put("a", i.to_string())).await.unwrap();
    }
    // The writer does it after it has answered.
    while store.get("a", Some(199)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(store.get("a", Some(200)).await.is_ok(), "the newest 100 revisions and what they replaced are kept");
}

#[tokio::test]
async fn young_history_stays_unless_it_takes_too_much_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { history_revisions: 1, history_bytes: 1 << 20, ..Options::default() };
    let store = Embedded::open_with(dir.path(), options).unwrap();
    for _ in 0..100 {
        store.commit(put("a", vec![0; 1000])).await.unwrap();
    }
    assert!(store.get("a", Some(1)).await.is_ok());
    for _ in 0..20 {
        store.commit(put("a", vec![0; 100_000])).await.unwrap();
    }
    while store.get("a", Some(100)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(store.get("a", None).await.unwrap().is_some());
}

#[tokio::test]
async fn a_commit_whose_caller_has_gone_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    for _ in 0..100 {
        let mut commit = store.commit(put("a", "1"));
        // Entered, or answered at once.
        let _ = futures::poll!(&mut commit);
        drop(commit);
    }
    let revision = store.commit(put("b", "1")).await.unwrap();
    assert_eq!(revision, 101, "entered is entered");
    assert!(store.get("b", None).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_begins_amid_writes_has_no_gap_and_no_duplicate() {
    const COMMITS: u64 = 2000;
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for i in 1..=COMMITS {
                store.commit(put("p/a", i.to_string())).await.unwrap();
            }
        }
    });
    let watchers = (0..40).map(|i| {
        let store = store.clone();
        tokio::spawn(async move {
            // Wherever the writer is by then.
            while store.revision().await.unwrap() < i * 20 {
                tokio::task::yield_now().await;
            }
            let after = if i % 2 == 0 { store.revision().await.unwrap() } else { i };
            let mut watch = store.watch("p/", after).await.unwrap();
            for expected in after + 1..=COMMITS {
                assert_eq!(watch.next().await.unwrap().unwrap()[0].revision, expected);
            }
        })
    });
    for task in watchers.collect::<Vec<_>>().into_iter().chain([writer]) {
        tokio::time::timeout(Duration::from_secs(20), task).await.expect("each watcher sees the end").unwrap();
    }
    assert_eq!(store.stats().watchers, 0, "who goes away is forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_is_told_has_been_handed_to_the_watchers() {
    const COMMITS: u64 = 2000;
    let store = Arc::new(Embedded::open_on(Arc::new(SimFiles::new()), Options::default()).unwrap());
    // Others who watch, so that handing out takes a moment.
    let mut others = Vec::new();
    for _ in 0..50 {
        others.push(store.watch("", 0).await.unwrap());
    }
    let mut watch = store.watch("", 0).await.unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..COMMITS {
                store.commit(put("a", "1")).await.unwrap();
            }
        }
    });
    let mut seen = 0;
    while seen < COMMITS {
        let told = store.revision().await.unwrap();
        while let Some(Some(item)) = tokio::task::unconstrained(watch.next()).now_or_never() {
            seen = item.unwrap()[0].revision;
        }
        assert!(seen >= told, "revision {told} was told, but only {seen} seen");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}
