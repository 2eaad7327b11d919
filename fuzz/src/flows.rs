//! What a kernel says its connection tracking knows.

use kernel::conntrack::udp_entries_of;

/// The bytes of a dump. What is before an entry that can be read says nothing of those after it.
pub fn flows(data: &[u8]) {
    let found = udp_entries_of(data);
    let twice = udp_entries_of(&[data, data].concat());
    assert!(twice.len() >= found.len(), "{found:?}, then {twice:?}");
    assert_eq!(twice[..found.len()], found, "more bytes behind a dump change what it says");
}
