//! Writes the inputs that no person writes by hand: `cargo run -p fuzz --example seeds`. The others are text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use intent::{Config, Event, Intent};
use model::{Change, Family, Model};
use serde_json::{Value, json};
use store::simulated::SimFiles;
use store::{Embedded, Options, Store, Transaction, Write};

fn main() -> std::io::Result<()> {
    for (name, query) in QUERIES {
        write("dns", name, &dns_input(2, &query_of(query), &[]))?;
    }
    write("dns", "upstream", &dns_input(2, &query_of(("www.example.org", 1)), &upstream()))?;
    write("dns", "chased", &dns_input(3, &query_of(("far.default.svc.cluster.local", 1)), &upstream()))?;
    // A table is large even without Services; more of them would make the corpus heavy and show little.
    for (name, at, services) in [("no-service", 0, &[][..]), ("services", 0, &SERVICES), ("services", 1, &SERVICES)] {
        write("dumps", &format!("{name}-{at}"), &[&[at as u8], &table(Family::ALL[at], services)[..]].concat())?;
    }
    write("recovery", "log", &files_as_input(&files(3, false), false))?;
    write("recovery", "log-whatever-its-checksums", &files_as_input(&files(3, false), true))?;
    write("recovery", "snapshot", &files_as_input(&files(400, true), false))?;
    write("recovery", "snapshot-whatever-its-checksums", &files_as_input(&files(400, true), true))?;
    write("recovery", "nothing", &[])
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// Name and type of a question.
type Question = (&'static str, u16);

const QUERIES: [(&str, Question); 9] = [
    ("cluster-ip", ("web.default.svc.cluster.local", 1)),
    ("cluster-ip-v6", ("web.default.svc.cluster.local", 28)),
    ("service-port", ("_http._tcp.web.default.svc.cluster.local", 33)),
    ("headless", ("db.default.svc.cluster.local", 1)),
    ("endpoint", ("db-1.db.default.svc.cluster.local", 28)),
    ("alias", ("near.default.svc.cluster.local", 1)),
    ("reverse", ("5.0.244.10.in-addr.arpa", 12)),
    ("pod", ("10-244-0-5.default.pod.cluster.local", 1)),
    ("version", ("dns-version.cluster.local", 16)),
];

fn dns_input(who: u8, query: &[u8], upstream: &[u8]) -> Vec<u8> {
    let length = (query.len() as u16).to_be_bytes();
    [&[who], &length[..], query, upstream].concat()
}

/// A query with an OPT record.
fn query_of((name, qtype): Question) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    put_name(&mut bytes, name);
    bytes.extend(qtype.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn put_name(bytes: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
}

/// An address for www.example.org.
fn upstream() -> Vec<u8> {
    let mut bytes = query_of(("www.example.org", 1));
    bytes.truncate(bytes.len() - 11);
    bytes[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    bytes
}

/// The specs of Services that use most of what a table can hold.
const SERVICES: [&str; 4] = [
    r#"{"ports": [{"port": 80}]}"#,
    r#"{"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}], "sessionAffinity": "ClientIP"}"#,
    r#"{"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30081}], "externalTrafficPolicy": "Local",
        "externalIPs": ["192.0.2.7"], "loadBalancerSourceRanges": ["10.0.0.0/8", "fd00::/8"]}"#,
    r#"{"ports": [{"port": 53, "protocol": "UDP"}], "internalTrafficPolicy": "Local"}"#,
];

/// What makes a table; a dump of it has the same messages.
fn table(family: Family, services: &[&str]) -> Vec<u8> {
    let mut intent = Intent::new(Config { node_name: "node-a".to_owned(), ..Config::default() });
    intent.apply(Event::HostAddresses(vec![[192, 168, 0, 1].into(), "fd00:31::1".parse().expect("an address")]));
    services.iter().enumerate().flat_map(|(at, spec)| service(at, spec)).for_each(|event| intent.apply(event));
    intent.take_changes();
    let absent = nft::observe::<&[u8]>(family, &[]);
    let plan = nft::plan(&Change::between(&Model::empty(family), intent.model(family)), &absent);
    nft::encode(&[&plan], &nft::Options::default()).into_iter().flat_map(|batch| batch.bytes).collect()
}

/// A Service with two endpoints in each family.
fn service(at: usize, spec: &str) -> [Event; 3] {
    let mut spec: Value = serde_json::from_str(spec).expect("a spec");
    spec["clusterIPs"] = json!([format!("10.96.0.{at}"), format!("fd00:10:96::{at}")]);
    let name = format!("s{at}");
    let slice = |family: &str, addresses: [String; 2]| {
        let endpoints = addresses.map(|address| json!({ "addresses": [address], "nodeName": "node-a" }));
        let labels = json!({ "kubernetes.io/service-name": name });
        let object = json!({
            "metadata": { "namespace": "default", "name": format!("{name}-{family}"), "labels": labels },
            "addressType": family, "endpoints": endpoints,
            "ports": [{ "name": "", "port": 8080, "protocol": if at == 3 { "UDP" } else { "TCP" } }],
        });
        Event::Slice(Arc::new(serde_json::from_value(object).expect("an EndpointSlice")))
    };
    let object = json!({ "metadata": { "namespace": "default", "name": name }, "spec": spec });
    [
        Event::Service(Arc::new(serde_json::from_value(object).expect("a Service"))),
        slice("IPv4", [1, 2].map(|last| format!("10.244.{at}.{last}"))),
        slice("IPv6", [1, 2].map(|last| format!("fd00:10:244:{at}::{last}"))),
    ]
}

/// The files of a store after so many writes, or as soon as it has written a snapshot.
fn files(writes: usize, until_snapshot: bool) -> BTreeMap<String, Vec<u8>> {
    let disk = SimFiles::new();
    // What is still history is kept in the log, and no snapshot lets it go.
    let (history_revisions, history_age) = (4, std::time::Duration::ZERO);
    let (checkpoint_bytes, segment_bytes) = (1024, 1024);
    let options = Options { history_revisions, history_age, checkpoint_bytes, segment_bytes, ..Options::default() };
    let open = || Embedded::open_on(Arc::new(disk.clone()), options.clone()).expect("it opens");
    let store = open();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let has_snapshot = || disk.contents().keys().any(|name| name.starts_with("snapshot-") && !name.ends_with(".new"));
    for at in (0..writes).take_while(|_| !until_snapshot || !has_snapshot()) {
        let key = Arc::from(format!("/k{}", at % 3));
        let write = if at % 5 == 4 { Write::Delete(key) } else { Write::Put(key, at.to_string().into()) };
        let transaction = Transaction { expect: Vec::new(), writes: vec![write] };
        runtime.block_on(store.commit(transaction)).expect("memory takes it");
    }
    drop(store);
    // What a snapshot has replaced goes when the store is opened again.
    drop(open());
    disk.contents()
}

/// What the target `recovery` reads files from; it makes their checksums good if it is asked to.
fn files_as_input(files: &BTreeMap<String, Vec<u8>>, repaired: bool) -> Vec<u8> {
    let mut input = Vec::new();
    for (name, bytes) in files {
        let (kind, number) = name.split_once('-').expect("the store's files are numbered");
        let kind = if repaired { kind.to_ascii_uppercase() } else { kind.to_owned() };
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        input.push(kind.as_bytes()[0]);
        input.extend(number.parse::<u16>().expect("a small number").to_be_bytes());
        input.extend(u16::try_from(end).expect("a small file").to_be_bytes());
        input.extend(&bytes[..end]);
    }
    input
}
