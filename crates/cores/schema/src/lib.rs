//! What the served kinds look like: their fields, types and descriptions, and how their lists merge.
//!
//! One source for four uses: the OpenAPI documents that kubectl reads ([`openapi_v3`], [`DocumentV2`]), `fieldValidation`
//! ([`unknown_fields`], [`duplicate_fields`]), the shape that every object is brought into ([`conform`]) with its 400 for a
//! value of a wrong JSON type ([`type_error`]), and the merge keys of strategic merge patches ([`merge_keys`]). Beside them stands the protobuf form of the same kinds
//! ([`from_protobuf`]).
//!
//! ```text
//! k8s-openapi ──./dev schemas──► definitions.json ─┐
//!                                                  ├─► components ─┬─► openapi_v3, merge_keys
//! facts.rs (how lists merge, defaults) ────────────┘               └─► tree ─► unknown_fields, type_error
//! ```
//!
//! It leaves to others what a *value* may be: whether a port is in range is for `kinds`, which HTTP status and warning
//! header a message becomes is for `apiserver`.
//!
//! Invariants: every `$ref` of a document resolves within it; equal input gives equal bytes, so a document's hash changes
//! only with its content; a kind that has no definition here is valid whatever its fields are.
//!
//! * [KEP-2896](https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/2896-openapi-v3): OpenAPI v3
//! * [KEP-2885](https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/2885-server-side-unknown-field-validation):
//!   field validation by the server

mod definitions;
mod duplicates;
mod facts;
mod merge;
mod openapi;
mod protobuf;
mod shape;
mod tree;
mod types;
mod unknown;

pub use definitions::is_defined;
pub use duplicates::{Error, duplicate_fields};
pub use merge::{MergeKey, merge_keys};
pub use openapi::{Document, DocumentV2, GroupVersion, Method, Served, Subresource, openapi_v3, openapi_v3_index};
pub use protobuf::{Error as ProtobufError, from_protobuf};
pub use shape::conform;
pub use tree::{Node, Type};
pub use types::{TypeError, type_error};
pub use unknown::unknown_fields;

/// Messages about one object are cut off here, as Kubernetes does, so that an answer stays small whatever was sent.
pub const MESSAGES_MAX: usize = 100;
