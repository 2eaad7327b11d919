//! Programs that the parent process runs beside the containers, for probes and hooks.

use std::collections::HashMap;

use super::effects::Purpose;

/// So many programs for one probe the parent may owe the end of.
const OWED_MAX: usize = 2;

/// What was begun and has not come to its end.
#[derive(Debug, Default)]
pub(super) struct Programs {
    begun: u64,
    /// Those whose result is still wanted, by number.
    wanted: HashMap<u64, Purpose>,
    /// Those that the parent was asked to run and has not told the end of, by number.
    unanswered: HashMap<u64, Purpose>,
}

impl Programs {
    /// Begins one; says its number, and whether the parent is to be asked: not while it owes the end of the two before for the
    /// same probe. One of them may just have been abandoned, where a probe's time is as long as its period, and its end be
    /// under way. A parent that does not read would be left more and more of them without a limit.
    pub(super) fn begin(&mut self, purpose: Purpose) -> (u64, bool) {
        self.begun += 1;
        self.wanted.insert(self.begun, purpose);
        let owed = self.unanswered.values().filter(|other| other.is_same_probe(purpose)).count();
        (self.begun, owed < OWED_MAX)
    }

    /// The parent was asked for it.
    pub(super) fn asked(&mut self, id: u64, purpose: Purpose) {
        self.unanswered.insert(id, purpose);
    }

    /// It has ended; says what for, if that is still wanted.
    pub(super) fn ended(&mut self, id: u64) -> Option<Purpose> {
        self.unanswered.remove(&id);
        self.wanted.remove(&id)
    }

    /// Its time is over; says what for, and whether the parent is to abandon it.
    pub(super) fn late(&mut self, id: u64) -> Option<(Purpose, bool)> {
        Some((self.wanted.remove(&id)?, self.unanswered.contains_key(&id)))
    }

    /// The parent is gone, and all of them with it.
    pub(super) fn lost(&mut self) {
        self.wanted.clear();
        self.unanswered.clear();
    }
}

#[cfg(test)]
mod tests {
    use pods::ProbeKind;

    use super::*;

    fn probe(kind: ProbeKind, attempt: u32) -> Purpose {
        Purpose::Probe { container: 0, attempt, kind }
    }

    #[test]
    fn a_probe_whose_last_program_was_abandoned_and_has_not_ended_is_asked_for_once_more() {
        let mut programs = Programs::default();
        let purpose = probe(ProbeKind::Liveness, 0);
        let mut abandoned = Vec::new();
        for _ in 0..OWED_MAX {
            let (id, ask) = programs.begin(purpose);
            assert!(ask);
            programs.asked(id, purpose);
            assert!(matches!(programs.late(id), Some((_, true))), "it is abandoned");
            abandoned.push(id);
        }
        for (other, expected) in [
            (probe(ProbeKind::Liveness, 1), false),
            (probe(ProbeKind::Readiness, 0), true),
            (Purpose::Hook { container: 0, attempt: 0 }, true),
        ] {
            let (id, ask) = programs.begin(other);
            assert_eq!(ask, expected, "{other:?}");
            assert!(matches!(programs.late(id), Some((_, false))), "nothing was asked for");
        }
        assert!(programs.ended(abandoned[0]).is_none(), "nobody waits for it");
        assert!(programs.begin(purpose).1);
    }
}
