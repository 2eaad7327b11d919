//! What the proxy would change if it ran now. Reads only.

use std::fmt;

use api::{EndpointSlice, Node, Service, ServiceCidr};
use cluster::{Cluster, RequestError};
use intent::{Config, Event, Intent, Problem};
use model::Family;
use nft::Plan;

use crate::driver::host_addresses;
use crate::{DataplaneError, Nftables};

/// What would be done to the kernel. Prints one step per line, as the steps are carried out.
#[derive(Debug)]
pub struct Forecast {
    /// IPv4, IPv6.
    plans: [Plan; 2],
    /// What is wrong with the objects.
    pub problems: Vec<Problem>,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// The objects could not be read.
    #[error("the objects could not be read from the API server")]
    Objects(#[from] RequestError),
    /// The host's addresses could not be read.
    #[error("the host's addresses could not be read")]
    Host(#[from] kernel::links::LinkError),
    /// The kernel could not be read.
    #[error(transparent)]
    Kernel(#[from] DataplaneError),
}

/// Computes what `cluster`'s objects mean on this node, reads what the kernel holds in the caller's network namespace, and
/// says what the difference takes.
pub async fn forecast(cluster: &Cluster, config: Config, dataplane: &mut Nftables) -> Result<Forecast, ForecastError> {
    let mut intent = Intent::new(config.clone());
    intent.apply(host_addresses()?);
    for event in objects(cluster, &config.node_name).await? {
        intent.apply(event);
    }
    intent.take_changes();
    let [v4, v6] = Family::ALL.map(|family| dataplane.plan(intent.model(family)));
    Ok(Forecast { plans: [v4?, v6?], problems: intent.problems() })
}

/// The objects that the proxy would follow, as they are now (S-300). A Node that isn't there is no Node.
async fn objects(cluster: &Cluster, node: &str) -> Result<Vec<Event>, RequestError> {
    let node = match cluster.get::<Node>("", &intent::host_name(node)).await {
        Ok(node) => Some(node),
        Err(error) if error.code() == Some(404) => None,
        Err(error) => return Err(error),
    };
    let (ranges, _) = cluster.list::<ServiceCidr>(None).await?;
    let (services, _) = cluster.list::<Service>(None).await?;
    let (slices, _) = cluster.list::<EndpointSlice>(None).await?;
    let events = node.into_iter().map(|node| Event::Node(node.into()));
    let events = events.chain(ranges.into_iter().map(|range| Event::ServiceCidr(range.into())));
    let events = events.chain(services.into_iter().map(|service| Event::Service(service.into())));
    Ok(events.chain(slices.into_iter().map(|slice| Event::Slice(slice.into()))).collect())
}

impl Forecast {
    /// Whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.plans.iter().all(Plan::is_empty)
    }

    /// How many steps would be carried out: a line each.
    pub fn steps(&self) -> usize {
        self.to_string().lines().count()
    }

    /// What could not be programmed, each with its reason.
    pub fn unserved(&self) -> impl Iterator<Item = String> {
        self.plans.iter().flat_map(|plan| plan.report.iter().map(ToString::to_string))
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plans.iter().try_for_each(|plan| plan.fmt(out))
    }
}
