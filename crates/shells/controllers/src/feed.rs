//! From list-watch caches to one stream of inputs.

use api::{EndpointSlice, Endpoints, Node, Pod, Resource, Service};
use cluster::{Change, Cluster, Selection, reflect};
use tokio::sync::mpsc;

/// A change of one of the kinds that endpoints follow from.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Service(Change<Service>),
    Pod(Change<Pod>),
    Node(Change<Node>),
    Slice(Change<EndpointSlice>),
    Endpoints(Change<Endpoints>),
}

/// How many kinds must be listed before anything is planned.
pub(crate) const KINDS: usize = 5;

/// Changes wait here; the reflectors wait when it is full.
const QUEUE: usize = 4096;

/// Follows all kinds until the receiver is dropped.
pub(crate) fn follow(cluster: &Cluster) -> mpsc::Receiver<Input> {
    let (out, inputs) = mpsc::channel(QUEUE);
    forward(cluster, &out, Input::Service);
    forward(cluster, &out, Input::Pod);
    forward(cluster, &out, Input::Node);
    forward(cluster, &out, Input::Slice);
    forward(cluster, &out, Input::Endpoints);
    inputs
}

fn forward<T: Resource>(cluster: &Cluster, out: &mpsc::Sender<Input>, input: fn(Change<T>) -> Input) {
    let mut changes = reflect::<T>(cluster, Selection::default());
    let out = out.clone();
    tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            if out.send(input(change)).await.is_err() {
                return;
            }
        }
    });
}
