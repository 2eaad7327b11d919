//! Control sockets in directories of their own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use control::{ControlError, Held, Holder, Request, ask, holders, seats, serve};
use serde_json::{Value, json};

/// A directory for sockets, and the runtime that serves them.
struct Rig {
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Rig { runtime: runtime.expect("a runtime"), dir: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("run").join(format!("{name}.sock"))
    }

    /// Serves a process that knows the one command `status`.
    fn serve(&self, name: &str) -> Result<Held, ControlError> {
        let _inside = self.runtime.enter();
        serve(&self.path(name), async |request: Request| match request.command.as_str() {
            "status" => json!({"heard": request.arguments}),
            _ => request.unknown(),
        })
    }

    /// A socket file whose process is dead.
    fn leave_stale(&self, name: &str) {
        std::fs::create_dir_all(self.dir.path().join("run")).expect("a directory");
        drop(UnixListener::bind(self.path(name)).expect("a socket"));
    }
}

fn own_pid() -> Option<u32> {
    Some(std::process::id())
}

/// Sends raw bytes and returns the lines of the answer.
fn raw(rig: &Rig, name: &str, bytes: &[u8]) -> Vec<Value> {
    let mut stream = UnixStream::connect(rig.path(name)).expect("a connection");
    stream.write_all(bytes).expect("it is sent");
    stream.shutdown(std::net::Shutdown::Write).expect("no more is sent");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.map(|line| serde_json::from_str(&line).expect("each line is JSON")).collect()
}

#[test]
fn a_question_gets_the_handlers_answer_and_an_unknown_command_an_error() {
    let rig = Rig::new();
    let _held = rig.serve("agent").expect("the socket is free");
    let mut request = Request::new("status");
    request.arguments.insert("deep".to_owned(), json!(true));
    assert_eq!(ask(&rig.path("agent"), &request).expect("an answer"), json!({"heard": {"deep": true}}));
    let refused = ask(&rig.path("agent"), &Request::new("dance")).expect_err("there is no such command");
    assert_eq!(refused.to_string(), "maitred agent says: there is no command \"dance\" here");
}

#[test]
fn only_the_owner_may_use_the_socket_and_all_may_see_the_directory() {
    let rig = Rig::new();
    let held = rig.serve("agent").expect("the socket is free");
    let mode = |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(held.path()), 0o600);
    assert_eq!(mode(&rig.dir.path().join("run")) & !0o022, 0o755);
}

#[test]
fn one_connection_may_ask_several_times() {
    let rig = Rig::new();
    let _held = rig.serve("agent").expect("the socket is free");
    let answers = raw(&rig, "agent", b"{\"command\":\"status\"}\n{\"command\":\"status\",\"n\":2}\n");
    assert_eq!(answers, [json!({"heard": {}}), json!({"heard": {"n": 2}})]);
}

#[test]
fn nonsense_is_answered_and_the_connection_goes_on() {
    let rig = Rig::new();
    let _held = rig.serve("agent").expect("the socket is free");
    let answers = raw(&rig, "agent", b"hello\n{\"commando\":1}\n\xff\n{\"command\":\"status\"}\n");
    let said = |at: usize| answers[at]["error"].as_str().unwrap_or_default().to_owned();
    assert!(said(0).starts_with("a request is JSON like {\"command\":\"status\"}"), "{answers:?}");
    assert!(said(1).contains("missing field `command`"), "{answers:?}");
    assert!(said(2).contains("a request is JSON"), "{answers:?}");
    assert_eq!(answers[3..], [json!({"heard": {}})]);
}

#[test]
fn an_endless_line_is_refused() {
    let rig = Rig::new();
    let _held = rig.serve("agent").expect("the socket is free");
    let mut stream = UnixStream::connect(rig.path("agent")).expect("a connection");
    // The server may close before all is sent.
    let _ = stream.write_all(&vec![b'x'; 64 * 1024]);
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    assert_eq!(line, "{\"error\":\"a request may have 65536 bytes\"}\n");
}

