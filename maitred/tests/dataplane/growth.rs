//! Before Linux 6.5 a set keeps the size that it was made with, and says so only when it is full.

use model::{Change, Family, Model};
use nft::{Image, Options};
use proxy::Dataplane;

use crate::judge::{PATIENCE, judge};
use crate::objects::{cluster_ip, exposed, internal, service, slices};
use crate::probe::Question;
use crate::scene::{Asker, Node, Scene, chain, config};
use crate::wire::{CREATE, Message, attributes, messages, transact};

/// The message that declares a set, as the encoder writes it, but with another size.
fn declaration(set: &str, size: u32) -> Message {
    const NEW_SET: u16 = 9;
    let plan = nft::plan(&Change::default(), &Image::absent(Family::V4));
    let mut batch = nft::encode(&[&plan], &Options::default()).remove(0).bytes;
    let mut found = None;
    messages(&mut batch, |kind, family, body| {
        let mut name = String::new();
        attributes(body, |kind, body| match kind {
            2 => name = String::from_utf8_lossy(body).trim_end_matches('\0').to_owned(),
            // Its description, of which the size is a part.
            9 if name == set => attributes(body, |kind, value| {
                if kind == 1 {
                    value.copy_from_slice(&size.to_be_bytes());
                }
            }),
            _ => {}
        });
        if kind == 10 << 8 | NEW_SET && name == set {
            found = Some(Message { kind: NEW_SET, flags: CREATE, family, body: body.to_vec() });
        }
    });
    found.expect("every table has this set")
}

#[test]
fn a_set_that_cannot_grow_is_said_to_be_full_and_its_table_written_anew() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        node.hear([service(exposed(1))].into_iter().chain(slices(&scene, 1, &["a1", "b0"])));
        let held = node.model(Family::V4).frontends.len() as u32;
        // What an old kernel would have left of a request for more room.
        transact(&scene, &[declaration("frontends", held + 1)]);

        [service(internal(2)), service(internal(3))].into_iter().for_each(|event| node.intent.apply(event));
        slices(&scene, 2, &["a1"]).into_iter().for_each(|event| node.intent.apply(event));
        let [v4, v6] = node.intent.take_changes();
        node.dataplane.apply(Family::V6, &v6).unwrap();
        let error = chain(&node.dataplane.apply(Family::V4, &v4).unwrap_err());
        assert!(error.starts_with("a set is full, and Linux before 6.5 gives it no more room"), "{error}");
        let [observed, _] = scene.nftables().observe().unwrap();
        assert_eq!(observed.frontends.len() as u32, held, "a refused transaction changes nothing");

        // As the proxy does after every failure: it reads the table, and writes what it lacks.
        let observed = node.dataplane.observe_family(Family::V4).unwrap();
        assert_eq!(observed, Model::empty(Family::V4), "a table that is to be replaced serves for nothing");
        let change = Change::between(&observed, node.model(Family::V4));
        let applied = node.dataplane.apply(Family::V4, &change).unwrap();
        assert_eq!(applied.unserved, []);
        assert_eq!(node.difference(&scene), "");
        assert_eq!(node.restart(&scene).messages, 0, "the new table is as it should be");
        let ask = |number| Question {
            asker: Asker::LocalPod,
            protocol: model::Protocol::Tcp,
            to: (cluster_ip(number, Family::V4), 80).into(),
            patience: PATIENCE,
        };
        assert_eq!(judge(&scene, &node, &[1, 2, 3].map(ask), PATIENCE).disagreements, Vec::<String>::new());
    });
}
