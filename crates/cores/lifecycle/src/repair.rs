//! Checks who holds cluster IPs (S-145) and node ports (S-146) against the Services that use them.
//!
//! Allocation is transactional, so only objects that people edited or deleted make repairs necessary. A conflict is
//! told and never resolved by taking an address or port away from somebody: the user recreates the Service.

mod addresses;
mod ports;

pub use addresses::{AddressInputs, AddressPlan, plan_addresses};
pub use ports::{Leaks, PortPlan, plan_ports};
