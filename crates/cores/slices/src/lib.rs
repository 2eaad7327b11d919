//! Selectors and Pods to EndpointSlices (S-200…S-223) and legacy Endpoints (S-224…S-229), as plans.
//!
//! ```text
//!   Service + Pods + Nodes ──► candidates ──► endpoints, grouped by resolved ports ──┐
//!                                                                                   ├─► pack ──► POST, PUT, DELETE
//!   existing EndpointSlices ────────────────────────────────────────────────────────┘
//! ```
//!
//! A plan holds whole objects: they are POSTed or PUT as they are, with `apiVersion` and `kind` added. Its size is the
//! size of the change: one Pod that becomes ready rewrites one slice. Planning again on the result gives an empty plan,
//! and the order of the inputs changes nothing.
//!
//! ```
//! use slices::{Inputs, SLICE_LEN_DEFAULT, plan_slices};
//!
//! let service: api::Service = serde_json::from_str(r#"{
//!     "metadata": {"name": "web", "namespace": "default", "uid": "u"},
//!     "spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"app": "web"}, "ports": [{"port": 80}]}
//! }"#)?;
//! let pod: api::Pod = serde_json::from_str(r#"{
//!     "metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}},
//!     "status": {"phase": "Running", "podIPs": [{"ip": "10.1.0.1"}]}
//! }"#)?;
//! let plan = plan_slices(&Inputs {
//!     service: &service,
//!     pods: &[&pod],
//!     nodes: &|_| None,
//!     existing: &[],
//!     trigger: None,
//!     slice_len_max: SLICE_LEN_DEFAULT,
//! });
//! assert_eq!(plan.create[0].endpoints[0].addresses, ["10.1.0.1"]);
//! assert_eq!(plan.create[0].endpoints[0].conditions.ready, Some(false), "its condition Ready is not there");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Left to others: queueing and retries (`runloop`), writes (`controllers`), validation of stored objects (`kinds`),
//! mirroring of manual Endpoints, and proportional zone hints (S-221).
//!
//! The kinds are KEP-752 (EndpointSlice), KEP-1672 (terminating endpoints) and KEP-3015 (traffic distribution).

mod endpoint;
mod endpoints;
mod expectations;
mod family;
mod metadata;
mod packing;
mod plan;
mod pod;
mod repack;
mod trigger;

pub use endpoints::{EndpointsInputs, EndpointsPlan, is_orphan, is_written_by_us, plan_endpoints};
pub use expectations::{Expectations, Stale};
pub use metadata::{LAST_CHANGE_TRIGGER_TIME, MANAGED_BY, MANAGED_BY_LABEL};
pub use plan::{Inputs, Retry, SLICE_LEN_DEFAULT, SlicePlan, plan_slices};
pub use trigger::{Part, TriggerTimes};

#[cfg(test)]
mod fixture;
