//! Who holds which cluster IP and which port.
//!
//! The truth is in the store: a cluster IP's claim is its IPAddress object, a port's is a key of its own, and a write
//! that claims expects their absence in its own transaction. What stands here is only the index from which the
//! allocator chooses. It learns from every commit of this server, in the order of revisions; where it still lags, the
//! transaction fails, the index learns, and the choice is made again.

use std::collections::HashMap;
use std::net::IpAddr;

use kinds::{Claim, Taken};
use parking_lot::RwLock;
use serde_json::{Value, json};
use store::{Expect, Key, KeyValue, Range, Revision, Store, Transaction, Write};

use crate::status::Status;
use crate::{keys, object};

/// Releases that are remembered, so that a claim that is told late does not undo them. Older ones are forgotten: no
/// commit is told that late.
const RELEASES_KEPT: usize = 10_000;

/// The index of claims. A plain lock: it is held for single look-ups and never across an await.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: RwLock<Held>,
}

/// Claims and releases, each with the revision that made it so.
#[derive(Debug, Default)]
struct Held {
    claims: HashMap<Claim, Revision>,
    releases: HashMap<Claim, Revision>,
}

impl Taken for Claims {
    fn address(&self, address: IpAddr) -> bool {
        self.held.read().claims.contains_key(&Claim::Address(address))
    }

    fn port(&self, port: u16) -> bool {
        self.held.read().claims.contains_key(&Claim::Port(port))
    }
}

impl Claims {
    /// Reads all claims.
    pub(crate) async fn load(store: &dyn Store) -> Result<Claims, Status> {
        let claims = Claims::default();
        for prefix in [keys::ADDRESSES, keys::PORTS] {
            for item in store.range(&Range::prefix(prefix), None).await?.items {
                claims.note(&item.key, item.modified, true);
            }
        }
        Ok(claims)
    }

    /// Learns from a transaction that was carried out.
    pub(crate) fn committed(&self, writes: &[Write], revision: Revision) {
        for write in writes {
            self.note(write.key(), revision, matches!(write, Write::Put(..)));
        }
    }

    /// Learns that a key exists or does not since a revision. Commits may be told out of order; the newest counts.
    pub(crate) fn note(&self, key: &str, revision: Revision, exists: bool) {
        let Some(claim) = claim(key) else { return };
        let mut held = self.held.write();
        let known = held.claims.get(&claim).max(held.releases.get(&claim)).copied();
        if known.is_some_and(|known| known > revision) {
            return;
        }
        if exists {
            held.releases.remove(&claim);
            held.claims.insert(claim, revision);
        } else {
            held.claims.remove(&claim);
            held.releases.insert(claim, revision);
            if held.releases.len() > 2 * RELEASES_KEPT {
                held.releases.retain(|_, at| *at + RELEASES_KEPT as Revision > revision);
            }
        }
    }
}

fn claim(key: &str) -> Option<Claim> {
    if let Some(address) = key.strip_prefix(keys::ADDRESSES) {
        return address.parse().ok().map(Claim::Address);
    }
    key.strip_prefix(keys::PORTS)?.parse().ok().map(Claim::Port)
}

/// Adds to a transaction what claims these for a Service.
pub(crate) fn claim_all(transaction: &mut Transaction, service: &Value, claims: &[Claim], now: &str) {
    for claim in claims {
        let key: Key = key(*claim).into();
        let value = match claim {
            Claim::Address(address) => object::encode(address_object(*address, service, now)),
            Claim::Port(_) => json!({ "service": parent(service) }).to_string().into(),
        };
        transaction.expect.push(Expect::Absent(key.clone()));
        transaction.writes.push(Write::Put(key, value));
    }
}

/// Adds to a transaction what releases a Service's claims. A claim that is meanwhile another Service's, because somebody
/// deleted ours by hand, stays.
pub(crate) async fn release_all(
    transaction: &mut Transaction,
    store: &dyn Store,
    service: &Value,
    releases: &[Claim],
) -> Result<(), Status> {
    for claim in releases {
        let Some(held) = store.get(&key(*claim), None).await? else {
            // Repair may be about to write a key that is missing: then this is tried again, and takes it away.
            transaction.expect.push(Expect::Absent(key(*claim).into()));
            continue;
        };
        if holder(*claim, &held).as_deref() == Some(parent(service).as_str()) {
            transaction.expect.push(Expect::Modified(held.key.clone(), held.modified));
            transaction.writes.push(Write::Delete(held.key));
        }
    }
    Ok(())
}

/// The Service that a claim names: `namespace/name`.
fn holder(claim: Claim, held: &KeyValue) -> Option<String> {
    let value: Value = serde_json::from_slice(&held.value).ok()?;
    match claim {
        Claim::Address(_) => {
            let parent = &value["spec"]["parentRef"];
            Some(format!("{}/{}", parent["namespace"].as_str()?, parent["name"].as_str()?))
        }
        Claim::Port(_) => value["service"].as_str().map(str::to_owned),
    }
}

/// Namespace and name of the Service that the key of a port names; empty if the key holds nothing of that kind.
pub(crate) fn port_holder(value: &[u8]) -> (String, String) {
    let value: Value = serde_json::from_slice(value).unwrap_or_default();
    let (namespace, name) = value["service"].as_str().and_then(|holder| holder.split_once('/')).unwrap_or_default();
    (namespace.to_owned(), name.to_owned())
}

fn key(claim: Claim) -> String {
    match claim {
        Claim::Address(address) => keys::address(address),
        Claim::Port(port) => keys::port(port),
    }
}

fn parent(service: &Value) -> String {
    let metadata = &service["metadata"];
    format!("{}/{}", metadata["namespace"].as_str().unwrap_or_default(), metadata["name"].as_str().unwrap_or_default())
}

/// The IPAddress object that claims an address for a Service (S-142).
fn address_object(address: IpAddr, service: &Value, now: &str) -> Value {
    let text = |field: &str| service["metadata"][field].as_str().unwrap_or_default();
    let mut object = kinds::IpAddress::for_service(address, text("namespace"), text("name"));
    object["metadata"]["uid"] = uuid::Uuid::new_v4().to_string().into();
    object["metadata"]["creationTimestamp"] = now.into();
    object["metadata"]["generation"] = 1.into();
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_may_be_told_out_of_order() {
        let claims = Claims::default();
        let key = keys::port(30080);
        claims.note(&key, 7, false);
        claims.note(&key, 5, true);
        assert!(!claims.port(30080), "revision 7 released it");
        claims.note(&key, 9, true);
        claims.note(&key, 8, false);
        assert!(claims.port(30080), "revision 9 claimed it");
    }
}
