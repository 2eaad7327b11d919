//! Words and cores stay pure: each `clippy.toml` turns away clocks, the environment, sockets and spawns.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::root;

/// One statement for each path that a core may not use, and the reason with which it is turned away.
const IMPURE: [(&str, &str); 28] = [
    ("std::time::Instant::now();", CLOCK),
    ("instant.elapsed();", CLOCK),
    ("std::time::SystemTime::now();", CLOCK),
    ("time.elapsed();", CLOCK),
    ("jiff::Timestamp::now();", CLOCK),
    ("jiff::Zoned::now();", CLOCK),
    ("jiff::tz::TimeZone::system();", "takes the zone as an argument"),
    ("jiff::tz::TimeZone::try_system();", "takes the zone as an argument"),
    ("std::thread::sleep(std::time::Duration::ZERO);", "shells wait"),
    ("std::env::var(\"HOME\");", ENVIRONMENT),
    ("std::env::var_os(\"HOME\");", ENVIRONMENT),
    ("std::env::vars();", ENVIRONMENT),
    ("std::env::vars_os();", ENVIRONMENT),
    ("std::env::args();", ENVIRONMENT),
    ("std::env::args_os();", ENVIRONMENT),
    ("std::env::current_dir();", ENVIRONMENT),
    ("std::thread::spawn(|| ());", "shells run things"),
    ("std::thread::scope(|_| ());", "shells run things"),
    ("std::thread::Builder::new().spawn(|| ());", "shells run things"),
    ("std::thread::Builder::new().spawn_scoped(scope, || ());", "shells run things"),
    ("std::process::Command::new(\"true\");", "shells run things"),
    ("std::net::TcpStream::connect(\"[::1]:1\");", "shells speak to the network"),
    ("std::net::TcpListener::bind(\"[::1]:1\");", "shells speak to the network"),
    ("std::net::UdpSocket::bind(\"[::1]:1\");", "shells speak to the network"),
    ("std::os::unix::net::UnixStream::connect(\"/s\");", "shells speak through sockets"),
    ("std::os::unix::net::UnixListener::bind(\"/s\");", "shells speak through sockets"),
    ("std::os::unix::net::UnixDatagram::bind(\"/s\");", "shells speak through sockets"),
    ("std::os::unix::net::UnixDatagram::unbound();", "shells speak through sockets"),
];
const CLOCK: &str = "a core takes `now` as an argument";
const ENVIRONMENT: &str = "the binary reads the environment once";

/// Every file in these folders by which clippy is told what to turn away. The one nearest to a crate replaces those above.
fn lints() -> Vec<PathBuf> {
    fn search(place: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(place).expect("the sources can be read") {
            let path = entry.expect("they can be listed").path();
            if path.is_dir() {
                search(&path, found);
            } else if path.file_name().is_some_and(|name| name == "clippy.toml" || name == ".clippy.toml") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for group in ["crates/words", "crates/cores"] {
        let own = root().join(group).join("clippy.toml");
        assert!(own.is_file(), "{} is missing: clippy turns away nothing there", own.display());
        search(&root().join(group), &mut found);
    }
    found
}

/// A workspace in which each of these crates, a folder's name and its source, has a copy of one `clippy.toml`.
fn clippy(crates: &BTreeMap<String, (PathBuf, String)>) -> Output {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("purity");
    let _ = fs::remove_dir_all(place.join("crates"));
    let write = |path: &str, text: &str| {
        let path = place.join(path);
        fs::create_dir_all(path.parent().expect("it lies in the place")).expect("a folder");
        fs::write(path, text).expect("it can be written");
    };
    write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n");
    // The versions that are there already, so that nothing is looked up or fetched.
    fs::copy(root().join("Cargo.lock"), place.join("Cargo.lock")).expect("the versions");
    for (name, (lints, source)) in crates {
        let manifest = "version = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\njiff = \"0.2\"\n";
        write(&format!("crates/{name}/Cargo.toml"), &format!("[package]\nname = \"{name}\"\n{manifest}"));
        write(&format!("crates/{name}/src/lib.rs"), source);
        fs::copy(lints, place.join("crates").join(name).join("clippy.toml")).expect("the lints");
    }
    Command::new(env!("CARGO"))
        .args(["clippy", "--offline", "--quiet", "--keep-going", "--color=never", "--", "-D", "warnings"])
        .args([
            "-A",
            "unused",
            "-A",
            "clippy::all",
            "-D",
            "clippy::disallowed_methods",
            "-D",
            "clippy::disallowed_types",
        ])
        .current_dir(&place)
        .env("CARGO_TARGET_DIR", place.join("target"))
        .output()
        .expect("clippy runs")
}

/// A crate with one impure statement per line, from line 2 on.
fn impure() -> String {
    let head = "pub fn f<'s>(instant: std::time::Instant, time: std::time::SystemTime, scope: &'s std::thread::Scope<'s, '_>) {\n";
    let lines: String = IMPURE.iter().map(|(statement, _)| format!("    let _ = {statement}\n")).collect();
    format!("{head}{lines}}}\n")
}

const PURE: &str =
    "pub fn age(now: std::time::Instant, then: std::time::Instant) -> std::time::Duration {\n    now - then\n}\n";

#[test]
fn a_core_that_reads_the_clock_or_reaches_out_is_refused_by_clippy() {
    let lints: BTreeMap<String, PathBuf> =
        lints().into_iter().enumerate().map(|(number, path)| (format!("impure{number}"), path)).collect();
    let mut crates: BTreeMap<String, (PathBuf, String)> =
        lints.iter().map(|(name, path)| (name.clone(), (path.clone(), impure()))).collect();
    let any = lints.values().next().expect("there is one").clone();
    crates.insert("pure".to_owned(), (any, PURE.to_owned()));
    let output = clippy(&crates);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "everything was let through");
    let errors: Vec<&str> = said.split("\n\n").collect();
    for (name, path) in &lints {
        for (line, (statement, reason)) in IMPURE.iter().enumerate() {
            let place = format!("--> crates/{name}/src/lib.rs:{}:", line + 2);
            let refused = errors.iter().any(|error| error.contains(&place) && error.contains(reason));
            assert!(refused, "{} lets `{statement}` through:\n{said}", path.display());
        }
    }
    assert!(!said.contains("crates/pure/"), "{said}");
}
