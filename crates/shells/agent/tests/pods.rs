//! Pods as real processes, with the real API server in the same process.

mod world;

use serde_json::json;
use world::World;

/// Not a test: the program that becomes a Pod's parent process is this test binary, run with this name.
#[test]
fn pod_parent_entry() {
    if let Some(dir) = std::env::var_os(world::PARENT_DIR) {
        let ended = agent::pod_parent(dir.as_ref());
        panic!("{:?}", ended.expect_err("a parent ends only by exit"));
    }
}

#[test]
fn a_pod_runs_is_ready_and_is_stopped() {
    lab::test(|| {
        let world = World::new("runs");
        let _agent = world.agent();
        world.create_pod("web", json!({"terminationGracePeriodSeconds": 5, "containers": [{
            "name": "main", "image": "host",
            "command": ["sh", "-c", "trap 'exit 0' TERM; echo up; touch $DIR/up; while :; do sleep 0.1; done"],
            "env": [{"name": "DIR", "value": world.scratch()}],
            "readinessProbe": {"exec": {"command": ["test", "-e", format!("{}/up", world.scratch())]}, "periodSeconds": 1},
        }]}));
        let pod = world.await_pod("web", "ready", |pod| world::condition(pod, "Ready") == "True");
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["status"]["podIPs"], json!([{"ip": "10.244.7.2"}, {"ip": "fd00:10:244:7::2"}]));
        assert_eq!(pod["status"]["containerStatuses"][0]["started"], true);
        world.await_log("web", "main", 0, "stdout F up");

        world.delete_pod("web", json!({}));
        world.await_gone("web");
        world.assert_nothing_left();
    });
}
