//! One frontend that the kernel refuses must not keep out the others: the change is tried in halves until what is
//! refused stands alone.

use kernel::netlink::NetlinkError;
use model::{Change, Family, Frontend, Rule};

use super::{Nftables, Refusal};
use crate::{Applied, Unserved};

/// A frontend, and what it is to be.
type Wanted<'a> = (&'a Frontend, &'a Option<Rule>);

impl Nftables {
    /// Carries out a change that was refused as a whole, but for the frontends that are refused by themselves. An error
    /// means that something else is wrong.
    pub(super) fn write_apart(&mut self, family: Family, change: &Change) -> Result<Applied, Refusal> {
        let surroundings = Change { frontends: Default::default(), ..change.clone() };
        let mut applied = self.write(family, &surroundings)?;
        let all: Vec<Wanted> = change.frontends.iter().collect();
        let mut pieces: Vec<&[Wanted]> = vec![&all];
        while let Some(piece) = pieces.pop() {
            let part = piece.iter().map(|(frontend, rule)| (**frontend, (*rule).clone())).collect();
            match self.write(family, &Change { frontends: part, ..Change::default() }) {
                Ok(more) => applied = applied.and(more),
                Err(refusal) if !refusal.may_be_one_frontends() => return Err(refusal),
                Err(refusal) => match piece {
                    [(frontend, _)] => applied = applied.and(self.leave_out(family, **frontend, refusal)?),
                    _ => {
                        let (first, second) = piece.split_at(piece.len() / 2);
                        pieces.extend([second, first]);
                    }
                },
            }
        }
        Ok(applied)
    }

    /// What the frontend led to before is no longer true, so that goes as well.
    fn leave_out(&mut self, family: Family, frontend: Frontend, refusal: Refusal) -> Result<Applied, Refusal> {
        let none = Change { frontends: [(frontend, None)].into(), ..Change::default() };
        let mut applied = self.write(family, &none)?;
        let reason = runloop::chain(&refusal.into_error());
        let why = format!("frontend {frontend} cannot be programmed: {reason}");
        applied.unserved.push(Unserved { frontend: Some(frontend), why });
        Ok(applied)
    }
}

impl Refusal {
    /// Whether a single frontend may be why: the kernel said no to what was written, not to who writes it, when, or how
    /// much, and nothing of it has been carried out.
    pub(super) fn may_be_one_frontends(&self) -> bool {
        const EPERM: i32 = 1;
        const EINTR: i32 = 4;
        const EAGAIN: i32 = 11;
        const ENOMEM: i32 = 12;
        const ENOBUFS: i32 = 105;
        let about_itself = [EPERM, EINTR, EAGAIN, ENOMEM, ENOBUFS].map(Some).contains(&self.source.source.errno());
        let refused = matches!(self.source.source, NetlinkError::Refused { .. });
        refused && self.sent == 0 && !about_itself && !self.is_full() && !self.source.source.is_stale_generation()
    }
}
