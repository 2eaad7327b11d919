//! Planted mistakes between `intent` and the kernel: each one must be noticed by the packets, compared with `eval` of what
//! was intended, else the other tests here would prove little. They are planted in the Model on its way to the kernel, and
//! in the bytes of the nftables encoder. Mistakes of `intent` itself are judged in `mistakes`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use kernel::nfnetlink::NfSocket;
use model::{Change, Destination, Family, Model, Protocol};
use nft::{Image, Options};
use proxy::Dataplane;
use serde_json::json;

use crate::judge::{PATIENCE, judge};
use crate::mistakes::IN_THE_MODEL;
use crate::objects::{cluster_ip, exposed, external_ip, policies, service, slices, with};
use crate::probe::Question;
use crate::reach::reach;
use crate::scene::{Asker, Node, Scene, chain, config, program, unassigned};
use crate::wire::{attributes, messages};

/// What is wrong is often silent, and not worth a long wait. Where nothing is wrong an answer gets all the time it needs: the
/// first one waits for neighbours to be found, and a lost solicitation is sent again after a second.
const HASTE: Duration = Duration::from_millis(700);

/// Services that show every part of a Model.
fn showcase(scene: &Scene) -> Node {
    let mut node = Node::start(scene, config());
    let client = json!(["172.31.0.200/32", "fd00:31::c8/128"]);
    let services = [
        (1, exposed(1), &["a0", "a1", "b0"][..]),
        (2, policies(exposed(2), "Cluster", "Local"), &["a1", "b0"]),
        (3, with(exposed(3), "loadBalancerSourceRanges", client), &["a1"]),
        (4, exposed(4), &[]),
        (5, with(exposed(5), "sessionAffinity", json!("ClientIP")), &["a0", "a1", "a2", "b0", "b1", "b2"]),
        (6, policies(exposed(6), "Local", "Local"), &["b0"]),
        (7, policies(exposed(7), "Cluster", "Local"), &["a0"]),
        (8, policies(exposed(8), "Cluster", "Local"), &["a1", "a2", "b0"]),
    ];
    let events = services
        .into_iter()
        .flat_map(|(number, object, endpoints)| [service(object)].into_iter().chain(slices(scene, number, endpoints)));
    node.hear(events);
    node
}

fn questions(scene: &Scene, node: &Node) -> Vec<Question> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let known = node.model(family).frontends.keys().filter(|frontend| frontend.protocol != Protocol::Sctp);
        let mut targets: Vec<(Protocol, SocketAddr)> = known
            .map(|frontend| match frontend.destination {
                Destination::Address(address) => (frontend.protocol, SocketAddr::new(address, frontend.port)),
                Destination::Node => (frontend.protocol, SocketAddr::new(scene.node_address(family), frontend.port)),
            })
            .collect();
        for beside in [SocketAddr::new(cluster_ip(1, family), 81), SocketAddr::new(unassigned(family), 80)] {
            targets.push((Protocol::Udp, beside));
        }
        all.extend(
            targets.into_iter().flat_map(|(protocol, to)| {
                Asker::ALL.map(|asker| Question { asker, protocol, to, patience: PATIENCE })
            }),
        );
    }
    all
}

/// How packets differ from what is intended.
fn disagreements(scene: &Scene, node: &Node, questions: &[Question], patience: Duration) -> Vec<String> {
    let mut found = judge(scene, node, questions, patience).disagreements;
    found.extend(reach(scene, node, &choices(patience)));
    found
}

/// How many disagreements there are in haste, if they stay when there is time: an answer that is merely late is none.
fn lasting(scene: &Scene, node: &Node, questions: &[Question]) -> usize {
    let hasty = disagreements(scene, node, questions, HASTE);
    // With the time that they need only a few are asked, so that silence is not waited for hundreds of times.
    let wrong = |question: &&Question| hasty.iter().any(|text| text.starts_with(&question.to_string()));
    let some: Vec<Question> = questions.iter().filter(wrong).take(8).copied().collect();
    let stay = !some.is_empty() && !judge(scene, node, &some, PATIENCE).disagreements.is_empty();
    let away = || !reach(scene, node, &choices(PATIENCE)).is_empty();
    let torn = || !judge(scene, node, questions, PATIENCE).disagreements.is_empty();
    if stay || away() || torn() { hasty.len() } else { 0 }
}

/// Where all endpoints have to be reached: for near clients three of Service 1, for far clients the two of Service 8 that are
/// local. Neither's clients stay with one.
fn choices(patience: Duration) -> Vec<Question> {
    let by = |family| {
        [(Asker::LocalPod, cluster_ip(1, family)), (Asker::Outside, external_ip(8, family))].map(|(asker, address)| {
            Question { asker, protocol: Protocol::Tcp, to: SocketAddr::new(address, 80), patience }
        })
    };
    Family::ALL.map(by).concat()
}

