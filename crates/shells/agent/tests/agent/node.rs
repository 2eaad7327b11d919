//! What an agent keeps for its node beside Pods.

use agent::DnsEndpoint;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::world::{NODE, OUTSIDE, OUTSIDE_PORT, TOWARDS_OUTSIDE, World};

/// The source address that a machine outside sees of a Pod that connects to it.
fn seen_outside(world: &World, pod: &str, listener: &std::net::TcpListener) -> String {
    let script = format!("exec 3<>/dev/tcp/{OUTSIDE}/{OUTSIDE_PORT}");
    world.create_pod(
        pod,
        json!({"restartPolicy": "Never", "containers": [{
            "name": "main", "image": "host", "command": ["bash", "-c", script],
        }]}),
    );
    let (_, peer) = listener.accept().expect("the Pod connects");
    world.await_pod(pod, "over", |pod| pod["status"]["phase"] == "Succeeded");
    peer.ip().to_string()
}

#[test]
fn pods_are_masqueraded_towards_the_world_and_not_towards_nodes() {
    lab::test(|| {
        let world = World::new("egress");
        let _agent = world.agent();
        let outside = world.join_outside();
        let listener = outside.listen();
        assert_eq!(seen_outside(&world, "abroad", &listener), TOWARDS_OUTSIDE);

        let node = json!({
            "metadata": {"name": "neighbour"},
            "status": {"addresses": [{"type": "InternalIP", "address": OUTSIDE}]},
        });
        world.send(Method::POST, "/api/v1/nodes", Some(node)).expect("a Node");
        // The table is written anew once the agent has heard of it; until then the answer is as before.
        let mut attempt = 0;
        world.eventually_mut("the neighbour sees the Pod itself", || {
            attempt += 1;
            let seen = seen_outside(&world, &format!("visitor-{attempt}"), &listener);
            (seen.starts_with("10.244.7.") && seen != "10.244.7.1").then_some(())
        });
    });
}

fn condition(world: &World) -> Option<Value> {
    let node = world.send(Method::GET, &format!("/api/v1/nodes/{NODE}"), None).ok()?;
    let conditions = node["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "NetworkUnavailable").cloned()
}

#[test]
fn a_node_that_is_not_on_the_link_is_told_by_event_and_condition_until_it_is_gone() {
    lab::test(|| {
        let world = World::new("far");
        let agent = world.agent();
        world.eventually("all is well", || condition(&world).filter(|it| it["status"] == "False"));
        let far = json!({
            "metadata": {"name": "far"},
            "spec": {"podCIDR": "10.244.9.0/24", "podCIDRs": ["10.244.9.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.9"}]},
        });
        world.send(Method::POST, "/api/v1/nodes", Some(far)).expect("a Node");
        let told = world.eventually("it is told", || condition(&world).filter(|it| it["status"] == "True"));
        assert_eq!(told["reason"], "NodeNotOnLink");
        assert_eq!(told["message"], "not on a link of this node: far");
        world.await_event(NODE, "NodeNotOnLink: Node far is not on a link of this node");
        assert!(agent.status().out_of_reach.contains("far"));
        world.send(Method::DELETE, "/api/v1/nodes/far", None).expect("the Node is deleted");
        world.eventually("all is well again", || condition(&world).filter(|it| it["status"] == "False"));
    });
}

#[test]
fn the_nodes_dns_server_is_an_endpoint_of_kube_dns_as_long_as_it_serves() {
    lab::test(|| {
        let world = World::new("dns");
        let (serving_now, serving) = watch::channel(true);
        let _agent = world.agent_with(|config| config.dns = Some(DnsEndpoint { port: 5353, serving }));
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-{NODE}");
        let endpoint = |ready: bool| {
            world.eventually("the slice says so", || {
                let slice = world.send(Method::GET, &path, None).ok()?;
                Some(slice).filter(|slice| slice["endpoints"][0]["conditions"]["ready"] == ready)
            })
        };
        let slice = endpoint(true);
        assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.0.2.7"]));
        assert_eq!(slice["endpoints"][0]["hints"]["forNodes"], json!([{"name": NODE}]));
        assert_eq!(slice["ports"][0]["port"], 5353);
        serving_now.send_replace(false);
        assert_eq!(endpoint(false)["endpoints"][0]["hints"], Value::Null);
        serving_now.send_replace(true);
        endpoint(true);
    });
}
