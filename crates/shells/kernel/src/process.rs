//! Starting programs that never outlive us, and finding out what this user may do.
//!
//! The kernel's "parent death signal" is sent when the *thread* that forked ends, not the process. So programs are
//! forked by a [`Forker`]: a thread that lives as long as its children should.
//! <https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html>

// Children are prepared between fork and exec, where only system calls are allowed.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::netns::{Namespace, NamespaceError};

/// Starts a program that is killed when this process dies, however it dies.
pub fn spawn_tied(command: Command) -> Result<Child, NamespaceError> {
    static FORKER: OnceLock<Result<Forker, io::ErrorKind>> = OnceLock::new();
    let forker = FORKER.get_or_init(|| {
        Forker::start(|| Ok(())).map_err(|error| match error {
            NamespaceError::Isolate { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        })
    });
    match forker {
        Ok(forker) => forker.spawn(command),
        Err(kind) => Err(NamespaceError::Isolate { operation: "start the thread that forks", source: (*kind).into() }),
    }
}

/// A thread that forks: its children inherit its namespaces and are killed when it is dropped.
#[derive(Debug)]
pub struct Forker {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    command: Command,
    answer: mpsc::SyncSender<io::Result<Child>>,
}

impl Forker {
    /// Starts the thread; `prepare` runs on it first and may move it into other namespaces.
    pub fn start(
        prepare: impl FnOnce() -> Result<(), NamespaceError> + Send + 'static,
    ) -> Result<Self, NamespaceError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("forker".to_owned())
            .spawn(move || {
                let prepared = prepare();
                let goes_on = prepared.is_ok();
                let _ = tell.send(prepared);
                if goes_on {
                    for Job { mut command, answer } in queue {
                        let _ = answer.send(command.spawn());
                    }
                }
            })
            .map_err(|source| NamespaceError::Isolate { operation: "start the thread that forks", source })?;
        told.recv().expect("the thread answers before it ends")?;
        Ok(Self { jobs })
    }

    /// Forks and executes; the child is killed when the forker is dropped or this process dies.
    pub fn spawn(&self, mut command: Command) -> Result<Child, NamespaceError> {
        let program = command.get_program().to_string_lossy().into_owned();
        // SAFETY: only a system call.
        unsafe {
            command.pre_exec(die_with_parent);
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let job = Job { command, answer };
        let child = match self.jobs.send(job) {
            Ok(()) => answered.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        child.map_err(|source| NamespaceError::Spawn { program, source })
    }
}

/// Asks the kernel to kill the calling process when the thread that forked it ends.
pub(crate) fn die_with_parent() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    Ok(())
}

/// Whether this process acts as user 0 (of its user namespace).
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Tries whether network namespaces can be made here, without leaving anything; the error says why not.
pub fn can_make_namespaces() -> Result<(), NamespaceError> {
    Namespace::create().map(drop)
}

/// Sends a signal to a process of ours, by its number.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let signal = nix::sys::signal::Signal::try_from(signal)?;
    let pid = nix::unistd::Pid::from_raw(pid as i32);
    Ok(nix::sys::signal::kill(pid, signal)?)
}

/// A process that can be watched: unlike its number, this never comes to stand for another one
/// (<https://man7.org/linux/man-pages/man2/pidfd_open.2.html>, Linux 5.3).
#[derive(Debug)]
pub struct Watched {
    descriptor: AsyncFd<OwnedFd>,
}

impl Watched {
    /// The process with this number; in a tokio runtime only.
    pub fn open(pid: u32) -> io::Result<Watched> {
        let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: a system call on numbers.
        let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let number = match i32::try_from(opened) {
            Ok(number) if number >= 0 => number,
            _ => return Err(io::Error::last_os_error()),
        };
        // SAFETY: the kernel has just given us this descriptor.
        let owned = unsafe { OwnedFd::from_raw_fd(number) };
        // SAFETY: an owned descriptor stays the same, and open, until it is dropped.
        let descriptor = unsafe { AsyncFd::register_with_interest(owned, Interest::READABLE)? };
        Ok(Watched { descriptor })
    }

