//! One file per kind over the whole object: schema facts, defaults, validation, update rules, allocation, columns.
//!
//! The API server's verbs are generic over [`Kind`]; everything that makes a Service a Service stands here, as functions
//! from values to values. A stored object is the whole JSON value. Nothing here does I/O, knows the time or throws dice:
//! all of that comes in by [`Context`]. Who claims an address is decided by the store's transaction; a kind only says
//! which claims its object needs ([`Admitted::claims`]).

pub mod age;
mod config_map;
pub mod deletion;
mod endpoint_slice;
mod endpoints;
pub mod event;
mod fields;
mod ip;
mod ip_address;
mod json;
mod lease;
pub mod metadata;
pub mod namespace;
mod node;
mod pod;
mod service;
mod service_cidr;
mod shape;
mod syntax;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde_json::Value;

pub use config_map::ConfigMap;
pub use endpoint_slice::EndpointSlice;
pub use endpoints::Endpoints;
pub use event::Event;
pub use ip_address::IpAddress;
pub use lease::Lease;
pub use metadata::NameRule;
pub use namespace::Namespace;
pub use node::Node;
pub use pod::Pod;
pub use service::Service;
pub use service_cidr::ServiceCidr;
pub use shape::conform;

/// Every kind that is served, once. Events are served a second time as `events.k8s.io/v1`, by way of
/// [`event::to_events_v1`].
pub fn all() -> &'static [&'static dyn Kind] {
    &[
        &Namespace,
        &Node,
        &Pod,
        &Service,
        &Endpoints,
        &EndpointSlice,
        &ServiceCidr,
        &IpAddress,
        &ConfigMap,
        &Event,
        &Lease,
    ]
}

/// What an API kind is called and what it offers.
#[derive(Debug)]
pub struct Facts {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version within the group.
    pub version: &'static str,
    /// As in `kind:`.
    pub kind: &'static str,
    /// As in URLs.
    pub plural: &'static str,
    /// As on the command line.
    pub singular: &'static str,
    /// Short names, such as `svc`.
    pub short_names: &'static [&'static str],
    /// Categories, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `status` subresource, and so a status that plain writes leave alone.
    pub has_status: bool,
}

impl Facts {
    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural` or `plural.group`, as in error messages.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// What a decision may depend on besides the object: the time, a seed, the configuration and who holds what.
pub struct Context<'a> {
    /// Now, RFC 3339 in UTC, whole seconds.
    pub now: &'a str,
    /// For generated names and for the random start of allocation (S-138, S-140).
    pub seed: u64,
    /// The Service ranges, the default one first (S-114, S-141).
    pub service_ranges: &'a [ServiceRange],
    /// The ranges of Pod addresses, as far as they are known.
    pub pod_ranges: &'a [IpNet],
    /// The node-port range (S-138).
    pub node_ports: RangeInclusive<u16>,
    /// What is already claimed.
    pub taken: &'a dyn Taken,
    /// Nothing will be stored: claims nothing (S-140).
    pub dry_run: bool,
}

/// A range of cluster IPs, one family of a ServiceCIDR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    /// The range.
    pub cidr: IpNet,
    /// Ready and not being deleted (S-141).
    pub usable: bool,
}

/// What is already claimed, as a snapshot.
pub trait Taken {
    /// Whether this cluster IP has an IPAddress object.
    fn address(&self, address: IpAddr) -> bool;
    /// Whether this node port is claimed.
    fn port(&self, port: u16) -> bool;
}

/// Something that only one Service can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// A cluster IP.
    Address(IpAddr),
    /// A node port or health-check node port, for all protocols (S-137).
    Port(u16),
}

/// An object that may be stored.
#[derive(Debug)]
pub struct Admitted {
    /// The object as it is to be stored.
    pub object: Value,
    /// What it newly holds. The write is refused, and this function asked again, if one of these is taken meanwhile.
    pub claims: Vec<Claim>,
    /// What it no longer holds.
    pub releases: Vec<Claim>,
    /// `Warning` headers for the client.
    pub warnings: Vec<String>,
}

impl Admitted {
    /// An object that holds nothing and warns of nothing.
    pub fn plain(object: Value) -> Admitted {
        Admitted { object, claims: Vec::new(), releases: Vec::new(), warnings: Vec::new() }
    }
}

/// Why an object may not be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 422, with one cause per field.
    Invalid(Vec<FieldError>),
    /// 400.
    BadRequest(String),
    /// 403.
    Forbidden(String),
    /// 409, when a precondition of a deletion doesn't hold.
    Conflict(String),
    /// 500, as Kubernetes answers when a range is exhausted (S-117). The text comes without
    /// `Internal error occurred: `.
    Internal(String),
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The kind of mistake.
    pub cause: Cause,
    /// The field's path, such as `spec.ports[0].nodePort`.
    pub field: String,
    /// The whole text as Kubernetes writes it, without the path: `Invalid value: 5: must be …`.
    pub detail: String,
}

/// The kinds of mistakes (S-100's preamble).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The field must be given.
    Required,
    /// The value cannot be used.
    Invalid,
    /// The field may not be given here.
    Forbidden,
    /// The value was given before.
    Duplicate,
    /// The value is none of the known ones.
    NotSupported,
    /// The value is too long.
    TooLong,
    /// There are too many items.
    TooMany,
    /// The value has the wrong type.
    TypeInvalid,
}

/// A column of `kubectl get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading, as in `Cluster-IP`.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, …
    pub r#type: &'static str,
    /// OpenAPI format, `name` for the object's name.
    pub format: &'static str,
    /// What the column shows.
    pub description: &'static str,
    /// 0 shows it always, 1 only with `-o wide`.
    pub priority: u8,
}

