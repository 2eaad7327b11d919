//! Stale UDP flows are forgotten, exactly those and no others (S-330, S-331), whatever the backend.
//!
//! To list a node's flows the kernel walks its whole table of connections, which takes it many milliseconds even where the
//! table is empty, and a table may hold 10⁵ of them. So all that is done on a thread of its own, and changes of Services
//! don't wait for it. What is stale is judged by the Model as it is when the list is there: once for all flows to one
//! destination with one endpoint, of which there are few. A flow is forgotten by its number, so that one which began
//! meanwhile stays.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use intent::{Intent, UdpFlow};
use kernel::conntrack::{Conntrack, ConntrackEntry};
use kernel::netlink::NetlinkError;
use model::Family;
use tokio::sync::mpsc;

/// The kernel's connection tracking, in the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Flows {
    jobs: Sender<Job>,
    answers: mpsc::UnboundedReceiver<(Family, Answer)>,
    lists: usize,
}

#[derive(Debug)]
enum Job {
    List(Family),
    Forget(Family, Vec<ConntrackEntry>),
}

/// What became of a job.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The flows of the family, or why they could not be listed.
    Listed(Result<Listed, NetlinkError>),
    /// Stale flows are gone, or why some are still there.
    Forgotten(Result<(), NetlinkError>),
}

/// The entries of the kernel's table by what they are judged by.
#[derive(Debug)]
pub(crate) struct Listed(HashMap<UdpFlow, Vec<ConntrackEntry>>);

impl Listed {
    fn of(entries: Vec<ConntrackEntry>) -> Listed {
        let mut by_flow = HashMap::<UdpFlow, Vec<ConntrackEntry>>::new();
        for entry in entries {
            let flow = UdpFlow { destination: entry.original.destination, answered_by: entry.reply.source };
            by_flow.entry(flow).or_default().push(entry);
        }
        Listed(by_flow)
    }

    /// The entries of stale flows.
    pub(crate) fn stale(self, intent: &Intent) -> Vec<ConntrackEntry> {
        self.0.into_iter().filter(|(flow, _)| intent.is_stale(flow)).flat_map(|(_, entries)| entries).collect()
    }
}

impl Flows {
    /// Its thread ends when this is dropped. Fails if the kernel has no connection tracking for us, or the process may
    /// not start a thread.
    pub(crate) fn open() -> io::Result<Flows> {
        let socket = Conntrack::open().map_err(io::Error::other)?;
        let (jobs, received) = channel();
        let (answer, answers) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("proxy-flows".to_owned());
        thread.spawn(move || work(socket, &received, &answer))?;
        Ok(Flows { jobs, answers, lists: 0 })
    }

    /// Asks for the flows of a family; [`Flows::answer`] has them later.
    pub(crate) fn list(&mut self, family: Family) {
        self.lists += 1;
        self.send(Job::List(family));
    }

    /// How many lists were asked for.
    pub(crate) fn lists(&self) -> usize {
        self.lists
    }

    /// Has these forgotten; [`Flows::answer`] says later whether they are.
    pub(crate) fn forget(&self, family: Family, stale: Vec<ConntrackEntry>) {
        self.send(Job::Forget(family, stale));
    }

    /// What became of the oldest job that is not answered yet. `None` if the thread is gone.
    pub(crate) async fn answer(&mut self) -> Option<(Family, Answer)> {
        self.answers.recv().await
    }

    /// That the thread is gone is for [`Flows::answer`] to say.
    fn send(&self, job: Job) {
        let _ = self.jobs.send(job);
    }
}

/// Does one job after the other.
fn work(mut socket: Conntrack, jobs: &Receiver<Job>, answer: &mpsc::UnboundedSender<(Family, Answer)>) {
    for job in jobs {
        let answered = match job {
            Job::List(family) => {
                let entries = socket.udp_entries(family == Family::V6);
                answer.send((family, Answer::Listed(entries.map(Listed::of))))
            }
            Job::Forget(family, stale) => {
                let forgotten = socket.delete(&stale);
                tracing::debug!(?family, stale = stale.len(), ?forgotten, "stale UDP flows");
                answer.send((family, Answer::Forgotten(forgotten.map(drop))))
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::conntrack::Tuple;

    use super::*;

    #[test]
    fn s330_flows_that_are_judged_alike_are_judged_once() {
        let entry = |client: &str, to: &str, server: &str| {
            let [client, to, server] = [client, to, server].map(|text| text.parse().expect("an address"));
            let (original, reply) =
                (Tuple { source: client, destination: to }, Tuple { source: server, destination: client });
            ConntrackEntry { original, reply, zone: 0, id: 1 }
        };
        let entries = vec![
            entry("10.0.0.1:1000", "10.96.0.10:53", "10.244.0.2:53"),
            entry("10.0.0.1:1001", "10.96.0.10:53", "10.244.0.2:53"),
            entry("10.0.0.1:1002", "10.96.0.10:53", "10.244.0.3:53"),
            entry("10.0.0.1:1003", "10.96.0.11:53", "10.244.0.2:53"),
        ];
        let listed = Listed::of(entries);
        let mut sizes: Vec<usize> = listed.0.values().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 2]);
    }
}
