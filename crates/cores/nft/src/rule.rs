//! The rules of every chain, each as readable text and as the expressions that do it.
//!
//! ```text
//!   prerouting, output ─► services ─► dispatch ─┬─► nN ─► pick ─► pick-x ─► dnat
//!                                               ├─► affinity-T-N ─► affinity-pick-T ─► dnat
//!                                               ├─► guard ─► dispatch-guarded ─► …
//!                                               ├─► ext-local ─┬─► ext-local-cluster ─► dispatch-cluster ─► nN …
//!                                               │              └─► dispatch-local ─► lN ─► pick-local ─► dnat
//!                                               └─► refuse, drop
//!   prerouting-late, output-late ─► unserved ─┬─► refuse    an unused port of a cluster IP
//!                                             └─► drop      an unassigned address of a Service range
//!   postrouting ─► masq ─► masq-… ─► masquerade
//! ```
//!
//! Text and expressions of a statement stand side by side, so that what is printed is what is done; the text is that of
//! `nft list`. `meta priority` is the scratch word within one traversal; postrouting sets it back to zero.

use model::{Family, LocalPods};

use crate::chain::{Chain, Verdict};
use crate::code::{DISPATCH_MASK, MASQUERADE_MASK, classid};
use crate::expression::{Conntrack, End, Expression, Header, Memory, Meta, Register, Reject};
use crate::key::{Value, low_bits, zero};
use crate::set::{Set, Side, Stage};

/// The bits of an endpoint id that name its pool.
pub(crate) const POOL_MASK: u32 = 0xffff_c000;
const DNAT_STATUS: u32 = 0x20;
const LOCAL_ADDRESS: u32 = 2;
/// IFNAMSIZ of Linux.
const INTERFACE_NAME: usize = 16;

/// How rules know a local Pod's packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detector {
    /// They don't.
    #[default]
    None,
    /// By the source address.
    Ranges,
    /// By the input interface.
    Interface(String),
    /// By the beginning of its name.
    InterfacePrefix(String),
}

impl Detector {
    pub fn of(local_pods: &LocalPods) -> Detector {
        match local_pods {
            LocalPods::Unknown => Detector::None,
            LocalPods::Ranges(_) => Detector::Ranges,
            LocalPods::Interface(name) => Detector::Interface(name.clone()),
            LocalPods::InterfacePrefix(prefix) => Detector::InterfacePrefix(prefix.clone()),
        }
    }

    /// The chains whose rules depend on it.
    pub const CHAINS: [Chain; 2] = [Chain::ExternalLocal, Chain::MasqUnlessLocalPod];
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub text: String,
    pub expressions: Vec<Expression>,
}

/// The rules of a chain.
pub(crate) fn rules(chain: Chain, family: Family, detector: &Detector) -> Vec<Rule> {
    let write = Writer { family };
    match chain {
        Chain::Prerouting | Chain::Output => vec![write.rule([write.verdict(Verdict::Jump(Chain::Services))])],
        Chain::LatePrerouting => vec![
            // What is the host's own is none of this: S-341 is about what goes elsewhere.
            write.rule([write.address_is_host(End::Destination), write.verdict(Verdict::Return)]),
            write.rule([write.verdict(Verdict::Jump(Chain::Unserved))]),
        ],
        Chain::LateOutput => vec![write.rule([write.verdict(Verdict::Jump(Chain::Unserved))])],
        Chain::Postrouting => write.postrouting(),
        Chain::Services => write.services(),
        Chain::Unserved => write.unserved(),
        Chain::Guard => write.guard(),
        Chain::ExternalLocal => write.external_local(detector),
        Chain::ExternalLocalCluster => write.external_local_cluster(),
        Chain::Refuse => write.refuse(),
        Chain::Pick => write.pick(),
        Chain::PickLocal => write.pick_local(),
        Chain::PickShard(shard) => vec![write.dnat_slot(At::Address, Set::Endpoints(shard))],
        Chain::MasqAlways => vec![write.rule([write.clear(), write.masquerade()])],
        Chain::MasqUnlessLocalPod => write.masquerade_unless_local_pod(detector),
        Chain::MasqOnlyHost => {
            vec![write.rule([write.clear()]), write.rule([write.source_is_host(), write.masquerade()])]
        }
        Chain::Random { side, n } => {
            let pick = if side == Side::Near { Chain::Pick } else { Chain::PickLocal };
            vec![write.rule([write.draw(n), write.verdict(Verdict::Goto(pick))])]
        }
        Chain::Affinity { side, timeout_s } => write.affinity(side, timeout_s),
        Chain::AffinityPick { side, timeout_s } => write.affinity_pick(side, timeout_s),
        Chain::AffinityRandom { side, timeout_s, n } => vec![
            write.rule([write.verdict(Verdict::Jump(Chain::Affinity { side, timeout_s }))]),
            write.rule([write.draw(n), write.verdict(Verdict::Goto(Chain::AffinityPick { side, timeout_s }))]),
        ],
    }
}

