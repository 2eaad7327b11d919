//! Endpoints come and go under load, and nobody is turned away.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::{Server, Sessions};
use model::{Family, Protocol};

use crate::objects::{cluster_ip, exposed, service, slices};
use crate::probe::{Question, Reply, ask_all};
use crate::random::Random;
use crate::scene::{Asker, Node, Scene, config};

const LOAD: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(8);

/// All but the first leave and return in every combination; the first stays, so that there is always somebody.
#[test]
fn s318_flapping_endpoints_lose_no_connection() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        node.hear([service(exposed(1))].into_iter().chain(slices(&scene, 1, &["a1", "a2", "b0", "b1"])));
        let vips = Family::ALL.map(|family| SocketAddr::new(cluster_ip(1, family), 80));
        let askers = [Asker::LocalPod, Asker::Outside];
        let open = |asker: Asker, vip| {
            Sessions::open(scene.asker(asker).namespace(), vip, 16, Duration::from_millis(20), PATIENCE).unwrap()
        };
        let sessions: Vec<Sessions> = askers.iter().flat_map(|asker| vips.map(|vip| open(*asker, vip))).collect();

        let done = AtomicBool::new(false);
        let (flaps, tallies) = std::thread::scope(|scope| {
            let loads: Vec<_> = askers
                .iter()
                .flat_map(|asker| vips.map(|vip| (*asker, vip)))
                .map(|(asker, vip)| {
                    scope.spawn({
                        let (scene, done) = (&scene, &done);
                        move || load(scene, asker, vip, done)
                    })
                })
                .collect();
            let flaps = flap(&scene, &mut node);
            done.store(true, Ordering::Relaxed);
            (flaps, loads.into_iter().map(|load| load.join().unwrap()).collect::<Vec<_>>())
        });

        let connections: usize = tallies.iter().map(|(answered, _)| answered).sum();
        println!("{flaps} changes, {connections} new connections, {} open ones", 16 * sessions.len());
        assert!(flaps >= 20 && connections >= 200, "too little happened to show anything");
        for (_, lost) in tallies {
            assert_eq!(lost, []);
        }
        // Established connections meet no rule: those to an endpoint that left the slice go on as well.
        for open in sessions {
            assert_eq!(open.close().breaks, []);
        }
        assert_eq!(node.difference(&scene), "");
    });
}

/// New connections all the time: how many were answered, and what became of the others.
fn load(scene: &Scene, asker: Asker, to: SocketAddr, done: &AtomicBool) -> (usize, Vec<(Question, Reply)>) {
    let (mut answered, mut lost) = (0, Vec::new());
    let question = Question { asker, protocol: Protocol::Tcp, to, patience: PATIENCE };
    while !done.load(Ordering::Relaxed) {
        for reply in ask_all(scene, &[question; 16]) {
            match reply {
                Reply::Answered { .. } => answered += 1,
                other => lost.push((question, other)),
            }
        }
        // Not at full speed: other tests run beside.
        std::thread::sleep(Duration::from_millis(5));
    }
    (answered, lost)
}

fn flap(scene: &Scene, node: &mut Node) -> usize {
    let mut random = Random::new(1);
    let started = Instant::now();
    let mut flaps = 0;
    while started.elapsed() < LOAD {
        let count = random.below(4);
        let others = random.some(&["a2", "b0", "b1"], count);
        let endpoints: Vec<&str> = ["a1"].into_iter().chain(others).collect();
        node.hear(slices(scene, 1, &endpoints));
        flaps += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    flaps
}

#[test]
fn s318_only_connections_to_an_endpoint_that_dies_break() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        let mortal = scene.lab.add_pod(1, "b5", scene.lab.pod_ips(1, 5)).unwrap();
        let server = Server::start(&mortal, 8080).unwrap();
        let [v4, _] = slices(&scene, 1, &["a1", "b0"]);
        let intent::Event::Slice(slice) = v4 else { panic!("a slice") };
        let mut with_mortal = api::EndpointSlice::clone(&slice);
        let addresses = vec![mortal.ips().v4.unwrap().to_string()];
        with_mortal.endpoints.push(api::Endpoint { addresses, ..api::Endpoint::default() });
        let with_mortal = intent::Event::Slice(std::sync::Arc::new(with_mortal));
        node.hear([service(exposed(1)), with_mortal]);
        let vip = SocketAddr::new(cluster_ip(1, Family::V4), 80);
        let namespace = scene.asker(Asker::LocalPod).namespace();
        let sessions = Sessions::open(namespace, vip, 60, Duration::from_millis(10), PATIENCE).unwrap();
        let on_mortal = sessions.report().pods["b5"] as usize;

        node.hear([intent::Event::Slice(slice)]);
        assert_eq!(sessions.report().breaks, [], "leaving the slice cuts nothing");
        server.stop();
        let deadline = Instant::now() + PATIENCE;
        while sessions.report().breaks.len() < on_mortal && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let report = sessions.close();
        assert_eq!(report.breaks.len(), on_mortal);
        assert!(report.breaks.iter().all(|end| end.pod.as_deref() == Some("b5")), "{report:?}");
    });
}