#[test]
fn mistakes_in_the_kernel_are_noticed_by_packets_and_by_the_model_that_is_read_back() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = showcase(&scene);
        let questions = questions(&scene, &node);
        assert_eq!(disagreements(&scene, &node, &questions, PATIENCE), Vec::<String>::new(), "without a mistake");
        let intended = Family::ALL.map(|family| node.model(family).clone());
        let mut there = intended.clone();
        for (name, plant) in IN_THE_MODEL {
            let mut wrong = intended.clone();
            wrong.iter_mut().for_each(plant);
            let changes = [0, 1].map(|at| Change::between(&there[at], &wrong[at]));
            program(&mut node.dataplane, &changes).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
            there = wrong;
            let found = lasting(&scene, &node, &questions);
            println!("{name}: {found} disagreements");
            assert!(found > 0, "{name}: no packet shows it");
            assert_ne!(node.difference(&scene), "", "{name}: the Model that is read back doesn't show it");
        }
        let changes = [0, 1].map(|at| Change::between(&there[at], &intended[at]));
        program(&mut node.dataplane, &changes).unwrap();
        assert_eq!(disagreements(&scene, &node, &questions, PATIENCE), Vec::<String>::new(), "after the mistakes");
    });
}

/// A mistake of the encoder: elements of these sets get a bit turned over in a byte of the key (counted from its
/// beginning) or of the data.
struct Slip {
    name: &'static str,
    sets: &'static str,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Byte of the key's address.
    Address(usize),
    /// Byte after the key's address.
    AfterAddress(usize),
    /// Byte of the data's address.
    DataAddress(usize),
    /// Byte after the data's address.
    DataAfterAddress(usize),
    /// The masquerade bits of the code.
    Masquerade,
}

const SLIPS: [Slip; 11] = [
    Slip { name: "hairpin names another address", sets: "hairpin", part: Part::Address(3) },
    Slip { name: "frontends have another port", sets: "frontends", part: Part::AfterAddress(5) },
    Slip { name: "endpoints have another port", sets: "endpoints-", part: Part::DataAfterAddress(1) },
    Slip { name: "endpoints have another address", sets: "endpoints-", part: Part::DataAddress(3) },
    Slip { name: "endpoints stand in another slot", sets: "endpoints-", part: Part::AfterAddress(10) },
    Slip { name: "codes have other masquerade bits", sets: "frontends", part: Part::Masquerade },
    Slip { name: "cluster IPs are others", sets: "cluster-ips", part: Part::Address(3) },
    Slip { name: "node addresses are others", sets: "nodeport-ips", part: Part::Address(0) },
    Slip { name: "source ranges are others", sets: "source-ranges", part: Part::AfterAddress(8) },
    Slip { name: "Service ranges are others", sets: "service-cidrs", part: Part::Address(1) },
    Slip { name: "local sources are others", sets: "local-sources", part: Part::Address(1) },
];

#[test]
fn slips_of_the_encoder_are_noticed_by_packets() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = showcase(&scene);
        let questions = questions(&scene, &node);
        assert_eq!(disagreements(&scene, &node, &questions, PATIENCE), Vec::<String>::new(), "before the slips");
        let mut shown = BTreeMap::new();
        for slip in SLIPS {
            node.dataplane.cleanup().unwrap();
            let touched = write_all(&scene, &node, |batch, family| spoil(batch, &slip, family))
                .unwrap_or_else(|error| panic!("{}: {error}", slip.name));
            assert!(touched > 0, "{}: there is no such element", slip.name);
            let found = lasting(&scene, &node, &questions);
            println!("{}: {touched} elements, {found} disagreements", slip.name);
            shown.insert(slip.name, found);
        }
        node.dataplane.cleanup().unwrap();
        write_all(&scene, &node, |_, _| 0).unwrap();
        assert_eq!(disagreements(&scene, &node, &questions, PATIENCE), Vec::<String>::new(), "without a slip");
        let unseen: Vec<_> = shown.into_iter().filter(|(_, found)| *found == 0).collect();
        assert!(unseen.is_empty(), "no packet shows {unseen:?}");
    });
}

/// Each answer is right by itself, so no comparison of single packets can show it.
#[test]
fn an_endpoint_that_is_never_drawn_is_noticed_by_asking_for_all_and_by_nothing_else() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = showcase(&scene);
        let questions = questions(&scene, &node);
        for (who, prefix) in [("near", 'n'), ("far", 'l')] {
            node.dataplane.cleanup().unwrap();
            let touched = write_all(&scene, &node, |batch, _| draw_fewer(batch, prefix)).unwrap();
            assert!(touched > 0, "there is no chain that draws for {who} clients");
            assert_eq!(judge(&scene, &node, &questions, PATIENCE).disagreements, Vec::<String>::new(), "{who}");
            let away = reach(&scene, &node, &choices(PATIENCE));
            println!("{who} clients: {touched} chains draw one fewer\n{}", away.join("\n"));
            assert_eq!(away.len(), Family::ALL.len(), "{who} clients and nobody else miss an endpoint: {away:?}");
        }
        node.dataplane.cleanup().unwrap();
        write_all(&scene, &node, |_, _| 0).unwrap();
        assert_eq!(reach(&scene, &node, &choices(PATIENCE)), Vec::<String>::new(), "when all are drawn");
    });
}