/// A part of a rule: its words, and what they do.
type Statement = (String, Vec<Expression>);

/// Under which address a frontend is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The packet's destination.
    Address,
    /// The zero address: node ports.
    Zero,
}

struct Writer {
    family: Family,
}

impl Writer {
    /// A packet sees the rules of the generation in which it came, but the elements of the present one. So it may find a
    /// code whose chain is gone, or is still empty for it, and come back. It must not pass untranslated: connection
    /// tracking would let the whole connection pass so. It tries again, and else is dropped, for its sender to repeat.
    fn services(&self) -> Vec<Rule> {
        let address = || self.rule(self.look_up(At::Address, Stage::Services));
        let found = |at| self.priority_from(at, Set::Frontends(Stage::Services), false);
        let node = || [self.destination_in(Set::NodeportIps)].into_iter();
        let node_port = || self.rule(node().chain(self.look_up(At::Zero, Stage::Services)));
        vec![
            address(),
            address(),
            self.rule([found(At::Address), self.verdict(Verdict::Drop)]),
            node_port(),
            node_port(),
            self.rule(node().chain([found(At::Zero), self.verdict(Verdict::Drop)])),
        ]
    }

    /// Service ranges are the cluster's, not ours alone: Services with a proxy of their own (S-300) have cluster IPs
    /// there too. So this comes after the DNAT of others, and sees a packet only if nobody led it anywhere (S-341).
    fn unserved(&self) -> Vec<Rule> {
        vec![
            self.rule([self.destination_in(Set::ClusterIps), self.verdict(Verdict::Goto(Chain::Refuse))]),
            self.rule([self.destination_in(Set::ServiceCidrs), self.verdict(Verdict::Drop)]),
        ]
    }

    fn guard(&self) -> Vec<Rule> {
        let mut key = self.frontend(At::Address);
        key.1.push(self.source(word(self.address_words() + 2)));
        key.1.push(Expression::Lookup { set: Set::SourceRanges, key: 1, destination: None, inverted: true });
        let outside = (format!("{} . {} saddr != @source-ranges", key.0, self.ip()), key.1);
        vec![
            self.rule([outside, self.verdict(Verdict::Drop)]),
            self.rule(self.look_up(At::Address, Stage::Guarded)),
            self.rule([self.verdict(Verdict::Drop)]),
        ]
    }

    fn external_local(&self, detector: &Detector) -> Vec<Rule> {
        let near = || self.verdict(Verdict::Goto(Chain::ExternalLocalCluster));
        let local_pod = self.source_is_local_pod(detector).map(|pod| self.rule([pod, near()]));
        local_pod
            .into_iter()
            .chain([
                self.rule([self.source_is_host(), near()]),
                self.rule(self.look_up(At::Address, Stage::Local)),
                self.rule(self.look_up(At::Zero, Stage::Local)),
                self.rule([self.verdict(Verdict::Drop)]),
            ])
            .collect()
    }

    fn external_local_cluster(&self) -> Vec<Rule> {
        vec![
            self.rule(self.look_up(At::Address, Stage::Cluster)),
            self.rule(self.look_up(At::Zero, Stage::Cluster)),
            self.rule([self.verdict(Verdict::Drop)]),
        ]
    }

    /// TCP by RST: an IPv6 client that gets an ICMP error waits a second, and ICMP is rate-limited (S-311).
    fn refuse(&self) -> Vec<Rule> {
        let tcp = vec![
            Expression::Meta { register: 1, key: Meta::Protocol },
            Expression::Compare { register: 1, differs: false, data: vec![6] },
        ];
        let reset = vec![Expression::Reject(Reject::Reset)];
        let code = if self.family == Family::V4 { 3 } else { 4 };
        let unreachable = vec![Expression::Reject(Reject::Unreachable { code })];
        vec![
            self.rule([(String::new(), tcp), ("reject with tcp reset".into(), reset)]),
            self.rule([("reject".into(), unreachable)]),
        ]
    }

