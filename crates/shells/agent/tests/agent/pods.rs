//! Pods as real processes.

use serde_json::{Value, json};

use crate::world::{self, World};

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
        let pod = world.await_ready("web");
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["status"]["podIPs"], json!([{"ip": "10.244.7.2"}, {"ip": "fd00:10:244:7::2"}]));
        assert_eq!(pod["status"]["containerStatuses"][0]["started"], true);
        world.await_log("web", "main", 0, "stdout F up");

        world.delete_pod("web", json!({}));
        world.await_gone("web");
        world.assert_nothing_left();
    });
}

#[test]
fn a_pod_that_ends_is_restarted_and_shows_how_it_ended() {
    lab::test(|| {
        let world = World::new("restarts");
        let _agent = world.agent();
        world.create_pod(
            "crash",
            json!({"containers": [{
                "name": "main", "image": "host", "command": ["sh", "-c", "echo attempt; exit 3"],
            }]}),
        );
        let pod = world.await_pod("crash", "restarted twice", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"].as_u64() >= Some(2)
        });
        let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
        assert_eq!((&last["exitCode"], &last["reason"]), (&json!(3), &json!("Error")));
        world.await_event("crash", "BackOff");
        world.delete_pod("crash", json!({}));
        world.await_gone("crash");
        world.assert_nothing_left();
    });
}

#[test]
fn a_pod_that_fails_its_liveness_probe_is_started_again() {
    lab::test(|| {
        let world = World::new("liveness");
        let _agent = world.agent();
        let file = format!("{}/alive", world.scratch());
        world.create_pod("sick", json!({"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "main", "image": "host", "command": ["sh", "-c", format!("touch {file}; while :; do sleep 0.1; done")],
            "livenessProbe": {"exec": {"command": ["test", "-e", file]}, "periodSeconds": 1, "failureThreshold": 1,
                "initialDelaySeconds": 1},
        }]}));
        world.await_pod("sick", "running", |pod| pod["status"]["phase"] == "Running");
        world.eventually("the file is there", || std::fs::remove_file(&file).ok());
        let pod =
            world.await_pod("sick", "restarted", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1);
        assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["signal"], 15);
        world.await_event("sick", "Killing: Container main failed its liveness probe");
        world.end_last_pod("sick");
    });
}

#[test]
fn the_log_is_whole_when_the_api_shows_a_containers_end() {
    lab::test(|| {
        let world = World::new("whole-log");
        let _agent = world.agent();
        for attempt in 0..5 {
            let name = format!("speaker-{attempt}");
            world.create_pod(
                &name,
                json!({"restartPolicy": "Never", "containers": [{
                    "name": "main", "image": "host", "command": ["seq", "20000"],
                }]}),
            );
            world.await_pod(&name, "over", |pod| pod["status"]["phase"] == "Succeeded");
            let log = world.log(&name, "main", 0);
            assert!(log.ends_with("stdout F 20000\n"), "{:?}", log.lines().last());
        }
    });
}

#[test]
fn a_new_agent_adopts_what_runs_and_hears_how_it_ended_meanwhile() {
    lab::test(|| {
        let world = World::new("adoption");
        let agent = world.agent();
        let file = format!("{}/end", world.scratch());
        let script = format!("until [ -e {file} ]; do sleep 0.05; done; exit 42");
        world.create_pod(
            "kept",
            json!({"restartPolicy": "Never", "containers": [{
                "name": "main", "image": "host", "command": ["sh", "-c", script],
            }]}),
        );
        let before = world.await_ready("kept");
        let parent = world.parent_pid("kept");
        drop(agent);

        let agent = world.agent();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(world.parent_pid("kept"), parent, "the parent process is the same");
        let after = world.pod("kept").expect("the Pod");
        assert_eq!(after["status"]["containerStatuses"], before["status"]["containerStatuses"]);
        drop(agent);

        std::fs::write(&file, "").expect("the file");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let _agent = world.agent();
        let pod = world.await_pod("kept", "failed", |pod| pod["status"]["phase"] == "Failed");
        assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 42);
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
        world.delete_pod("kept", json!({}));
        world.await_gone("kept");
        world.assert_nothing_left();
    });
}

#[test]
fn a_deleted_pod_that_ignores_sigterm_is_killed_after_its_grace_period() {
    lab::test(|| {
        let world = World::new("grace");
        let _agent = world.agent();
        let file = format!("{}/term", world.scratch());
        let script = format!("trap 'echo x >> {file}' TERM; while :; do sleep 0.1; done");
        world.create_pod(
            "stubborn",
            json!({"terminationGracePeriodSeconds": 2, "containers": [{
                "name": "main", "image": "host", "command": ["sh", "-c", script],
            }]}),
        );
        world.await_ready("stubborn");
        let begun = std::time::Instant::now();
        world.delete_pod("stubborn", json!({}));
        world.eventually("SIGTERM comes", || std::fs::read_to_string(&file).ok());
        let pod = world.pod("stubborn").expect("it is still shown");
        assert!(!pod["metadata"]["deletionTimestamp"].is_null(), "it is terminating");
        assert_eq!(world::condition(&pod, "Ready"), "True", "and it serves");
        world.await_gone("stubborn");
        assert!(begun.elapsed() >= std::time::Duration::from_millis(1900), "gone after {:?}", begun.elapsed());
        world.assert_nothing_left();
    });
}

