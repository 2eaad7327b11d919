//! `eval` against what came back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use model::{
    ClientClass, Destination, Family, Frontend, Model, Outcome, Packet, PoolName, Protocol, Rule, Target, Verdict, eval,
};

use crate::probe::{Question, Reply, ask_all_timed, tracked};
use crate::scene::{Asker, Node, Scene};

/// How long something that must come may take.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// How long nothing must come.
pub const SILENCE: Duration = Duration::from_millis(250);

/// What has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An answer of one of these, each of which sees this source address.
    Answer(BTreeMap<SocketAddr, IpAddr>),
    Refused,
    Silence,
    /// Anything but an answer or a refusal: the packet left for the world, of which there is none.
    Elsewhere,
}

/// What node-0 sees of a question.
pub fn packet(scene: &Scene, question: &Question) -> Packet {
    Packet {
        source: scene.source(question.asker, Family::of(question.to.ip())),
        client: scene.client(question.asker),
        destination: question.to.ip(),
        protocol: question.protocol,
        port: question.to.port(),
    }
}

/// What `eval` says; none where the answer says nothing of node-0.
pub fn expected(scene: &Scene, question: &Question, model: &Model) -> Option<Expected> {
    let packet = packet(scene, question);
    let node = scene.node_address(model.family);
    match eval(&packet, model).0 {
        // node-0 itself refuses it, and without SCTP sockets by another kind of ICMP.
        Verdict::NotOurs if packet.destination == node => {
            (packet.protocol != Protocol::Sctp).then_some(Expected::Refused)
        }
        Verdict::NotOurs => Some(Expected::Elsewhere),
        Verdict::Reject => Some(Expected::Refused),
        Verdict::Drop => Some(Expected::Silence),
        Verdict::Forward(forward) => {
            let foreign = matches!(question.asker, Asker::RemotePod | Asker::Outside);
            // Its reply would not come back through node-0, whatever is right.
            let lost = |target: &Target| {
                let itself = target.endpoint.address == packet.source;
                !target.masquerade && (itself || (foreign && !target.endpoint.local))
            };
            let lost = forward.targets.iter().any(lost);
            let seen = |masquerade: bool| if masquerade { node } else { packet.source };
            let targets =
                forward.targets.iter().map(|target| (target.endpoint.socket(), seen(target.masquerade))).collect();
            (!lost).then_some(Expected::Answer(targets))
        }
    }
}

impl Expected {
    /// How long to wait for it.
    pub fn patience(&self) -> Duration {
        match self {
            Expected::Answer(_) | Expected::Refused => PATIENCE,
            Expected::Silence | Expected::Elsewhere => SILENCE,
        }
    }

    pub fn allows(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Expected::Answer(targets), Reply::Answered { server, source }) => targets.get(server) == Some(source),
            (Expected::Refused, Reply::Refused) => true,
            (Expected::Silence, Reply::Silence) => true,
            (Expected::Elsewhere, Reply::Silence | Reply::NoWay(_)) => true,
            _ => false,
        }
    }
}

/// What was asked and heard.
#[derive(Debug, Default)]
pub struct Judgement {
    /// What was compared, each packet once however often it was sent.
    pub packets: BTreeSet<(Asker, Protocol, SocketAddr)>,
    /// Each disagreement, with the trace that explains what was expected.
    pub disagreements: Vec<String>,
}

impl Judgement {
    /// How many different packets were compared: IPv4, IPv6.
    pub fn distinct(&self) -> [usize; 2] {
        let of = |family| self.packets.iter().filter(|(_, _, to)| Family::of(to.ip()) == family).count();
        Family::ALL.map(of)
    }
}

