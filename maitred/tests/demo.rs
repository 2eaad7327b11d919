//! The demonstration is the acceptance test: every check of it holds.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn every_check_of_the_demo_holds() {
    let output = Command::new(env!("CARGO_BIN_EXE_maitred")).args(["demo", "-o", "json"]).output().expect("it runs");
    if kernel::process::can_make_namespaces().is_err() && output.stdout.is_empty() {
        // An ordinary user, on a machine that allows no user namespaces.
        println!("SKIP: the demo was not played: {}", String::from_utf8_lossy(&output.stderr).trim());
        return;
    }
    let said: Value = serde_json::from_slice(&output.stdout).expect("standard output is one JSON object");
    let checks = said["checks"].as_array().expect("a list of checks");
    for check in checks {
        println!("{} {}: {}", if check["ok"] == true { "ok" } else { "FAILED" }, check["name"], check["detail"]);
    }
    assert!(checks.iter().all(|check| check["ok"] == true), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(checks.len(), 20);
    let untimed: Vec<&Value> = checks.iter().filter(|check| check["ms"].as_f64().is_none()).collect();
    assert!(untimed.is_empty(), "each check says how long its write took to arrive: {untimed:?}");
    assert!(output.status.success());
    assert!(said["elapsed_ms"].as_f64().is_some());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    if let Err(reason) = kernel::process::can_make_namespaces() {
        println!("SKIP: the demo was not interrupted: {reason}");
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_maitred"));
    demo.arg("demo").env("TMPDIR", place.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = demo.spawn().expect("it runs");
    let mut lines = BufReader::new(demo.stdout.take().expect("it is piped")).lines();
    assert!(lines.any(|line| line.expect("text").contains("clusterip-balancing")), "the first check is done");
    assert!(place.path().read_dir().expect("a directory").next().is_some(), "it keeps its data there");
    kernel::process::signal(demo.id(), 2).expect("it runs");
    let ended = demo.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    let left: Vec<_> = place.path().read_dir().expect("a directory").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
