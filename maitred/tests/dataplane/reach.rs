//! All the endpoints that `eval` names are reached: each of them, if enough clients ask.
//!
//! A single answer only shows that its endpoint belongs to the pool, so a data path that never draws the last slot would
//! pass. Here one frontend is asked so often that an endpoint which is drawn at all cannot be missed by chance.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use model::{Destination, Family, Frontend, Outcome, Protocol, Role, Rule, Sources};

use crate::judge::{Expected, expected, packet};
use crate::probe::{Question, Reply, ask_all};
use crate::scene::{Asker, Node, Scene};

/// How likely it may be that chance alone leaves an endpoint out.
const MISSED_BY_CHANCE: f64 = 1e-9;

/// What data paths may build differently, of a frontend without affinity whose pool has several endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    pub family: Family,
    pub role: Role,
    pub side: Side,
    /// Only some source ranges may come in.
    pub guarded: bool,
    /// How many endpoints there are to reach.
    pub endpoints: usize,
}

/// Whose pool it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Near clients, of a rule that has another outcome for far ones.
    Near,
    /// Far clients, of a rule that has another outcome for near ones.
    Far,
    /// Both have the same; this is a near client.
    BothNear,
    /// Both have the same; this is a far client.
    BothFar,
}

impl Side {
    pub const ALL: [Side; 4] = [Side::Near, Side::Far, Side::BothNear, Side::BothFar];

    /// Whether near and far clients have different outcomes.
    pub fn is_split(self) -> bool {
        matches!(self, Side::Near | Side::Far)
    }

    fn of(rule: &Rule, near: bool) -> Side {
        match (rule.near == rule.far, near) {
            (false, true) => Side::Near,
            (false, false) => Side::Far,
            (true, true) => Side::BothNear,
            (true, false) => Side::BothFar,
        }
    }
}

/// Where and by whom each shape can be met at present. SCTP is left out, since one raw socket asks after the other; the
/// choice of an endpoint knows no protocol.
pub fn shapes(scene: &Scene, node: &Node, patience: Duration) -> BTreeMap<Shape, Vec<Question>> {
    let mut shapes = BTreeMap::<Shape, Vec<Question>>::new();
    for family in Family::ALL {
        let rules = node.model(family).frontends.iter();
        let rules = rules.filter(|(frontend, rule)| frontend.protocol != Protocol::Sctp && rule.affinity.is_none());
        for ((frontend, rule), asker) in rules.flat_map(|rule| Asker::ALL.map(|asker| (rule, asker))) {
            let question = question(scene, family, frontend, asker, patience);
            if let Some(shape) = shape(scene, node, &question, rule) {
                shapes.entry(shape).or_default().push(question);
            }
        }
    }
    shapes
}

fn question(scene: &Scene, family: Family, frontend: &Frontend, asker: Asker, patience: Duration) -> Question {
    let address = match frontend.destination {
        Destination::Address(address) => address,
        Destination::Node => scene.node_address(family),
    };
    Question { asker, protocol: frontend.protocol, to: SocketAddr::new(address, frontend.port), patience }
}

/// None where there is nothing to choose, or where another frontend comes first.
fn shape(scene: &Scene, node: &Node, question: &Question, rule: &Rule) -> Option<Shape> {
    let model = node.model(Family::of(question.to.ip()));
    let packet = packet(scene, question);
    if !std::ptr::eq(crate::judge::rule_at(&packet, model)?, rule) {
        return None;
    }
    let near = model::ClientClass::of(&packet, &model.local_pods).is_near();
    let Outcome::Pool(_) = (if near { &rule.near } else { &rule.far }) else { return None };
    let Expected::Answer(targets) = expected(scene, question, model)? else { return None };
    (targets.len() > 1).then(|| Shape {
        family: model.family,
        role: rule.role,
        side: Side::of(rule, near),
        guarded: rule.sources != Sources::Any,
        endpoints: targets.len(),
    })
}

/// How often to ask so that none of so many endpoints is missed: of `n`, `k` questions leave one out with a probability of
/// at most n·(1-1/n)^k.
fn enough(endpoints: usize) -> usize {
    let n = endpoints as f64;
    ((MISSED_BY_CHANCE / n).ln() / (1.0 - 1.0 / n).ln()).ceil() as usize
}

/// Asks each of these questions often enough, all at once, and says which endpoints stayed away and which replies were
/// none of those that `eval` allows.
pub fn reach(scene: &Scene, node: &Node, questions: &[Question]) -> Vec<String> {
    let expected = |question: &Question| expected(scene, question, node.model(Family::of(question.to.ip())));
    let asked: Vec<(Question, Expected)> =
        questions.iter().filter_map(|question| Some((*question, expected(question)?))).collect();
    let times = |expected: &Expected| match expected {
        Expected::Answer(targets) if targets.len() > 1 => enough(targets.len()),
        _ => panic!("{expected:?} leaves nothing to choose"),
    };
    let all: Vec<Question> = asked.iter().flat_map(|(question, expected)| vec![*question; times(expected)]).collect();
    let mut replies = ask_all(scene, &all).into_iter();
    let compare = |(question, expected): &(Question, Expected)| {
        difference(question, expected, &replies.by_ref().take(times(expected)).collect::<Vec<_>>())
    };
    asked.iter().filter_map(compare).collect()
}

/// How the set of endpoints that answered differs from the one that was to be reached.
fn difference(question: &Question, expected: &Expected, replies: &[Reply]) -> Option<String> {
    let Expected::Answer(targets) = expected else { return None };
    let reached: BTreeSet<SocketAddr> = replies
        .iter()
        .filter_map(|reply| match reply {
            Reply::Answered { server, .. } => Some(*server),
            _ => None,
        })
        .collect();
    let missed: Vec<_> = targets.keys().filter(|target| !reached.contains(target)).collect();
    let wrong: Vec<_> = replies.iter().filter(|reply| !expected.allows(reply)).collect();
    if missed.is_empty() && wrong.is_empty() {
        return None;
    }
    let (count, first) = (wrong.len(), wrong.first());
    Some(format!(
        "{question}: of {} answers none came from {missed:?}; {count} are wrong, the first: {first:?}",
        replies.len()
    ))
}

#[test]
fn so_many_are_asked_that_chance_leaves_none_out() {
    assert_eq!([2, 3, 6].map(enough), [31, 54, 124]);
    for n in 2..=6 {
        let missed = |asks: usize| n as f64 * (1.0 - 1.0 / n as f64).powi(asks as i32);
        assert!(missed(enough(n)) <= MISSED_BY_CHANCE && missed(enough(n) - 1) > MISSED_BY_CHANCE);
    }
}
