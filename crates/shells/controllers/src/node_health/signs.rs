//! The Leases of nodes: their signs of life.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use api::Lease;
use cluster::{Change, Cluster, Selection, reflect};
use jiff::Timestamp;
use runloop::Wake;
use tokio::task::JoinSet;

use crate::marks::Marks;
use crate::start::Clock;

/// Where nodes' Leases live.
pub(super) const LEASES: &str = "kube-node-lease";

/// The Leases of nodes, and when each was seen. A plain lock: held for single look-ups.
#[derive(Clone, Default)]
pub(crate) struct Signs {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) by_node: HashMap<String, (Arc<Lease>, Timestamp)>,
    /// Nodes whose renewal is news.
    pub(super) lost: HashSet<String>,
    pub(super) synced: bool,
}

impl Signs {
    /// Follows the Leases in a task of its own.
    pub(crate) fn follow(
        tasks: &mut JoinSet<()>,
        cluster: &Cluster,
        (wake, marks): (&Wake, &Marks),
        now: Clock,
    ) -> Signs {
        let signs = Signs::default();
        let selection = Selection { namespace: LEASES.to_owned(), ..Selection::default() };
        let mut changes = reflect::<Lease>(cluster, selection);
        let (book, wake, marks) = (signs.clone(), wake.clone(), marks.clone());
        tasks.spawn(async move {
            while let Some(change) = changes.recv().await {
                if book.note(change, now(), &marks) {
                    wake.wake();
                }
            }
        });
        signs
    }

    /// Takes in a change; is it news to the loop?
    pub(super) fn note(&self, change: Change<Lease>, now: Timestamp, marks: &Marks) -> bool {
        let mut seen = self.held();
        match change {
            Change::Set(lease) => {
                let name = lease.metadata.name.clone();
                let news = seen.lost.contains(&name);
                if news {
                    marks.add(&name);
                }
                seen.by_node.insert(name, (lease, now));
                news && seen.synced
            }
            Change::Gone(lease) => {
                seen.by_node.remove(&lease.metadata.name);
                false
            }
            Change::Synced => {
                seen.synced = true;
                true
            }
        }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder of this lock panics")
    }
}
