//! Network namespaces without names on disk: each is a file descriptor, so it goes when its last holder dies, however
//! that happens. <https://man7.org/linux/man-pages/man7/network_namespaces.7.html>
//!
//! A namespace belongs to a thread, not to a process. Code enters one on a thread of its own that ends afterwards, so
//! no other thread ever finds itself elsewhere. Sockets stay in the namespace where they were made, whoever uses them.

// A child between fork and exec enters a namespace by `pre_exec`.
#![allow(unsafe_code)]

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use tokio::sync::oneshot;

use crate::links::{LinkError, Links};
use crate::process;

/// What can go wrong with a namespace or a process in one.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel or this user's rights don't allow a new one.
    #[error("cannot make a network namespace")]
    Create {
        /// The kernel's answer.
        source: io::Error,
    },
    /// No namespace can be opened at this path.
    #[error("cannot open the network namespace {}", path.display())]
    Open {
        /// Where it was looked for.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A thread could not enter.
    #[error("cannot enter a network namespace")]
    Enter {
        /// The kernel's answer.
        source: io::Error,
    },
    /// A kernel setting of the namespace could not be written.
    #[error("cannot set {name} to {value}")]
    Sysctl {
        /// Path below `/proc/sys`.
        name: String,
        /// What should stand there.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}")]
    Spawn {
        /// Its path or name.
        program: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A private mount, PID or user namespace could not be made.
    #[error("cannot {operation}")]
    Isolate {
        /// The step that failed.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Its links could not be configured.
    #[error(transparent)]
    Links(#[from] LinkError),
}

/// A network namespace, held by a file descriptor; clones share it.
#[derive(Clone, Debug)]
pub struct Namespace {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    file: File,
    links: Links,
}

impl Namespace {
    /// Makes a new namespace, with nothing in it but a loopback link that is up.
    pub fn create() -> Result<Self, NamespaceError> {
        let namespace = on_new_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Create { source: errno.into() })?;
            Self::current()
        })?;
        namespace.links().set_up("lo", true)?;
        Ok(namespace)
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<Self, NamespaceError> {
        let file = open(Path::new("/proc/thread-self/ns/net"))?;
        Ok(Self { held: Arc::new(Held { file, links: Links::open()? }) })
    }

    /// The namespace at a path such as `/proc/PID/ns/net` or `/run/netns/NAME`.
    pub fn open(path: &Path) -> Result<Self, NamespaceError> {
        let file = open(path)?;
        on_new_thread(|| {
            enter(file.as_raw_fd())?;
            Self::current()
        })
    }

    /// Its links, addresses and routes.
    pub fn links(&self) -> &Links {
        &self.held.links
    }

    /// Runs `body` on a new thread inside, and returns what it returns. A panic goes on in the caller.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_new_thread(|| {
            enter(self.raw_fd())?;
            Ok(body())
        })
    }

    /// Writes kernel settings, in order: pairs of a path below `/proc/sys` and a value.
    pub fn set_sysctls(&self, settings: &[(&str, &str)]) -> Result<(), NamespaceError> {
        self.run(|| {
            settings.iter().try_for_each(|(name, value)| {
                std::fs::write(Path::new("/proc/sys").join(name), value).map_err(|source| NamespaceError::Sysctl {
                    name: (*name).to_owned(),
                    value: (*value).to_owned(),
                    source,
                })
            })
        })?
    }

    /// Starts a program inside. It is killed when this process dies.
    pub fn spawn(&self, mut command: Command) -> Result<Child, NamespaceError> {
        let held = Arc::clone(&self.held);
        // SAFETY: setns is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(move || Ok(setns(&held.file, CloneFlags::CLONE_NEWNET)?));
        }
        process::spawn_tied(command)
    }

    /// A tokio runtime whose sockets are made inside; it stops when the handle is dropped.
    pub fn runtime(&self) -> Result<NamespaceRuntime, NamespaceError> {
        NamespaceRuntime::start(self.clone())
    }

    /// A path by which another process (`nsenter --net=PATH`) finds it, as long as this process lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.raw_fd()))
    }

    /// Its identity: the inode that `/proc/PID/ns/net` shows for each process inside.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(self.held.file.metadata()?.ino())
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.held.file.as_raw_fd()
    }

    /// Moves the calling thread inside, for good.
    pub(crate) fn enter(&self) -> Result<(), NamespaceError> {
        enter(self.raw_fd())
    }
}

/// A tokio runtime on one thread inside a namespace.
#[derive(Debug)]
pub struct NamespaceRuntime {
    handle: tokio::runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl NamespaceRuntime {
    fn start(namespace: Namespace) -> Result<Self, NamespaceError> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("netns-runtime".to_owned())
            .spawn(move || match build_runtime(&namespace) {
                Ok(runtime) => {
                    let _ = tell.send(Ok(runtime.handle().clone()));
                    let _ = runtime.block_on(stopped);
                    runtime.shutdown_background();
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            })
            .map_err(|source| NamespaceError::Enter { source })?;
        let handle = told.recv().expect("the thread answers before it ends")?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// For spawning tasks that run inside.
    pub fn handle(&self) -> &tokio::runtime::Handle {
        &self.handle
    }

    /// Runs a future inside and waits for it; not to be called from async code.
    pub fn block_on<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            let _ = tell.send(future.await);
        });
        match told.recv() {
            Ok(output) => output,
            Err(_) => panic!("the future panicked or the runtime stopped (finished: {})", task.is_finished()),
        }
    }
}

impl Drop for NamespaceRuntime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn build_runtime(namespace: &Namespace) -> Result<tokio::runtime::Runtime, NamespaceError> {
    namespace.enter()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| NamespaceError::Enter { source })
}

/// Runs `body` on a thread that ends afterwards, with whatever namespaces it has entered.
fn on_new_thread<T: Send>(body: impl FnOnce() -> Result<T, NamespaceError> + Send) -> Result<T, NamespaceError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, body)
            .map_err(|source| NamespaceError::Enter { source })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn open(path: &Path) -> Result<File, NamespaceError> {
    File::open(path).map_err(|source| NamespaceError::Open { path: path.to_owned(), source })
}

fn enter(fd: RawFd) -> Result<(), NamespaceError> {
    // SAFETY: the descriptor is borrowed from a file that outlives this call.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    setns(fd, CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Enter { source: errno.into() })
}

#[cfg(test)]
mod tests;
