//! Stale UDP flows are forgotten, exactly those and no others (S-330, S-331), whatever the backend.
//!
//! To list a node's flows the kernel walks its whole table of connections, which takes it many milliseconds even where the
//! table is empty. So that is done on a thread of its own, and changes of Services don't wait for it. What is stale is
//! judged by the Model as it is when the list is there, and a flow is forgotten by its number, so that one which began
//! meanwhile stays.

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
    answers: mpsc::UnboundedReceiver<Answer>,
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
    /// The flows of a family, or why they could not be listed.
    Listed(Family, Result<Vec<ConntrackEntry>, NetlinkError>),
    /// Stale flows are still there. A list that was asked for since holds them.
    NotForgotten(Family, NetlinkError),
}

impl Flows {
    /// Its thread ends when this is dropped.
    pub(crate) fn open() -> Result<Flows, NetlinkError> {
        let socket = Conntrack::open()?;
        let (jobs, received) = channel();
        let (answer, answers) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("proxy-flows".to_owned());
        thread.spawn(move || work(socket, &received, &answer)).expect("the process may start a thread");
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

    /// The next list, or failure. `None` if the thread is gone.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }

    /// Has those of these flows forgotten that are stale.
    pub(crate) fn forget_stale(&self, intent: &Intent, family: Family, entries: &[ConntrackEntry]) {
        let flows: Vec<UdpFlow> = entries.iter().map(flow).collect();
        let stale: Vec<ConntrackEntry> = intent.stale(&flows).into_iter().map(|at| entries[at]).collect();
        if !stale.is_empty() {
            self.send(Job::Forget(family, stale));
        }
    }

    /// That the thread is gone is for [`Flows::answer`] to say.
    fn send(&self, job: Job) {
        let _ = self.jobs.send(job);
    }
}

/// Does one job after the other.
fn work(mut socket: Conntrack, jobs: &Receiver<Job>, answer: &mpsc::UnboundedSender<Answer>) {
    for job in jobs {
        let told = match job {
            Job::List(family) => Some(Answer::Listed(family, socket.udp_entries(family == Family::V6))),
            Job::Forget(family, stale) => match socket.delete(&stale) {
                Ok(forgotten) => {
                    tracing::debug!(?family, forgotten, "stale UDP flows");
                    None
                }
                Err(error) => Some(Answer::NotForgotten(family, error)),
            },
        };
        if told.is_some_and(|told| answer.send(told).is_err()) {
            return;
        }
    }
}

fn flow(entry: &ConntrackEntry) -> UdpFlow {
    UdpFlow { destination: entry.original.destination, answered_by: entry.reply.source }
}
