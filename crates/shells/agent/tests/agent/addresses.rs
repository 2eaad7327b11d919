//! Pods whose addresses change.

use http::Method;
use serde_json::{Value, json};

use crate::world::{self, World, sleeper};

#[test]
fn a_status_with_other_addresses_than_the_pods_and_the_nodes_is_written_anew() {
    lab::test(|| {
        let world = World::new("moved");
        let agent = world.agent();
        world.create_pod("web", sleeper());
        world.await_ready("web");
        drop(agent);
        // As it is after Pods were ended and started again in another order, on a node with another address.
        let others = json!([{"ip": "10.244.7.9"}, {"ip": "fd00:10:244:7::9"}]);
        let status = json!({"status": {"podIP": "10.244.7.9", "podIPs": others}});
        let path = "/api/v1/namespaces/default/pods/web/status";
        world.send(Method::PATCH, path, Some(status)).expect("the status is changed");
        let _agent = world.agent_with(|config| config.node_addresses = vec!["192.0.2.8".parse().expect("an address")]);
        let pod = world.await_pod("web", "shown as it is", |pod| pod["status"]["podIP"] == "10.244.7.2");
        assert_eq!(pod["status"]["podIPs"], json!([{"ip": "10.244.7.2"}, {"ip": "fd00:10:244:7::2"}]));
        assert_eq!(pod["status"]["hostIP"], "192.0.2.8");
        assert_eq!(pod["status"]["hostIPs"], json!([{"ip": "192.0.2.8"}]));
        world.end_last_pod("web");
    });
}

#[test]
fn a_pod_that_runs_elsewhere_is_followed_to_another_address_and_a_wrong_one_is_told() {
    lab::test(|| {
        let world = World::new("followed");
        let mut agent = world.agent();
        let move_to = |address: Value| {
            let annotations = json!({"metadata": {"annotations": {"maitred.dev/address": address}}});
            let path = "/api/v1/namespaces/default/pods/vm";
            world.send(Method::PATCH, path, Some(annotations)).expect("the annotation is changed");
        };
        let annotations = json!({"maitred.dev/address": "198.51.100.1"});
        world.create_pod_with(json!({"name": "vm", "annotations": annotations}), sleeper());
        world.await_pod("vm", "there", |pod| pod["status"]["podIPs"] == json!([{"ip": "198.51.100.1"}]));
        move_to(json!("198.51.100.2"));
        world.await_pod("vm", "followed", |pod| pod["status"]["podIPs"] == json!([{"ip": "198.51.100.2"}]));
        for (address, why) in [(json!("nowhere"), "\"nowhere\" is no IP address"), (Value::Null, "is gone")] {
            move_to(address);
            world.await_event("vm", why);
            let events = world.events("vm");
            let told = events.iter().find(|event| event.contains(why)).expect("it was told");
            assert!(told.starts_with("AddressNotFollowed: "), "{told}");
            assert!(told.ends_with("it is taken to be at 198.51.100.2"), "{told}");
            // The next agent goes on from there.
            drop(agent);
            agent = world.agent();
            world.create_pod("later", sleeper());
            world.await_ready("later");
            world.delete_pod("later", json!({"gracePeriodSeconds": 0}));
            world.await_gone("later");
            let pod = world.pod("vm").expect("it is there");
            assert_eq!(pod["status"]["podIPs"], json!([{"ip": "198.51.100.2"}]), "{why}");
            assert_eq!(world::condition(&pod, "Ready"), "True", "{why}");
            assert_eq!(world.find_parent_pid("vm"), None, "it does not run here");
        }
        move_to(json!("198.51.100.3,fd00::3"));
        let both = json!([{"ip": "198.51.100.3"}, {"ip": "fd00::3"}]);
        world.await_pod("vm", "followed again", |pod| pod["status"]["podIPs"] == both);
        world.delete_pod("vm", json!({}));
        world.await_gone("vm");
    });
}
