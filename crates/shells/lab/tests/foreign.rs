//! Tables of other programs, listed and deleted by `kernel::chains`.

use kernel::chains::{self, FORWARD, Table, TableFamily};
use kernel::nfnetlink::NfSocket;
use lab::{ForeignChain, Namespace, add_foreign_table};

fn table(family: TableFamily, name: &str) -> Table {
    Table { family, name: name.to_owned() }
}

#[test]
fn tables_and_chains_are_listed_with_hook_and_policy_and_only_named_tables_are_deleted() {
    lab::test(|| {
        let listing = Namespace::create().expect("a namespace").run(|| {
            let (filter, other) = (table(TableFamily::Ip, "filter"), table(TableFamily::Inet, "other"));
            let forward = ForeignChain { name: "FORWARD", hook: Some((FORWARD, true)) };
            let plain = ForeignChain { name: "KUBE-SERVICES", hook: None };
            add_foreign_table(&filter, &[forward, plain]).expect("a table");
            add_foreign_table(&other, &[ForeignChain { hook: Some((FORWARD, false)), ..forward }]).expect("a table");
            let mut socket = NfSocket::open().expect("a socket");
            let chains = chains::chains(&mut socket).expect("a list");
            let before = chains::tables(&mut socket).expect("a list");
            chains::delete(&mut socket, &[]).expect("nothing is to be done");
            chains::delete(&mut socket, std::slice::from_ref(&filter)).expect("it is there");
            let after = chains::tables(&mut socket).expect("a list");
            let missing = chains::delete(&mut socket, &[filter]).is_err();
            (chains, before, after, missing)
        });
        let (chains, mut before, after, missing) = listing.expect("it is entered");
        let shown = |chain: &chains::Chain| (chain.to_string(), chain.hook, chain.drops);
        let mut shown: Vec<_> = chains.iter().map(shown).collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                ("inet other FORWARD".to_owned(), Some(FORWARD), false),
                ("ip filter FORWARD".to_owned(), Some(FORWARD), true),
                ("ip filter KUBE-SERVICES".to_owned(), None, false),
            ]
        );
        before.sort();
        assert_eq!(before, [table(TableFamily::Inet, "other"), table(TableFamily::Ip, "filter")]);
        assert_eq!(after, [table(TableFamily::Inet, "other")]);
        assert!(missing, "a table that isn't there cannot be deleted");
    });
}
