//! Pods whose parent process does not answer.

use http::Method;
use serde_json::json;

use crate::world::{self, World, sleeper};

const SIGSTOP: i32 = 19;
const SIGCONT: i32 = 18;
/// More than a queue of messages to a Pod would hold.
const CHANGES: usize = 300;

/// Has the API tell of a Pod again and again.
fn change_often(world: &World, pod: &str) {
    for change in 0..CHANGES {
        let annotations = json!({"metadata": {"annotations": {"example.com/change": change.to_string()}}});
        let path = format!("/api/v1/namespaces/default/pods/{pod}");
        world.send(Method::PATCH, &path, Some(annotations)).expect("the Pod is changed");
    }
}

fn assert_others_start(world: &World) {
    world.create_pod("other", sleeper());
    world.await_ready("other");
    world.delete_pod("other", json!({"gracePeriodSeconds": 0}));
    world.await_gone("other");
}

#[test]
fn a_parent_that_does_not_answer_a_new_agent_holds_up_its_own_pod_only() {
    lab::test(|| {
        let world = World::new("deaf");
        let agent = world.agent();
        world.create_pod("stuck", sleeper());
        world.await_ready("stuck");
        let parent = world.parent_pid("stuck");
        drop(agent);
        kernel::process::signal(parent, SIGSTOP).expect("it is stopped");
        let _agent = world.agent();
        change_often(&world, "stuck");
        assert_others_start(&world);

        world.delete_pod("stuck", json!({"gracePeriodSeconds": 0}));
        kernel::process::signal(parent, SIGCONT).expect("it goes on");
        world.await_gone("stuck");
        world.assert_nothing_left();
    });
}

#[test]
fn a_parent_that_stops_reading_holds_up_its_own_pod_only() {
    lab::test(|| {
        let world = World::new("mute");
        let _agent = world.agent();
        // Each question is large, so that few of them fill the socket.
        world.create_pod(
            "stuck",
            json!({"containers": [{
                "name": "main", "image": "host", "command": ["sleep", "600"],
                "env": [{"name": "LARGE", "value": "x".repeat(100_000)}],
                "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
            }]}),
        );
        world.await_ready("stuck");
        let parent = world.parent_pid("stuck");
        kernel::process::signal(parent, SIGSTOP).expect("it is stopped");
        world.await_pod("stuck", "unready", |pod| world::condition(pod, "Ready") == "False");
        std::thread::sleep(std::time::Duration::from_secs(3));
        change_often(&world, "stuck");
        assert_others_start(&world);

        kernel::process::signal(parent, SIGCONT).expect("it goes on");
        world.await_pod("stuck", "ready again", |pod| world::condition(pod, "Ready") == "True");
        world.end_last_pod("stuck");
    });
}

#[test]
fn a_parent_that_does_not_answer_is_killed_before_another_takes_its_place() {
    lab::test(|| {
        let world = World::new("killed");
        let agent = world.agent();
        world.create_pod("web", sleeper());
        let pod = world.await_ready("web");
        let parent = world.parent_pid("web");
        drop(agent);
        kernel::process::signal(parent, SIGSTOP).expect("it is stopped");
        world.change_state(&pod, |state| {
            state["sandbox"] = "Requested".into();
            state["containers"][0]["now"] = json!({"Waiting": {"until": null}});
        });
        let _agent = world.agent();
        world
            .eventually("another parent process runs it", || world.find_parent_pid("web").filter(|pid| *pid != parent));
        world.eventually("the first one is gone", || {
            (!std::path::Path::new(&format!("/proc/{parent}")).exists()).then_some(())
        });
        world.end_last_pod("web");
    });
}

#[test]
fn no_other_parent_takes_the_place_of_a_killed_one_before_that_is_gone() {
    lab::test(|| {
        let world = World::new("dying");
        let agent = world.agent();
        world.create_pod("web", sleeper());
        let pod = world.await_ready("web");
        let parent = world.parent_pid("web");
        // A process of the Pod whose end nobody reaps: the kernel does not let the parent go before.
        let mut visitor = std::process::Command::new("nsenter")
            .args(["--target", &parent.to_string(), "--pid", "--", "sleep", "600"])
            .env("MARK", world.scratch())
            .spawn()
            .expect("nsenter");
        let inside = format!("/proc/{0}/task/{0}/children", visitor.id());
        world.eventually("it is inside", || {
            std::fs::read_to_string(&inside).ok().filter(|children| !children.is_empty())
        });
        drop(agent);
        for process in [visitor.id(), parent] {
            kernel::process::signal(process, SIGSTOP).expect("it is stopped");
        }
        world.change_state(&pod, |state| {
            state["sandbox"] = "Requested".into();
            state["containers"][0]["now"] = json!({"Waiting": {"until": null}});
        });
        let _agent = world.agent();
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert!(std::path::Path::new(&format!("/proc/{parent}")).exists(), "it was killed and is dying");
        assert_eq!(world.find_parent_pid("web").filter(|pid| *pid != parent), None);

        kernel::process::signal(visitor.id(), SIGCONT).expect("it goes on");
        world
            .eventually("another parent process runs it", || world.find_parent_pid("web").filter(|pid| *pid != parent));
        visitor.wait().expect("it has ended");
        world.end_last_pod("web");
    });
}

#[test]
fn a_pod_whose_parent_does_not_answer_can_be_deleted() {
    lab::test(|| {
        let world = World::new("unanswered");
        let agent = world.agent();
        for (name, grace_s) in [("left", 600), ("asked", 1), ("forced", 1)] {
            let mut spec = sleeper();
            spec["terminationGracePeriodSeconds"] = grace_s.into();
            world.create_pod(name, spec);
            world.await_ready(name);
            kernel::process::signal(world.parent_pid(name), SIGSTOP).expect("it is stopped");
        }
        // Of the agent that has asked before.
        world.delete_pod("left", json!({"gracePeriodSeconds": 1}));
        world.await_gone("left");
        drop(agent);
        // And of one that has not heard from it yet.
        let _agent = world.agent();
        world.delete_pod("asked", json!({}));
        world.delete_pod("forced", json!({"gracePeriodSeconds": 0}));
        world.await_gone("asked");
        world.await_gone("forced");
        world.assert_nothing_left();
    });
}
