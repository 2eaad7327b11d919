//! Programs that outlive us, each as the init of a PID namespace of its own, and what such an init needs to do.
//!
//! ```text
//!   spawn_init: we ── fork ──► middle: setsid, namespaces ── fork ──► init: executes the program
//!                                 └ ends at once                        └ belongs to the machine's own init now
//! ```
//!
//! When the init dies, the kernel kills every process of its namespace; when we die, nothing happens to it.
//! <https://man7.org/linux/man-pages/man7/pid_namespaces.7.html>

// The middle process is forked by hand; see `process` for the rules between fork and exec.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::netns::{Namespace, NamespaceError};
use crate::process;

/// Starts a program as the init of new PID and mount namespaces, in this network namespace (else in the caller's), and
/// with a host name of its own if asked for. It returns when the program is executing.
pub fn spawn_init(mut command: Command, network: Option<&Namespace>, own_hostname: bool) -> Result<(), NamespaceError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let network = network.cloned();
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    flags.set(CloneFlags::CLONE_NEWUTS, own_hostname);
    // SAFETY: the closure makes system calls only.
    unsafe {
        command.pre_exec(move || {
            keep_descriptors_from_programs();
            nix::unistd::setsid()?;
            if let Some(network) = &network {
                let fd = std::os::fd::BorrowedFd::borrow_raw(network.raw_fd());
                setns(fd, CloneFlags::CLONE_NEWNET)?;
            }
            unshare(flags)?;
            match libc::fork() {
                -1 => Err(io::Error::last_os_error()),
                0 => Ok(()),
                _ => libc::_exit(0),
            }
        });
    }
    let failed = |source| NamespaceError::Spawn { program: program.clone(), source };
    let mut middle = command.spawn().map_err(failed)?;
    middle.wait().map_err(failed)?;
    Ok(())
}

/// What an init makes different from the machine's own files.
#[derive(Clone, Debug, Default)]
pub struct PrivateFiles {
    /// Content of `/etc/resolv.conf`.
    pub resolv_conf: Option<String>,
    /// Content of `/etc/hosts`.
    pub hosts: Option<String>,
}

/// Makes `/proc` show the calling init's processes, `/run` empty and private, and these files as given. Directories
/// that are open, or current, stay where they are.
pub fn isolate_mounts(files: &PrivateFiles) -> Result<(), NamespaceError> {
    let isolating = |operation| move |source| NamespaceError::Isolate { operation, source };
    // Found now, because where a file is a link its target may lie in /run.
    let target = |path: &str| fs::canonicalize(path).ok();
    let (resolv_conf, hosts) = (target("/etc/resolv.conf"), target("/etc/hosts"));
    process::mount_private().map_err(isolating("make mounts private"))?;
    // Best effort: where parts of /proc are masked, the kernel refuses a new one to ordinary users.
    let _ = process::mount(c"proc", c"/proc", Some(c"proc"), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);
    process::mount(c"tmpfs", c"/run", Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV)
        .map_err(isolating("mount a private /run"))?;
    for (content, target, name) in [(&files.resolv_conf, resolv_conf, "resolv.conf"), (&files.hosts, hosts, "hosts")] {
        if let (Some(content), Some(target)) = (content, target) {
            cover(&target, name, content).map_err(isolating("put a private file in place in /etc"))?;
        }
    }
    Ok(())
}

/// Puts a file with this content over `target`.
fn cover(target: &Path, name: &str, content: &str) -> io::Result<()> {
    let source =
        if target.starts_with("/run") { target.to_owned() } else { PathBuf::from("/run/maitred-etc").join(name) };
    fs::create_dir_all(source.parent().unwrap_or(Path::new("/run")))?;
    fs::write(&source, content)?;
    if source == target {
        return Ok(());
    }
    let (source, target) = (CString::new(source.as_os_str().as_bytes())?, CString::new(target.as_os_str().as_bytes())?);
    process::mount(&source, &target, None, libc::MS_BIND)
}

/// Ends this process now: nothing of it runs any more, whatever its other threads are at. As the init of a PID namespace
/// it takes everybody else there along.
pub fn exit_at_once() -> ! {
    // SAFETY: a system call that does not return.
    unsafe { libc::_exit(0) }
}

/// The user that this process acts as.
pub fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Sets the host name of the calling process's namespace.
pub fn set_hostname(name: &str) -> io::Result<()> {
    Ok(nix::unistd::sethostname(name)?)
}

/// Makes the command the first process of a session of its own, which gains no privileges by executing a set-user-ID
/// file unless that is allowed. It can be made to lose the capabilities that root of a user namespace has
/// (capabilities(7): what is not in the bounding set is not gained by executing a file).
pub fn in_own_session(command: &mut Command, new_privileges: bool, drop_capabilities: bool) {
    // SAFETY: the closure makes system calls only.
    unsafe {
        command.pre_exec(move || {
            keep_descriptors_from_programs();
            nix::unistd::setsid()?;
            if drop_capabilities {
                drop_bounding_set()?;
            }
            if !new_privileges {
                nix::sys::prctl::set_no_new_privs()?;
            }
            Ok(())
        });
    }
}

/// Has the kernel close all of the calling process's descriptors but the standard ones when it executes a program. What we
/// open ourselves is closed anyway; this is for what we were started with, such as a file that a shell has open.
fn keep_descriptors_from_programs() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: a system call on numbers.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked != 0 {
        mark_one_by_one(FIRST as libc::c_int);
    }
}

/// The same before Linux 5.11, and wherever a filter of system calls does not know the newer one.
fn mark_one_by_one(first: libc::c_int) {
    /// A limit may be so high that counting up to it takes minutes; numbers are given from below.
    const NUMBERS_MAX: libc::c_long = 1 << 16;
    // SAFETY: system calls on numbers; those that stand for no descriptor are refused.
    unsafe {
        let open_max = libc::sysconf(libc::_SC_OPEN_MAX);
        let end = if open_max < 0 { NUMBERS_MAX } else { open_max.min(NUMBERS_MAX) };
        for number in first..end as libc::c_int {
            libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// Empties the calling process's bounding set.
fn drop_bounding_set() -> io::Result<()> {
    /// As many as the kernel may ever have.
    const CAPABILITIES: libc::c_ulong = 64;
    for capability in 0..CAPABILITIES {
        // SAFETY: a system call on numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            let error = io::Error::last_os_error();
            // The kernel has fewer.
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Sends a signal to a session's first process group.
pub fn signal_group(leader: u32, signal: i32) -> io::Result<()> {
    let signal = nix::sys::signal::Signal::try_from(signal)?;
    Ok(nix::sys::signal::killpg(Pid::from_raw(leader as i32), signal)?)
}

/// A child that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedChild {
    /// Its process number.
    pub pid: u32,
    /// Its exit code, or the number of the signal that killed it.
    pub end: Result<i32, i32>,
}

/// Waits until some child has ended, without reaping it. False if there are no children.
pub fn await_child() -> io::Result<bool> {
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(_) => return Ok(true),
            Err(Errno::ECHILD) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Reaps one child that has ended, if there is one.
pub fn reap() -> Option<EndedChild> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => return Some(EndedChild { pid: pid.as_raw() as u32, end: Ok(code) }),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                return Some(EndedChild { pid: pid.as_raw() as u32, end: Err(signal as i32) });
            }
            Err(Errno::EINTR) => {}
            // None has ended, or there are none. Stops and traces are not asked for.
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
