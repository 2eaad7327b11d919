//! Transactions: what is refused, replaced, cut and given room.

use std::net::SocketAddr;
use std::time::Duration;

use kernel::nfnetlink::{NfSocket, NftablesWatch};
use model::{Change, Family, Model, Protocol, Role, Scope};
use nft::{Options, State, encode, plan, requests};

use crate::servers::{knock, tcp_server};
use crate::table::{FAMILIES, Table, addresses, frontend, has_nft, in_namespace, pool, read, rule, run};

#[test]
fn a_foreign_table_is_replaced_and_strays_are_swept() {
    if !has_nft("foreign") {
        return;
    }
    in_namespace("foreign", || {
        let at = addresses(Family::V4);
        at.route();
        let server = tcp_server(at.node, "one");
        let mut model = at.model();
        let key = frontend(at.cluster_ip, Protocol::Tcp, 80);
        model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));

        run("nft", &["add", "table", "ip", "maitred"]);
        run("nft", &["add", "chain", "ip", "maitred", "somebody"]);
        let mut table = Table::new(Family::V4);
        assert!(matches!(table.image.state(), State::Foreign(_)), "{:?}", table.image.state());
        table.program(&model);
        assert_eq!(knock(at.socket(at.cluster_ip, 80)), Ok("one".into()));

        // An operator deletes one endpoint, and adds one cluster IP.
        let listing = table.list();
        assert!(listing.contains("jump n1"), "{listing}");
        let row = format!("{{ {} . tcp . 80 . 0:0 }}", at.cluster_ip);
        run("nft", &["delete", "element", "ip", "maitred", "endpoints-10", &row]);
        run("nft", &["add", "element", "ip", "maitred", "cluster-ips", "{ 10.96.0.99 }"]);
        let mut table = Table::new(Family::V4);
        assert_eq!(table.image.state(), &State::Ours);
        assert!(table.image.model().frontends.is_empty(), "what isn't whole isn't claimed");
        assert!(table.image.strays() > 0);
        table.program(&model);
        assert_eq!(knock(at.socket(at.cluster_ip, 80)), Ok("one".into()));

        // A rule of somebody else makes the table foreign.
        run("nft", &["insert", "rule", "ip", "maitred", "services", "accept"]);
        let mut table = Table::new(Family::V4);
        assert!(matches!(table.image.state(), State::Foreign(_)), "{:?}", table.image.state());
        table.program(&model);
    });
}

#[test]
fn a_full_map_gets_more_room() {
    in_namespace("resize", || {
        let at = addresses(Family::V4);
        let mut table = Table::new(Family::V4);
        let mut model = at.model();
        table.program(&model);
        let server: SocketAddr = "10.0.0.1:80".parse().unwrap();
        for port in 1..6000 {
            let key = frontend(at.cluster_ip, Protocol::Tcp, port);
            model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));
        }
        table.program(&model);
        table.program(&at.model());
    });
}

#[test]
fn the_kernel_says_which_message_it_refuses_and_carries_out_nothing() {
    in_namespace("refused batch", || {
        let at = addresses(Family::V4);
        let mut table = Table::new(Family::V4);
        let mut model = at.model();
        table.program(&model);
        let server: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let key = frontend(at.cluster_ip, Protocol::Tcp, 80);
        model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));
        let add = plan(&Change::between(&table.image.model(), &model), &table.image);
        // The same chain cannot be deleted twice, and the second message that tries it is named.
        let mut with = table.image.clone();
        with.apply(&add);
        let delete = plan(&Change::between(&model, &at.model()), &with);
        let batches = encode(&[&delete], &Options::default());
        let failure = table.socket.send_batch(&batches[0].bytes).unwrap_err();
        assert_eq!(failure.message, Some(0));
        assert_eq!(failure.source.errno(), Some(2), "ENOENT");
        assert_eq!(read(&mut table.socket, Family::V4), table.image);

        let (generation, _) = table.socket.dump_all(&requests(Family::V4)).unwrap();
        let stale = Options { generation: Some(generation - 1), ..Options::default() };
        let failure = table.socket.send_batch(&encode(&[&add], &stale)[0].bytes).unwrap_err();
        assert!(failure.source.is_stale_generation(), "{failure:?}");
        let fresh = Options { generation: Some(generation), ..Options::default() };
        table.socket.send_batch(&encode(&[&add], &fresh)[0].bytes).unwrap();
        assert_eq!(read(&mut table.socket, Family::V4).model(), model);
    });
}

