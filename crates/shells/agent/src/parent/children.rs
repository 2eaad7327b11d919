//! The processes of a Pod, from start to exit status.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::Builder;
use std::time::Duration;

use jiff::Timestamp;
use kernel::detached::{self, EndedChild};
use pods::Exit;

use super::log::{self, Log};
use super::protocol::{Known, Process, Report};
use super::tell;

/// How long the end of a container waits for its last lines to be in its log: what it left behind in a session of its own may
/// hold its output open for ever.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Ends, without saying anything, when all output of a container is in its log.
type Written = mpsc::Receiver<()>;

/// The Pod's processes; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Children {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log_dir: PathBuf,
    /// A plain lock. Whoever forks or reaps holds it, so that a process is known before its end is.
    table: Mutex<Table>,
    /// There are children to reap.
    forked: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    /// The newest attempt of each container.
    containers: BTreeMap<String, Known>,
    /// Programs beside the containers: number of the process to the agent's number.
    programs: BTreeMap<u32, u64>,
    /// The output of containers that run, by number of the process.
    logs: BTreeMap<u32, Written>,
    agent: Option<UnixStream>,
    /// The number of the connection with the newest agent.
    newest: u64,
}

impl Children {
    /// Starts the thread that reaps. A Pod at its process limit gets none.
    pub(super) fn start(log_dir: PathBuf) -> io::Result<Children> {
        let shared = Shared { log_dir, table: Mutex::default(), forked: Condvar::new() };
        let children = Children { shared: Arc::new(shared) };
        let reaper = children.clone();
        Builder::new().spawn(move || reaper.reap())?;
        Ok(children)
    }

    /// This is the agent from now on. Programs that were run for the last one are of no use to it.
    pub(super) fn hello(&self, number: u64, agent: UnixStream) {
        let mut table = self.table();
        // Heard late, when this process goes on after a stop, say: there is a newer one already.
        if number < table.newest {
            return;
        }
        table.newest = number;
        for pid in table.programs.keys() {
            let _ = detached::signal_group(*pid, libc_signal::KILL);
        }
        table.programs.clear();
        table.agent = Some(agent);
        let containers = table.containers.values().cloned().collect();
        table.tell(&Report::Hello { containers });
    }

    pub(super) fn start_container(&self, container: String, attempt: u32, process: &Process) {
        let mut table = self.table();
        // Two agents may have asked for it, one after the other.
        if let Some(known) = table.containers.get(&container).filter(|known| known.attempt == attempt) {
            let report = match known.ended.clone() {
                None => Report::Started { container },
                Some((_, exit)) => Report::Exited { container, attempt, exit },
            };
            return table.tell(&report);
        }
        let started = Timestamp::now();
        match self.spawn_logged(&container, attempt, process) {
            Ok((child, written)) => {
                table.logs.insert(child.id(), written);
                let known = Known { container: container.clone(), attempt, pid: child.id(), started, ended: None };
                table.containers.insert(container.clone(), known);
                table.tell(&Report::Started { container });
                self.shared.forked.notify_one();
            }
            Err(error) => {
                let exit = Exit::not_started(cannot_start(process, &error));
                let known = Known {
                    container: container.clone(),
                    attempt,
                    pid: 0,
                    started,
                    ended: Some((started, exit.clone())),
                };
                table.containers.insert(container.clone(), known);
                table.tell(&Report::Exited { container, attempt, exit });
            }
        }
    }

    /// Runs a program whose output nobody reads.
    pub(super) fn run(&self, id: u64, process: &Process) {
        let mut table = self.table();
        match spawn(process, Stdio::null, Stdio::null) {
            Ok(child) => {
                table.programs.insert(child.id(), id);
                self.shared.forked.notify_one();
            }
            Err(error) => {
                let exit = Exit::not_started(cannot_start(process, &error));
                table.tell(&Report::Ran { id, exit });
            }
        }
    }

    pub(super) fn abandon(&self, id: u64) {
        let table = self.table();
        for (pid, _) in table.programs.iter().filter(|(_, program)| **program == id) {
            let _ = detached::signal_group(*pid, libc_signal::KILL);
        }
    }

    pub(super) fn signal(&self, container: &str, signal: i32, session: bool) {
        let table = self.table();
        let Some(known) = table.containers.get(container).filter(|known| known.ended.is_none()) else { return };
        let sent = match session {
            true => detached::signal_group(known.pid, signal),
            false => kernel::process::signal(known.pid, signal),
        };
        if let Err(error) = sent {
            eprintln!("signal {signal} did not reach container {container}: {error}");
        }
    }

