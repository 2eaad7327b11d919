//! The objects, and the Models that follow from them.

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::{EndpointSlice, Node, Service, ServiceCidr};
use model::{Change, Family, Frontend, Model};

use crate::candidates::candidates;
use crate::claims::Claims;
use crate::here::{Here, host_name};
use crate::stale::Answering;
use crate::{Config, Detector, Event, Problem, ServiceKey};

/// Services whose label has another value than ours belong to another proxy (S-300).
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// Slices with this label belong to headless Services (S-300).
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// Holds what was heard of the world, and this node's Model of it in both families.
#[derive(Debug)]
pub struct Intent {
    config: Config,
    node: Option<Arc<Node>>,
    host_addresses: Vec<IpAddr>,
    here: Here,
    service_cidrs: BTreeMap<String, Arc<ServiceCidr>>,
    services: BTreeMap<Arc<ServiceKey>, Known>,
    /// Which Service each slice belongs to, by namespace and slice name: a slice may change sides.
    slice_owners: BTreeMap<(String, String), Arc<ServiceKey>>,
    sides: [Side; 2],
    /// The Services that something happened to since the Models were computed.
    touched: BTreeSet<Arc<ServiceKey>>,
    /// The Services with problems of their own: few, so that telling them costs no walk over all.
    troubled: BTreeSet<Arc<ServiceKey>>,
}

/// A Service with its slices. Slices may come first, and may outlive it.
#[derive(Debug, Default)]
struct Known {
    service: Option<Arc<Service>>,
    slices: BTreeMap<String, Arc<EndpointSlice>>,
    /// The frontends it wants, IPv4 and IPv6.
    claimed: [Box<[Frontend]>; 2],
    problems: Vec<Problem>,
}

/// One family's Model, and who wants what in it.
#[derive(Debug)]
pub(crate) struct Side {
    model: Model,
    claims: Claims,
    pub(crate) answering: Answering,
}

impl Intent {
    /// Knows of nothing yet.
    pub fn new(config: Config) -> Intent {
        Intent {
            here: Here::of(&config, None, &[]),
            config,
            node: None,
            host_addresses: Vec::new(),
            service_cidrs: BTreeMap::new(),
            services: BTreeMap::new(),
            slice_owners: BTreeMap::new(),
            sides: Family::ALL.map(Side::empty),
            touched: BTreeSet::new(),
            troubled: BTreeSet::new(),
        }
    }

    /// Hears of a change. The Models follow with the next [`Intent::take_changes`].
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Service(service) => {
                let ours = self.is_ours(&service);
                let key = self.key(&service.metadata.namespace, &service.metadata.name);
                self.touch(&key).service = ours.then_some(service);
            }
            Event::ServiceGone { namespace, name } => {
                let key = self.key(&namespace, &name);
                self.touch(&key).service = None;
            }
            Event::Slice(slice) => self.set_slice(slice),
            Event::SliceGone { namespace, name } => self.drop_slice(&namespace, &name),
            Event::Node(node) if host_name(&node.metadata.name) == self.here.name => self.set_node(Some(node)),
            Event::NodeGone { name } if host_name(&name) == self.here.name => self.set_node(None),
            Event::Node(_) | Event::NodeGone { .. } => {}
            Event::ServiceCidr(cidr) => drop(self.service_cidrs.insert(cidr.metadata.name.clone(), cidr)),
            Event::ServiceCidrGone { name } => drop(self.service_cidrs.remove(&name)),
            Event::HostAddresses(addresses) => {
                self.host_addresses = addresses;
                self.look_around();
            }
        }
    }

    /// Brings the Models up to date and returns what became different: IPv4, IPv6. Only Services that something happened
    /// to are computed, and those that win or lose a frontend by it.
    pub fn take_changes(&mut self) -> [Change; 2] {
        let touched = std::mem::take(&mut self.touched);
        let changes = Family::ALL.map(|family| self.update(family, &touched));
        for key in &touched {
            self.note_problems(key);
        }
        changes
    }

    /// Whether UDP flows may have become stale since the last call, IPv4 and IPv6: whoever programs the kernel has to look
    /// for them then (S-330).
    pub fn take_udp_touched(&mut self) -> [bool; 2] {
        Family::ALL.map(|family| self.side_mut(family).answering.take_touched())
    }

    /// Whether local Pods are to be known by the node's Pod ranges, and it has none yet (S-322).
    pub fn lacks_pod_ranges(&self) -> bool {
        let ranges = self.node.as_ref().map_or(&[][..], |node| &node.spec.pod_cidrs);
        self.config.detector == Detector::NodeCidr && ranges.is_empty()
    }

    /// What this node's data path should be in one family.
    pub fn model(&self, family: Family) -> &Model {
        &self.side(family).model
    }

    /// What is wrong with the objects, sorted; conflicts among it (S-317).
    pub fn problems(&self) -> Vec<Problem> {
        let troubled = self.troubled.iter().filter_map(|key| self.services.get(key));
        let own = troubled.flat_map(|known| known.problems.iter().cloned());
        let mut all: Vec<Problem> =
            own.chain(Family::ALL.into_iter().flat_map(|family| self.conflicts(family))).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The endpoints that answer for a frontend, whatever policy and topology say, terminating ones included: an
    /// established UDP flow to one of them is kept, to any other it is cut (S-330). An endpoint that is published
    /// although it isn't ready counts: new flows are led to it.
    pub fn serving(&self, family: Family, frontend: &Frontend) -> BTreeSet<SocketAddr> {
        self.candidates(family, frontend)
            .iter()
            .filter(|one| one.serving || one.ready)
            .map(|one| one.endpoint.socket())
            .collect()
    }

    /// How many addresses on this node have a ready endpoint of this Service: the answer of its health check port
    /// (S-356). Terminating endpoints don't count even while they get traffic.
    pub fn local_ready(&self, namespace: &str, name: &str) -> usize {
        let key = ServiceKey { namespace: namespace.to_owned(), name: name.to_owned() };
        let Some((known, service)) = self.services.get(&key).and_then(|known| Some((known, known.service.as_ref()?)))
        else {
            return 0;
        };
        let mut addresses = BTreeSet::new();
        for (port, family) in service.spec.ports.iter().flat_map(|port| Family::ALL.map(|family| (port, family))) {
            let offered = candidates(known.slices(), port, family, &self.here.name);
            addresses
                .extend(offered.iter().filter(|one| one.ready && one.endpoint.local).map(|one| one.endpoint.address));
        }
        addresses.len()
    }
}

