//! Random histories of objects: after each step the kernel holds the Model, and does with packets what `eval` says.

mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use intent::{Config, Detector, Event};
use model::{Destination, Family, Frontend, Protocol, Role};
use proxy::Dataplane;
use serde_json::{Value, from_value, json};

use crate::judge::{Judgement, PATIENCE, expected, judge, packet, rule_at};
use crate::objects::{cluster_ip, endpoint, slice};
use crate::probe::Question;
use crate::random::Random;
use crate::reach::{Shape, Side, reach, shapes};
use crate::scene::{Asker, ENDPOINTS, Node, Scene, TARGET_PORTS, config, unassigned};
use services::{PORTS, port_name, random_endpoint, random_service};

/// How many Services there may be at a time.
const SERVICES: u16 = 7;
/// Questions of one family after each step, each another one, before those that affinity adds.
const QUESTIONS: usize = 36;
/// So many of them lie beside all frontends, or more where there are few.
const BESIDE: usize = 4;
/// So many different packets of one family are compared after each step, at least.
const PACKETS: usize = 20;
/// So many frontends are asked after each step until all their endpoints were reached, if there are as many shapes.
const REACHED: usize = 8;
/// After so many steps another configuration starts from an empty kernel, with numbers of its own.
const EPOCH: usize = 10;
/// Scenes side by side: while one waits for silence the others work.
const SCENES: usize = 12;
/// With fewer sets not every frontend is met by every client.
const SETS_FOR_ALL: usize = 300;

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is no number")))
}

#[test]
fn generated_objects_give_the_packets_that_eval_says_and_the_model_is_read_back() {
    lab::test(|| {
        let seed = number("MAITRED_DATAPLANE_SEED").unwrap_or(1);
        let sets = number("MAITRED_DATAPLANE_SETS").unwrap_or(500);
        let only = number("MAITRED_DATAPLANE_EPOCH");
        println!("MAITRED_DATAPLANE_SEED={seed} MAITRED_DATAPLANE_SETS={sets}");
        let (first, last) = only.map_or((0, sets.div_ceil(EPOCH)), |epoch| (epoch, epoch + 1));
        let next = AtomicUsize::new(first);
        let findings = std::thread::scope(|scope| {
            let work = || live(seed, || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|epoch| *epoch < last));
            let workers: Vec<_> = (0..SCENES.min(last - first)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).fold(Findings::default(), Findings::and)
        });
        let Findings { sets, packets, met, reached, wrong } = findings;
        println!("{sets} object sets, {} IPv4 and {} IPv6 packets", packets[0], packets[1]);
        println!("all endpoints reached of {} pools, {} shapes", reached.values().sum::<usize>(), reached.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(packets.iter().all(|count| *count >= PACKETS * sets), "too few packets: {packets:?}");
        if sets >= SETS_FOR_ALL {
            assert_eq!(missing(&met), [], "nobody asked there");
            assert_eq!(unreached(&reached), Vec::<String>::new(), "nobody asked there for all endpoints");
        }
    });
}

/// A family, a kind of frontend, who asked, and by which protocol.
type Meeting = (Family, Role, Asker, Protocol);

/// What came out of some object sets.
#[derive(Default)]
struct Findings {
    sets: usize,
    packets: [usize; 2],
    met: BTreeSet<Meeting>,
    /// How many pools of each shape were asked for all their endpoints.
    reached: BTreeMap<Shape, usize>,
    wrong: Vec<String>,
}

impl Findings {
    fn and(mut self, other: Findings) -> Findings {
        self.sets += other.sets;
        self.packets = [self.packets[0] + other.packets[0], self.packets[1] + other.packets[1]];
        self.met.extend(other.met);
        for (shape, count) in other.reached {
            *self.reached.entry(shape).or_default() += count;
        }
        self.wrong.extend(other.wrong);
        self
    }
}

