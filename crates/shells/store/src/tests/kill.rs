//! SIGKILL at random moments, with real files: a child process writes and reports what was acknowledged, the parent
//! kills it, opens the store and looks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use super::key;
use crate::simulated::Random;
use crate::{Embedded, Options, Revision, Store, Transaction, Write};

const ROUNDS: u64 = 200;
const WRITERS: u64 = 4;
/// Names the store's directory to a child.
const CHILD: &str = "STORE_TEST_CHILD";
const NAME: &str = "tests::kill::what_was_acknowledged_survives_200_kills_under_load";

/// Small, so that segments end and snapshots are written all the time.
fn options() -> Options {
    Options {
        history_revisions: 50,
        history_age: Duration::ZERO,
        segment_bytes: 32 * 1024,
        checkpoint_bytes: 32 * 1024,
        ..Options::default()
    }
}

/// What a writer's newest acknowledged transaction wrote, and its revision.
type Acknowledged = BTreeMap<u64, (u64, Revision)>;

#[test]
fn what_was_acknowledged_survives_200_kills_under_load() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&dir));
    }
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut reports) = (Acknowledged::new(), 0);
    for round in 0..ROUNDS {
        let before = acknowledged.clone();
        reports += live_and_die(dir.path(), &mut random, &mut acknowledged);
        check(dir.path(), &acknowledged).unwrap_or_else(|e| panic!("seed {seed}, round {round}: {e} ({before:?})"));
    }
    assert!(reports > ROUNDS * 10, "only {reports} writes were acknowledged in {ROUNDS} rounds");
}

/// One child: started, killed at a random moment. Returns how many writes it reported.
fn live_and_die(dir: &Path, random: &mut Random, acknowledged: &mut Acknowledged) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, reports) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Takes the pipe's last lines too, after the child's death.
    let reader =
        std::thread::spawn(move || lines.map_while(Result::ok).filter_map(parse).for_each(|r| sender.send(r).unwrap()));
    let mut count = 0;
    let mut note = |(writer, number, revision)| {
        acknowledged.insert(writer, (number, revision));
        count += 1;
    };
    // Some die while they open the store, most under load.
    if random.below(8) != 0 {
        note(reports.recv_timeout(Duration::from_secs(20)).expect("a child writes"));
    }
    std::thread::sleep(Duration::from_micros(random.below(25_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    reports.try_iter().for_each(note);
    count
}

/// A whole line "ack WRITER NUMBER REVISION."
fn parse(line: String) -> Option<(u64, u64, Revision)> {
    let mut words = line.strip_prefix("ack ")?.strip_suffix('.')?.split(' ').map(|word| word.parse().unwrap());
    Some((words.next()?, words.next()?, words.next()?))
}

fn write_until_killed(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let store = Arc::new(Embedded::open_with(dir, options()).unwrap());
    runtime.block_on(async {
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer)));
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

/// Each transaction writes the next number under two keys, and a third key if the number is even.
async fn write(store: Arc<Embedded>, writer: u64) {
    let [a, b, even] = ["a", "b", "even"].map(|name| key(&format!("{writer}/{name}")));
    let mut number = number_of(&store, &a).await.map_or(0, |(number, _)| number);
    // Far more than a child lives to write; an orphan must not run for ever.
    for _ in 0..100_000 {
        number += 1;
        // Of very different lengths, several sectors at times.
        let value = format!("{number} {}", "x".repeat((number * number % 3000) as usize));
        let writes = vec![
            Write::Put(a.clone(), value.clone().into()),
            Write::Put(b.clone(), value.clone().into()),
            if number % 2 == 0 { Write::Put(even.clone(), value.into()) } else { Write::Delete(even.clone()) },
        ];
        let revision = store.commit(Transaction { expect: Vec::new(), writes }).await.unwrap();
        let report = format!("ack {writer} {number} {revision}.\n");
        std::io::stdout().lock().write_all(report.as_bytes()).unwrap();
    }
}

async fn number_of(store: &Embedded, key: &str) -> Option<(u64, Revision)> {
    let found = store.get(key, None).await.unwrap()?;
    let text = std::str::from_utf8(&found.value).unwrap();
    Some((text.split(' ').next().unwrap().parse().unwrap(), found.modified))
}

#[tokio::main(flavor = "current_thread")]
async fn check(dir: &Path, acknowledged: &Acknowledged) -> Result<(), String> {
    let store = Embedded::open_with(dir, options()).map_err(|e| e.to_string())?;
    let newest = store.revision().await.unwrap();
    for (writer, &(number, revision)) in acknowledged {
        let found = number_of(&store, &format!("{writer}/a")).await;
        // One more may have been durable before its writer heard of it, or before we did.
        let kept = found.is_some_and(|(n, r)| (n, r) == (number, revision) || n > number && r > revision);
        if !kept || newest < revision {
            return Err(format!("writer {writer} has {found:?} after {number} was acknowledged at {revision}"));
        }
    }
    for writer in 0..WRITERS {
        let a = number_of(&store, &format!("{writer}/a")).await;
        let b = number_of(&store, &format!("{writer}/b")).await;
        let even = number_of(&store, &format!("{writer}/even")).await;
        if a != b || even != a.filter(|(number, _)| number % 2 == 0) {
            return Err(format!("writer {writer} has half a transaction: {a:?}, {b:?}, {even:?}"));
        }
    }
    let next = store.commit(super::put("check", "1")).await.map_err(|e| e.to_string())?;
    if next != newest + 1 { Err(format!("revision {next} after {newest}")) } else { Ok(()) }
}
