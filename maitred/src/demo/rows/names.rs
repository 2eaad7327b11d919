//! Names: what the cluster's DNS answers, asked at the DNS Service's own cluster IP.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lab::{DnsAnswer, RecordType, dns_ask};
use serde_json::json;

use super::super::scene::{PATIENCE, Scene};
use super::Seen;
use super::balancing::WEB;

/// The tenth address of the Service range (S-428).
const DNS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 10)), 53);
const ZONE: &str = "default.svc.cluster.local";
const NAMES: &str = include_str!("../../../../examples/names.yaml");

/// Asks until the answer is as wanted; the last answer otherwise.
fn ask(
    scene: &Scene,
    name: &str,
    kind: RecordType,
    wanted: impl Fn(&DnsAnswer) -> bool,
) -> anyhow::Result<Option<DnsAnswer>> {
    let client = scene.pod("web-0")?;
    let begun = Instant::now();
    loop {
        let answer = dns_ask(&client, DNS, name, kind, Duration::from_millis(500))?;
        if answer.as_ref().is_some_and(&wanted) || begun.elapsed() > PATIENCE {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is(answer: &Option<DnsAnswer>, expected: &BTreeSet<String>) -> bool {
    answer.as_ref().is_some_and(|answer| {
        answer.code == 0 && answer.authoritative && answer.answers.iter().cloned().collect::<BTreeSet<_>>() == *expected
    })
}

fn shown(answer: &Option<DnsAnswer>) -> String {
    answer.as_ref().map_or("no answer".to_owned(), |answer| match answer.code {
        0 => answer.answers.join(" "),
        3 => "no such name".to_owned(),
        code => format!("code {code}"),
    })
}

/// A name that is not there yet, then its Service is created.
pub(super) fn cluster_ip(scene: &mut Scene) -> anyhow::Result<Seen> {
    let name = format!("web-named.{ZONE}");
    let absent = ask(scene, &name, RecordType::A, |answer| answer.code == 3)?;
    let mut ok = absent.as_ref().is_some_and(|answer| answer.code == 3);
    let applied = Instant::now();
    scene.apply_some(NAMES, |object| object["metadata"]["name"] == "web-named")?;
    let mut took = None;
    let mut texts = vec![shown(&absent)];
    for address in scene.cluster_ips("web-named", 80)? {
        let kind = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
        let expected = BTreeSet::from([address.ip().to_string()]);
        let answer = ask(scene, &name, kind, |answer| is(&Some(answer.clone()), &expected))?;
        took.get_or_insert(applied.elapsed());
        ok &= is(&answer, &expected);
        texts.push(format!("{kind:?} {}", shown(&answer)));
    }
    Ok(Seen { took, ..Seen::new(ok && texts.len() == 3, format!("web-named: {}", texts.join(", "))) })
}

pub(super) fn headless(scene: &mut Scene) -> anyhow::Result<Seen> {
    let applied = Instant::now();
    scene.apply_some(NAMES, |object| object["metadata"]["name"] == "web-pods")?;
    let mut took = None;
    let mut ok = true;
    let mut texts = Vec::new();
    for kind in [RecordType::A, RecordType::Aaaa] {
        let expected: BTreeSet<String> = pod_addresses(scene, kind == RecordType::A)?;
        let answer = ask(scene, &format!("web-pods.{ZONE}"), kind, |answer| is(&Some(answer.clone()), &expected))?;
        took.get_or_insert(applied.elapsed());
        ok &= is(&answer, &expected) && expected.len() == WEB.len();
        texts.push(format!("{kind:?} {}", shown(&answer)));
    }
    Ok(Seen { took, ..Seen::new(ok, texts.join(", ")) })
}

fn pod_addresses(scene: &Scene, v4: bool) -> anyhow::Result<BTreeSet<String>> {
    let mut addresses = BTreeSet::new();
    for pod in WEB {
        let own = scene.pod_addresses(pod)?.into_iter().filter(|ip| ip.is_ipv4() == v4);
        addresses.extend(own.map(|ip| ip.to_string()));
    }
    Ok(addresses)
}

/// The C library inside a Pod, with the `/etc/resolv.conf` that the agent gave it: short names by the search path (S-430).
pub(super) fn from_a_pod(scene: &mut Scene) -> anyhow::Result<Seen> {
    let script = "for name in web web-pods.default elsewhere.default.svc; do getent ahosts $name; done";
    let created = Instant::now();
    let said = scene.run_in_pod("resolver", script)?;
    let took = created.elapsed();
    let found: BTreeSet<String> = said.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    let mut expected: BTreeSet<String> =
        scene.cluster_ips("web", 80)?.into_iter().map(|address| address.ip().to_string()).collect();
    expected.extend(pod_addresses(scene, true)?);
    expected.extend(pod_addresses(scene, false)?);
    let text = format!("{} addresses, as they must be: {}; time from creating the Pod", found.len(), found == expected);
    Ok(Seen::new(found == expected, text).took(took))
}

/// A Service gets a named port; what the name of that port leads to.
pub(super) fn srv(scene: &mut Scene) -> anyhow::Result<Seen> {
    let written = Instant::now();
    let ports = json!([{ "name": "http", "port": 80, "targetPort": "http" }, { "name": "alt", "port": 81, "targetPort": "http" }]);
    scene.patch_service("web-named", json!({ "spec": { "ports": ports } }))?;
    let expected = BTreeSet::from([format!("0 100 81 web-named.{ZONE}.")]);
    let name = format!("_alt._tcp.web-named.{ZONE}");
    let answer = ask(scene, &name, RecordType::Srv, |answer| is(&Some(answer.clone()), &expected))?;
    let took = written.elapsed();
    Ok(Seen::new(is(&answer, &expected), format!("_alt._tcp.web-named: {}", shown(&answer))).took(took))
}

pub(super) fn external_name(scene: &mut Scene) -> anyhow::Result<Seen> {
    let target = format!("web.{ZONE}.");
    let address = scene.cluster_ip("web", 80)?.ip().to_string();
    let expected = BTreeSet::from([target, address]);
    let name = format!("elsewhere.{ZONE}");
    let applied = Instant::now();
    scene.apply_some(NAMES, |object| object["metadata"]["name"] == "elsewhere")?;
    let answer = ask(scene, &name, RecordType::A, |answer| is(&Some(answer.clone()), &expected))?;
    let took = applied.elapsed();
    Ok(Seen::new(is(&answer, &expected), format!("elsewhere: {}", shown(&answer))).took(took))
}
