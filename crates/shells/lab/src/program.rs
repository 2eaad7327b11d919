//! A program that runs on a host of the lab.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kernel::netns::NamespaceError;

use crate::LabError;

/// How often a condition outside our reach is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A program with its output. It is killed when dropped; the output goes with the last holder, as the file has no name.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    output: File,
    ended: Option<ExitStatus>,
}

impl Program {
    pub(crate) fn start(
        host: &str,
        mut command: Command,
        spawn: impl FnOnce(Command) -> Result<Child, NamespaceError>,
    ) -> Result<Self, LabError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let name = format!("{} on {host}", program.rsplit('/').next().unwrap_or_default());
        let keep = |source| LabError::Output { program: name.clone(), source };
        let output = tempfile::tempfile().map_err(keep)?;
        command.stdin(Stdio::null());
        command.stdout(output.try_clone().map_err(keep)?);
        command.stderr(output.try_clone().map_err(keep)?);
        let child = spawn(command)?;
        Ok(Self { name, child, output, ended: None })
    }

    /// Its process number, as this process sees it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far, both streams in order.
    pub fn output(&self) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        while let Ok(length @ 1..) = self.output.read_at(&mut chunk, bytes.len() as u64) {
            bytes.extend_from_slice(&chunk[..length]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where a person can read the output while it runs.
    pub fn output_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.output.as_raw_fd()))
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    /// Waits until its output contains `text`.
    pub fn wait_for_output(&mut self, text: &str, timeout: Duration) -> Result<(), LabError> {
        let started = Instant::now();
        loop {
            // Looked at before the output, so that nothing written before its end is missed.
            let ended = self.poll();
            if self.output().contains(text) {
                return Ok(());
            }
            let missing = format!("did not write '{text}'");
            match ended {
                Some(status) => return Err(self.late(format!("{missing} but ended ({status})"), started.elapsed())),
                None if started.elapsed() > timeout => return Err(self.late(missing, timeout)),
                None => std::thread::sleep(POLL),
            }
        }
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus, LabError> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.poll() {
                return Ok(status);
            }
            if started.elapsed() > timeout {
                return Err(self.late("did not end".to_owned(), timeout));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal by its number, e.g. 1 for SIGHUP; nothing happens if it has ended.
    pub fn signal(&mut self, signal: i32) -> io::Result<()> {
        match self.poll() {
            None => kernel::process::signal(self.pid(), signal),
            Some(_) => Ok(()),
        }
    }

    /// Asks it to end (SIGTERM) and waits.
    pub fn stop(&mut self, timeout: Duration) -> Result<ExitStatus, LabError> {
        const SIGTERM: i32 = 15;
        self.signal(SIGTERM).map_err(|source| LabError::Output { program: self.name.clone(), source })?;
        self.wait(timeout)
    }

    /// Kills it (SIGKILL); it is gone when this returns. Children of its own live on, as on any machine.
    pub fn kill(&mut self) {
        if self.poll().is_none() {
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    fn late(&self, missing: String, waited: Duration) -> LabError {
        LabError::Late { program: self.name.clone(), missing, waited, output: self.output() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("output of {}:\n{}", self.name, self.output());
        }
    }
}