/// A kind of object.
///
/// The server calls [`metadata::prepare_create`] or [`metadata::prepare_update`] on what a client sent, then the kind, which
/// begins with [`conform()`]. The kinds check metadata too, so that all mistakes come in one answer.
pub trait Kind: Sync + Send {
    /// Names and subresources.
    fn facts(&self) -> &'static Facts;

    /// Which names objects may have.
    fn name_rule(&self) -> NameRule {
        NameRule::Subdomain
    }

    /// Whether `metadata.generation` counts the changes of the desired state.
    fn counts_generations(&self) -> bool {
        false
    }

    /// How long a deletion is announced before it happens; `asked` is what the client wants, never negative.
    fn grace_period_seconds(&self, _object: &Value, _asked: Option<i64>) -> i64 {
        0
    }

    /// What a deletion that doesn't remove the object at once changes in it, besides its metadata.
    fn mark_deleted(&self, _object: &mut Value) {}

    /// Read-time defaulting, for objects that an older version stored (S-110).
    fn read(&self, _object: &mut Value) {}

    /// Decides on a new object: defaults, allocation, validation, in this order.
    fn create(&self, object: Value, context: &Context<'_>) -> Result<Admitted, Refusal>;

    /// Decides on a change of an object by a plain write; status is kept from `old`.
    fn update(&self, new: Value, old: &Value, context: &Context<'_>) -> Result<Admitted, Refusal>;

    /// Decides on a change by way of the `status` subresource; the spec is kept from `old` (S-107).
    fn update_status(&self, _new: Value, _old: &Value, _context: &Context<'_>) -> Result<Admitted, Refusal> {
        Err(Refusal::BadRequest(format!("{} has no status subresource", self.facts().resource())))
    }

    /// What the object holds, to be released when it is really gone (S-106).
    fn holds(&self, _object: &Value) -> Vec<Claim> {
        Vec::new()
    }

    /// The value of a selectable field other than `metadata.name` and `metadata.namespace`, or `None` if the field
    /// cannot be selected by (S-101).
    fn field(&self, _object: &Value, _path: &str) -> Option<String> {
        None
    }

    /// All columns of `kubectl get` (S-104), `Name` first.
    fn columns(&self) -> &'static [Column];

    /// The cells of one row, one per column. `now` is as in [`Context::now`].
    fn row(&self, object: &Value, now: &str) -> Vec<Value>;
}

/// The column that every kind begins with.
const NAME: Column =
    Column { name: "Name", r#type: "string", format: "name", description: "Name of the object", priority: 0 };

/// How long the object exists.
const AGE: Column = column("Age", "Time since the object was created");

const fn column(name: &'static str, description: &'static str) -> Column {
    Column { name, r#type: "string", format: "", description, priority: 0 }
}

/// A column for `-o wide` only.
const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, r#type: "string", format: "", description, priority: 1 }
}

const fn number(name: &'static str, description: &'static str) -> Column {
    Column { name, r#type: "integer", format: "", description, priority: 0 }
}

/// The cell under [`NAME`].
fn name_cell(object: &Value) -> Value {
    json::text(object, "/metadata/name").into()
}

/// The cell under [`AGE`].
fn age_cell(object: &Value, now: &str) -> Value {
    age::age(object.pointer("/metadata/creationTimestamp").and_then(Value::as_str), now).into()
}

/// The items with commas between, or `none` if there are none.
fn list_cell<T: AsRef<str>>(items: &[T], none: &str) -> Value {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    if items.is_empty() { none.into() } else { items.join(",").into() }
}

#[cfg(test)]
mod tests;
