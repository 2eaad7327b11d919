//! From list-watch caches to one stream of events.

use std::sync::Arc;

use api::{EndpointSlice, Namespace, Pod, Resource, Service};
use cluster::{Change, Cluster, Selection, reflect};
use tokio::sync::mpsc;
use zone::{Event, PodMode};

/// What the thread that keeps the zone hears.
#[derive(Clone, Debug)]
pub enum Input {
    /// An object changed.
    Event(Event),
    /// One more kind has been listed completely.
    Synced,
}

/// How many kinds must be listed before the zone is whole (S-414): Services, slices, namespaces, and Pods where their
/// names are verified.
pub fn kinds(pods: PodMode) -> usize {
    if pods == PodMode::Verified { 4 } else { 3 }
}

/// Changes wait here; the reflectors wait when it is full.
const QUEUE: usize = 4096;

/// Follows the kinds that the zone is made of until the receiver is dropped.
pub fn follow(cluster: &Cluster, pods: PodMode) -> mpsc::Receiver<Input> {
    let (out, inputs) = mpsc::channel(QUEUE);
    let id = |metadata: &api::Metadata| (metadata.namespace.clone(), metadata.name.clone());
    forward(cluster, &out, Event::Service, move |service: &Service| {
        let (namespace, name) = id(service.metadata());
        Event::ServiceGone { namespace, name }
    });
    forward(cluster, &out, Event::Slice, move |slice: &EndpointSlice| {
        let (namespace, name) = id(slice.metadata());
        Event::SliceGone { namespace, name }
    });
    let came = |namespace: Arc<Namespace>| Event::Namespace(namespace.metadata.name.clone());
    forward(cluster, &out, came, |namespace: &Namespace| Event::NamespaceGone(namespace.metadata.name.clone()));
    if pods == PodMode::Verified {
        forward(cluster, &out, Event::Pod, move |pod: &Pod| {
            let (namespace, name) = id(pod.metadata());
            Event::PodGone { namespace, name }
        });
    }
    inputs
}

fn forward<T: Resource>(
    cluster: &Cluster,
    out: &mpsc::Sender<Input>,
    set: impl Fn(Arc<T>) -> Event + Send + 'static,
    gone: impl Fn(&T) -> Event + Send + 'static,
) {
    let mut changes = reflect::<T>(cluster, Selection::default());
    let out = out.clone();
    tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            let input = match change {
                Change::Set(object) => Input::Event(set(object)),
                Change::Gone(object) => Input::Event(gone(&object)),
                Change::Synced => Input::Synced,
            };
            if out.send(input).await.is_err() {
                return;
            }
        }
    });
}
