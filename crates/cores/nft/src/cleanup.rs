//! Taking everything away again.

use crate::image::{Image, State};
use crate::operation::Operation;
use crate::plan::{Cut, Effects, Plan, Step};

/// The Plan that removes the table, whoever wrote it so; nothing if there is none. The Image is of no use afterwards.
pub fn cleanup(image: &Image) -> Plan {
    let delete = Step { operation: Operation::DeleteTable, cut: Cut::Good };
    let steps = if *image.state() == State::Absent { Vec::new() } else { vec![delete] };
    Plan { family: image.family(), steps, effects: Effects::default(), report: Vec::new() }
}

#[cfg(test)]
mod tests {
    use model::Family;

    use super::*;

    #[test]
    fn only_a_table_that_is_there_is_deleted() {
        let mut image = Image::absent(Family::V6);
        assert!(cleanup(&image).is_empty());
        let plan = crate::plan(&model::Change::default(), &image);
        image.apply(&plan);
        assert_eq!(cleanup(&image).to_string().trim_end(), "delete table ip6 maitred");
    }
}
