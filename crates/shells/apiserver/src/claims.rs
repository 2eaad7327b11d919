//! Who holds which cluster IP and which port.
//!
//! The truth is in the store: a cluster IP's claim is its IPAddress object, a port's is a key of its own, and a write
//! that claims expects their absence in its own transaction. What stands here is only the index from which the
//! allocator chooses; where it is stale, the transaction fails, the index learns, and the choice is made again.

use std::collections::HashSet;
use std::net::IpAddr;

use kinds::{Claim, Taken};
use parking_lot::RwLock;
use serde_json::{Value, json};
use store::{Expect, Key, Range, Store, Transaction, Write};

use crate::status::Status;
use crate::{keys, object};

/// The index of claims. A plain lock: it is held for single look-ups and never across an await.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    addresses: HashSet<IpAddr>,
    ports: HashSet<u16>,
}

impl Taken for Claims {
    fn address(&self, address: IpAddr) -> bool {
        self.held.read().addresses.contains(&address)
    }

    fn port(&self, port: u16) -> bool {
        self.held.read().ports.contains(&port)
    }
}

impl Claims {
    /// Reads all claims.
    pub(crate) async fn load(store: &dyn Store) -> Result<Claims, Status> {
        let claims = Claims::default();
        for prefix in [keys::ADDRESSES, keys::PORTS] {
            for item in store.range(&Range::prefix(prefix), None).await?.items {
                claims.note(&item.key, true);
            }
        }
        Ok(claims)
    }

    /// Learns from a transaction that was carried out.
    pub(crate) fn committed(&self, writes: &[Write]) {
        for write in writes {
            self.note(write.key(), matches!(write, Write::Put(..)));
        }
    }

    /// Learns that a key exists or does not.
    pub(crate) fn note(&self, key: &str, exists: bool) {
        match claim(key) {
            Some(Claim::Address(address)) => set(&mut self.held.write().addresses, address, exists),
            Some(Claim::Port(port)) => set(&mut self.held.write().ports, port, exists),
            None => {}
        }
    }
}

fn set<T: std::hash::Hash + Eq>(held: &mut HashSet<T>, item: T, exists: bool) {
    if exists {
        held.insert(item);
    } else {
        held.remove(&item);
    }
}

fn claim(key: &str) -> Option<Claim> {
    if let Some(address) = key.strip_prefix(keys::ADDRESSES) {
        return address.parse().ok().map(Claim::Address);
    }
    key.strip_prefix(keys::PORTS)?.parse().ok().map(Claim::Port)
}

/// Adds to a transaction what claims these for a Service, and what releases those it no longer holds.
pub(crate) fn add(transaction: &mut Transaction, service: &Value, claims: &[Claim], releases: &[Claim], now: &str) {
    for claim in claims {
        let key: Key = key(*claim).into();
        let value = match claim {
            Claim::Address(address) => object::encode(address_object(*address, service, now)),
            Claim::Port(_) => json!({ "service": parent(service) }).to_string().into(),
        };
        transaction.expect.push(Expect::Absent(key.clone()));
        transaction.writes.push(Write::Put(key, value));
    }
    let released = releases.iter().filter(|claim| !claims.contains(claim));
    transaction.writes.extend(released.map(|claim| Write::Delete(key(*claim).into())));
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
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": address.to_string(),
            "uid": uuid::Uuid::new_v4().to_string(),
            "creationTimestamp": now,
            "generation": 1,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": if address.is_ipv4() { "IPv4" } else { "IPv6" },
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": { "parentRef": {
            "group": "", "resource": "services",
            "namespace": service["metadata"]["namespace"], "name": service["metadata"]["name"],
        } },
    })
}
