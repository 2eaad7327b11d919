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

/// A descriptor as a careless shell leaves it: executing a program does not close it.
fn leaked() -> std::os::fd::OwnedFd {
    let file = fs::File::open("/etc/passwd").expect("a file");
    // SAFETY: the new descriptor is nobody else's.
    unsafe {
        let number = libc::dup(std::os::fd::AsRawFd::as_raw_fd(&file));
        assert!(number > 2, "{}", io::Error::last_os_error());
        std::os::fd::FromRawFd::from_raw_fd(number)
    }
}

/// A shell that says whether it has this descriptor.
fn teller(leak: &std::os::fd::OwnedFd) -> Command {
    let mut command = Command::new("sh");
    let number = std::os::fd::AsRawFd::as_raw_fd(leak);
    command.args(["-c", &format!("if [ -e /proc/self/fd/{number} ]; then echo leaked; else echo closed; fi")]);
    command.stdin(Stdio::null());
    command
}

#[test]
fn what_we_were_started_with_reaches_no_program_in_a_session_of_its_own() {
    let leak = leaked();
    let said = |mut command: Command| String::from_utf8(command.output().expect("it runs").stdout).expect("text");
    assert_eq!(said(teller(&leak)), "leaked\n", "the test leaks what it should");
    let mut command = teller(&leak);
    in_own_session(&mut command, false, false);
    assert_eq!(said(command), "closed\n");
}

#[test]
fn what_we_were_started_with_reaches_no_detached_program() {
    if let Err(error) = can_make_namespaces() {
        return eprintln!("SKIP: no namespaces here: {error:?}");
    }
    let leak = leaked();
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let mut command = teller(&leak);
    command.stdout(writer);
    spawn_init(command, None, false).expect("a program");
    let mut text = String::new();
    io::Read::read_to_string(&mut reader, &mut text).expect("the program speaks");
    assert_eq!(text, "closed\n");
}

#[test]
fn descriptors_are_marked_one_by_one_where_the_kernel_cannot_do_so_at_once() {
    const HIGH: i32 = 900;
    let leak = leaked();
    // SAFETY: system calls on numbers. Other tests' descriptors are below, and are not touched.
    unsafe {
        let number = libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&leak), libc::F_DUPFD, HIGH);
        assert!(number >= HIGH, "{}", io::Error::last_os_error());
        mark_one_by_one(HIGH);
        assert_eq!(libc::fcntl(number, libc::F_GETFD), libc::FD_CLOEXEC);
        libc::close(number);
    }
}

/// Whether nothing but its exit status is left of a process.
fn is_dead(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}
