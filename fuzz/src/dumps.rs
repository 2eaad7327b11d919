//! What a kernel says its nftables hold. It is trusted, but another program may have written what it holds.

use model::{Change, Family, Model};

use crate::parts::byte;

/// A byte that chooses the family, then netlink messages.
pub fn dumps(data: &[u8]) {
    let Some((choice, dump)) = byte(data) else { return };
    let family = if choice & 1 == 0 { Family::V4 } else { Family::V6 };
    let mut image = nft::observe(family, &[dump]);
    let observed = image.model();
    let _ = (nft::cleanup(&image).to_string(), image.elements(), image.strays());

    // What was observed can be turned into nothing, and the plan for that leaves nothing.
    let nothing = Model::empty(family);
    let plan = nft::plan(&Change::between(&observed, &nothing), &image);
    let batches = nft::encode(&[&plan], &nft::Options::default());
    let _ = nft::statistics(&[&plan], &batches);
    image.apply(&plan);
    if plan.report.is_empty() {
        assert_eq!(model::compare(&nothing, &image.model()).to_string(), "", "{plan}");
    }
}
