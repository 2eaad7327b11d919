//! Address and port allocation as pure functions: which address or port comes next, given what is taken.
//!
//! Nothing is claimed here. A caller asks for a candidate, tries to store its claim in a transaction and asks again if
//! somebody else was faster. Randomness comes in as a seed, so the same question has the same answer.
//!
//! The bands follow [KEP-3070] (addresses) and [KEP-3668] (node ports): what is chosen for the user comes from the upper
//! part of a range first, so that the lower part stays free for those who choose for themselves.
//!
//! [KEP-3070]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/3070-reserved-service-ip-range
//! [KEP-3668]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/3668-reserved-service-nodeport-range

mod address;
mod port;
mod scan;

pub use address::{AddressRange, RangeError, next_address};
pub use port::{PortRange, next_port};
