//! Durable writes through the store's own interface, against a bare loop of `fdatasync` on the same disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use store::{Embedded, Store, Transaction, Write};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::etcd::Etcd;
use crate::effort::Effort;
use crate::machine;
use crate::protocol::{Slice, Summary};
use crate::report::{Report, Row, figure};

/// A Service or an EndpointSlice of a few endpoints is about as long.
pub(super) const VALUE_BYTES: usize = 2_300;
/// So many keys are written, in turn.
pub(super) const KEYS: u64 = 1_000;
/// Clients that write at the same time.
const MANY: usize = 256;
/// What the bare loop writes to: large enough that no block is written twice in a short time.
const FILE_BYTES: u64 = 64 << 20;
/// What a disk writes whole.
const SECTOR: usize = 512;

/// Who makes values durable.
enum Variant {
    Bare(Bare),
    /// So many clients of the embedded store.
    Store(Arc<Embedded>, usize),
    Etcd(Etcd, usize),
}

pub(super) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(&effort.scratch).context("make a directory for the stores")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let open = |name: &str| Embedded::open(&place.path().join(name)).map(Arc::new);
    let mut variants = vec![
        Variant::Bare(Bare::new(&place.path().join("bare"))?),
        Variant::Store(open("one")?, 1),
        Variant::Store(open("many")?, MANY),
    ];
    if let Some(etcd) = Etcd::start(&place.path().join("etcd"))? {
        variants.push(Variant::Etcd(etcd, MANY));
    }
    let mut keys = 0;
    let summaries =
        effort.interleave(effort.rounds, &mut variants, |variant| variant.turn(effort, &runtime, &mut keys))?;
    add(report, &summaries);
    Ok(())
}

fn add(report: &mut Report, summaries: &[Summary]) {
    let [bare, one, many] = [0, 1, 2].map(|at| summaries[at]);
    let row = Row::new("store_one_client_p50", one.p50_us / bare.p50_us, "× fdatasync");
    let against = format!("{} to {} µs", figure(one.p50_us), figure(bare.p50_us));
    report.add(row.against(against).at_most("M11", 1.2));
    let against = |summary: &Summary| format!("bare fdatasync loop: {} /s", figure(summary.rate));
    report.add(Row::new("store_one_client_writes", one.rate, "/s").against(against(&bare)));
    report.add(Row::new(format!("store_{MANY}_clients_writes"), many.rate, "/s").against(against(&bare)));
    let name = format!("store_{MANY}_clients_to_etcd");
    report.add(match summaries.get(3) {
        // Its own client is not to be had from packages, so this says less than M11 asks.
        Some(etcd) => Row::new(name, many.rate / etcd.rate, "× etcd")
            .against(format!("etcd through its JSON gateway: {} /s", figure(etcd.rate))),
        None => Row::missing(name, "× etcd", "no etcd").at_least("M11", 5.0),
    });
}

impl Variant {
    fn turn(&mut self, effort: &Effort, runtime: &Runtime, keys: &mut u64) -> anyhow::Result<Slice> {
        let (busy, started) = (machine::busy(), Instant::now());
        let end = started + effort.slice;
        let slice = match self {
            Variant::Bare(bare) => bare.turn(end)?,
            Variant::Store(store, clients) => runtime.block_on(commit_until(store, *clients, end, keys))?,
            Variant::Etcd(etcd, clients) => etcd.turn(*clients, end)?,
        };
        Ok(Slice { elapsed: started.elapsed(), busy: machine::busy().saturating_sub(busy), ..slice })
    }
}

/// The least that a durable write takes: bytes into a file that has its blocks already, and one `fdatasync`.
struct Bare {
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Bare {
    fn new(path: &Path) -> anyhow::Result<Bare> {
        let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
        file.write_all_at(&vec![0; FILE_BYTES as usize], 0)?;
        file.sync_all()?;
        // The store writes whole sectors, too.
        Ok(Bare { file, at: 0, bytes: vec![b'x'; VALUE_BYTES.next_multiple_of(SECTOR)] })
    }

    fn turn(&mut self, end: Instant) -> anyhow::Result<Slice> {
        let mut slice = Slice::default();
        while Instant::now() < end {
            let started = Instant::now();
            self.file.write_all_at(&self.bytes, self.at)?;
            self.file.sync_data()?;
            slice.latencies.push(started.elapsed());
            slice.operations += 1;
            let next = self.at + self.bytes.len() as u64;
            self.at = if next + self.bytes.len() as u64 > FILE_BYTES { 0 } else { next };
        }
        Ok(slice)
    }
}

/// So many clients write one value after the other.
async fn commit_until(store: &Arc<Embedded>, clients: usize, end: Instant, keys: &mut u64) -> anyhow::Result<Slice> {
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (store, first) = (Arc::clone(store), *keys + client as u64);
        running.spawn(async move {
            let mut slice = Slice::default();
            while Instant::now() < end {
                let started = Instant::now();
                store.commit(put(first + slice.operations * clients as u64)).await?;
                slice.latencies.push(started.elapsed());
                slice.operations += 1;
            }
            Ok::<_, store::Error>(slice)
        });
    }
    let mut all = Slice::default();
    while let Some(ended) = running.join_next().await {
        let slice = ended.context("a client panicked")??;
        all.operations += slice.operations;
        all.latencies.extend(slice.latencies);
    }
    *keys += all.operations;
    Ok(all)
}

fn put(number: u64) -> Transaction {
    let value = vec![b'x'; VALUE_BYTES];
    Transaction { expect: Vec::new(), writes: vec![Write::Put(key(number).into(), value.into())] }
}

/// The key of a write.
pub(super) fn key(number: u64) -> String {
    format!("/registry/services/default/s{}", number % KEYS)
}
