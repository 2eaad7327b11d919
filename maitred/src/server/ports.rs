//! The controllers' way to the keys of node ports: straight into the API server of this process (S-146).

use std::collections::BTreeMap;

use apiserver::ApiServer;
use controllers::{Holder, PortKeys, PortKeysError};
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// The keys as the API server knows them.
pub(super) struct Keys(pub(super) ApiServer);

impl PortKeys for Keys {
    fn held<'a>(&'a self, version: &'a str) -> BoxFuture<'a, Result<BTreeMap<u16, Holder>, PortKeysError>> {
        async move { Ok(self.0.claimed_ports(version).await?) }.boxed()
    }

    fn claim<'a>(
        &'a self,
        port: u16,
        service: &'a Holder,
        version: &'a str,
    ) -> BoxFuture<'a, Result<bool, PortKeysError>> {
        async move { Ok(self.0.claim_port(port, service, version).await?) }.boxed()
    }

    fn release<'a>(&'a self, port: u16, version: &'a str) -> BoxFuture<'a, Result<bool, PortKeysError>> {
        async move { Ok(self.0.release_port(port, version).await?) }.boxed()
    }
}
