//! ExternalName: aliases, followed through the zone and beyond it (S-408).

use super::{Chased, Found, Lookup, Session};
use crate::chase;
use crate::message::{Section, rtype};
use crate::name::{Name, QueryName};
use crate::place::Place;
use crate::reply::Owner;

/// S-408.
const ALIAS_STEPS_MAX: usize = 10;

impl<L: Lookup> Session<'_, '_, L> {
    /// Follows an alias: through the zone for at most ten steps, then through the upstreams (S-408). `Err` is the name
    /// that they have to be asked for.
    pub(super) fn follow(&mut self, first: Name, chased: Option<Chased<'_>>) -> Result<Found, Name> {
        let (mut owner, mut owner_name, mut target) = (Owner::question(), Name::from(&self.query.name), first);
        for _ in 0..ALIAS_STEPS_MAX {
            let alias = target.to_lower_case();
            if alias == owner_name {
                break;
            }
            let ttl = self.config().ttl;
            let cname = |out: &mut Vec<u8>| out.extend_from_slice(target.wire());
            let written = self.reply.record(Section::Answer, owner, (rtype::CNAME, ttl), cname);
            let Some(at) = written.filter(|_| self.query.qtype != rtype::CNAME) else { return Ok(Found::Answered) };
            let Some((name, _)) = QueryName::parse(alias.wire(), 0) else { break };
            let Some(below) = name.labels_below(&self.config().domain) else {
                return self.outside(target, chased);
            };
            match self.cluster(Place::of(&name, below), Owner::at(at)) {
                Found::Alias(next) => (owner, owner_name, target) = (Owner::at(at), alias, next),
                Found::Answered => return Ok(Found::Answered),
                Found::NoData | Found::NxDomain | Found::Forward => break,
            }
        }
        // An alias that leads to nothing is withheld.
        self.reply.clear_records(self.query.question_end);
        Ok(Found::NoData)
    }

    /// An alias of a name that is not ours. A client that may not recurse gets the alias alone.
    fn outside(&mut self, target: Name, chased: Option<Chased<'_>>) -> Result<Found, Name> {
        match chased {
            _ if !self.client.may_recurse => Ok(Found::Answered),
            None => Err(target),
            Some(Chased(upstream)) => {
                let reply = upstream.filter(|reply| chase::answers(reply, &target, self.query.qtype));
                let Some(reply) = reply else {
                    self.reply.clear_records(self.query.question_end);
                    return Ok(Found::NoData);
                };
                chase::append_answers(reply, &mut self.reply);
                Ok(Found::Answered)
            }
        }
    }
}