    /// Waits until all its threads have ended. For the init of a PID namespace, that is after every other process there:
    /// the kernel ends and reaps those first (`zap_pid_ns_processes`).
    pub async fn ended(&self) -> io::Result<()> {
        self.descriptor.readable().await.map(drop)
    }
}

/// Starts a program as root of new user, network, mount and PID namespaces, for users who are nobody special: only
/// this user's id exists inside, as 0. `/proc` and `/run` are the program's own.
///
/// The child that is returned stands for the program: it ends with the program's exit code (128 + signal number if a
/// signal killed it), and killing it kills all that runs inside.
pub fn unprivileged(mut command: Command) -> Result<Child, NamespaceError> {
    let maps = IdMaps::of_this_user();
    // SAFETY: the closure makes system calls only; its strings were made before the fork.
    unsafe {
        command.pre_exec(move || isolate(&maps));
    }
    spawn_tied(command)
}

struct IdMaps {
    uid: CString,
    gid: CString,
}

impl IdMaps {
    fn of_this_user() -> Self {
        let line = |id: u32| CString::new(format!("0 {id} 1\n")).expect("digits hold no zero byte");
        Self { uid: line(nix::unistd::geteuid().as_raw()), gid: line(nix::unistd::getegid().as_raw()) }
    }
}

/// Runs in the child. Three processes come of it: this one waits for the init of the PID namespace, which waits for
/// the one that goes on to execute the program (as init itself it would ignore signals and have to reap orphans).
fn isolate(maps: &IdMaps) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
    // Without this the kernel doesn't let an ordinary user map a group.
    write_file(c"/proc/self/setgroups", c"deny")?;
    write_file(c"/proc/self/uid_map", &maps.uid)?;
    write_file(c"/proc/self/gid_map", &maps.gid)?;
    die_with_parent()?;
    if fork_or_wait()? {
        mount_private()?;
        // Best effort: where parts of /proc are masked, the kernel refuses a new one.
        let _ = mount(c"proc", c"/proc", Some(c"proc"), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);
        mount(c"tmpfs", c"/run", Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV)?;
        fork_or_wait()?;
    }
    Ok(())
}

/// Forks; true in the child. The parent never returns: it ends as the child ended.
fn fork_or_wait() -> io::Result<bool> {
    // SAFETY: both sides make system calls only until they execute or exit.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            die_with_parent()?;
            Ok(true)
        }
        child => {
            close_all_above_stdio();
            // SAFETY: plain system call.
            unsafe { libc::_exit(wait_for(child)) }
        }
    }
}

/// Reaps children until `child` ends; its exit code, or 128 + the signal that killed it.
fn wait_for(child: libc::pid_t) -> i32 {
    loop {
        let mut status = 0;
        // SAFETY: the status is ours.
        let ended = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if ended == child && libc::WIFEXITED(status) {
            return libc::WEXITSTATUS(status);
        }
        if ended == child && libc::WIFSIGNALED(status) {
            return 128 + libc::WTERMSIG(status);
        }
        if ended < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return 1;
        }
    }
}

/// Makes later mounts of this mount namespace invisible outside it.
pub(crate) fn mount_private() -> io::Result<()> {
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE)
}

/// Mounts; allocates nothing, so it may run between fork and exec.
pub(crate) fn mount(
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: Option<&std::ffi::CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let kind = kind.map_or(std::ptr::null(), |kind| kind.as_ptr());
    // SAFETY: all strings end with a zero byte and outlive the call.
    let mounted = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, std::ptr::null()) };
    if mounted < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes what a process that doesn't execute anything would otherwise hold open for others.
pub(crate) fn close_all_above_stdio() {
    // SAFETY: the caller is a forked process that uses none of these descriptors any more.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
    }
}

/// Writes a file in one piece without allocating.
fn write_file(path: &std::ffi::CStr, content: &std::ffi::CStr) -> io::Result<()> {
    let content = content.to_bytes();
    // SAFETY: the path ends with a zero byte; pointer and length describe `content`; the descriptor is ours.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(fd, content.as_ptr().cast(), content.len());
        let result = if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        libc::close(fd);
        result
    }
}

#[cfg(test)]
mod tests;
