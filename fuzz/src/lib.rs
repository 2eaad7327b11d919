//! What reads bytes from outside, as functions that any bytes may be given to: none may panic, and each asserts what must
//! hold of its result.
//!
//! ```text
//!   corpus/NAME/*  ──► cargo test: every input once             (tests/corpus.rs)
//!                  ──► ./dev fuzz NAME: libFuzzer looks for more  (targets/, a workspace of its own)
//! ```
//!
//! An input that broke something stays in the corpus, named after what it broke. Inputs with several parts are text where
//! that is possible, so that a person can write and read them.

mod bodies;
mod checksums;
mod dns;
mod dumps;
mod fields;
mod flows;
mod objects;
mod parts;
mod patches;
mod pods;
mod recovery;
mod requests;
mod selectors;

pub use bodies::bodies;
pub use dns::dns;
pub use dumps::dumps;
pub use fields::fields;
pub use flows::flows;
pub use objects::objects;
pub use patches::patches;
pub use pods::pods;
pub use recovery::recovery;
pub use requests::requests;
pub use selectors::selectors;

/// A function that any bytes may be given to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its folder in the corpus.
    pub name: &'static str,
    /// The function; it panics if something is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "bodies", run: bodies },
    Target { name: "dns", run: dns },
    Target { name: "dumps", run: dumps },
    Target { name: "fields", run: fields },
    Target { name: "flows", run: flows },
    Target { name: "objects", run: objects },
    Target { name: "patches", run: patches },
    Target { name: "pods", run: pods },
    Target { name: "recovery", run: recovery },
    Target { name: "requests", run: requests },
    Target { name: "selectors", run: selectors },
];