/// Hearing.
impl Intent {
    /// Whether a Service is for this proxy to serve (S-300, S-301). One that isn't is as good as gone.
    fn is_ours(&self, service: &Service) -> bool {
        let label = service.metadata.labels.get(PROXY_NAME_LABEL);
        let headless = service.is_headless() || service.spec.cluster_ips.iter().any(|address| address == "None");
        label == self.config.service_proxy_name.as_ref() && !headless && !service.is_external_name()
    }

    fn set_slice(&mut self, slice: Arc<EndpointSlice>) {
        let (namespace, name) = (slice.metadata.namespace.clone(), slice.metadata.name.clone());
        let headless = slice.metadata.labels.contains_key(HEADLESS_LABEL);
        let owner = slice.service_name().filter(|_| !headless).map(|service| self.key(&namespace, service));
        if self.slice_owners.get(&(namespace.clone(), name.clone())) != owner.as_ref() {
            self.drop_slice(&namespace, &name);
        }
        let Some(owner) = owner else { return };
        self.touch(&owner).slices.insert(name.clone(), slice);
        self.slice_owners.insert((namespace, name), owner);
    }

    fn drop_slice(&mut self, namespace: &str, name: &str) {
        if let Some(owner) = self.slice_owners.remove(&(namespace.to_owned(), name.to_owned())) {
            self.touch(&owner).slices.remove(name);
        }
    }

    fn set_node(&mut self, node: Option<Arc<Node>>) {
        self.node = node;
        self.look_around();
    }

    /// Nodes report every few seconds; only what Services see of them makes work, and then for all Services.
    fn look_around(&mut self) {
        let here = Here::of(&self.config, self.node.as_deref(), &self.host_addresses);
        if !here.means_the_same_to_services(&self.here) {
            self.touched.extend(self.services.keys().cloned());
        }
        self.here = here;
    }

    fn key(&self, namespace: &str, name: &str) -> Arc<ServiceKey> {
        let key = ServiceKey { namespace: namespace.to_owned(), name: name.to_owned() };
        self.services.get_key_value(&key).map_or_else(|| Arc::new(key), |(known, _)| Arc::clone(known))
    }

    fn touch(&mut self, key: &Arc<ServiceKey>) -> &mut Known {
        self.touched.insert(Arc::clone(key));
        self.services.entry(Arc::clone(key)).or_default()
    }

    pub(crate) fn side(&self, family: Family) -> &Side {
        &self.sides[family.index()]
    }

    fn side_mut(&mut self, family: Family) -> &mut Side {
        &mut self.sides[family.index()]
    }
}

impl Side {
    fn empty(family: Family) -> Side {
        Side { model: Model::empty(family), claims: Claims::default(), answering: Answering::default() }
    }
}

impl Known {
    /// In the order of their names.
    fn slices(&self) -> impl Iterator<Item = &EndpointSlice> {
        self.slices.values().map(Arc::as_ref)
    }
}