    /// Two rounds: the second, for slot 0, serves packets that drew a slot while N was shrinking. The drop keeps a
    /// virtual address from leaving by the default route.
    fn pick(&self) -> Vec<Rule> {
        let low = low_bits(self.family, 15);
        let shard = (
            format!("{} daddr & {low} vmap @shards", self.ip()),
            vec![
                self.destination(1),
                Expression::Mask { source: 1, destination: 1, mask: self.address_bytes(15) },
                Expression::Lookup { set: Set::Shards, key: 1, destination: Some(0), inverted: false },
            ],
        );
        let round = [self.rule([shard]), self.dnat_slot(At::Zero, Set::EndpointsNodeport)];
        self.two_rounds(&round)
    }

    fn pick_local(&self) -> Vec<Rule> {
        let round = [At::Address, At::Zero].map(|at| self.dnat_slot(at, Set::EndpointsLocal));
        self.two_rounds(&round)
    }

    fn two_rounds(&self, round: &[Rule]) -> Vec<Rule> {
        [round, &[self.rule([self.clear()])], round, &[self.rule([self.verdict(Verdict::Drop)])]].concat()
    }

    /// A miss in `affinity` leaves the pool's id, whose number 0 is no endpoint, so that the third rule isn't taken.
    fn affinity(&self, side: Side, timeout_s: u32) -> Vec<Rule> {
        let ids = Set::AffinityIds(side);
        let remembered = (
            format!("meta priority set {} saddr . meta priority map @affinity", self.ip()),
            vec![
                self.source(1),
                priority(word(self.address_words())),
                Expression::Lookup { set: Set::Affinity, key: 1, destination: Some(1), inverted: false },
                Expression::SetPriority { register: 1 },
            ],
        );
        vec![
            self.rule([self.priority_from(At::Zero, ids, false)]),
            self.rule([self.priority_from(At::Address, ids, false)]),
            self.rule([remembered]),
            self.dnat_remembered(timeout_s),
            self.rule([self.remember(Memory::Delete)]),
        ]
    }

    /// The plain dnat after each attempt serves clients when the affinity map is full.
    fn affinity_pick(&self, side: Side, timeout_s: u32) -> Vec<Rule> {
        let slots = Set::AffinitySlots(side);
        let round = [
            self.rule([self.priority_from(At::Address, slots, true)]),
            self.rule([self.priority_from(At::Zero, slots, true)]),
            self.dnat_remembered(timeout_s),
            self.rule([self.dnat_endpoint()]),
        ];
        self.two_rounds(&round)
    }

    fn postrouting(&self) -> Vec<Rule> {
        let not_translated = (
            "ct status ! dnat".into(),
            vec![
                Expression::Conntrack { register: 1, key: Conntrack::Status },
                Expression::Mask { source: 1, destination: 1, mask: DNAT_STATUS.to_ne_bytes().to_vec() },
                Expression::Compare { register: 1, differs: false, data: vec![0; 4] },
            ],
        );
        let hairpin = (
            format!("{0} saddr . {0} daddr @hairpin", self.ip()),
            vec![
                self.source(1),
                self.destination(word(self.address_words())),
                Expression::Lookup { set: Set::Hairpin, key: 1, destination: None, inverted: false },
            ],
        );
        let nodeport = (
            format!("ct original {} daddr @nodeport-ips", self.ip()),
            vec![
                self.original_destination(),
                Expression::Lookup { set: Set::NodeportIps, key: 1, destination: None, inverted: false },
            ],
        );
        vec![
            self.rule([not_translated, self.verdict(Verdict::Return)]),
            self.rule([hairpin, self.clear(), self.masquerade()]),
            self.rule(self.classify(At::Address)),
            self.rule([nodeport].into_iter().chain(self.classify(At::Zero))),
            self.rule([self.clear()]),
        ]
    }

    fn masquerade_unless_local_pod(&self, detector: &Detector) -> Vec<Rule> {
        let local_pod = self.source_is_local_pod(detector).map(|pod| self.rule([pod, self.verdict(Verdict::Return)]));
        [self.rule([self.clear()])].into_iter().chain(local_pod).chain([self.rule([self.masquerade()])]).collect()
    }

    // Statements.

    /// `priority := frontends[frontend]`; go where its branch leads.
    fn look_up(&self, at: At, stage: Stage) -> [Statement; 2] {
        [self.priority_from(at, Set::Frontends(stage), false), self.go_by(DISPATCH_MASK, Set::Dispatch(stage))]
    }

    fn go_by(&self, mask: u32, set: Set) -> Statement {
        (
            format!("meta priority & {} vmap @{set}", classid(mask)),
            vec![
                priority(1),
                Expression::Mask { source: 1, destination: 1, mask: mask.to_ne_bytes().to_vec() },
                Expression::Lookup { set, key: 1, destination: Some(0), inverted: false },
            ],
        )
    }

