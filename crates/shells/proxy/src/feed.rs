//! From list-watch caches to one stream of events.

use api::{EndpointSlice, Node, Resource, Service, ServiceCidr};
use cluster::{Change, Cluster, Selection, reflect};
use intent::Event;
use tokio::sync::mpsc;

/// What the driver's thread hears.
#[derive(Debug)]
pub(crate) enum Input {
    /// An object changed.
    Event(Event),
    /// A kind has been listed completely.
    Synced(&'static str),
}

/// Changes wait here; the reflectors wait when it is full.
const QUEUE: usize = 4096;

/// Follows the proxy's four kinds until the receiver is dropped (S-300). Labels that exclude a Service or a slice are
/// judged by `intent`, since they can change.
pub(crate) fn follow(cluster: &Cluster, node: &str) -> mpsc::Receiver<Input> {
    let (out, inputs) = mpsc::channel(QUEUE);
    let own = Selection { fields: format!("metadata.name={}", intent::host_name(node)), ..Selection::default() };
    forward(cluster, Selection::default(), &out, Event::Service, |service: &Service| Event::ServiceGone {
        namespace: service.metadata().namespace.clone(),
        name: service.metadata().name.clone(),
    });
    forward(cluster, Selection::default(), &out, Event::Slice, |slice: &EndpointSlice| Event::SliceGone {
        namespace: slice.metadata().namespace.clone(),
        name: slice.metadata().name.clone(),
    });
    forward(cluster, own, &out, Event::Node, |node: &Node| Event::NodeGone { name: node.metadata().name.clone() });
    forward(cluster, Selection::default(), &out, Event::ServiceCidr, |cidr: &ServiceCidr| Event::ServiceCidrGone {
        name: cidr.metadata().name.clone(),
    });
    inputs
}

fn forward<T: Resource>(
    cluster: &Cluster,
    selection: Selection,
    out: &mpsc::Sender<Input>,
    set: fn(std::sync::Arc<T>) -> Event,
    gone: fn(&T) -> Event,
) {
    let mut changes = reflect::<T>(cluster, selection);
    let out = out.clone();
    tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            let input = match change {
                Change::Set(object) => Input::Event(set(object)),
                Change::Gone(object) => Input::Event(gone(&object)),
                Change::Synced => Input::Synced(T::KIND),
            };
            if out.send(input).await.is_err() {
                return;
            }
        }
    });
}