/// Lives through one epoch after the other, on a scene of its own.
fn live(seed: usize, mut next: impl FnMut() -> Option<usize>) -> Findings {
    let mut findings = Findings::default();
    let scene = Scene::new();
    while let Some(number) = next() {
        // What an epoch is doesn't depend on those before, nor on who lives through it.
        let mut random = Random::new((seed as u64) << 32 | number as u64);
        let mut history = History::new(&scene, epoch(number));
        for step in 0..EPOCH {
            let judgement = history.step(&mut random, &mut findings.met);
            findings.sets += 1;
            for (sum, packets) in findings.packets.iter_mut().zip(judgement.distinct()) {
                assert!(packets >= PACKETS, "epoch {number}, step {step}: only {packets} packets");
                *sum += packets;
            }
            let away = history.reach(&mut random, &mut findings.reached);
            let place = format!("MAITRED_DATAPLANE_SEED={seed} MAITRED_DATAPLANE_EPOCH={number}, step {step}");
            let wrong = judgement.disagreements.into_iter().chain(away);
            findings.wrong.extend(wrong.map(|text| format!("{place}: {text}")));
            assert!(findings.wrong.len() < 20, "{}", findings.wrong.join("\n"));
        }
    }
    findings
}

const ROLES: [Role; 4] = [Role::ClusterIp, Role::ExternalIp, Role::LoadBalancerIp, Role::NodePort];
/// So many of the endpoints are on node-0.
const LOCAL_ENDPOINTS: usize = 3;

/// Frontends, clients and protocols that never met.
fn missing(met: &BTreeSet<Meeting>) -> Vec<Meeting> {
    let all = Family::ALL.into_iter().flat_map(|family| {
        let of_role = move |role| {
            let of_asker = move |asker| {
                [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| (family, role, asker, protocol))
            };
            Asker::ALL.into_iter().flat_map(of_asker)
        };
        ROLES.into_iter().flat_map(of_role)
    });
    all.filter(|meeting| !met.contains(meeting)).collect()
}

/// Kinds of pools of which none was asked for all its endpoints: each side of each kind of frontend with and without a
/// guard, and each number of endpoints that nodes have here.
fn unreached(reached: &BTreeMap<Shape, usize>) -> Vec<String> {
    let mut missing = Vec::new();
    let mut want = |what: String, of: &dyn Fn(&Shape) -> bool| {
        if !reached.keys().any(of) {
            missing.push(what);
        }
    };
    for (role, side) in ROLES.into_iter().flat_map(|role| Side::ALL.map(|side| (role, side))) {
        // A cluster IP leads everybody to the same, and only a load balancer's address has source ranges.
        if role == Role::ClusterIp && side.is_split() {
            continue;
        }
        for guarded in if role == Role::LoadBalancerIp { &[false, true][..] } else { &[false] } {
            let is = |shape: &Shape| (shape.role, shape.side, shape.guarded) == (role, side, *guarded);
            want(format!("{role} {side:?} guarded={guarded}"), &is);
        }
    }
    for family in Family::ALL {
        for (side, most) in [(Side::Far, LOCAL_ENDPOINTS), (Side::BothNear, ENDPOINTS.len())] {
            // Five of six are the rarest, and drawn like the others.
            for endpoints in (2..=most).filter(|endpoints| *endpoints != 5) {
                let is = |shape: &Shape| (shape.family, shape.side, shape.endpoints) == (family, side, endpoints);
                want(format!("{family:?} {side:?} of {endpoints}"), &is);
            }
        }
    }
    missing
}

/// The configurations, in turn.
fn epoch(number: usize) -> Config {
    match number % 4 {
        0 => config(),
        1 => Config { detector: Detector::InterfacePrefix("pod".to_owned()), ..config() },
        2 => Config { masquerade_all: true, ..config() },
        _ => Config { detector: Detector::None, ..config() },
    }
}

struct History<'a> {
    scene: &'a Scene,
    node: Node,
    /// The objects there are, by number.
    services: Vec<Option<Value>>,
    /// Names of the slices there are.
    slices: BTreeSet<String>,
    /// Where clients knocked before: what is gone must be gone for packets too.
    before: BTreeSet<(Family, Frontend)>,
}

