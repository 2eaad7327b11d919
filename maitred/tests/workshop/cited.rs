//! Which numbers of docs/semantics.md count as shown: `./dev test` collects them from the log of the run.

use std::process::Command;

use crate::root;

/// What `./dev` finds shown in a log.
#[track_caller]
fn check(log: &str, expected: &str) {
    assert_eq!(cited(log, &[]), expected, "{log}");
}

fn cited(log: &str, which: &[&str]) -> String {
    let place = tempfile::tempdir().expect("a place for the log");
    let file = place.path().join("test.log");
    std::fs::write(&file, log).expect("it can be written");
    let output = Command::new(root().join("dev")).arg("cited").arg(&file).args(which).output().expect("./dev runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = String::from_utf8(output.stdout).expect("text");
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The log of one binary: a line per test and, as `--show-output` has it, what each of them printed.
fn log(tests: &[(&str, &str)], printed: &[(&str, &str)]) -> String {
    let results: String = tests.iter().map(|(name, result)| format!("test {name} ... {result}\n")).collect();
    let sections: String = printed.iter().map(|(name, text)| format!("---- {name} stdout ----\n{text}\n\n")).collect();
    let names: String = tests.iter().map(|(name, _)| format!("    {name}\n")).collect();
    format!(
        "     Running unittests src/lib.rs (target/debug/deps/zone-0123)\n\nrunning {} tests\n{results}\nsuccesses:\n\n\
         {sections}\nsuccesses:\n{names}\ntest result: ok. 1 passed; 0 failed\n\n",
        tests.len()
    )
}

#[test]
fn a_number_counts_when_a_test_with_it_in_its_name_held() {
    check(&log(&[("get::s104_columns", "ok"), ("s205_ready", "ok"), ("plain", "ok")], &[]), "104 205");
    check(&log(&[("src/lib.rs - s300_example (line 3)", "ok")], &[]), "300");
    check(&log(&[("s301_panics - should panic", "ok")], &[]), "301");
    check(&log(&[("s12_short", "ok"), ("bs104_inside", "ok"), ("sees104_inside", "ok")], &[]), "");
}

#[test]
fn a_number_of_a_test_that_did_not_run_or_failed_does_not_count() {
    check(&log(&[("s104_columns", "ignored"), ("s205_ready", "ok")], &[]), "205");
    check(&log(&[("s104_columns", "ignored, it takes an hour"), ("s205_ready", "FAILED")], &[]), "");
}

#[test]
fn a_number_of_a_printed_case_counts_with_its_test() {
    let cases = "case s301_refused\nsomething else, like s302_here\ncase s303a-v4";
    check(&log(&[("table", "ok")], &[("table", cases)]), "301 303");
    check(&log(&[("table", "FAILED")], &[("table", cases)]), "");
    // What a test prints outside its section, or beside one, is nobody's.
    check(&format!("case s301_refused\n{}", log(&[("table", "ok")], &[])), "");
}

#[test]
fn a_test_that_says_it_skipped_something_shows_nothing() {
    let tests = [("s104_columns", "ok"), ("table", "ok"), ("s205_ready", "ok")];
    let printed = [
        ("s104_columns", "SKIP: s104_columns: no kubectl"),
        ("table", "case s301_a\nSKIP: table: no SCTP\ncase s302_b"),
    ];
    check(&log(&tests, &printed), "205");
    assert_eq!(cited(&log(&tests, &printed), &["skipped"]), "104 301 302");
    // A test of the same name in another binary is another one.
    check(&[log(&[("s104_columns", "ok")], &[]), log(&tests, &printed)].concat(), "104 205");
    check(&[log(&tests, &printed), log(&[("s104_columns", "ok")], &[])].concat(), "104 205");
}