    /// priority := the frontend's code, by the destination before translation; go where its class leads.
    fn classify(&self, at: At) -> [Statement; 2] {
        let port =
            Expression::Conntrack { register: word(self.address_words() + 1), key: Conntrack::OriginalDestinationPort };
        let mut expressions = vec![self.original_destination()];
        expressions.extend(self.at(at));
        expressions.extend([self.protocol(), port]);
        expressions.push(Expression::Lookup {
            set: Set::Frontends(Stage::Services),
            key: 1,
            destination: Some(1),
            inverted: false,
        });
        expressions.push(Expression::SetPriority { register: 1 });
        let masked = self.masked(at);
        let text = format!(
            "meta priority set ct original {} daddr{masked} . meta l4proto . ct original proto-dst map @frontends",
            self.ip()
        );
        [(text, expressions), self.go_by(MASQUERADE_MASK, Set::Masq)]
    }

    /// `priority := set[frontend]`, or `set[frontend . priority]`.
    fn priority_from(&self, at: At, set: Set, with_slot: bool) -> Statement {
        let (mut words, mut expressions) = self.frontend(at);
        if with_slot {
            words.push_str(" . meta priority");
            expressions.push(priority(word(self.address_words() + 2)));
        }
        expressions.push(Expression::Lookup { set, key: 1, destination: Some(1), inverted: false });
        expressions.push(Expression::SetPriority { register: 1 });
        (format!("meta priority set {words} map @{set}"), expressions)
    }

    /// Leads to the endpoint in the slot that was drawn.
    fn dnat_slot(&self, at: At, set: Set) -> Rule {
        let (words, mut expressions) = self.frontend(at);
        expressions.push(priority(word(self.address_words() + 2)));
        expressions.push(Expression::Lookup { set, key: 1, destination: Some(1), inverted: false });
        expressions.push(self.dnat());
        self.rule([(format!("dnat {} to {words} . meta priority map @{set}", self.ip()), expressions)])
    }

    /// Leads to the endpoint whose id the priority is.
    fn dnat_endpoint(&self) -> Statement {
        let (text, [look_up, dnat]) = self.endpoint();
        (text, [vec![priority(1)], vec![look_up, dnat]].concat())
    }

    /// The same, and remembers it. The look-up comes first: what isn't there is not remembered.
    fn dnat_remembered(&self, timeout_s: u32) -> Rule {
        let (text, [look_up, dnat]) = self.endpoint();
        let (memory, write) = self.remember(Memory::Update { timeout_s });
        self.rule([(String::new(), vec![priority(1), look_up]), (memory, write), (text, vec![dnat])])
    }

    /// The look-up keeps its result beyond the registers that [`Writer::remember`] uses.
    fn endpoint(&self) -> (String, [Expression; 2]) {
        let set = Set::AffinityEndpoints;
        let look_up = Expression::Lookup { set, key: 1, destination: Some(word(8)), inverted: false };
        let dnat = Expression::Dnat { address: word(8), port: word(8 + self.address_words()) };
        (format!("dnat {} to meta priority map @{set}", self.ip()), [look_up, dnat])
    }

    fn remember(&self, action: Memory) -> Statement {
        let pool = word(self.address_words());
        let data = word(self.address_words() + 1);
        let key = format!("{} saddr . meta priority & {}", self.ip(), classid(POOL_MASK));
        let text = match action {
            Memory::Update { timeout_s } => {
                format!("update @affinity {{ {key} timeout {} : meta priority }}", duration(timeout_s))
            }
            Memory::Delete => format!("delete @affinity {{ {key} : meta priority }}"),
        };
        let mask = POOL_MASK.to_ne_bytes().to_vec();
        let expressions = vec![
            self.source(1),
            priority(pool),
            Expression::Mask { source: pool, destination: pool, mask },
            priority(data),
            Expression::Remember { set: Set::Affinity, key: 1, data, action },
        ];
        (text, expressions)
    }

    fn draw(&self, n: u32) -> Statement {
        let draw = Expression::Random { register: 1, modulus: n };
        (format!("meta priority set numgen random mod {n}"), vec![draw, Expression::SetPriority { register: 1 }])
    }

    fn clear(&self) -> Statement {
        let zero = Expression::Constant { register: 1, data: vec![0; 4] };
        ("meta priority set none".into(), vec![zero, Expression::SetPriority { register: 1 }])
    }

    fn masquerade(&self) -> Statement {
        ("masquerade fully-random".into(), vec![Expression::Masquerade])
    }

    fn verdict(&self, verdict: Verdict) -> Statement {
        (verdict.to_string(), vec![Expression::Verdict(verdict)])
    }

