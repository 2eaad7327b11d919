//! The ways of packets beside Services: routes to other nodes' Pods, and the masquerading of what leaves the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{Node, ServiceCidr};
use kernel::netlink::NetlinkError;
use tokio::sync::watch;

use crate::driver::Shared;
use crate::egress::{self, Masquerade};
use crate::routes;

/// Keeps routes and tables as the cluster's nodes are.
#[derive(Debug)]
pub(crate) struct Paths {
    shared: Arc<Shared>,
    masquerade: Masquerade,
    nodes: BTreeMap<String, Arc<Node>>,
    service_cidrs: BTreeMap<String, Arc<ServiceCidr>>,
    /// The routes as last applied.
    routes: Option<routes::Plan>,
    /// The nodes that cannot be reached by a route.
    out_of_reach: watch::Sender<BTreeSet<String>>,
}

impl Paths {
    /// In the caller's network namespace.
    pub(crate) fn open(
        shared: Arc<Shared>,
        out_of_reach: watch::Sender<BTreeSet<String>>,
    ) -> Result<Paths, NetlinkError> {
        let masquerade = Masquerade::open()?;
        let (nodes, service_cidrs) = (BTreeMap::new(), BTreeMap::new());
        Ok(Paths { shared, masquerade, nodes, service_cidrs, routes: None, out_of_reach })
    }

    /// A node as it is now, or that it is gone.
    pub(crate) fn set_node(&mut self, name: &str, node: Option<Arc<Node>>) {
        match node {
            Some(node) => self.nodes.insert(name.to_owned(), node),
            None => self.nodes.remove(name),
        };
    }

    /// A ServiceCIDR as it is now, or that it is gone.
    pub(crate) fn set_service_cidr(&mut self, name: &str, cidr: Option<Arc<ServiceCidr>>) {
        match cidr {
            Some(cidr) => self.service_cidrs.insert(name.to_owned(), cidr),
            None => self.service_cidrs.remove(name),
        };
    }

    /// The uid of a node.
    pub(crate) fn uid_of(&self, node: &str) -> Option<&str> {
        self.nodes.get(node).map(|node| node.metadata.uid.as_str())
    }

    /// Brings routes and tables up to date; returns the nodes that are newly out of reach.
    pub(crate) fn update(&mut self) -> Vec<String> {
        let own = &self.shared.config.node_name;
        if let Err(error) = self.masquerade.apply(egress::plan(self.nodes.values().map(AsRef::as_ref), own)) {
            tracing::error!(error = runloop::chain(&error), "Pods' traffic that leaves the cluster is not masqueraded");
        }
        let links = self.shared.network.links();
        let seen = match routes::see(links) {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(error = runloop::chain(&error), "the machine's routes cannot be read");
                return Vec::new();
            }
        };
        let services = self.service_cidrs.values().flat_map(|cidr| cidr.spec.cidrs.iter().copied()).collect();
        let own = (own.as_str(), self.shared.config.node_addresses.as_slice());
        let plan = routes::plan(self.nodes.values().map(AsRef::as_ref), own, &services, &seen);
        let new = self.publish(&plan.out_of_reach);
        if self.routes.as_ref() != Some(&plan) {
            self.routes = match routes::apply(&plan, links) {
                Ok(()) => Some(plan),
                Err(error) => {
                    tracing::error!(error = runloop::chain(&error), "routes to other nodes could not be set");
                    None
                }
            };
        }
        new
    }

    /// Shows which nodes are out of reach; returns those that are so newly.
    fn publish(&self, out_of_reach: &BTreeSet<String>) -> Vec<String> {
        let known = self.out_of_reach.borrow().clone();
        if *out_of_reach != known {
            self.out_of_reach.send_replace(out_of_reach.clone());
        }
        out_of_reach.difference(&known).cloned().collect()
    }

    /// Has the next update look at the machine anew, whatever was applied last.
    pub(crate) fn forget(&mut self) {
        self.routes = None;
        self.masquerade.doubt();
    }
}
