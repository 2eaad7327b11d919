//! A machine for programs: a network namespace together with a mount and a PID namespace of its own.
//!
//! `/run` is empty and private, so sockets, locks and state of programs on different machines don't meet; `/proc`
//! shows the machine's processes. Everything ever started inside, orphans too, is killed when the [`Sandbox`] is
//! dropped or this process dies: the PID namespace's init is tied to us, and the kernel ends the rest with it.

// The init is forked by hand; see `process` for the rules between fork and exec.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;

use nix::sched::{CloneFlags, unshare};

use crate::netns::{Namespace, NamespaceError};
use crate::process::{self, Forker};

/// A machine that runs programs.
#[derive(Debug)]
pub struct Sandbox {
    forker: Forker,
    init_pid: u32,
}

/// What a sandbox looks like from inside.
#[derive(Clone, Debug, Default)]
pub struct SandboxConfig {
    /// Content of `/etc/resolv.conf`; the host's file is seen otherwise.
    pub resolv_conf: Option<String>,
}

impl Sandbox {
    /// Starts a machine around a network namespace.
    pub fn start(namespace: &Namespace, config: &SandboxConfig) -> Result<Self, NamespaceError> {
        let (namespace, config) = (namespace.clone(), config.clone());
        let (tell, told) = mpsc::sync_channel(1);
        let forker = Forker::start(move || {
            namespace.enter()?;
            isolate_mounts(&config)?;
            unshare(CloneFlags::CLONE_NEWPID).map_err(isolating("make a PID namespace"))?;
            let _ = tell.send(start_init().map_err(isolating("start the init of a PID namespace"))?);
            Ok(())
        })?;
        let init_pid = told.recv().expect("a forker that started has told its init");
        Ok(Self { forker, init_pid })
    }

    /// Starts a program inside.
    pub fn spawn(&self, command: Command) -> Result<Child, NamespaceError> {
        self.forker.spawn(command)
    }

    /// The machine's root directory as seen from outside, e.g. to reach a socket below its `/run`.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init_pid))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.init_pid as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        // An init ends only when every process of its namespace is reaped, those whose `Child` somebody still holds
        // included: waiting here would wait for the caller.
        let _ = std::thread::Builder::new().name("reaper".to_owned()).spawn(move || nix::sys::wait::waitpid(pid, None));
    }
}

fn isolating<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> NamespaceError {
    move |error| NamespaceError::Isolate { operation, source: error.into() }
}

fn isolate_mounts(config: &SandboxConfig) -> Result<(), NamespaceError> {
    const RESOLV_CONF: &str = "/etc/resolv.conf";
    // Where the file is a link, its target counts; found now, because /run may hide it afterwards.
    let target = fs::canonicalize(RESOLV_CONF).ok();
    unshare(CloneFlags::CLONE_NEWNS).map_err(isolating("make a mount namespace"))?;
    process::mount_private().map_err(isolating("make mounts private"))?;
    process::mount(c"tmpfs", c"/run", Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV)
        .map_err(isolating("mount a private /run"))?;
    match (&config.resolv_conf, target) {
        (Some(content), Some(target)) => {
            bind_text(content, &target).map_err(isolating("put a private /etc/resolv.conf in place"))
        }
        _ => Ok(()),
    }
}

/// Puts a file with this content over `target`.
fn bind_text(content: &str, target: &Path) -> io::Result<()> {
    if target.starts_with("/run") {
        fs::create_dir_all(target.parent().unwrap_or(Path::new("/run")))?;
        return fs::write(target, content);
    }
    let source = Path::new("/run/resolv.conf");
    fs::write(source, content)?;
    let target = CString::new(target.as_os_str().as_bytes())?;
    process::mount(c"/run/resolv.conf", &target, None, libc::MS_BIND)
}

/// Forks the first process of the PID namespace, and returns when `/proc` is mounted.
fn start_init() -> io::Result<u32> {
    let (mut reader, writer) = io::pipe()?;
    // SAFETY: the child makes system calls only, and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => run_init(writer.as_raw_fd()),
        child => {
            drop(writer);
            reader.read_exact(&mut [0])?;
            Ok(child as u32)
        }
    }
}

/// The init: it reaps orphans (by ignoring their end) and waits to be killed.
fn run_init(ready: i32) -> ! {
    // SAFETY: system calls on descriptors and signals of this forked process, which has one thread.
    unsafe {
        let tied = process::die_with_parent();
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_NAME, c"sandbox-init".as_ptr());
        // Best effort: where parts of /proc are masked, the kernel refuses a new one to ordinary users.
        let _ = process::mount(c"proc", c"/proc", Some(c"proc"), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for stdio in 0..3 {
            libc::dup2(null, stdio);
        }
        // This fails if the parent died before it could be watched (an init doesn't die of SIGPIPE).
        if tied.is_err() || libc::write(ready, [1u8].as_ptr().cast(), 1) != 1 {
            libc::_exit(1);
        }
        process::close_all_above_stdio();
        loop {
            libc::pause();
        }
    }
}