#[test]
fn a_plan_that_is_cut_into_small_transactions_ends_the_same() {
    in_namespace("cut", || {
        let mut sockets = NfSocket::open().unwrap();
        for family in FAMILIES {
            let at = addresses(family);
            let mut model = at.model();
            let endpoints: Vec<SocketAddr> = (1..50).map(|port| SocketAddr::new(at.node, port)).collect();
            for port in 1..300 {
                let outcome = pool("a", Scope::Cluster, &endpoints[..usize::from(port % 40 + 1)]);
                model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, port), rule(Role::ClusterIp, outcome));
            }
            let empty = read(&mut sockets, family);
            let plan = plan(&Change::between(&Model::empty(family), &model), &empty);
            let options = Options { bytes_max: Some(100_000), ..Options::default() };
            let batches = encode(&[&plan], &options);
            assert!(batches.len() > 3);
            for batch in &batches {
                assert!(batch.bytes.len() <= 100_000);
                sockets.send_batch(&batch.bytes).unwrap();
            }
            assert_eq!(read(&mut sockets, family).model(), model);
        }
    });
}

#[test]
fn tables_of_both_families_change_in_one_transaction() {
    in_namespace("both families", || {
        let mut tables = FAMILIES.map(Table::new);
        let models = FAMILIES.map(|family| {
            let at = addresses(family);
            let mut model = at.model();
            let endpoint = SocketAddr::new(at.node, 80);
            let key = frontend(at.cluster_ip, Protocol::Tcp, 80);
            model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[endpoint])));
            model
        });
        let plans = [0, 1].map(|at| plan(&Change::between(&tables[at].image.model(), &models[at]), &tables[at].image));
        let batches = encode(&[&plans[0], &plans[1]], &Options::default());
        assert_eq!(batches.len(), 1);
        tables[0].socket.send_batch(&batches[0].bytes).unwrap();
        for (table, model) in tables.iter_mut().zip(&models) {
            assert_eq!(read(&mut table.socket, model.family).model(), *model);
        }

        // What one family refuses, neither gets.
        let bad = [0, 1].map(|at| {
            plan(&Change::between(&models[at], &addresses(FAMILIES[at]).model()), &{
                let mut image = tables[at].image.clone();
                image.apply(&plans[at]);
                image
            })
        });
        let twice = encode(&[&bad[0], &bad[1], &bad[1]], &Options::default());
        let failure = tables[0].socket.send_batch(&twice[0].bytes).unwrap_err();
        assert_eq!(failure.message.map(|message| twice[0].steps[message].0), Some(2), "{failure:?}");
        assert_eq!(read(&mut tables[0].socket, Family::V4).model(), models[0]);
    });
}

#[test]
fn a_flush_by_somebody_else_is_heard_and_ones_own_changes_are_not() {
    if !has_nft("watch") {
        return;
    }
    in_namespace("watch", || {
        let at = addresses(Family::V4);
        let mut watch = NftablesWatch::open("maitred").unwrap();
        let mut table = Table::new(Family::V4);
        let own = [table.socket.port().unwrap()];
        table.program(&at.model());
        let mut heard = |timeout| watch.changed_by_others(&own, Duration::from_millis(timeout)).unwrap();
        assert!(!heard(50));
        run("nft", &["add", "table", "ip", "another"]);
        assert!(!heard(50));
        run("nft", &["flush", "ruleset"]);
        assert!(heard(1000));

        let mut table = Table::new(Family::V4);
        assert_eq!(table.image.state(), &State::Absent);
        table.program(&at.model());
    });
}
