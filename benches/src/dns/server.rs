//! The DNS server itself, with a zone of many Services.

use std::net::SocketAddr;

use anyhow::Context as _;
use dns::{Config, Input, Server};
use kernel::netns::Namespace;
use tokio::sync::{mpsc, watch};
use zone::Event;

use crate::machine;
use crate::objects::{Pair, pairs};

/// A server, as long as this is held.
pub(super) struct Running {
    _server: Server,
    _stop: watch::Sender<bool>,
    _inputs: mpsc::Sender<Input>,
}

/// Starts it with one socket and all its threads on a processor, and waits until it knows all names.
pub(super) fn start(namespace: &Namespace, at: SocketAddr, names: usize, cpu: usize) -> anyhow::Result<Running> {
    let zone = zone::Config::new("cluster.local").context("configure the zone")?;
    let config = Config { udp_threads: 1, ..Config::new(zone, vec![at]) };
    let needed = dns::kinds(config.zone.pods);
    let (stop, stopped) = watch::channel(false);
    let (inputs, queue) = mpsc::channel(names);
    let server = namespace.run(move || {
        // Its threads inherit the processor.
        machine::pin(cpu)?;
        dns::start(config, queue, stopped).context("start the DNS server")
    })??;
    let send = |input| inputs.blocking_send(input).ok().context("the DNS server takes events");
    send(Input::Event(Event::Namespace("default".to_owned())))?;
    for Pair { service, slice } in pairs(names, 1) {
        send(Input::Event(Event::Service(service)))?;
        send(Input::Event(Event::Slice(slice)))?;
    }
    (0..needed).try_for_each(|_| send(Input::Synced))?;
    Ok(Running { _server: server, _stop: stop, _inputs: inputs })
}
