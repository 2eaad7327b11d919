use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::process::can_make_namespaces;

/// Waits for a condition, at most some seconds.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_detached_program_is_init_of_its_own_namespace_and_nobody_s_child_here() {
    if let Err(error) = can_make_namespaces() {
        return eprintln!("SKIP: no namespaces here: {error:?}");
    }
    let namespace = Namespace::create().expect("a namespace");
    let marker = format!("{}.{:p}", std::process::id(), &raw const namespace);
    // The shell tells its number and its network, then waits to be killed.
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ $(readlink /proc/self/ns/net); exec sleep 600", &marker]);
    command.stdin(Stdio::null()).stdout(writer);
    spawn_init(command, Some(&namespace), true).expect("a program");
    let mut text = String::new();
    while !text.ends_with('\n') {
        let mut byte = [0];
        io::Read::read_exact(&mut reader, &mut byte).expect("the program speaks");
        text.push(byte[0] as char);
    }
    let inode = namespace.inode().expect("an inode");
    assert_eq!(text, format!("1 net:[{inode}]\n"));
    let pid = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            let link = fs::read_link(format!("/proc/{pid}/ns/net"));
            link.is_ok_and(|link| link.to_string_lossy() == format!("net:[{inode}]"))
        })
        .expect("the program is seen from here");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    assert!(!status.contains(&format!("PPid:\t{}\n", std::process::id())), "{status}");
    process::signal(pid, libc::SIGKILL).expect("it is killed");
    eventually("it ends", || !Path::new(&format!("/proc/{pid}/ns/net")).exists() || is_dead(pid));
}

/// Whether nothing but its exit status is left of a process.
fn is_dead(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}