/// Asks all, and compares with `eval` on what is intended. Clients that have to stay with their endpoint are asked a
/// second time, after the first answers.
pub fn judge(scene: &Scene, node: &Node, questions: &[Question], patience: Duration) -> Judgement {
    let mut judgement = Judgement::default();
    let mut homes = BTreeMap::<(PoolName, IpAddr), BTreeSet<SocketAddr>>::new();
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for question in questions {
        let model = node.model(Family::of(question.to.ip()));
        let Some(expected) = expected(scene, question, model) else { continue };
        let question = Question { patience: expected.patience().min(patience), ..*question };
        match home(&packet(scene, &question), model) {
            Some(home) if homes.contains_key(&home) => later.push((question, expected)),
            Some(home) => {
                homes.insert(home, BTreeSet::new());
                first.push((question, expected.clone()));
                later.extend([(); 3].map(|()| (question, expected.clone())));
            }
            None => first.push((question, expected)),
        }
    }
    for round in [first, later] {
        let replies = ask_round(scene, &round);
        for (question, _) in &round {
            judgement.packets.insert((question.asker, question.protocol, question.to));
        }
        for ((question, expected), reply) in round.iter().zip(replies) {
            let (packet, model) = (packet(scene, question), node.model(Family::of(question.to.ip())));
            if !expected.allows(&reply) {
                let trace = eval(&packet, model).1;
                let tracked = tracked(scene, question.to);
                judgement
                    .disagreements
                    .push(format!("{question}: expected {expected:?}, got {reply:?}\n{trace}tracked:\n{tracked}"));
            }
            if let (Some(home), Reply::Answered { server, .. }) = (home(&packet, model), reply) {
                homes.entry(home).or_default().insert(server);
            }
        }
    }
    let torn = homes.iter().filter(|(_, servers)| servers.len() > 1);
    let torn = torn.map(|((pool, client), servers)| format!("{client} did not stay with one of {pool}: {servers:?}"));
    judgement.disagreements.extend(torn);
    judgement
}

/// Asks all at once. On a busy machine an answer may take long, and so may one that must not come: silence has to last
/// twice as long as the slowest answer took, else it is waited for anew.
fn ask_round(scene: &Scene, round: &[(Question, Expected)]) -> Vec<Reply> {
    let asked: Vec<Question> = round.iter().map(|(question, _)| *question).collect();
    let mut heard = ask_all_timed(scene, &asked);
    let answers = heard.iter().filter(|(reply, _)| matches!(reply, Reply::Answered { .. }));
    let slowest = answers.map(|(_, took)| *took).max().unwrap_or_default();
    let too_short = |at: &usize| heard[*at].0 == Reply::Silence && asked[*at].patience < 2 * slowest;
    let again: Vec<usize> = (0..asked.len()).filter(too_short).collect();
    let questions: Vec<Question> = again.iter().map(|at| Question { patience: 2 * slowest, ..asked[*at] }).collect();
    for (at, later) in again.into_iter().zip(ask_all_timed(scene, &questions)) {
        heard[at] = later;
    }
    heard.into_iter().map(|(reply, _)| reply).collect()
}

/// The pool whose memory this packet meets, with the client's address (S-324).
fn home(packet: &Packet, model: &Model) -> Option<(PoolName, IpAddr)> {
    let rule = rule_at(packet, model)?;
    rule.affinity?;
    let near = ClientClass::of(packet, &model.local_pods).is_near();
    match if near { &rule.near } else { &rule.far } {
        Outcome::Pool(pool) => Some((PoolName::clone(&pool.name), packet.source)),
        Outcome::Reject | Outcome::Drop => None,
    }
}

/// The rule of the frontend at which this packet knocks.
pub fn rule_at<'a>(packet: &Packet, model: &'a Model) -> Option<&'a Rule> {
    let at = |destination| Frontend { destination, protocol: packet.protocol, port: packet.port };
    model.frontends.get(&at(Destination::Address(packet.destination))).or_else(|| {
        let node_port = model.node_addresses.contains(&packet.destination);
        node_port.then(|| model.frontends.get(&at(Destination::Node))).flatten()
    })
}
