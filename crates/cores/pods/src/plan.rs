//! A Pod as it is run: every field means something, and nothing is left to guess.

use std::net::IpAddr;

/// What is to be run for a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Distinguishes two lives of the name.
    pub uid: String,
    /// Whether it is started here.
    pub mode: Mode,
    /// At least one, in the order of the spec.
    pub containers: Vec<ContainerPlan>,
    /// What happens after a container has ended.
    pub restart_policy: RestartPolicy,
    /// Seconds between SIGTERM (or `preStop`) and SIGKILL.
    pub grace_s: i64,
    /// Shares the node's network.
    pub host_network: bool,
    /// The host name inside.
    pub hostname: String,
    /// The governing Service's name, or empty.
    pub subdomain: String,
    /// How names are resolved.
    pub dns: Dns,
    /// Lines of `/etc/hosts`: an address and its names (`hostAliases`).
    pub host_aliases: Vec<(IpAddr, Vec<String>)>,
}

/// Who runs a Pod's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The agent: processes of the host.
    Host,
    /// Somebody else, at these addresses (annotation `maitred.dev/address`); it is only probed.
    Elsewhere(Vec<IpAddr>),
}

/// `restartPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever the exit code.
    Always,
    /// Unless the exit code is 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// `dnsPolicy` and `dnsConfig`, as the API has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// `ClusterFirst`, `ClusterFirstWithHostNet`, `Default` or `None`.
    pub policy: String,
    /// Name servers to add.
    pub nameservers: Vec<String>,
    /// Search domains to add.
    pub searches: Vec<String>,
    /// Options to set, with their values.
    pub options: Vec<(String, Option<String>)>,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPlan {
    /// Unique in the Pod.
    pub name: String,
    /// As written; the status repeats it.
    pub image: String,
    /// Program and arguments; `$(NAME)` is not yet expanded.
    pub command: Vec<String>,
    /// Variables in order; values are not yet expanded.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub working_dir: String,
    /// Who it runs as.
    pub identity: Identity,
    /// Named ports, for probes.
    pub ports: Vec<(String, u16)>,
    /// Gates the other two.
    pub startup: Option<Probe>,
    /// Its failure restarts the container.
    pub liveness: Option<Probe>,
    /// Its result is the container's readiness.
    pub readiness: Option<Probe>,
    /// What is done before SIGTERM.
    pub pre_stop: Option<Action>,
}

/// Who a process runs as; `None` is whoever the agent is, where only one uid is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User and group.
    pub ids: Option<(u32, u32)>,
    /// Whether executing a file may raise its privileges.
    pub new_privileges: bool,
}

/// A check, or a hook, by these means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A program inside the Pod; exit code 0 is success.
    Exec(Vec<String>),
    /// GET; 200 to 399 is success.
    Http {
        /// Over TLS, whatever the certificate.
        tls: bool,
        /// Where, unless at the Pod's address.
        host: Option<String>,
        /// The port.
        port: Port,
        /// Path and query.
        path: String,
        /// Further headers.
        headers: Vec<(String, String)>,
    },
    /// Opening a connection.
    Tcp {
        /// Where, unless at the Pod's address.
        host: Option<String>,
        /// The port.
        port: Port,
    },
    /// The gRPC health check at the Pod's address (probes only).
    Grpc {
        /// The port.
        port: Port,
        /// The service asked for; the empty name stands for the whole server.
        service: String,
    },
    /// Waiting so many seconds (hooks only).
    Sleep(i64),
}

/// A port in a probe, resolved to its number.
pub type Port = u16;

/// Which probe of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// `startupProbe`.
    Startup,
    /// `livenessProbe`.
    Liveness,
    /// `readinessProbe`.
    Readiness,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// By what.
    pub action: Action,
    /// Seconds from the container's start to the first.
    pub initial_delay_s: i64,
    /// Seconds between two.
    pub period_s: i64,
    /// Seconds until one without an answer has failed.
    pub timeout_s: i64,
    /// So many failures in a row are a failure.
    pub failures: u32,
    /// So many successes in a row are a success.
    pub successes: u32,
    /// Overrides the Pod's grace period where this probe ends the container, seconds.
    pub grace_s: Option<i64>,
}

/// What this node lets Pods be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Pods may run as user 0 (`--allow-root-pods`).
    pub root_pods: bool,
    /// The one uid that is mapped, if the agent cannot become anybody else.
    pub only_uid: Option<u32>,
}

/// What plan() needs to know of the node, beside the Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Means {
    /// Whom processes may run as.
    pub rights: Rights,
    /// The node's name, for `fieldRef`.
    pub node_name: String,
    /// The node's addresses, for `fieldRef` and the status.
    pub host_ips: Vec<IpAddr>,
    /// Where programs of the host are looked for (`PATH`), unless a container says otherwise; the usual places if empty.
    pub path: String,
}

/// Why a Pod is not run: every reason, each with its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// At least one.
    pub obstacles: Vec<Obstacle>,
}

/// A field that stands in the way of running a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Its path, as `spec.containers[0].volumeMounts`.
    pub field: String,
    /// What is wrong with it, and what helps.
    pub why: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Obstacle { field, why }) in self.obstacles.iter().enumerate() {
            write!(out, "{}{field}: {why}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl PodPlan {
    /// The addresses that probes go to: the Pod's own, or the ones where it runs elsewhere.
    pub fn fixed_addresses(&self) -> Option<&[IpAddr]> {
        match &self.mode {
            Mode::Host => None,
            Mode::Elsewhere(addresses) => Some(addresses),
        }
    }
}

impl ContainerPlan {
    /// The probe of a kind.
    pub fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
        }
    }
}
