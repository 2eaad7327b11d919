//! What holds for every kind, and what the kinds' own tests share.

use std::collections::HashSet;

use serde_json::json;

use super::*;

mod hostile;

pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

/// A cluster as a test wants it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub ranges: Vec<ServiceRange>,
    pub pod_ranges: Vec<IpNet>,
    pub addresses: HashSet<IpAddr>,
    pub ports: HashSet<u16>,
    pub node_ports: Option<RangeInclusive<u16>>,
    pub dry_run: bool,
}

impl Taken for Cluster {
    fn address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    fn port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }
}

impl Cluster {
    /// A cluster with these Service ranges, the default one first.
    pub fn with(ranges: &[&str]) -> Cluster {
        let range = |text: &&str| ServiceRange { cidr: text.parse().unwrap(), usable: true };
        Cluster { ranges: ranges.iter().map(range).collect(), ..Cluster::default() }
    }

    pub fn taking(mut self, addresses: &[&str], ports: &[u16]) -> Cluster {
        self.addresses.extend(addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()));
        self.ports.extend(ports);
        self
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            now: NOW,
            seed: 7,
            service_ranges: &self.ranges,
            pod_ranges: &self.pod_ranges,
            node_ports: self.node_ports.clone().unwrap_or(30000..=32767),
            taken: self,
            dry_run: self.dry_run,
        }
    }
}

/// The mistakes of a refusal, as `field: text`.
pub(crate) fn mistakes<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Vec<String> {
    match result {
        Err(Refusal::Invalid(errors)) => {
            errors.into_iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
        }
        other => panic!("not refused for mistakes: {other:?}"),
    }
}

#[test]
fn s100_every_kind_has_names_and_columns_of_its_own() {
    let mut plurals = HashSet::new();
    for kind in all() {
        let facts = kind.facts();
        assert!(plurals.insert(facts.resource()), "{} is registered twice", facts.resource());
        assert_eq!(facts.plural, facts.plural.to_lowercase());
        let blank = json!({"metadata": {"name": "a"}});
        assert_eq!(kind.columns().len(), kind.row(&blank, NOW).len(), "{}", facts.kind);
    }
    let service = Service.facts();
    assert_eq!((service.api_version().as_str(), service.plural), ("v1", "services"));
    assert_eq!((service.short_names, service.categories), (&["svc"][..], &["all"][..]));
    assert!(service.namespaced && service.has_status);
    assert_eq!(plurals.len(), 11);
}

/// An object of `kind` with valid metadata and these other fields.
pub(crate) fn object(kind: &dyn Kind, fields: Value) -> Value {
    let mut object = json!({"metadata": {"name": "a", "uid": "u", "creationTimestamp": NOW}});
    if kind.facts().namespaced {
        object["metadata"]["namespace"] = json!("default");
    }
    for (field, value) in fields.as_object().unwrap() {
        match (field.as_str(), value.as_object()) {
            ("metadata", Some(metadata)) => {
                for (field, value) in metadata {
                    object["metadata"][field] = value.clone();
                }
            }
            _ => object[field] = value.clone(),
        }
    }
    object
}

/// Creates an object that is accepted.
pub(crate) fn created(kind: &dyn Kind, fields: Value) -> Value {
    let cluster = Cluster::default();
    let new = object(kind, fields);
    kind.create(new, &cluster.context()).unwrap_or_else(|refusal| panic!("refused: {refusal:?}")).object
}

/// The mistakes of a new object.
pub(crate) fn refused(kind: &dyn Kind, fields: Value) -> Vec<String> {
    mistakes(kind.create(object(kind, fields), &Cluster::default().context()))
}

/// Stores an object and replaces fields of it.
pub(crate) fn changed(kind: &dyn Kind, fields: Value, change: Value) -> Result<Value, Refusal> {
    let old = created(kind, fields);
    let mut new = old.clone();
    for (pointer, value) in change.as_object().unwrap() {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        new.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    kind.update(new, &old, &Cluster::default().context()).map(|admitted| admitted.object)
}
