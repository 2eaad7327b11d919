//! Finding out what the last agent left running.

use std::time::Duration;

use jiff::Timestamp;
use pods::{Found, Input, Sandbox, UNANSWERED};

use super::client::Client;
use super::{Task, pause_until};
use crate::parent::protocol::Known;

impl Task {
    /// What has become of the Pod since its state was kept. A parent process that does not answer is waited for, because only it
    /// can stop what runs and say how it ended. Where it does not do so by the time that the Pod must be gone, it counts as
    /// lost, and is ended with all that runs.
    pub(super) async fn adopt(&mut self) -> Input {
        match self.state.sandbox {
            _ if self.plan().fixed_addresses().is_some() => return Input::Tick,
            // Nothing was started in it yet, and its addresses are not known.
            Sandbox::Requested => return Input::Lost,
            Sandbox::Ready => {}
            Sandbox::Absent | Sandbox::Retry(_) | Sandbox::Released | Sandbox::Removed => return Input::Tick,
        }
        self.connections += 1;
        let (dir, inbox) = (self.files.dir.clone(), self.inbox.clone());
        let mut adopting = std::pin::pin!(Client::adopt(&dir, self.connections, &inbox));
        // What was to be gone while no agent was here gets an answer's time from now.
        let mut gone_by = self.state.deletion.map(|deadline| deadline.max(Timestamp::now()));
        let mut deletion = self.deletion();
        let adopted = loop {
            if let Some(Input::Delete { grace_s }) = deletion.take() {
                let deadline = pods::deadline(Timestamp::now(), grace_s);
                gone_by = Some(gone_by.map_or(deadline, |before| before.min(deadline)));
            }
            let pause = gone_by.map_or(Duration::MAX, |deadline| pause_until(deadline + UNANSWERED));
            tokio::select! {
                adopted = &mut adopting => break adopted,
                Ok(()) = self.told.changed() => deletion = self.heed(),
                () = tokio::time::sleep(pause) => {
                    tracing::warn!(
                        pod = self.object.metadata.key(),
                        "a Pod's parent process did not answer by the time that the Pod was to be gone; it is ended"
                    );
                    break None;
                }
            }
        };
        let Some((client, containers)) = adopted else { return Input::Lost };
        self.client = Some(client);
        Input::Adopted(containers.into_iter().filter_map(|known| self.found(known)).collect())
    }

    fn found(&self, known: Known) -> Option<Found> {
        let Known { container, attempt, started, ended, .. } = known;
        Some(Found { container: self.place(&container)?, attempt, started, ended })
    }
}
