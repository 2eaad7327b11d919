//! From a query to its answer: the table of S-400 to S-421.
//!
//! ```text
//! message → Query ─┬─ below the domain ── Place ── records of one shard ─┬─ reply
//!                  ├─ in a reverse zone ─ ReverseName ─ pointers ────────┤
//!                  └─ elsewhere: forward, or refuse                      └─ alias → chase
//! ```
//!
//! One look-up touches one shard, so a reply never mixes two states of a Service. Without an alias nothing is allocated.

use std::ops::Deref;

use crate::message::{HEADER_BYTES, Query, Rcode, Section, Unanswerable, rtype};
use crate::name::Name;
use crate::place::Place;
use crate::reply::{Client, Owner, Reply, header_only};
use crate::reverse::{ReverseKind, ReverseName};
use crate::{Config, Shard};

mod alias;
mod apex;
mod pods;
mod pointers;
mod services;

/// The zone as a reader sees it at one moment.
pub trait Lookup {
    /// What the zone was configured with.
    fn config(&self) -> &Config;
    /// A shard by its place, below [`Config::shard_count`].
    fn shard(&self, at: usize) -> impl Deref<Target = Shard>;
    /// Unix time in seconds of the last change (S-412).
    fn serial(&self) -> u32;
    /// Whether every object has been seen once (S-414).
    fn is_synced(&self) -> bool;
}

/// What is to be done for a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send what stands in the buffer.
    Reply,
    /// Ask the upstreams: the name is in none of our zones and the client may recurse.
    Forward,
    /// Ask the upstreams for this name, with the query's type, and finish with [`answer_chased`] (S-408).
    Chase(Name),
    /// Send nothing.
    Drop,
}

/// Answers a message into `out`, which is overwritten. `seed` orders the addresses (S-421).
pub fn answer(message: &[u8], client: Client, zone: &impl Lookup, seed: u64, out: &mut Vec<u8>) -> Answer {
    respond(message, client, zone, seed, None, out)
}

/// Answers a message for which [`answer`] said [`Answer::Chase`], with the upstreams' reply to that, or nothing if there
/// was none. If the alias has changed meanwhile, the reply doesn't fit and counts as none.
pub fn answer_chased(
    message: &[u8],
    client: Client,
    zone: &impl Lookup,
    seed: u64,
    upstream: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Answer {
    respond(message, client, zone, seed, Some(Chased(upstream)), out)
}

/// What came of asking the upstreams for an alias.
#[derive(Clone, Copy)]
struct Chased<'u>(Option<&'u [u8]>);

/// What a look-up wrote.
enum Found {
    Answered,
    NoData,
    NxDomain,
    /// Nothing: the upstreams may know.
    Forward,
    Alias(Name),
}

fn respond(
    message: &[u8],
    client: Client,
    zone: &impl Lookup,
    seed: u64,
    chased: Option<Chased<'_>>,
    out: &mut Vec<u8>,
) -> Answer {
    let query = match Query::parse(message) {
        Ok(query) => query,
        Err(Unanswerable::Drop) => return Answer::Drop,
        Err(Unanswerable::Code(rcode)) => {
            header_only(message, rcode, out);
            return Answer::Reply;
        }
    };
    let reply = Reply::new(&query, client, zone.config(), out);
    if query.edns.is_some_and(|edns| edns.version != 0) {
        reply.finish(Rcode::BadVers);
    } else if query.qclass != rtype::CLASS_IN || matches!(query.qtype, rtype::AXFR | rtype::IXFR) {
        reply.finish(Rcode::Refused);
    } else if let Some((served, zone_label)) = Served::of(&query, zone.config()) {
        let zone_at = HEADER_BYTES + query.name.start(zone_label);
        return Session { query: &query, client, zone, seed, zone_at, reply }.run(served, chased);
    } else if client.may_recurse {
        return Answer::Forward;
    } else {
        reply.finish(Rcode::Refused);
    }
    Answer::Reply
}

/// A name in one of our zones.
enum Served<'n> {
    Cluster(Place<'n>),
    Reverse(ReverseKind),
}

impl<'n> Served<'n> {
    /// Together with the label of the name at which the zone begins. DS records are the parent's (S-419).
    fn of(query: &'n Query<'_>, config: &Config) -> Option<(Served<'n>, usize)> {
        let name = &query.name;
        let (served, zone_label) = match name.labels_below(&config.domain) {
            Some(below) => (Served::Cluster(Place::of(name, below)), below),
            None => {
                let reverse = ReverseName::parse(name, &config.reverse)?;
                (Served::Reverse(reverse.kind), reverse.zone_label)
            }
        };
        (query.qtype != rtype::DS || zone_label > 0).then_some((served, zone_label))
    }
}

/// One query under way.
struct Session<'a, 'o, L> {
    query: &'a Query<'a>,
    client: Client,
    zone: &'a L,
    seed: u64,
    /// Where the name of our zone begins in the reply.
    zone_at: usize,
    reply: Reply<'o>,
}

impl<L: Lookup> Session<'_, '_, L> {
    fn run(mut self, served: Served<'_>, chased: Option<Chased<'_>>) -> Answer {
        self.reply.authoritative();
        let mut found = match served {
            Served::Cluster(place) => self.cluster(place, Owner::question()),
            Served::Reverse(kind) => self.reverse(kind),
        };
        if let Found::Alias(target) = found {
            found = match self.follow(target, chased) {
                Ok(found) => found,
                Err(outside) => return Answer::Chase(outside),
            };
        }
        self.conclude(found)
    }

    fn conclude(mut self, found: Found) -> Answer {
        let rcode = match found {
            Found::Answered => Rcode::NoError,
            Found::Forward if self.client.may_recurse && self.zone.is_synced() => return Answer::Forward,
            Found::NoData | Found::Alias(_) => self.negative(Rcode::NoError),
            Found::NxDomain | Found::Forward => self.negative(Rcode::NxDomain),
        };
        self.reply.finish(rcode);
        Answer::Reply
    }

    /// A negative answer carries the SOA; before the first sync nobody knows that something is missing (S-414).
    fn negative(&mut self, rcode: Rcode) -> Rcode {
        if !self.zone.is_synced() && !self.is_apex() {
            self.reply.not_authoritative();
            return Rcode::ServFail;
        }
        self.soa(Section::Authority);
        rcode
    }

    fn is_apex(&self) -> bool {
        self.zone_at == HEADER_BYTES
    }

    fn config(&self) -> &Config {
        self.zone.config()
    }
}
