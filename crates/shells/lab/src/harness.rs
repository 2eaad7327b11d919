//! Running a test where namespaces can be made, or saying why it was skipped.

use std::any::type_name_of_val;
use std::process::Command;

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
    let mut child = process::unprivileged(command)?;
    let ended = child.wait().map_err(|source| NamespaceError::Spawn { program: name.to_owned(), source })?;
    Ok(ended.success())
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
    fn a_closure_tells_the_name_of_its_test() {
        let closure = || {};
        assert_eq!(test_name(type_name_of_val(&closure)), "harness::tests::a_closure_tells_the_name_of_its_test");
    }
}
