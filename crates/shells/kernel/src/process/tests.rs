use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_tied_program_runs_on_after_the_thread_that_asked_for_it() {
    let mut sleep = Command::new("sleep");
    sleep.arg("60");
    let mut child = thread::spawn(|| spawn_tied(sleep)).join().unwrap().unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn dropping_a_forker_kills_its_children() {
    let forker = Forker::start(|| Ok(())).unwrap();
    let mut sleep = Command::new("sleep");
    sleep.arg("60");
    let mut child = forker.spawn(sleep).unwrap();
    let started = Instant::now();
    drop(forker);
    child.wait().unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_missing_program_is_named_in_the_error() {
    let error = spawn_tied(Command::new("/nonexistent/program")).unwrap_err();
    assert_eq!(error.to_string(), "cannot start /nonexistent/program");
}

#[test]
fn an_unprivileged_program_is_root_alone_in_its_namespaces() {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("id -u; echo $$; ls /run; exit 7").stdout(Stdio::piped());
    let child = match unprivileged(shell) {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIP: no user namespaces here: {:?}", error);
            return;
        }
    };
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n2\n");
    assert_eq!(output.status.code(), Some(7));
}

#[tokio::test]
async fn the_end_of_a_process_is_waited_for() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let watched = Watched::open(child.id()).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), watched.ended()).await;
    assert!(early.is_err(), "it still runs");
    child.kill().unwrap();
    tokio::time::timeout(Duration::from_secs(30), watched.ended()).await.expect("it has ended").unwrap();
    child.wait().unwrap();
    assert!(Watched::open(child.id()).is_err(), "it is gone");
}