impl<'a> History<'a> {
    fn new(scene: &'a Scene, config: Config) -> History<'a> {
        let node = Node::start(scene, config);
        History { scene, node, services: vec![None; SERVICES.into()], slices: BTreeSet::new(), before: BTreeSet::new() }
    }

    /// Some objects change; the kernel follows.
    fn step(&mut self, random: &mut Random, met: &mut BTreeSet<Meeting>) -> Judgement {
        let events = self.events(random);
        self.node.hear(events);
        assert_eq!(self.node.difference(self.scene), "", "the kernel holds another Model");
        assert_eq!(self.node.hear([]).messages, 0, "planning again changes something");
        if random.chance(20) {
            assert_eq!(self.node.restart(self.scene).messages, 0, "a restart writes something");
        }
        let now: BTreeSet<(Family, Frontend)> = Family::ALL
            .into_iter()
            .flat_map(|family| self.node.model(family).frontends.keys().map(move |frontend| (family, *frontend)))
            .collect();
        let questions = Family::ALL.map(|family| {
            let knocked = self.before.union(&now).filter(|(of, _)| *of == family).map(|(_, frontend)| *frontend);
            self.questions(random, family, knocked.collect())
        });
        let questions = questions.concat();
        met.extend(questions.iter().filter_map(|question| self.meeting(question)));
        let judgement = judge(self.scene, &self.node, &questions, PATIENCE);
        self.before = now;
        judgement
    }

    /// Some frontends of different shapes are asked for all their endpoints; says which of them stayed away.
    fn reach(&self, random: &mut Random, reached: &mut BTreeMap<Shape, usize>) -> Vec<String> {
        let shapes = shapes(self.scene, &self.node, PATIENCE);
        // Pools that differ by side are rarer, and so come first.
        let (split, same): (Vec<Shape>, Vec<Shape>) = shapes.keys().partition(|shape| shape.side.is_split());
        let mut chosen = random.some(&split, REACHED / 2);
        chosen.extend(random.some(&same, REACHED - chosen.len()));
        let questions: Vec<Question> = chosen.iter().map(|shape| random.pick(&shapes[shape])).collect();
        for shape in chosen {
            *reached.entry(shape).or_default() += 1;
        }
        reach(self.scene, &self.node, &questions)
    }

    /// Whom a question meets, if there is a frontend.
    fn meeting(&self, question: &Question) -> Option<Meeting> {
        let family = Family::of(question.to.ip());
        let rule = rule_at(&packet(self.scene, question), self.node.model(family))?;
        Some((family, rule.role, question.asker, question.protocol))
    }

    fn events(&mut self, random: &mut Random) -> Vec<Event> {
        let mut events = Vec::new();
        for number in 1..=SERVICES {
            let slot = usize::from(number - 1);
            let changed = match random.below(100) {
                0..15 if self.services[slot].is_some() => {
                    self.services[slot] = None;
                    events.push(Event::ServiceGone { namespace: "default".to_owned(), name: format!("s{number}") });
                    // Slices may outlive their Service.
                    random.chance(50)
                }
                0..60 => {
                    let service = random_service(random, number, self.scene);
                    events.push(Event::Service(Arc::new(from_value(service.clone()).unwrap())));
                    self.services[slot] = Some(service);
                    true
                }
                60..85 => true,
                _ => false,
            };
            if changed {
                self.change_slices(random, number, &mut events);
            }
        }
        events
    }

    fn change_slices(&mut self, random: &mut Random, number: u16, events: &mut Vec<Event>) {
        let hinted = random.pick(&["", "", "zone", "node", "mixed"]);
        let numbers = random.pick(&[TARGET_PORTS, [TARGET_PORTS[1], TARGET_PORTS[0]]]);
        // Now and then all endpoints are there and ready, else large pools would be rare.
        let whole = random.chance(15);
        for (family, half) in Family::ALL.into_iter().flat_map(|family| [(family, 0), (family, 1)]) {
            let name = format!("s{number}-{family:?}-{half}").to_lowercase();
            if random.chance(if half == 0 { 10 } else { 70 }) {
                if self.slices.remove(&name) {
                    events.push(Event::SliceGone { namespace: "default".to_owned(), name });
                }
                continue;
            }
            let count = if whole { ENDPOINTS.len() } else { random.below(5) };
            let list: Vec<Value> = random
                .some(&ENDPOINTS, count)
                .into_iter()
                .map(|pod| if whole { pod.to_owned() } else { random_endpoint(random, pod, hinted) })
                .map(|text| endpoint(self.scene, &text, family))
                .collect();
            // Now and then a slice lacks a port of its Service.
            let ports: Vec<Value> = (0..PORTS.len())
                .filter(|_| !random.chance(5))
                .map(|at| {
                    let (port, protocol) = PORTS[at];
                    let target = if protocol == "SCTP" { TARGET_PORTS[0] } else { numbers[usize::from(port) % 2] };
                    json!({"name": port_name(at), "protocol": protocol, "port": target})
                })
                .collect();
            events.push(slice(&name, &format!("s{number}"), family, &list, json!(ports)));
            self.slices.insert(name);
        }
    }

    /// Every frontend by every client, and what lies beside them, as far as there is room.
    fn questions(&self, random: &mut Random, family: Family, knocked: BTreeSet<Frontend>) -> Vec<Question> {
        let mut targets: BTreeSet<(Protocol, SocketAddr)> = knocked
            .iter()
            .map(|frontend| {
                let address = match frontend.destination {
                    Destination::Address(address) => address,
                    Destination::Node => self.scene.node_address(family),
                };
                (frontend.protocol, SocketAddr::new(address, frontend.port))
            })
            .collect();
        let ingresses = self
            .services
            .iter()
            .flatten()
            .filter_map(|service| service["status"]["loadBalancer"]["ingress"].as_array());
        for ingress in ingresses.flatten() {
            let address = ingress["ip"].as_str().and_then(|text| text.parse::<IpAddr>().ok());
            let address = address.filter(|address| Family::of(*address) == family);
            targets.extend(address.map(|address| (Protocol::Tcp, SocketAddr::new(address, 80))));
        }
        let every: Vec<Question> = targets
            .into_iter()
            .flat_map(|(protocol, to)| Asker::ALL.map(|asker| Question { asker, protocol, to, patience: PATIENCE }))
            .collect();
        // Questions whose answer would say nothing of node-0 are no packets to compare.
        let telling = |question: &Question| expected(self.scene, question, self.node.model(family)).is_some();
        let every: Vec<Question> = every.into_iter().filter(telling).collect();
        let beside: Vec<Question> = self.beside(family).into_iter().filter(telling).collect();
        let mut questions = random.some(&every, QUESTIONS - BESIDE);
        questions.extend(random.some(&beside, QUESTIONS - questions.len()));
        questions
    }

    /// What no frontend is at: unused ports of cluster IPs, if their Services are there, of the node, and addresses that no
    /// Service has (S-341).
    fn beside(&self, family: Family) -> Vec<Question> {
        let unused = (1..=SERVICES).map(|number| SocketAddr::new(cluster_ip(number, family), 4444));
        let others = [
            SocketAddr::new(self.scene.node_address(family), 4444),
            SocketAddr::new(unassigned(family), 80),
            SocketAddr::new(unassigned(family), 4444),
        ];
        let ask = |to| {
            let by = move |protocol| Asker::ALL.map(|asker| Question { asker, protocol, to, patience: PATIENCE });
            [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(by).concat()
        };
        unused.chain(others).flat_map(ask).collect()
    }
}

#[test]
fn cleanup_leaves_nothing_in_the_kernel() {
    lab::test(|| {
        let scene = Scene::new();
        let mut history = History::new(&scene, config());
        let mut random = Random::new(1);
        let events = history.events(&mut random);
        history.node.hear(events);
        history.node.dataplane.cleanup().unwrap();
        let observed = scene.nftables().observe().unwrap();
        assert_eq!(observed, Family::ALL.map(model::Model::empty));
    });
}
