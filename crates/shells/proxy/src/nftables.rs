//! The nftables backend: `nft`'s plans and images over the kernel's netlink socket.

use kernel::nfnetlink::{NfSocket, NftablesWatch};
use model::{Change, Family, Model};
use nft::{Image, Options, Plan, Subject};

use crate::{Applied, Dataplane, DataplaneError, ForeignWatch};

/// nftables in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Nftables {
    socket: NfSocket,
    /// The most bytes of one transaction.
    bytes_max: Option<usize>,
    /// What each family's table holds, once it has been observed.
    images: Option<[Image; 2]>,
    /// At which generation it was observed, for the first write after that.
    generation: Option<u32>,
}

impl Nftables {
    /// Opens a socket in the caller's network namespace.
    pub fn open() -> Result<Nftables, DataplaneError> {
        let socket = NfSocket::open().map_err(|source| {
            failed("nftables cannot be reached: the kernel needs nf_tables, the process CAP_NET_ADMIN", source)
        })?;
        let bytes_max = socket.batch_bytes_max().map_err(|source| failed("ask for a send buffer", source))?;
        Ok(Nftables { socket, bytes_max, images: None, generation: None })
    }

    fn read(&mut self) -> Result<&mut [Image; 2], DataplaneError> {
        let requests: Vec<Vec<u8>> = Family::ALL.into_iter().flat_map(nft::requests).collect();
        let (generation, dumps) =
            self.socket.dump_all(&requests).map_err(|source| failed("read the tables `maitred`", source))?;
        let (v4, v6) = dumps.split_at(dumps.len() / 2);
        self.generation = Some(generation);
        Ok(self.images.insert([nft::observe(Family::V4, v4), nft::observe(Family::V6, v6)]))
    }

    /// Sends both families' Plans, in one transaction where the kernel's buffer allows it.
    fn send(&mut self, plans: &[Plan; 2]) -> Result<Applied, DataplaneError> {
        // It guards the read before this write only; anybody's later commits are no business of an increment.
        let generation = self.generation.take();
        let plans: Vec<&Plan> = plans.iter().filter(|plan| !plan.is_empty()).collect();
        if plans.is_empty() {
            return Ok(Applied::default());
        }
        let options = Options { bytes_max: self.bytes_max, generation };
        let batches = nft::encode(&plans, &options);
        for batch in &batches {
            self.socket.send_batch(&batch.bytes).map_err(|source| {
                let step = source.message.and_then(|message| batch.steps.get(message));
                let text = step.and_then(|(plan, step)| plans[*plan].step_text(*step));
                let first_line = text.as_deref().and_then(|text| text.lines().next()).unwrap_or("a transaction");
                failed(&format!("program `{first_line}`"), source)
            })?;
        }
        let written = nft::statistics(&plans, &batches);
        Ok(Applied { messages: written.messages, bytes: written.bytes, unserved: Vec::new() })
    }
}

impl Dataplane for Nftables {
    fn observe(&mut self) -> Result<[Model; 2], DataplaneError> {
        Ok(self.read()?.each_ref().map(Image::model))
    }

    fn recognize(&mut self, models: [&Model; 2]) {
        for (image, model) in self.images.iter_mut().flatten().zip(models) {
            image.name_pools(model);
        }
    }

    fn apply(&mut self, changes: &[Change; 2]) -> Result<Applied, DataplaneError> {
        if self.images.is_none() {
            self.read()?;
        }
        let images = self.images.as_ref().expect("they were just read");
        let plans = [nft::plan(&changes[0], &images[0]), nft::plan(&changes[1], &images[1])];
        let sent = self.send(&plans);
        let Some(images) = self.images.as_mut().filter(|_| sent.is_ok()) else {
            self.images = None;
            return sent;
        };
        for (image, plan) in images.iter_mut().zip(&plans) {
            image.apply(plan);
        }
        let unserved = plans.iter().flat_map(|plan| &plan.report).map(|problem| {
            let frontend = match problem.subject {
                Subject::Frontend(frontend) => Some(frontend),
                _ => None,
            };
            (frontend, problem.to_string())
        });
        sent.map(|applied| Applied { unserved: unserved.collect(), ..applied })
    }

    fn watch(&self) -> Result<Option<ForeignWatch>, DataplaneError> {
        let mut watch =
            NftablesWatch::open("maitred").map_err(|source| failed("listen for foreign changes", source))?;
        let own = [self.socket.port().map_err(|source| failed("ask for the socket's port", source))?];
        Ok(Some(Box::new(move |timeout| {
            watch.changed_by_others(&own, timeout).unwrap_or_else(|_| {
                // The periodic repair is left.
                std::thread::sleep(timeout);
                false
            })
        })))
    }

    fn cleanup(&mut self) -> Result<(), DataplaneError> {
        let images = self.read()?;
        let plans = images.each_ref().map(nft::cleanup);
        self.send(&plans)?;
        self.images = None;
        Ok(())
    }
}

fn failed(action: &str, source: impl std::error::Error + Send + Sync + 'static) -> DataplaneError {
    DataplaneError { action: action.to_owned(), source: Box::new(source) }
}
