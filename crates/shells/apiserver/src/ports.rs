//! The keys that hold node ports, for whoever repairs them (S-146).
//!
//! They are no objects of the API (see [`crate::keys`]), so this is a way for the server's own process only. Each call
//! names the resource version at which its caller looked: what has changed since is left alone.

use std::collections::BTreeMap;

use store::{Expect, Range, Revision, Transaction, Write};

use crate::verbs::{Outcome, commit};
use crate::{ApiServer, Status, claims, keys, object, registry};

/// Namespace and name of a Service.
type Holder = (String, String);

impl ApiServer {
    /// Which Service the key of each claimed port names, at a resource version.
    pub async fn claimed_ports(&self, version: &str) -> Result<BTreeMap<u16, Holder>, Status> {
        let page = self.inner.store().range(&Range::prefix(keys::PORTS), Some(revision(version)?)).await?;
        let claim = |item: &store::KeyValue| {
            let port = item.key.strip_prefix(keys::PORTS)?.parse().ok()?;
            Some((port, claims::port_holder(&item.value)))
        };
        Ok(page.items.iter().filter_map(claim).collect())
    }

    /// Creates the missing key of a port that a Service uses; says whether the Service still stood as at that version.
    pub async fn claim_port(&self, port: u16, service: &Holder, version: &str) -> Result<bool, Status> {
        let key = keys::object(registry::plural("services").facts(), &service.0, &service.1);
        let Some(found) = self.inner.store().get(&key, None).await? else { return Ok(false) };
        if found.modified > revision(version)? {
            return Ok(false);
        }
        let mut transaction = Transaction::default();
        transaction.expect.push(Expect::Modified(found.key.clone(), found.modified));
        claims::claim_all(&mut transaction, &object::decode(&found), &[kinds::Claim::Port(port)], "");
        self.carry_out(transaction).await
    }

    /// Removes the key of a port that no Service used; says whether the key was still the one of that version.
    pub async fn release_port(&self, port: u16, version: &str) -> Result<bool, Status> {
        let Some(found) = self.inner.store().get(&keys::port(port), None).await? else { return Ok(false) };
        if found.modified > revision(version)? {
            return Ok(false);
        }
        let mut transaction = Transaction::default();
        transaction.expect.push(Expect::Modified(found.key.clone(), found.modified));
        transaction.writes.push(Write::Delete(found.key));
        self.carry_out(transaction).await
    }

    async fn carry_out(&self, transaction: Transaction) -> Result<bool, Status> {
        Ok(matches!(commit(&self.inner, transaction).await?, Outcome::Done(_)))
    }
}

fn revision(version: &str) -> Result<Revision, Status> {
    version.parse().map_err(|_| Status::bad_request(format!("{version:?} is no resource version")))
}
