//! What tests have and the product has not.

use std::process::Command;

use crate::root;

/// The features of a crate that a build by these arguments turns on, and by whom, as cargo resolves them.
fn features(of: &str, build: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges=no-dev,features", "--invert", of])
        .args(build)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_file_layer_with_planted_bugs_is_no_part_of_the_product() {
    const SIMULATED: &str = "store feature \"simulated\"";
    // A plain build, that of the demo, and that of the release.
    for build in [&[][..], &["-p", "maitred"], &["-p", "maitred", "-p", "benches"]] {
        let found = features("store", build);
        assert!(found.starts_with("store v") && !found.contains(SIMULATED), "{build:?}: {found}");
    }
    // The fuzzed functions have it, so it would be seen.
    assert!(features("store", &["-p", "fuzz"]).contains(SIMULATED));
}
