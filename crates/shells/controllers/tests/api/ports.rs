//! Node ports are held by the Services that use them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apiserver::ApiServer;
use controllers::{Holder, PortKeys, PortKeysError, Ports};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use store::{Transaction, Write};

use crate::harness::{Plane, service, settings};

/// The same, with one port whose key cannot be written at first.
struct Stubborn {
    keys: Keys,
    port: u16,
    refusals: AtomicUsize,
    log: Arc<Mutex<Vec<String>>>,
}

impl Stubborn {
    fn note(&self, what: String) {
        self.log.lock().expect("nobody panics with it").push(what);
    }
}

impl PortKeys for Stubborn {
    fn held<'a>(&'a self, version: &'a str) -> BoxFuture<'a, Result<BTreeMap<u16, Holder>, PortKeysError>> {
        self.note("count".into());
        self.keys.held(version)
    }

    fn claim<'a>(
        &'a self,
        port: u16,
        service: &'a Holder,
        version: &'a str,
    ) -> BoxFuture<'a, Result<bool, PortKeysError>> {
        self.note(format!("claim {port}"));
        let left = |left: usize| left.checked_sub(1);
        let refused = port == self.port && self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok();
        if refused {
            std::future::ready(Err("not yet".into())).boxed()
        } else {
            self.keys.claim(port, service, version)
        }
    }

    fn release<'a>(&'a self, port: u16, version: &'a str) -> BoxFuture<'a, Result<bool, PortKeysError>> {
        self.keys.release(port, version)
    }
}

/// The way to the keys, as `maitred server` has it.
struct Keys(ApiServer);

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

const SERVICES: &str = "/api/v1/namespaces/default/services";

async fn plane() -> Plane {
    let mut plane = Plane::without_controllers().await;
    let keys = Arc::new(Keys(plane.server.clone()));
    let ports = Ports { keys, range: 30000..=32767, period: Duration::from_millis(100) };
    plane.control(controllers::Settings { ports: Some(ports), ..settings() });
    plane
}

fn node_port(name: &str, port: u16) -> Value {
    let mut service = service(name, json!({}));
    service["spec"]["type"] = "NodePort".into();
    service["spec"]["ports"][0]["nodePort"] = port.into();
    service
}

/// What the key of a port holds.
async fn held(plane: &Plane, port: u16) -> Option<Value> {
    let found = plane.store.get(&format!("/claims/port/{port}"), None).await.expect("the store can be read");
    found.map(|found| serde_json::from_slice(&found.value).expect("JSON"))
}

async fn write(plane: &Plane, write: Write) {
    let transaction = Transaction { expect: Vec::new(), writes: vec![write] };
    plane.store.commit(transaction).await.expect("the store can be written");
}

/// Waits until the key of a port holds this.
async fn until_held(plane: &Plane, port: u16, wanted: Option<Value>) {
    for _ in 0..1_500 {
        if held(plane, port).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the key of {port} holds {:?}, not {wanted:?}", held(plane, port).await);
}

#[tokio::test]
async fn s146_a_missing_key_of_a_used_port_is_created_again() {
    let plane = plane().await;
    plane.create(SERVICES, node_port("web", 30080)).await;
    let before = held(&plane, 30080).await.expect("the port is claimed");
    write(&plane, Write::Delete("/claims/port/30080".into())).await;
    until_held(&plane, 30080, Some(before)).await;
    plane.event("default", "web", "PortNotAllocated").await;
    plane.assert_healthy();
}

#[tokio::test]
async fn s146_a_key_that_no_service_uses_is_released() {
    let plane = plane().await;
    let leaked = json!({ "service": "default/gone" });
    write(&plane, Write::Put("/claims/port/30081".into(), leaked.to_string().into())).await;
    until_held(&plane, 30081, None).await;
    plane.create(SERVICES, node_port("web", 30081)).await;
    plane.assert_healthy();
}

#[tokio::test]
async fn s146_a_port_that_is_held_by_another_is_told_and_left() {
    let plane = plane().await;
    plane.create(SERVICES, node_port("web", 30082)).await;
    plane.create(SERVICES, node_port("other", 30083)).await;
    let others = json!({ "service": "default/other" });
    write(&plane, Write::Put("/claims/port/30082".into(), others.to_string().into())).await;
    let message = plane.event("default", "web", "PortAlreadyAllocated").await;
    assert_eq!(message, "Port 30082 is held by Service default/other; recreate the Service");
    plane.assert_healthy();
}

#[tokio::test]
async fn s146_a_key_that_cannot_be_written_holds_up_no_other_and_alone_is_tried_again() {
    let mut plane = Plane::without_controllers().await;
    for (name, port) in [("a", 30080), ("b", 30081)] {
        plane.create(SERVICES, node_port(name, port)).await;
        write(&plane, Write::Delete(format!("/claims/port/{port}").into())).await;
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let keys = Keys(plane.server.clone());
    let keys = Stubborn { keys, port: 30080, refusals: AtomicUsize::new(2), log: log.clone() };
    let ports = Ports { keys: Arc::new(keys), range: 30000..=32767, period: Duration::from_secs(3600) };
    plane.control(controllers::Settings { ports: Some(ports), ..settings() });
    until_held(&plane, 30081, Some(json!({ "service": "default/b" }))).await;
    until_held(&plane, 30080, Some(json!({ "service": "default/a" }))).await;
    plane.until_run("port-repair", "it ends well", |last| last.runs >= 3 && last.error.is_none()).await;
    let log = log.lock().expect("nobody panics with it");
    assert_eq!(*log, ["count", "claim 30080", "claim 30081", "claim 30080", "claim 30080"]);
}
