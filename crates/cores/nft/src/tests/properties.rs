//! Whatever the changes and their order: the table ends as desired, and what is read back is what was planned.

use model::{Change, Family, Masquerade, Model, Role, Scope};
use proptest::collection::vec;
use proptest::prelude::*;

use super::fake_kernel::FakeKernel;
use super::models::{frontend, models, pool, rule};
use crate::{Image, Options, Plan, State, encode, observe, plan};

fn families() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn histories() -> impl Strategy<Value = Vec<Model>> {
    families().prop_flat_map(|family| vec(models(family), 1..5))
}

fn send(kernel: &mut FakeKernel, plan: &Plan, options: &Options) {
    for batch in encode(&[plan], options) {
        if let Err(refusal) = kernel.send(&batch.bytes) {
            panic!("{refusal}\n{plan}");
        }
    }
}

#[test]
fn s315_who_said_that_a_shared_address_is_here_is_known_again_after_a_restart() {
    let leading = |endpoint| rule(Role::ClusterIp, Masquerade::Never, pool("a", Scope::Cluster, &[endpoint]));
    let (knows, does_not) = (frontend("10.96.0.1:80"), frontend("10.96.0.2:80"));
    let frontends = [(knows, leading("10.1.0.1:80!")), (does_not, leading("10.1.0.1:80"))].into();
    let model = Model { frontends, ..Model::empty(Family::V4) };
    let (mut image, mut kernel) = (Image::absent(Family::V4), FakeKernel::default());
    let all = plan(&Change::between(&image.model(), &model), &image);
    send(&mut kernel, &all, &Options::default());
    image.apply(&all);

    let mut observed = kernel.observe(Family::V4);
    assert!(Change::between(&observed.model(), &model).is_empty());
    observed.name_pools(&model);
    assert_eq!(observed, image);
    let mut without = model.clone();
    without.frontends.remove(&knows);
    let steps = plan(&Change::between(&model, &without), &observed).to_string();
    assert!(steps.contains("delete element ip maitred hairpin { 10.1.0.1 . 10.1.0.1 }"), "{steps}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn every_history_ends_in_the_desired_model_and_is_read_back_as_it_was_planned(history in histories()) {
        let family = history[0].family;
        let mut kernel = FakeKernel::default();
        let mut image = Image::absent(family);
        for desired in &history {
            let plan_ = plan(&Change::between(&image.model(), desired), &image);
            prop_assert_eq!(&plan_.report, &[]);
            send(&mut kernel, &plan_, &Options::default());
            image.apply(&plan_);
            prop_assert_eq!(&image.model(), desired);
            let observed = kernel.observe(family);
            prop_assert_eq!(&observed, &image);
            prop_assert!(plan(&Change::between(&Model::empty(family), desired), &image).is_empty());
        }
    }

    #[test]
    fn changes_one_by_one_and_together_end_in_the_same_model(history in histories()) {
        let family = history[0].family;
        let (mut image, mut kernel) = (Image::absent(family), FakeKernel::default());
        let mut before = Model::empty(family);
        for desired in &history {
            // Each frontend in a change of its own, last one first.
            let change = Change::between(&before, desired);
            for (frontend, rule) in change.frontends.clone().into_iter().rev() {
                let single = Change { frontends: [(frontend, rule)].into(), ..Change::default() };
                let plan = plan(&single, &image);
                send(&mut kernel, &plan, &Options::default());
                image.apply(&plan);
            }
            let rest = plan(&Change { frontends: Default::default(), ..change }, &image);
            send(&mut kernel, &rest, &Options::default());
            image.apply(&rest);
            before = desired.clone();
        }
        prop_assert_eq!(&image.model(), history.last().unwrap());
        prop_assert_eq!(&kernel.observe(family), &image);
    }

    #[test]
    fn a_restart_at_any_time_leads_on_from_what_the_kernel_holds(history in histories()) {
        let family = history[0].family;
        let mut kernel = FakeKernel::default();
        for desired in &history {
            let mut image = kernel.observe(family);
            image.name_pools(desired);
            let plan = plan(&Change::between(&image.model(), desired), &image);
            send(&mut kernel, &plan, &Options::default());
        }
        prop_assert_eq!(&kernel.observe(family).model(), history.last().unwrap());
        prop_assert_eq!(kernel.observe(family).strays(), 0);
    }

    #[test]
    fn a_plan_that_is_cut_anywhere_is_accepted_piece_by_piece(history in histories(), bytes_max in 2_000usize..20_000) {
        let family = history[0].family;
        let (mut image, mut kernel) = (Image::absent(family), FakeKernel::default());
        for desired in &history {
            let plan = plan(&Change::between(&image.model(), desired), &image);
            send(&mut kernel, &plan, &Options { bytes_max: Some(bytes_max), generation: None });
            image.apply(&plan);
            prop_assert_eq!(&kernel.observe(family), &image);
        }
    }

    #[test]
    fn nothing_is_left_when_everything_is_removed(history in histories()) {
        let family = history[0].family;
        let mut image = Image::absent(family);
        image.apply(&plan(&Change::default(), &image));
        let empty = image.clone();
        for desired in history.iter().chain([&Model::empty(family)]) {
            image.apply(&plan(&Change::between(&image.model(), desired), &image));
        }
        image.sizes = empty.sizes;
        prop_assert_eq!(image, empty);
    }

    #[test]
    fn any_bytes_give_some_image(family in families(), bytes in vec(any::<u8>(), 0..2000)) {
        let state = observe(family, &[bytes]).state().clone();
        prop_assert!(matches!(state, State::Absent | State::Foreign(_)));
    }

    #[test]
    fn a_dump_with_broken_bytes_gives_some_image(
        model in models(Family::V4),
        breaks in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut kernel = FakeKernel::default();
        send(&mut kernel, &plan(&Change::between(&Model::empty(Family::V4), &model), &Image::absent(Family::V4)),
            &Options::default());
        let mut dump = kernel.dumps(Family::V4).concat();
        for (at, byte) in breaks {
            let at = at.index(dump.len());
            dump[at] = byte;
        }
        let image = observe(Family::V4, &[&dump]);
        // Whatever is left of it can be repaired.
        let repair = plan(&Change::between(&image.model(), &model), &image);
        let mut repaired = image.clone();
        repaired.apply(&repair);
        prop_assert_eq!(repaired.model(), model);
    }
}
