//! Who may use whom.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::root;

/// The crates in the order of the design: a crate uses crates of the groups before its own and, within its group, only
/// those listed before it. The backends (`nft`, …) never see each other.
const GROUPS: [&[&str]; 4] = [
    &["api", "model"],
    &["schema", "intent", "ipam", "kinds", "patch", "slices", "lifecycle", "pods", "nft", "zone", "explain"],
    &[
        "store",
        "kernel",
        "control",
        "cluster",
        "runloop",
        "apiserver",
        "controllers",
        "proxy",
        "dns",
        "agent",
        "preflight",
        "lab",
    ],
    &["maitred", "benches", "fuzz"],
];
const BACKENDS: [&str; 4] = ["nft", "iptables", "ipvs", "ebpf"];

fn position(name: &str) -> Option<(usize, usize)> {
    GROUPS.iter().enumerate().find_map(|(group, names)| names.iter().position(|n| *n == name).map(|at| (group, at)))
}

/// Workspace packages with their normal and build dependencies inside the workspace.
fn packages() -> BTreeMap<String, (PathBuf, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("a list").iter().map(package).collect()
}

fn package(package: &Value) -> (String, (PathBuf, Vec<String>)) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let dependencies = package["dependencies"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|dependency| dependency["kind"] != "dev" && dependency["path"].is_string())
        .map(|dependency| text(&dependency["name"]))
        .collect();
    (text(&package["name"]), (PathBuf::from(text(&package["manifest_path"])), dependencies))
}

#[test]
fn crates_use_only_what_the_design_lists_before_them() {
    for (name, (manifest, dependencies)) in packages() {
        let at = position(&name).unwrap_or_else(|| panic!("{name} stands in no group"));
        let group = ["crates/words", "crates/cores", "crates/shells", ""][at.0];
        assert!(manifest.starts_with(root().join(group)), "{name} lies outside {group}");
        for dependency in dependencies {
            let to = position(&dependency).unwrap_or_else(|| panic!("{dependency} stands in no group"));
            assert!(to < at, "{name} may not use {dependency}");
            let both = BACKENDS.contains(&name.as_str()) && BACKENDS.contains(&dependency.as_str());
            assert!(!both, "the backends {name} and {dependency} see each other");
        }
    }
}
