//! What a node does for the Pods bound to it, as values: no process is started and no clock is read here.
//!
//! ```text
//!   Pod JSON ── plan() ──► PodPlan ─┐
//!                                   ├─ step(plan, state, input, now) ──► new state, effects ──► the agent's shell
//!   exits, probes, deletions ───────┘                 │
//!                                                     └── status() ──► what the API shows of it
//! ```
//!
//! A Pod is a process of the host (`image: host`) or something that already runs (`maitred.dev/address`). What a Pod asks
//! for and is not done here is named with its path by [`plan()`], so that the Pod waits with an Event and is never run as
//! something else than its author wrote. Starting, signalling and probing are the agent's; which addresses are ready
//! for a Service is decided by `slices`.

mod addresses;
mod backoff;
mod environment;
mod expand;
mod fields;
mod parse;
mod plan;
mod probe;
mod state;
mod status;
mod step;

pub use addresses::{Exhausted, allocate, gateway};
pub use backoff::{Backoff, Crash};
pub use environment::{environment, hosts_file};
pub use expand::expand;
pub use parse::plan;
pub use plan::{
    Action, ContainerPlan, Dns, Identity, Means, Mode, Obstacle, PodPlan, Port, Probe, ProbeKind, Refusal,
    RestartPolicy, Rights,
};
pub use probe::Watch;
pub use state::{ContainerState, Ended, Exit, Now, PodState, Running, Sandbox, Stage, Stopping};
pub use status::{Place, difference, refused_status, status};
pub use step::{Effect, Found, Input, Notice, UNANSWERED, deadline, next_wake, step};

#[cfg(test)]
mod tests;
