//! The demonstration is the acceptance test: every check of it holds.

use std::process::Command;

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
}
