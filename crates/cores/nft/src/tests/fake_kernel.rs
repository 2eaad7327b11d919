//! A kernel in miniature: takes batches as nf_tables does, refuses what it refuses, and answers dumps.

use std::collections::{BTreeMap, BTreeSet};

use model::Family;

use crate::chain::{Chain, Verdict};
use crate::encode::{SUBSYSTEM, family_number, kind};
use crate::expression::{Expression, decode_verdict};
use crate::wire::{Head, Writer, attributes, find, find_be32, find_text, messages};
use crate::{Image, observe};

#[derive(Clone, Default)]
pub struct FakeKernel {
    tables: BTreeMap<u8, Table>,
}

#[derive(Clone, Default)]
struct Table {
    chains: BTreeMap<String, Vec<u8>>,
    rules: Vec<(String, Vec<u8>)>,
    sets: BTreeMap<String, Set>,
}

#[derive(Clone, Default)]
struct Set {
    body: Vec<u8>,
    size: u32,
    /// The size that it has once the transaction is carried out.
    next_size: u32,
    elements: BTreeMap<Key, Vec<u8>>,
}

/// Key, last key and flags.
type Key = (Vec<u8>, Vec<u8>, Vec<u8>);

impl FakeKernel {
    /// Carries out all of a batch, or nothing.
    pub fn send(&mut self, batch: &[u8]) -> Result<(), String> {
        let mut next = self.clone();
        for message in messages(batch).filter(|message| message.kind >> 8 == SUBSYSTEM) {
            next.message(message.kind & 0xff, message.family, message.body)
                .map_err(|why| format!("{why} (message {})", message.kind & 0xff))?;
        }
        for table in next.tables.values_mut() {
            table.check_references()?;
            table.sets.values_mut().for_each(|set| set.size = set.next_size);
        }
        *self = next;
        Ok(())
    }

    /// What it holds, by the way of dumps.
    pub fn observe(&self, family: Family) -> Image {
        observe(family, &self.dumps(family))
    }

    /// The answers to all requests.
    pub fn dumps(&self, family: Family) -> Vec<Vec<u8>> {
        let mut out = Writer::default();
        let number = family_number(family);
        let Some(table) = self.tables.get(&number) else { return Vec::new() };
        let mut add = |kind: u16, body: &[u8]| {
            let head = Head { kind: SUBSYSTEM << 8 | kind, flags: 2, family: number, resource: 0, sequence: 0 };
            out.message(head, |out| out.bytes.extend_from_slice(body));
        };
        let body = |write: &dyn Fn(&mut Writer)| {
            let mut out = Writer::default();
            write(&mut out);
            out.bytes
        };
        add(kind::NEW_TABLE, &body(&|out| out.text(1, "maitred")));
        table.chains.values().for_each(|chain| add(kind::NEW_CHAIN, chain));
        table.rules.iter().for_each(|(_, rule)| add(kind::NEW_RULE, rule));
        for (name, set) in &table.sets {
            add(kind::NEW_SET, &set.body);
            for element in set.elements.values() {
                let list = body(&|out| {
                    out.text(1, "maitred");
                    out.text(2, name);
                    out.nest(3, |out| out.nest(1, |out| out.bytes.extend_from_slice(element)));
                });
                add(kind::NEW_ELEMENT, &list);
            }
        }
        vec![out.bytes]
    }

    fn message(&mut self, message: u16, family: u8, body: &[u8]) -> Result<(), String> {
        assert_eq!(find_text(body, 1), Some("maitred"));
        if message == kind::NEW_TABLE {
            self.tables.entry(family).or_default();
            return Ok(());
        }
        if message == kind::DELETE_TABLE {
            return self.tables.remove(&family).map(drop).ok_or("no such table".into());
        }
        let table = self.tables.get_mut(&family).ok_or("no table")?;
        match message {
            kind::NEW_CHAIN => drop(table.chains.insert(find_text(body, 3).unwrap().into(), body.to_vec())),
            kind::DELETE_CHAIN => table.delete_chain(find_text(body, 3).unwrap())?,
            kind::NEW_RULE => {
                let chain = find_text(body, 2).unwrap();
                if !table.chains.contains_key(chain) {
                    return Err(format!("no chain {chain}"));
                }
                table.rules.push((chain.into(), body.to_vec()));
            }
            kind::DELETE_RULE => table.rules.retain(|(chain, _)| Some(chain.as_str()) != find_text(body, 2)),
            kind::NEW_SET => table.new_set(body),
            kind::NEW_ELEMENT | kind::DELETE_ELEMENT => {
                let name = find_text(body, 2).unwrap();
                let set = table.sets.get_mut(name).ok_or("no set")?;
                set.change(message == kind::NEW_ELEMENT, find(body, 3)).map_err(|why| format!("{why} in {name}"))?;
            }
            other => panic!("message {other} is never sent"),
        }
        Ok(())
    }
}

impl Table {
    fn new_set(&mut self, body: &[u8]) {
        let size = find(body, 9).and_then(|description| find_be32(description, 1)).unwrap_or(u32::MAX);
        let set = self.sets.entry(find_text(body, 2).unwrap().into()).or_insert(Set { size, ..Set::default() });
        set.body = body.to_vec();
        set.next_size = size;
    }

    fn delete_chain(&mut self, name: &str) -> Result<(), String> {
        self.rules.retain(|(chain, _)| chain != name);
        self.chains.remove(name).map(drop).ok_or(format!("no chain {name}"))
    }

    /// Every chain and set that something refers to is there.
    fn check_references(&self) -> Result<(), String> {
        let mut chains: BTreeSet<Chain> = BTreeSet::new();
        let mut lead = |verdict: Verdict| {
            if let Verdict::Goto(chain) | Verdict::Jump(chain) = verdict {
                chains.insert(chain);
            }
        };
        for (chain, rule) in &self.rules {
            for expression in Expression::decode_all(find(rule, 4).unwrap()).ok_or(format!("a rule of {chain}"))? {
                match expression {
                    Expression::Verdict(verdict) => lead(verdict),
                    Expression::Lookup { set, .. } | Expression::Remember { set, .. } => {
                        self.sets.get(&set.to_string()).ok_or(format!("no set {set}"))?;
                    }
                    _ => {}
                }
            }
        }
        let elements = self.sets.values().flat_map(|set| set.elements.values());
        elements.filter_map(|element| decode_verdict(find(element, 2)?)).for_each(&mut lead);
        match chains.iter().find(|chain| !self.chains.contains_key(&chain.to_string())) {
            Some(missing) => Err(format!("no chain {missing}, which something leads to")),
            None => Ok(()),
        }
    }
}

impl Set {
    fn change(&mut self, add: bool, list: Option<&[u8]>) -> Result<(), String> {
        let Some(list) = list else {
            self.elements.clear();
            return Ok(());
        };
        for (_, element) in attributes(list) {
            let part = |kind| find(element, kind).unwrap_or_default().to_vec();
            let key = (part(1), part(10), part(3));
            if !add {
                self.elements.remove(&key).ok_or("no such element")?;
            } else if self.elements.len() as u32 >= self.size {
                return Err("full".into());
            } else if self.elements.insert(key, element.to_vec()).is_some_and(|old| old != element) {
                return Err("other data".into());
            }
        }
        Ok(())
    }
}
