//! Finding out what the last agent left running.

use pods::{Found, Input, Sandbox};

use super::Task;
use super::client::Client;
use crate::parent::protocol::Known;

impl Task {
    /// What has become of the Pod since its state was kept. A parent process that does not answer is waited for; what the API
    /// says meanwhile is heard, and a deletion is done about afterwards, because only the parent can end what runs.
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
        let adopted = loop {
            tokio::select! {
                adopted = &mut adopting => break adopted,
                Ok(()) = self.told.changed() => drop(self.heed()),
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
