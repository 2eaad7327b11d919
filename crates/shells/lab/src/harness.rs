//! Running a test where namespaces can be made, or saying why it was skipped.

use std::any::type_name_of_val;
use std::process::{Command, Stdio};

use kernel::netns::NamespaceError;
use kernel::process;

/// Set in a test that runs inside user namespaces already.
const INSIDE: &str = "MAITRED_LAB_INSIDE";

/// Runs the body of a `#[test]` that needs network namespaces.
///
/// Root runs it right here. For anybody else this one test is run again, by the same test binary, as root of new user
/// namespaces. Where neither is possible, a line that begins with `SKIP:` says why and the test passes. The body must
/// be a closure written in the test function itself: its type names the test.
pub fn test<F: FnOnce()>(body: F) {
    let reason = match process::can_make_namespaces() {
        Ok(()) => return body(),
        Err(reason) => reason,
    };
    let name = test_name(type_name_of_val(&body));
    if std::env::var_os(INSIDE).is_some() {
        return skip(&name, &reason);
    }
    match run_inside(&name) {
        Ok(true) => {}
        Ok(false) => panic!("{name} failed inside user namespaces; its output stands above"),
        Err(reason) => skip(&name, &reason),
    }
}

/// The path by which the test harness knows a test, from the type of a closure inside it.
fn test_name(closure: &str) -> String {
    let path = closure.trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_crate, rest)| rest).to_owned()
}

fn run_inside(name: &str) -> Result<bool, NamespaceError> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = process::unprivileged(command)?;
    let ended = child.wait_with_output();
    let ended = ended.map_err(|source| NamespaceError::Spawn { program: name.to_owned(), source })?;
    for text in [&ended.stdout, &ended.stderr] {
        let text = String::from_utf8_lossy(text);
        said_by_the_test(name, &text).for_each(|line| println!("{line}"));
    }
    println!("{name} ran inside user namespaces");
    Ok(ended.status.success())
}

/// What a test wrote itself, without what the harness inside wrote about it: that would be taken for lines of the outer one.
fn said_by_the_test<'a>(name: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(move |line| {
        let rest = line.strip_prefix("test ").and_then(|line| line.strip_prefix(name));
        rest.and_then(|line| line.strip_prefix(" ... ")).unwrap_or(line)
    });
    let of_the_harness = |line: &str| {
        let heads = ["running ", "test result: ", "failures:", "successes:"];
        ["", "ok", "FAILED"].contains(&line) || heads.iter().any(|head| line.starts_with(head))
    };
    lines.filter(move |line| !of_the_harness(line))
}

fn skip(name: &str, reason: &NamespaceError) {
    let mut line = format!("SKIP: {name}: {reason}");
    let mut cause = std::error::Error::source(reason);
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_inside_is_not_heard() {
        let inside = "\nrunning 1 test\ntest table::all ... case s301_x\nSKIP: no dig\nok\n\ntest result: ok. 1 passed; 0 failed\n";
        assert_eq!(said_by_the_test("table::all", inside).collect::<Vec<_>>(), ["case s301_x", "SKIP: no dig"]);
    }

    #[test]
    fn a_closure_tells_the_name_of_its_test() {
        let closure = || {};
        assert_eq!(test_name(type_name_of_val(&closure)), "harness::tests::a_closure_tells_the_name_of_its_test");
    }
}
