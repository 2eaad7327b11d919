//! libFuzzer over the target that `MAITRED_FUZZ` names. One program for all targets, because linking libFuzzer and the
//! product takes longer than anything else here.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fuzz::Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("MAITRED_FUZZ").unwrap_or_default();
        let names: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.name).collect();
        let found = fuzz::TARGETS.iter().find(|target| target.name == name);
        TARGET.get_or_init(|| *found.unwrap_or_else(|| panic!("MAITRED_FUZZ={name} names none of {names:?}")));
    },
    |data: &[u8]| (TARGET.get().expect("libFuzzer begins with the initialisation").run)(data)
);
