//! One machine of the lab: a node, a Pod, the control host or an outside client.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use kernel::links::{Links, Route};
use kernel::netns::{Namespace, NamespaceRuntime};
use kernel::sandbox::{Sandbox, SandboxConfig};

use crate::{Ips, LabError, Program};

/// A machine with a network of its own. Programs on it see a private `/run` and only each other.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: Namespace,
    ips: Ips,
    resolv_conf: Option<String>,
    /// Made when the first program starts. A std mutex: held only while that happens.
    sandbox: Mutex<Option<Sandbox>>,
}

impl Host {
    pub(crate) fn new(name: &str, ips: Ips, resolv_conf: Option<String>) -> Result<Self, LabError> {
        Ok(Self { name: name.to_owned(), namespace: Namespace::create()?, ips, resolv_conf, sandbox: Mutex::new(None) })
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its addresses.
    pub fn ips(&self) -> Ips {
        self.ips
    }

    /// Its network namespace; a person enters it by `nsenter --net=PATH` with [`Namespace::path`].
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its links, addresses and routes.
    pub fn links(&self) -> &Links {
        self.namespace.links()
    }

    /// Adds or replaces a route.
    pub fn replace_route(&self, route: &Route) -> Result<(), LabError> {
        Ok(self.links().replace_route(route)?)
    }

    /// Runs `body` on a thread inside its network.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        Ok(self.namespace.run(body)?)
    }

    /// A tokio runtime inside its network.
    pub fn runtime(&self) -> Result<NamespaceRuntime, LabError> {
        Ok(self.namespace.runtime()?)
    }

    /// Starts a program on it, with its output kept in a file.
    pub fn spawn(&self, command: Command) -> Result<Program, LabError> {
        let mut sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        if sandbox.is_none() {
            let config = SandboxConfig { resolv_conf: self.resolv_conf.clone() };
            *sandbox = Some(Sandbox::start(&self.namespace, &config)?);
        }
        let sandbox = sandbox.as_ref().expect("it has just been made");
        Program::start(&self.name, command, |command| sandbox.spawn(command))
    }

    /// Its root directory as seen from outside, once a program was started: sockets below its `/run` are there.
    pub fn root(&self) -> Option<std::path::PathBuf> {
        let sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        sandbox.as_ref().map(Sandbox::root)
    }

    /// Kills every program that was ever started on it, orphans included; as pulling the plug would.
    pub fn kill_all(&self) {
        drop(self.sandbox.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