    fn destination_in(&self, set: Set) -> Statement {
        let look_up = Expression::Lookup { set, key: 1, destination: None, inverted: false };
        (format!("{} daddr @{set}", self.ip()), vec![self.destination(1), look_up])
    }

    fn source_is_host(&self) -> Statement {
        self.address_is_host(End::Source)
    }

    fn address_is_host(&self, of: End) -> Statement {
        let is_local = Expression::Compare { register: 1, differs: false, data: LOCAL_ADDRESS.to_ne_bytes().to_vec() };
        let name = if of == End::Source { "saddr" } else { "daddr" };
        (format!("fib {name} type local"), vec![Expression::AddressType { register: 1, of }, is_local])
    }

    fn source_is_local_pod(&self, detector: &Detector) -> Option<Statement> {
        let by_interface = |text: String, data: Vec<u8>| {
            let name = Expression::Meta { register: 1, key: Meta::InputInterfaceName };
            (text, vec![name, Expression::Compare { register: 1, differs: false, data }])
        };
        match detector {
            Detector::None => None,
            Detector::Ranges => {
                let set = Set::LocalSources;
                let look_up = Expression::Lookup { set, key: 1, destination: None, inverted: false };
                Some((format!("{} saddr @{set}", self.ip()), vec![self.source(1), look_up]))
            }
            Detector::Interface(name) => {
                let mut data = name.as_bytes().to_vec();
                data.resize(INTERFACE_NAME, 0);
                Some(by_interface(format!("iifname \"{name}\""), data))
            }
            Detector::InterfacePrefix(prefix) => {
                Some(by_interface(format!("iifname \"{prefix}*\""), prefix.as_bytes().to_vec()))
            }
        }
    }

    // Keys.

    /// The frontend from register 1 on: address, protocol, port.
    fn frontend(&self, at: At) -> Statement {
        let port = Expression::Payload {
            register: word(self.address_words() + 1),
            header: Header::Transport,
            offset: 2,
            length: 2,
        };
        let mut expressions = vec![self.destination(1)];
        expressions.extend(self.at(at));
        expressions.extend([self.protocol(), port]);
        (format!("{} daddr{} . meta l4proto . th dport", self.ip(), self.masked(at)), expressions)
    }

    fn at(&self, at: At) -> Option<Expression> {
        (at == At::Zero).then(|| Expression::Mask { source: 1, destination: 1, mask: self.address_bytes(0) })
    }

    fn masked(&self, at: At) -> String {
        if at == At::Zero { format!(" & {}", zero(self.family)) } else { String::new() }
    }

    fn protocol(&self) -> Expression {
        Expression::Meta { register: word(self.address_words()), key: Meta::Protocol }
    }

    fn source(&self, register: Register) -> Expression {
        let offset = if self.family == Family::V4 { 12 } else { 8 };
        Expression::Payload { register, header: Header::Network, offset, length: 4 * self.address_words() }
    }

    fn destination(&self, register: Register) -> Expression {
        let offset = if self.family == Family::V4 { 16 } else { 24 };
        Expression::Payload { register, header: Header::Network, offset, length: 4 * self.address_words() }
    }

    fn original_destination(&self) -> Expression {
        let key = match self.family {
            Family::V4 => Conntrack::OriginalDestinationV4,
            Family::V6 => Conntrack::OriginalDestinationV6,
        };
        Expression::Conntrack { register: 1, key }
    }

    fn dnat(&self) -> Expression {
        Expression::Dnat { address: 1, port: word(self.address_words()) }
    }

    fn address_bytes(&self, low: u8) -> Vec<u8> {
        Value::new().address(low_bits(self.family, low)).bytes().to_vec()
    }

    fn address_words(&self) -> u32 {
        if self.family == Family::V4 { 1 } else { 4 }
    }

    fn ip(&self) -> &'static str {
        if self.family == Family::V4 { "ip" } else { "ip6" }
    }

    fn rule(&self, statements: impl IntoIterator<Item = Statement>) -> Rule {
        let mut rule = Rule::default();
        for (text, expressions) in statements {
            if !rule.text.is_empty() && !text.is_empty() {
                rule.text.push(' ');
            }
            rule.text.push_str(&text);
            rule.expressions.extend(expressions);
        }
        rule
    }
}

fn priority(register: Register) -> Expression {
    Expression::Meta { register, key: Meta::Priority }
}

/// The register of the 32-bit word with this number, as the kernel dumps it.
fn word(number: u32) -> Register {
    if number.is_multiple_of(4) { 1 + number / 4 } else { 8 + number }
}

/// A duration as `nft list` prints it.
fn duration(seconds: u32) -> String {
    let parts = [(seconds / 86400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}