#[test]
fn a_terminating_pod_that_is_removed_by_force_gets_its_usual_time_at_most() {
    lab::test(|| {
        let world = World::new("forced");
        let _agent = world.agent();
        let script = "trap '' TERM; echo up; while :; do sleep 0.1; done";
        world.create_pod(
            "deaf",
            json!({"terminationGracePeriodSeconds": 2, "containers": [{
                "name": "main", "image": "host", "command": ["sh", "-c", script],
            }]}),
        );
        world.await_log("deaf", "main", 0, "up");
        world.delete_pod("deaf", json!({"gracePeriodSeconds": 600}));
        // The agent has seen that; the process ignores it.
        std::thread::sleep(std::time::Duration::from_secs(1));
        world.end_last_pod("deaf");
    });
}

#[test]
fn a_pod_with_an_image_is_pending_with_an_event_and_can_be_deleted() {
    lab::test(|| {
        let world = World::new("refused");
        let _agent = world.agent();
        world.create_pod("image", json!({"containers": [{"name": "main", "image": "nginx:1.29"}]}));
        let pod = world.await_pod("image", "explained", |pod| !pod["status"]["containerStatuses"].is_null());
        assert_eq!(pod["status"]["phase"], "Pending");
        world.await_event("image", "spec.containers[0].image");
        world.delete_pod("image", json!({}));
        world.await_gone("image");
    });
}

#[test]
fn a_pod_is_reached_at_its_address_and_sees_its_own_name_and_resolver() {
    lab::test(|| {
        let world = World::new("network");
        let _agent = world.agent_with(|config| config.dns_addresses = vec!["10.96.0.10".parse().expect("an address")]);
        let out = format!("{}/out", world.scratch());
        let script = format!(
            "hostname > {out}; id -u >> {out}; cat /etc/resolv.conf >> {out}; exec python3 -m http.server 8080"
        );
        world.create_pod(
            "site",
            json!({"hostname": "shop", "terminationGracePeriodSeconds": 1, "containers": [{
                "name": "main", "image": "host", "command": ["sh", "-c", script], "workingDir": world.scratch(),
                "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
            }]}),
        );
        if std::process::Command::new("python3").arg("--version").output().is_err() {
            return eprintln!("SKIP: no python3 to serve HTTP in the Pod");
        }
        world.await_ready("site");
        let text = std::fs::read_to_string(&out).expect("what the Pod wrote");
        assert!(text.starts_with("shop\n65534\n") || text.starts_with("shop\n0\n"), "{text}");
        assert!(text.contains("nameserver 10.96.0.10\n"), "{text}");
        assert!(text.contains("search default.svc.cluster.local svc.cluster.local cluster.local"), "{text}");
        world.delete_pod("site", json!({}));
        world.await_gone("site");
        world.assert_nothing_left();
    });
}

#[test]
fn a_pre_stop_hook_runs_before_sigterm() {
    lab::test(|| {
        let world = World::new("hook");
        let _agent = world.agent();
        let file = format!("{}/order", world.scratch());
        let script = format!("trap 'echo term >> {file}; exit 0' TERM; while :; do sleep 0.05; done");
        world.create_pod("polite", json!({"terminationGracePeriodSeconds": 10, "containers": [{
            "name": "main", "image": "host", "command": ["sh", "-c", script],
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", format!("sleep 0.3; echo hook >> {file}")]}}},
        }]}));
        world.await_ready("polite");
        world.delete_pod("polite", json!({}));
        world.await_gone("polite");
        assert_eq!(std::fs::read_to_string(&file).expect("both wrote"), "hook\nterm\n");
        world.assert_nothing_left();
    });
}

#[test]
fn a_pod_on_the_hosts_network_has_the_nodes_addresses_and_sees_its_links() {
    lab::test(|| {
        let world = World::new("host-network");
        let _agent = world.agent();
        let out = format!("{}/links", world.scratch());
        let _outside = world.join_outside();
        world.create_pod(
            "guest",
            json!({"hostNetwork": true, "restartPolicy": "Never", "containers": [{
                "name": "main", "image": "host", "command": ["sh", "-c", format!("cat /proc/net/dev > {out}")],
            }]}),
        );
        let pod = world.await_pod("guest", "over", |pod| pod["status"]["phase"] == "Succeeded");
        assert_eq!((&pod["status"]["podIP"], &pod["status"]["hostIP"]), (&json!("192.0.2.7"), &json!("192.0.2.7")));
        let links = std::fs::read_to_string(&out).expect("what the Pod saw");
        assert!(links.contains("up0:") && !links.contains("eth0:"), "{links}");
        world.delete_pod("guest", json!({}));
        world.await_gone("guest");
    });
}