/// Makes the chains that draw for one side (`nN` for near clients, `lN` for far ones) draw among one endpoint fewer. Says how
/// many chains it changed.
fn draw_fewer(batch: &mut [u8], prefix: char) -> usize {
    const NEW_RULE: u16 = 10 << 8 | 6;
    let mut touched = 0;
    messages(batch, |kind, _, body| {
        let mut wanted = false;
        attributes(body, |part, body| match part {
            2 => {
                let name = String::from_utf8_lossy(body);
                let count = name.trim_end_matches('\0').strip_prefix(prefix);
                wanted = kind == NEW_RULE && count.is_some_and(|count| count.parse().is_ok_and(|count: u32| count > 1));
            }
            4 if wanted => attributes(body, |_, expression| touched += lower_modulus(expression)),
            _ => {}
        });
    });
    touched
}

/// Lowers the modulus of one expression if it is `numgen`; says how many that were.
fn lower_modulus(expression: &mut [u8]) -> usize {
    let (mut draws, mut touched) = (false, 0);
    attributes(expression, |part, body| match part {
        1 => draws = body == b"numgen\0",
        2 if draws => attributes(body, |part, modulus| {
            if part == 2 {
                let fewer = u32::from_be_bytes((&*modulus).try_into().unwrap()) - 1;
                modulus.copy_from_slice(&fewer.to_be_bytes());
                touched += 1;
            }
        }),
        _ => {}
    });
    touched
}

/// Writes the whole Model into an empty kernel, its bytes spoilt or not; says how many places `spoil` says it touched.
fn write_all(scene: &Scene, node: &Node, spoil: impl Fn(&mut [u8], Family) -> usize) -> Result<usize, String> {
    let mut socket = scene.lab.node(0).run(NfSocket::open).unwrap().unwrap();
    let mut touched = 0;
    for family in Family::ALL {
        let change = Change::between(&Model::empty(family), node.model(family));
        let plan = nft::plan(&change, &Image::absent(family));
        let bytes_max = socket.batch_bytes_max().unwrap();
        for batch in nft::encode(&[&plan], &Options { bytes_max, generation: None }) {
            let mut bytes = batch.bytes;
            touched += spoil(&mut bytes, family);
            socket.send_batch(&bytes).map_err(|error| chain(&error))?;
        }
    }
    Ok(touched)
}

/// Turns the bit over in every element that a batch adds to the slip's sets.
fn spoil(batch: &mut [u8], slip: &Slip, family: Family) -> usize {
    const NEW_ELEMENT: u16 = 10 << 8 | 12;
    let mut touched = 0;
    messages(batch, |kind, _, body| {
        let mut wanted = false;
        attributes(body, |part, body| match part {
            2 => {
                let name = String::from_utf8_lossy(body).trim_end_matches('\0').to_owned();
                wanted = name == slip.sets || slip.sets.ends_with('-') && name.starts_with(slip.sets);
            }
            3 if wanted && kind == NEW_ELEMENT => attributes(body, |_, element| {
                attributes(element, |part, body| {
                    attributes(body, |_, value| touched += slip.turn(part, value, family))
                });
            }),
            _ => {}
        });
    });
    touched
}

impl Slip {
    /// Spoils one value: an element's key (1), its data (2) or the last key of its range (10). Says how many it changed.
    fn turn(&self, part: u16, value: &mut [u8], family: Family) -> usize {
        const KEY: u16 = 1;
        const DATA: u16 = 2;
        const LAST_KEY: u16 = 10;
        let address = if family == Family::V4 { 4 } else { 16 };
        let at = match (self.part, part) {
            (Part::Address(byte), KEY | LAST_KEY) | (Part::DataAddress(byte), DATA) => match byte {
                // The last byte of an address is meant in both families.
                3 => address - 1,
                byte => byte,
            },
            (Part::AfterAddress(byte), KEY | LAST_KEY) | (Part::DataAfterAddress(byte), DATA) => address + byte,
            (Part::Masquerade, DATA) => {
                let code = u32::from_ne_bytes(value.try_into().unwrap()) ^ nft::MASQUERADE_MASK;
                value.copy_from_slice(&code.to_ne_bytes());
                return 1;
            }
            _ => return 0,
        };
        value[at] ^= 0x40;
        usize::from(part != LAST_KEY)
    }
}
