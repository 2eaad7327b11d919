use std::sync::Arc;

use super::*;
use crate::eval::tests::{endpoint, frontend, model};
use crate::{Affinity, LocalPods, Masquerade, Outcome, Sources};

#[test]
fn equal_models_have_no_difference() {
    assert!(compare(&model(), &model()).is_empty());
    assert_eq!(compare(&model(), &model()).to_string(), "");
}

#[test]
fn provenance_is_no_difference() {
    let mut observed = model();
    observed.frontends.values_mut().for_each(|rule| rule.provenance = crate::Provenance::default());
    assert!(compare(&model(), &observed).is_empty());
}

#[test]
fn a_missing_frontend_names_its_object() {
    let mut observed = model();
    observed.frontends.remove(&frontend("10.96.0.10:80"));
    check(&observed, "missing: 10.96.0.10:80/tcp, from Service default/web spec.clusterIPs[0] @7\n");
}

#[test]
fn an_unexpected_frontend_is_named() {
    let mut observed = model();
    let rule = observed.frontends[&frontend("10.96.0.10:80")].clone();
    observed.frontends.insert(frontend("10.96.0.99:81"), rule);
    check(&observed, "unexpected: 10.96.0.99:81/tcp, a cluster IP\n");
}

#[test]
fn every_field_that_differs_is_told() {
    let mut observed = model();
    let rule = observed.frontends.get_mut(&frontend("10.96.0.10:80")).unwrap();
    rule.role = crate::Role::ExternalIp;
    rule.sources = Sources::Only(BTreeSet::from(["10.0.0.0/8".parse().unwrap()]));
    rule.far = Outcome::Drop;
    let Outcome::Pool(near) = &mut rule.near else { panic!("near is a pool") };
    near.endpoints = Arc::from([endpoint("10.1.0.5:8080", true)]);
    rule.masquerade = Masquerade::Always;
    rule.affinity = Some(Affinity { timeout_s: 60 });
    check(
        &observed,
        "different: 10.96.0.10:80/tcp, from Service default/web spec.clusterIPs[0] @7
  role: intended cluster IP, observed external IP
  sources: intended any, observed only 10.0.0.0/8
  near: intended 10.1.0.5:8080 (local), 10.1.1.6:8080, observed 10.1.0.5:8080 (local)
  far: intended 10.1.0.5:8080 (local), 10.1.1.6:8080, observed drop
  masquerade: intended unless from a local Pod, observed always
  affinity: intended none, observed client IP for 60 s
",
    );
}

#[test]
fn surroundings_are_compared_too() {
    let mut observed = model();
    observed.node_addresses = BTreeSet::from(["192.168.0.2".parse().unwrap()]);
    observed.service_ranges.clear();
    observed.local_pods = LocalPods::Interface("cni0".to_owned());
    check(
        &observed,
        "missing: node address 192.168.0.1
unexpected: node address 192.168.0.2
missing: Service range 10.96.0.0/16
different: local Pods: intended source in 10.1.0.0/24, observed interface cni0
",
    );
}

fn check(observed: &Model, expected: &str) {
    let difference = compare(&model(), observed);
    assert!(!difference.is_empty());
    assert_eq!(difference.to_string(), expected);
}