    fn spawn_logged(&self, container: &str, attempt: u32, process: &Process) -> io::Result<(Child, Written)> {
        let log = Arc::new(Mutex::new(Log::open(&self.shared.log_dir, container, attempt)?));
        let mut child = spawn(process, Stdio::piped, Stdio::piped)?;
        // Closed when both threads have dropped theirs.
        let (open, written) = mpsc::channel();
        let copying = child.stdout.take().map_or(Ok(()), |stdout| copy_apart(stdout, "stdout", &log, open.clone()));
        let copying = copying
            .and_then(|()| child.stderr.take().map_or(Ok(()), |stderr| copy_apart(stderr, "stderr", &log, open)));
        if let Err(error) = copying {
            // Nobody would read what it writes. It is in no table: it is reaped as an orphan.
            let _ = detached::signal_group(child.id(), libc_signal::KILL);
            self.shared.forked.notify_one();
            return Err(error);
        }
        Ok((child, written))
    }

    fn reap(&self) {
        loop {
            // Waits without the lock and reaps with it.
            let has_children = detached::await_child().unwrap_or(false);
            let mut table = self.table();
            while let Some(ended) = detached::reap() {
                if let Some((report, written)) = table.ended(ended) {
                    self.tell_when_written(&mut table, report, written);
                }
            }
            if !has_children && !table.has_processes() {
                drop(self.shared.forked.wait(table).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Tells of a container's end when its log is whole; whoever reads the log then finds all of it. Where the Pod may start
    /// no thread to wait for that, it is told at once.
    fn tell_when_written(&self, table: &mut Table, report: Report, written: Written) {
        let (children, late) = (self.clone(), report.clone());
        let waiting = Builder::new().spawn(move || {
            let _ = written.recv_timeout(LAST_LINES);
            children.table().tell(&late);
        });
        if waiting.is_err() {
            table.tell(&report);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn has_processes(&self) -> bool {
        !self.programs.is_empty() || self.containers.values().any(|known| known.ended.is_none())
    }

    /// Notes the end of a child; orphans of the Pod are just gone. What is to be told of a container, once its output is
    /// written, is returned.
    fn ended(&mut self, ended: EndedChild) -> Option<(Report, Written)> {
        let exit = match ended.end {
            Ok(code) => Exit::code(code),
            Err(signal) => Exit::signal(signal),
        };
        if let Some(id) = self.programs.remove(&ended.pid) {
            self.tell(&Report::Ran { id, exit });
            return None;
        }
        let is_it = |known: &&mut Known| known.pid == ended.pid && known.ended.is_none();
        let known = self.containers.values_mut().find(is_it)?;
        // What the container's first process left behind in its process group goes with it; what made a session of its own
        // stays until the Pod ends, since it cannot be told from another container's.
        let _ = detached::signal_group(ended.pid, libc_signal::KILL);
        known.ended = Some((Timestamp::now(), exit.clone()));
        let report = Report::Exited { container: known.container.clone(), attempt: known.attempt, exit };
        Some((report, self.logs.remove(&ended.pid)?))
    }

    fn tell(&mut self, report: &Report) {
        if self.agent.as_ref().is_some_and(|agent| !tell(agent, report)) {
            self.agent = None;
        }
    }
}

/// Copies a container's output to its log, in a thread of its own. A Pod at its process limit gets none.
fn copy_apart(
    from: impl Read + Send + 'static,
    stream: &'static str,
    log: &Arc<Mutex<Log>>,
    open: mpsc::Sender<()>,
) -> io::Result<()> {
    let log = log.clone();
    let copying = Builder::new().spawn(move || {
        log::copy(from, stream, &log);
        drop(open);
    });
    copying.map(drop)
}

/// Why a program was not started, for people.
fn cannot_start(process: &Process, error: &io::Error) -> String {
    let program = process.command.first().map_or("", String::as_str);
    let user = process.ids.map(|(user, _)| format!(" as user {user}")).unwrap_or_default();
    let place = &process.dir;
    format!("cannot start {program} in {place}{user}: {error}; both must be there, and open to that user")
}

fn spawn(process: &Process, stdout: fn() -> Stdio, stderr: fn() -> Stdio) -> io::Result<Child> {
    let (program, arguments) = process.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(process.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&process.dir).stdin(Stdio::null()).stdout(stdout()).stderr(stderr());
    if let Some((user, group)) = process.ids {
        // The standard library drops the supplementary groups with the user.
        command.gid(group).uid(user);
    }
    detached::in_own_session(&mut command, process.new_privileges, process.drop_capabilities);
    command.spawn()
}

/// Signal numbers, the same on every Linux.
pub(crate) mod libc_signal {
    /// Ends a process that may clean up first.
    pub(crate) const TERM: i32 = 15;
    /// Ends a process.
    pub(crate) const KILL: i32 = 9;
}
