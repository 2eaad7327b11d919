//! What a change costs doesn't depend on what else there is.

use model::{Change, Family, Masquerade, Model, Role, Scope};

use super::models::{frontend, pool, rule};
use crate::{Image, Options, Statistics, encode, plan, statistics};

fn cluster(services: u32) -> Model {
    let mut model = Model::empty(Family::V4);
    for number in 0..services {
        let key = frontend(&format!("10.96.{}.{}:80", number / 256, number % 256));
        let outcome = pool(&number.to_string(), Scope::Cluster, &["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"]);
        model.frontends.insert(key, rule(Role::ClusterIp, Masquerade::Never, outcome));
    }
    model
}

fn cost(change: &Change, image: &Image) -> Statistics {
    let plan = plan(change, image);
    statistics(&[&plan], &encode(&[&plan], &Options::default()))
}

#[test]
fn an_endpoint_change_sends_the_same_at_any_size_of_the_cluster() {
    let costs = [10, 1_000, 10_000].map(|services| {
        let model = cluster(services);
        let mut image = Image::absent(Family::V4);
        image.apply(&plan(&Change::between(&image.model(), &model), &image));
        let mut changed = Change::default();
        let outcome = pool("3", Scope::Cluster, &["10.1.0.1:80", "10.1.0.2:80", "10.1.0.9:80"]);
        let rule = rule(Role::ClusterIp, Masquerade::Never, outcome);
        changed.frontends.insert(frontend("10.96.0.3:80"), Some(rule));
        cost(&changed, &image)
    });
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[0], costs[2]);
    // One element is deleted and one added, each in a message of its own.
    assert_eq!((costs[0].batches, costs[0].messages, costs[0].elements), (1, 2, 2));
    assert!(costs[0].bytes < 300, "{}", costs[0].bytes);
}

#[test]
fn many_elements_share_a_message() {
    let cost = cost(&Change::between(&Model::empty(Family::V4), &cluster(10_000)), &Image::absent(Family::V4));
    assert!(cost.elements > 50_000);
    assert!(cost.messages < 1_000, "{}", cost.messages);
}