#[test]
fn a_pod_that_runs_elsewhere_is_only_probed() {
    lab::test(|| {
        let world = World::new("elsewhere");
        let _agent = world.agent();
        let outside = world.join_outside();
        let listener = outside.listen();
        let annotations = json!({"maitred.dev/address": world::OUTSIDE});
        world.create_pod_with(
            json!({"name": "vm", "annotations": annotations}),
            json!({"containers": [{
                "name": "main", "image": "whatever:1", "readinessProbe": {
                    "tcpSocket": {"port": world::OUTSIDE_PORT}, "periodSeconds": 1, "failureThreshold": 1,
                },
            }]}),
        );
        let pod = world.await_ready("vm");
        assert_eq!(pod["status"]["podIPs"], json!([{"ip": world::OUTSIDE}]));
        drop(listener);
        world.await_pod("vm", "unready", |pod| world::condition(pod, "Ready") == "False");
        world.delete_pod("vm", json!({}));
        world.await_gone("vm");
    });
}

#[test]
fn a_pod_that_runs_elsewhere_is_probed_by_an_agent_after_one_that_died_while_probing() {
    lab::test(|| {
        let world = World::new("elsewhere-again");
        let agent = world.agent();
        let outside = world.join_outside();
        let listener = outside.listen();
        let pod = world.create_pod_with(
            json!({"name": "vm", "annotations": {"maitred.dev/address": world::OUTSIDE}}),
            json!({"containers": [{
                "name": "main", "image": "whatever:1", "readinessProbe": {
                    "tcpSocket": {"port": world::OUTSIDE_PORT}, "periodSeconds": 1, "failureThreshold": 1,
                },
            }]}),
        );
        world.await_ready("vm");
        drop(agent);
        world.change_state(&pod, |state| {
            state["containers"][0]["now"]["Running"]["readiness"]["in_flight"] = true.into();
        });
        drop(listener);
        let _agent = world.agent();
        world.await_pod("vm", "unready", |pod| world::condition(pod, "Ready") == "False");
        world.delete_pod("vm", json!({}));
        world.await_gone("vm");
    });
}

#[test]
fn a_user_that_cannot_be_taken_leaves_the_pod_pending_with_an_event() {
    lab::test(|| {
        let world = World::new("users");
        let _agent = world.agent_with(|config| config.rights.only_uid = Some(0));
        let run_as = |user: Value| {
            json!({"securityContext": {"runAsUser": user}, "containers": [{
                "name": "main", "image": "host", "command": ["sleep", "60"],
            }]})
        };
        world.create_pod("other", run_as(json!(1234)));
        world.await_event("other", "spec.securityContext.runAsUser: only the id 0 is mapped");
        let pod = world.pod("other").expect("it is there");
        assert_eq!(pod["status"]["phase"], "Pending");
        world.delete_pod("other", json!({}));
        world.await_gone("other");
    });
}

#[test]
fn a_pod_that_an_agent_left_half_set_up_is_set_up_anew() {
    lab::test(|| {
        let world = World::new("half");
        let agent = world.agent();
        world.create_pod(
            "web",
            json!({"containers": [{
                "name": "main", "image": "host", "command": ["sleep", "600"],
            }]}),
        );
        let pod = world.await_ready("web");
        let parent = world.parent_pid("web");
        drop(agent);
        // As it was when the parent had been started and the agent did not come to keeping its addresses.
        world.change_state(&pod, |state| {
            state["sandbox"] = "Requested".into();
            state["addresses"] = json!([]);
            state["containers"][0]["now"] = json!({"Waiting": {"until": null}});
        });
        let _agent = world.agent();
        world
            .eventually("another parent process runs it", || world.find_parent_pid("web").filter(|pid| *pid != parent));
        let pod = world.await_ready("web");
        assert_eq!(pod["status"]["podIP"], "10.244.7.2");
        world.eventually("the first parent process has ended", || {
            (!std::path::Path::new(&format!("/proc/{parent}")).exists()).then_some(())
        });
        world.end_last_pod("web");
    });
}

#[test]
fn a_pod_that_may_not_run_any_more_is_ended() {
    lab::test(|| {
        let world = World::new("rights");
        let rights = |root_pods| {
            move |config: &mut agent::Config| {
                (config.rights.root_pods, config.rights.only_uid) = (root_pods, None);
            }
        };
        let agent = world.agent_with(rights(true));
        world.create_pod(
            "mighty",
            json!({"securityContext": {"runAsUser": 0}, "containers": [{
                "name": "main", "image": "host", "command": ["sleep", "600"],
            }]}),
        );
        world.await_ready("mighty");
        drop(agent);
        let _agent = world.agent_with(rights(false));
        world.await_event("mighty", "start it with --allow-root-pods");
        let pod = world.await_pod("mighty", "not running", |pod| pod["status"]["phase"] == "Pending");
        assert_eq!(world::condition(&pod, "Ready"), "False");
        world.assert_nothing_left();
    });
}
