//! Every system call and all `unsafe` code of maitred: it moves bytes between values and the kernel, and decides
//! nothing. What a rule or a route should be is said by the caller.

pub mod chains;
pub mod conntrack;
pub mod detached;
pub mod links;
pub mod mmsg;
pub mod netlink;
pub mod netns;
pub mod nfnetlink;
pub mod peer;
pub mod process;
pub mod sandbox;
