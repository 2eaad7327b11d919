//! The nftables backend: `nft`'s plans and images over the kernel's netlink socket.

mod apart;
#[cfg(test)]
mod tests;

use kernel::netlink::Counters;
use kernel::nfnetlink::{BatchError, NfSocket, NftablesWatch};
use model::{Change, Family, Model};
use nft::{Image, Options, Plan, State, Subject};

use crate::{Applied, Dataplane, DataplaneError, ForeignWatch, Unserved};

/// nftables in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Nftables {
    socket: NfSocket,
    /// The most bytes of one transaction.
    bytes_max: Option<usize>,
    /// IPv4, IPv6.
    tables: [Table; 2],
    /// A mistake that a test plants in what is sent, so that the kernel refuses it.
    #[cfg(test)]
    spoil: Option<fn(&mut [u8])>,
}

/// One family's table.
#[derive(Debug, Default)]
struct Table {
    /// What it holds, once it has been observed.
    image: Option<Image>,
    /// At which generation of the ruleset that was, until the first `apply` after it: anybody's later commits are no
    /// business of an increment.
    read_at: Option<u32>,
    /// A set turned out to be full, so the table is to be written anew.
    outgrown: bool,
}

/// A transaction that the kernel did not carry out.
#[derive(Debug)]
struct Refusal {
    /// The step that it refused, if it named one.
    step: Option<String>,
    /// How many transactions of the same Plan went before; they stand.
    sent: usize,
    source: BatchError,
}

impl Nftables {
    /// Opens a socket in the caller's network namespace.
    pub fn open() -> Result<Nftables, DataplaneError> {
        let unreachable = |source| {
            DataplaneError::new(
                "nftables cannot be reached: the kernel needs nf_tables, the process CAP_NET_ADMIN",
                source,
            )
        };
        let mut socket = NfSocket::open().map_err(unreachable)?;
        // Anybody may have a socket; only an answer shows that the kernel and the process have what it takes.
        socket.generation().map_err(unreachable)?;
        let bytes_max =
            socket.batch_bytes_max().map_err(|source| DataplaneError::new("ask for a send buffer", source))?;
        Ok(Nftables {
            socket,
            bytes_max,
            tables: Default::default(),
            #[cfg(test)]
            spoil: None,
        })
    }

    /// What went over its socket so far, requests to read among it.
    pub fn counters(&self) -> Counters {
        self.socket.counters()
    }

    /// The steps from what the kernel holds now to this Model. Reads only.
    pub fn plan(&mut self, model: &Model) -> Result<Plan, DataplaneError> {
        let image = self.read(model.family)?;
        image.name_pools(model);
        Ok(nft::plan(&Change::between(&image.model(), model), image))
    }

    fn read(&mut self, family: Family) -> Result<&mut Image, DataplaneError> {
        let read = self.socket.dump_all(&nft::requests(family));
        let (generation, dumps) = read.map_err(|source| DataplaneError::new("read the table `maitred`", source))?;
        let image = nft::observe(family, &dumps);
        let table = &mut self.tables[family.index()];
        table.read_at = Some(generation);
        let outgrown = table.outgrown && *image.state() == State::Ours;
        Ok(table.image.insert(if outgrown { Image::outgrown(family) } else { image }))
    }

    /// Carries out a change of a table that has been read.
    fn write(&mut self, family: Family, change: &Change) -> Result<Applied, Refusal> {
        const READ: &str = "a table is read before it is written";
        let plan = nft::plan(change, self.tables[family.index()].image.as_ref().expect(READ));
        let applied = self.send(&plan)?;
        self.tables[family.index()].image.as_mut().expect(READ).apply(&plan);
        Ok(Applied { unserved: unserved(&plan), ..applied })
    }