#[test]
fn idle_connections_beyond_the_limit_are_turned_away_and_leave_room_when_they_go() {
    let rig = Rig::new();
    let _held = rig.serve("agent").expect("the socket is free");
    let idle: Vec<UnixStream> =
        (0..16).map(|_| UnixStream::connect(rig.path("agent")).expect("a connection")).collect();
    let status = Request::new("status");
    let refused = ask(&rig.path("agent"), &status).expect_err("there is no room");
    assert_eq!(refused.to_string(), "maitred agent says: too many connections; try again");
    drop(idle);
    let freed = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        ask(&rig.path("agent"), &status).is_ok()
    });
    assert!(freed, "closed connections still count");
}

#[test]
fn a_second_process_of_the_same_role_is_refused_and_hears_who_is_there() {
    let rig = Rig::new();
    let _held = rig.serve("agent").expect("the socket is free");
    let refused = rig.serve("agent").expect_err("the socket is taken");
    let (pid, path) = (std::process::id(), rig.path("agent"));
    assert_eq!(
        refused.to_string(),
        format!("another maitred agent runs here (pid {pid}): it holds {}", path.display())
    );
    assert!(ask(&path, &Request::new("status")).is_ok(), "the first one goes on");
}

#[test]
fn a_dead_processs_socket_is_replaced() {
    let rig = Rig::new();
    rig.leave_stale("agent");
    let status = Request::new("status");
    let error = ask(&rig.path("agent"), &status).expect_err("nobody is there");
    assert!(error.to_string().starts_with("no maitred agent runs here: nobody holds "), "{error}");
    let _held = rig.serve("agent").expect("a dead process holds nothing");
    assert!(ask(&rig.path("agent"), &status).is_ok());
}

#[test]
fn of_many_that_start_at_once_one_gets_the_socket() {
    let rig = Rig::new();
    rig.leave_stale("agent");
    let outcomes: Vec<Result<Held, ControlError>> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..16).map(|_| scope.spawn(|| rig.serve("agent"))).collect();
        starting.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(ask(&rig.path("agent"), &Request::new("status")).is_ok());
}

#[test]
fn the_socket_goes_with_its_process_and_another_ones_stays() {
    let rig = Rig::new();
    let held = rig.serve("agent").expect("the socket is free");
    drop(held);
    assert!(!rig.path("agent").exists());

    let held = rig.serve("agent").expect("the socket is free again");
    std::fs::remove_file(rig.path("agent")).expect("somebody removes it");
    let next = rig.serve("agent").expect("nobody is seen");
    drop(held);
    assert!(next.path().exists(), "the first one's end took the second one's socket away");
}

#[test]
fn holders_are_the_living_and_seats_show_the_dead_too() {
    let rig = Rig::new();
    let run = rig.dir.path().join("run");
    assert_eq!(holders(&run).expect("no directory is no error"), []);
    let _server = rig.serve("server").expect("the socket is free");
    let _agent = rig.serve("agent").expect("the socket is free");
    rig.leave_stale("dns");
    std::fs::write(run.join("note.sock"), "a file").expect("a file");
    let holder = |name: &str| Holder { name: name.to_owned(), pid: own_pid() };
    assert_eq!(holders(&run).expect("a list"), [holder("agent"), holder("server")]);
    let all = seats(&run).expect("a list");
    let shown: Vec<(&str, bool)> = all.iter().map(|seat| (seat.name.as_str(), seat.holder.is_some())).collect();
    assert_eq!(shown, [("agent", true), ("dns", false), ("server", true)]);
    assert_eq!(
        all[0].holder.as_ref().map(ToString::to_string),
        own_pid().map(|pid| format!("maitred agent (pid {pid})"))
    );
}

#[test]
fn a_place_where_no_directory_can_be_is_named() {
    let rig = Rig::new();
    std::fs::write(rig.dir.path().join("run"), "a file").expect("a file");
    let error = rig.serve("agent").expect_err("a file is no directory");
    assert!(error.to_string().contains(&rig.dir.path().join("run").display().to_string()), "{error}");
}
