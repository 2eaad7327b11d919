//! An agent with the real API server in the same process: Pods as real processes, and a node with real links.

mod addresses;
mod node;
mod pods;
mod stopped;
mod world;

/// Not a test: the program that becomes a Pod's parent process is this test binary, run with this name.
#[test]
fn pod_parent_entry() {
    if let Some(dir) = std::env::var_os(world::PARENT_DIR) {
        let ended = agent::pod_parent(dir.as_ref());
        panic!("{:?}", ended.expect_err("a parent ends only by exit"));
    }
}