    fn send(&mut self, plan: &Plan) -> Result<Applied, Refusal> {
        if plan.is_empty() {
            return Ok(Applied::default());
        }
        let generation = self.tables[plan.family().index()].read_at.take();
        let batches = nft::encode(&[plan], &Options { bytes_max: self.bytes_max, generation });
        #[cfg(test)]
        let batches = tests::spoiled(batches, self.spoil);
        for (sent, batch) in batches.iter().enumerate() {
            if let Err(source) = self.socket.send_batch(&batch.bytes) {
                if sent == 0 {
                    self.tables[plan.family().index()].read_at = generation;
                }
                let step = source.message.and_then(|message| batch.steps.get(message));
                let step = step.and_then(|(_, step)| plan.step_text(*step));
                return Err(Refusal { step, sent, source });
            }
            // The other table was read before this made a new generation.
            for table in &mut self.tables {
                table.read_at = table.read_at.map(|generation| generation.wrapping_add(1));
            }
        }
        let written = nft::statistics(&[plan], &batches);
        Ok(Applied { messages: written.messages, bytes: written.bytes, unserved: Vec::new() })
    }
}

impl Dataplane for Nftables {
    fn observe_family(&mut self, family: Family) -> Result<Model, DataplaneError> {
        self.read(family).map(|image| image.model())
    }

    fn recognize(&mut self, model: &Model) {
        if let Some(image) = &mut self.tables[model.family.index()].image {
            image.name_pools(model);
        }
    }

    fn apply(&mut self, family: Family, change: &Change) -> Result<Applied, DataplaneError> {
        if self.tables[family.index()].image.is_none() {
            self.read(family)?;
        }
        // A refusal may also mean that the Image is no longer true, but not right after it was read.
        let fresh = self.tables[family.index()].read_at.is_some();
        let result = match self.write(family, change) {
            Err(refusal) if fresh && refusal.may_be_one_frontends() => self.write_apart(family, change),
            result => result,
        };
        let table = &mut self.tables[family.index()];
        match &result {
            Ok(_) => {
                // Also where nothing was to be written: whoever commits from now on changes nothing of ours.
                table.read_at = None;
                table.outgrown = false;
            }
            Err(refusal) => {
                table.image = None;
                table.outgrown |= refusal.is_full();
            }
        }
        result.map_err(Refusal::into_error)
    }

    fn watch(&self) -> Result<Option<ForeignWatch>, DataplaneError> {
        let mut watch = NftablesWatch::open("maitred")
            .map_err(|source| DataplaneError::new("listen for foreign changes", source))?;
        let own = [self.socket.port().map_err(|source| DataplaneError::new("ask for the socket's port", source))?];
        Ok(Some(Box::new(move |timeout| {
            watch.changed_by_others(&own, timeout).unwrap_or_else(|_| {
                // The periodic repair is left.
                std::thread::sleep(timeout);
                false
            })
        })))
    }

    /// A family that fails does not keep the other's table.
    fn cleanup(&mut self) -> Result<(), DataplaneError> {
        let removed = Family::ALL.map(|family| {
            let plan = nft::cleanup(self.read(family)?);
            self.tables[family.index()].image = None;
            self.send(&plan).map(drop).map_err(Refusal::into_error)
        });
        removed.into_iter().collect()
    }
}

impl Refusal {
    /// Whether a set has no room. The kernel was asked to give it some, but Linux before 6.5 doesn't, and says so only
    /// now.
    fn is_full(&self) -> bool {
        const ENFILE: i32 = 23;
        self.source.source.errno() == Some(ENFILE)
    }

    fn into_error(self) -> DataplaneError {
        if self.is_full() {
            return DataplaneError::new(
                "a set is full, and Linux before 6.5 gives it no more room: write the table anew",
                self.source,
            );
        }
        let text = self.step.as_deref().and_then(|text| text.lines().next()).unwrap_or("a transaction").to_owned();
        let outdated = self.source.source.is_stale_generation();
        DataplaneError { outdated, ..DataplaneError::new(format!("program `{text}`"), self.source) }
    }
}

/// What a Plan leaves out.
fn unserved(plan: &Plan) -> Vec<Unserved> {
    let told = plan.report.iter().map(|problem| Unserved {
        frontend: match problem.subject {
            Subject::Frontend(frontend) => Some(frontend),
            _ => None,
        },
        why: problem.to_string(),
    });
    told.collect()
}
