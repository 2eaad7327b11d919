//! Names that are not ours: asked from the upstreams, for those who may (S-408, S-423).

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use zone::{Client, Name, Rcode, Transport};

use crate::config::Config;
use crate::live::Live;
use crate::upstream::Upstreams;

/// What the upstreams are asked for.
pub(crate) enum Outside {
    /// The client's own query.
    Query,
    /// The target of an alias in our zone.
    Alias(Name),
}

/// Asks upstreams on a runtime of its own.
pub(crate) struct Forwarder {
    live: Arc<Live>,
    recursion: Vec<IpNet>,
    upstreams: Arc<Upstreams>,
    /// A permit per waiting query.
    room: Arc<Semaphore>,
    runtime: Handle,
    random: Arc<Random>,
}

impl Forwarder {
    pub fn new(config: &Config, live: Arc<Live>, runtime: Handle) -> Arc<Forwarder> {
        let random = Arc::new(Random::default());
        Arc::new(Forwarder {
            live,
            recursion: if config.upstreams.is_empty() { Vec::new() } else { config.recursion.clone() },
            upstreams: Upstreams::new(config, random.clone()),
            room: Arc::new(Semaphore::new(config.forward_max)),
            runtime,
            random,
        })
    }

    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// A number that nobody outside can guess.
    pub fn random(&self) -> u64 {
        self.random.next()
    }

    /// Who asks, and whether for other names too.
    pub fn client(&self, peer: IpAddr, transport: Transport) -> Client {
        Client { transport, may_recurse: self.recursion.iter().any(|range| range.contains(&peer)) }
    }

    /// Starts to ask and returns whether it did; `send` gets the reply then. If too many wait already, `refusal` is
    /// what to send instead.
    pub fn start(
        self: &Arc<Self>,
        query: &[u8],
        client: Client,
        outside: Outside,
        send: impl FnOnce(Vec<u8>) + Send + 'static,
        refusal: &mut Vec<u8>,
    ) -> bool {
        let Some(reply) = self.ask(query, client, outside, refusal) else { return false };
        self.runtime.spawn(async move { send(reply.await) });
        true
    }

    /// The reply in the making, or nothing if too many wait already.
    pub fn ask(
        self: &Arc<Self>,
        query: &[u8],
        client: Client,
        outside: Outside,
        refusal: &mut Vec<u8>,
    ) -> Option<impl Future<Output = Vec<u8>> + Send + use<>> {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            let config = zone::Lookup::config(self.live.as_ref());
            zone::failure(query, Rcode::Refused, client, config, refusal);
            return None;
        };
        let (forwarder, query) = (self.clone(), query.to_vec());
        Some(async move {
            let _permit = permit;
            match outside {
                Outside::Query => forwarder.forward(&query, client).await,
                Outside::Alias(target) => forwarder.chase(&query, client, &target).await,
            }
        })
    }

    async fn forward(&self, query: &[u8], client: Client) -> Vec<u8> {
        let config = zone::Lookup::config(self.live.as_ref());
        let mut out = Vec::new();
        match self.upstreams.exchange(query).await {
            Some(reply) => zone::fit(query, &reply, client, config, &mut out),
            None => zone::failure(query, Rcode::ServFail, client, config, &mut out),
        }
        out
    }

    async fn chase(&self, query: &[u8], client: Client, target: &Name) -> Vec<u8> {
        let (mut sent, mut out) = (Vec::new(), Vec::new());
        if let Some(rtype) = zone::query_type(query) {
            zone::chase_query(target, rtype, self.random.next() as u16, &mut sent);
        }
        let reply = self.upstreams.exchange(&sent).await;
        let seed = self.random.next();
        zone::answer_chased(query, client, self.live.as_ref(), seed, reply.as_deref(), &mut out);
        out
    }
}

/// Numbers that nobody outside can guess: a hash with the operating system's random key over a counter.
#[derive(Default)]
pub(crate) struct Random {
    key: RandomState,
    count: AtomicU64,
}

impl Random {
    pub fn next(&self) -> u64 {
        self.key.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }
}
