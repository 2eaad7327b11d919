//! Doing what the state machine asks for.

use std::net::IpAddr;
use std::time::Duration;

use kernel::netns::NamespaceError;
use pods::{Action, ContainerPlan, Input, Notice, ProbeKind, Sandbox};
use zone::{DnsConfig, DnsPolicy, ResolvConf};

use super::client::{self, Client, ClientError};
use super::publish::{self, News};
use super::{Message, Task, let_go, probes, subject};
use crate::parent::libc_signal;
use crate::parent::protocol::{Process, Request, Setup};
use crate::ranges::RangesError;
use crate::{config, network};

/// A hook has no time of its own: the grace period ends it, and this is longer.
const FOREVER: Duration = Duration::from_secs(3600 * 24);

/// Why a Pod could not be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetUpError {
    #[error("the Pod gets no address")]
    Addresses(#[from] RangesError),
    #[error("the Pod's network could not be set up")]
    Network(#[from] NamespaceError),
    #[error("the Pod's directory could not be written")]
    Files(#[from] std::io::Error),
    #[error(transparent)]
    Parent(#[from] ClientError),
}

/// What a program beside the containers is run for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Probe { container: usize, attempt: u32, kind: ProbeKind },
    Hook { container: usize, attempt: u32 },
}

impl Purpose {
    /// Whether both are for the same probe, of whatever attempt. A hook is never run twice in one.
    pub(super) fn is_same_probe(self, other: Purpose) -> bool {
        matches!(
            (self, other),
            (Purpose::Probe { container, kind, .. }, Purpose::Probe { container: its, kind: its_kind, .. })
                if container == its && kind == its_kind
        )
    }

    /// What its end means.
    pub(super) fn input(self, result: Result<(), String>) -> Input {
        match self {
            Purpose::Probe { container, attempt, kind } => Input::Probed { container, attempt, kind, result },
            Purpose::Hook { container, attempt } => Input::HookDone { container, attempt },
        }
    }
}

impl Task {
    /// Gives the Pod an address, a network and a parent process.
    pub(super) async fn set_up(&mut self) -> Result<Vec<IpAddr>, SetUpError> {
        let shared = self.shared.clone();
        let uid = self.plan().uid.clone();
        let (network, addresses) = if self.plan().host_network {
            (None, Vec::new())
        } else {
            let addresses = shared.ranges.give(&uid)?;
            let attached = network::attach(shared.network.links(), &uid, &addresses, &shared.ranges.ranges())?;
            (Some(attached), addresses)
        };
        self.files.keep_setup(&self.setup(&addresses))?;
        client::start(&shared.config.parent, &self.files.dir, network.as_ref()).await?;
        self.connections += 1;
        self.client = Some(Client::await_new(&self.files.dir, self.connections, &self.inbox).await?);
        Ok(addresses)
    }

    fn setup(&self, addresses: &[IpAddr]) -> Setup {
        let (plan, config) = (self.plan(), &self.shared.config);
        let dns = &plan.dns;
        let policy = DnsPolicy::parse(&dns.policy).for_pod(plan.host_network);
        let dns_config = DnsConfig {
            nameservers: dns.nameservers.clone(),
            searches: dns.searches.clone(),
            options: dns.options.clone(),
        };
        let host = ResolvConf::parse(&config::host_resolv_conf());
        let (domain, servers) = (&config.cluster_domain, &config.dns_addresses);
        Setup {
            hostname: (!plan.host_network).then(|| plan.hostname.clone()),
            resolv_conf: Some(zone::resolv_conf(policy, &plan.namespace, domain, servers, &host, &dns_config)),
            hosts: pods::hosts_file(plan, addresses, domain),
            log_dir: self.files.logs.to_string_lossy().into_owned(),
        }
    }

    pub(super) async fn start(&mut self, container: usize, attempt: u32) -> Option<Input> {
        let plan = &self.plan().containers[container];
        let (name, process) = (plan.name.clone(), self.process(plan, &plan.command));
        self.ask(&Request::Start { container: name, attempt, process });
        None
    }

    /// A process with a container's variables, directory and user.
    fn process(&self, plan: &ContainerPlan, command: &[String]) -> Process {
        let addresses = self.addresses();
        let env = pods::environment(self.plan(), plan, &addresses);
        Process {
            command: command.iter().map(|word| pods::expand(word, &env)).collect(),
            env,
            dir: plan.working_dir.clone(),
            ids: plan.identity.ids,
            new_privileges: plan.identity.new_privileges,
            drop_capabilities: plan.identity.ids.is_none() && !self.shared.config.rights.root_pods,
        }
    }

    /// The addresses at which the Pod is reached.
    fn addresses(&self) -> Vec<IpAddr> {
        if self.plan().host_network { self.shared.place.host_ips.clone() } else { self.state.addresses.clone() }
    }

    pub(super) async fn probe(&mut self, container: usize, attempt: u32, kind: ProbeKind) -> Option<Input> {
        let probe = self.plan().containers[container].probe(kind)?.clone();
        let time = Duration::from_secs(probe.timeout_s.max(1).unsigned_abs());
        self.act(&probe.action, container, Purpose::Probe { container, attempt, kind }, time).await;
        None
    }

    pub(super) async fn pre_stop(&mut self, container: usize, attempt: u32) -> Option<Input> {
        let action = self.plan().containers[container].pre_stop.clone()?;
        // The state machine goes on at the end of the grace period, whether the hook is done or not.
        self.act(&action, container, Purpose::Hook { container, attempt }, FOREVER).await;
        None
    }

    async fn act(&mut self, action: &Action, container: usize, purpose: Purpose, time: Duration) {
        let default = self.addresses().first().copied();
        let inbox = self.inbox.clone();
        let done = move |result| async move {
            let _ = inbox.send(Message::Done(purpose.input(result))).await;
        };
        match action.clone() {
            Action::Exec(command) => self.run_program(container, &command, purpose, time).await,
            Action::Tcp { host, port } => drop(self.background.spawn(async move {
                done(probes::tcp(host.as_deref(), default, port, time).await).await;
            })),
            Action::Http { tls, host, port, path, headers } => drop(self.background.spawn(async move {
                done(probes::http(tls, host.as_deref(), default, port, (&path, &headers), time).await).await;
            })),
            Action::Grpc { port, service } => drop(self.background.spawn(async move {
                done(probes::grpc(default, port, &service, time).await).await;
            })),
            Action::Sleep(seconds) => drop(self.background.spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds.max(0).unsigned_abs())).await;
                done(Ok(())).await;
            })),
        }
    }

    /// Runs a program in the Pod; its end, or the end of its time, comes as a message.
    async fn run_program(&mut self, container: usize, command: &[String], purpose: Purpose, time: Duration) {
        let (id, ask) = self.programs.begin(purpose);
        let process = self.process(&self.plan().containers[container], command);
        if ask && self.ask(&Request::Run { id, process }) {
            self.programs.asked(id, purpose);
        }
        let inbox = self.inbox.clone();
        self.background.spawn(async move {
            tokio::time::sleep(time).await;
            let _ = inbox.send(Message::Late(id)).await;
        });
    }

    pub(super) async fn signal(&mut self, container: usize, kill: bool) -> Option<Input> {
        let container = self.plan().containers[container].name.clone();
        let signal = if kill { libc_signal::KILL } else { libc_signal::TERM };
        self.ask(&Request::Signal { container, signal, session: kill });
        None
    }

    /// Ends the parent process and removes the Pod's link.
    pub(super) async fn tear_down(&mut self) {
        self.client = None;
        // There may be one even where there was no connection: an agent that is gone has not come to ending it, or it
        // answered too late.
        client::end(&self.files.dir).await;
        if let Err(error) = network::detach(self.shared.network.links(), &self.plan().uid) {
            tracing::warn!(error = runloop::chain(&error), pod = self.object.metadata.key(), "a Pod's link stays");
        }
    }

    /// Gives everything back, here and in the API.
    pub(super) async fn remove(&mut self) {
        self.tear_down().await;
        self.background.abort_all();
        // The last status shows how the containers ended; their sandbox was there until now.
        let mut state = self.state.clone();
        state.sandbox = Sandbox::Released;
        let news = News { state: Some(state), object: self.object.clone() };
        publish::once(self.shared.clone(), self.plan.clone(), &news).await;
        self.shared.ranges.free(&self.plan().uid);
        // An agent that dies here leaves an object that is being deleted and of which nothing runs.
        self.files.remove();
        let_go(&self.shared, &self.object).await;
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        let (recorder, subject) = (self.shared.recorder.clone(), subject(&self.object));
        self.background.spawn(async move {
            let r#type = if notice.warning { "Warning" } else { "Normal" };
            recorder.record(&subject, r#type, notice.reason, &notice.message).await;
        });
    }
}
