//! The task of one Pod: it turns what happens into inputs of the core's state machine, and does what that asks for.

mod address;
mod adoption;
mod client;
mod effects;
mod files;
mod grpc;
mod object;
mod probes;
mod programs;
mod publish;
mod tls;

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use cluster::Subject;
use jiff::Timestamp;
use pods::{Effect, Exit, Input, PodPlan, PodState, Refusal, Sandbox, next_wake, step};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::driver::Shared;
use crate::parent::protocol::{Report, Request};
use client::Client;
use files::Files;
use programs::Programs;
use publish::News;

pub(crate) use object::PodObject;

/// What the API says of a Pod: the latest, so that whoever tells it never waits for the Pod's task.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// The object as last seen.
    pub(crate) object: Arc<PodObject>,
    /// It is there no more.
    pub(crate) gone: bool,
}

/// What else a Pod's task hears.
#[derive(Debug)]
enum Message {
    /// The parent process says something, on the connection with this number.
    Report(u64, Report),
    /// That connection is closed.
    Lost(u64),
    /// A probe over the network or a hook is done.
    Done(Input),
    /// A program beside the containers has used its time up.
    Late(u64),
}

/// Messages that wait for a Pod's task; whoever sends one waits with it.
const QUEUE: usize = 256;
/// How long to wait before the API is asked again to let go of a Pod.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs a Pod until it is gone.
pub(crate) async fn run(shared: Arc<Shared>, told: watch::Receiver<Told>) {
    let object = told.borrow().object.clone();
    let kept = files::read_state(&shared.config.run_dir.join(&object.metadata.uid));
    match address::plan(&object.whole, kept.as_ref(), &shared.means) {
        Ok(plan) => {
            let (inbox, messages) = mpsc::channel(QUEUE);
            Task::new(shared, plan, kept, object, told, inbox).run(messages).await;
        }
        Err(refusal) => refused(shared, refusal, object, told).await,
    }
}

/// Addresses that Pods have from the last agent are theirs.
pub(crate) fn keep_addresses(shared: &Shared) {
    for (uid, dir) in files::all(&shared.config) {
        if let Some(state) = files::read_state(&dir) {
            shared.ranges.keep(&uid, &state.addresses);
        }
    }
}

/// What is here of Pods that were removed from the API while no agent was here, by uid.
pub(crate) fn strangers(shared: &Shared, known: &HashSet<String>) -> Vec<(String, PathBuf)> {
    files::all(&shared.config).into_iter().filter(|(uid, _)| !known.contains(uid)).collect()
}

/// Ends what runs for them.
pub(crate) async fn end_strangers(shared: Arc<Shared>, strangers: Vec<(String, PathBuf)>) {
    for (uid, dir) in strangers {
        end_all_of(&shared, &uid, dir).await;
    }
}

/// Ends all that runs of a Pod, and gives everything back.
async fn end_all_of(shared: &Shared, uid: &str, dir: PathBuf) {
    client::end(&dir).await;
    if let Err(error) = crate::network::detach(shared.network.links(), uid) {
        tracing::warn!(error = runloop::chain(&error), uid, "a Pod's link stays");
    }
    shared.ranges.free(uid);
    let logs = files::logs_of(&shared.config, uid).unwrap_or_else(|| dir.join("logs"));
    Files { logs, dir }.remove();
}

/// A Pod that cannot be run: it stays Pending and says why. An agent with other rights may have run it before.
async fn refused(shared: Arc<Shared>, refusal: Refusal, mut object: Arc<PodObject>, mut told: watch::Receiver<Told>) {
    let dir = shared.config.run_dir.join(&object.metadata.uid);
    if dir.exists() {
        end_all_of(&shared, &object.metadata.uid, dir).await;
    }
    if object.deletion_grace_s().is_none() {
        let subject = subject(&object);
        shared.recorder.record(&subject, "Warning", "FailedToRun", &refusal.to_string()).await;
    }
    let (news, published) = watch::channel(News { state: None, object: object.clone() });
    let mut publisher = JoinSet::new();
    publisher.spawn(publish::keep(shared.clone(), Arc::new(Err(refusal)), published));
    loop {
        if object.deletion_grace_s().is_some() {
            return let_go(&shared, &object).await;
        }
        let changed = told.changed().await;
        let latest = told.borrow_and_update().clone();
        if changed.is_err() || latest.gone {
            return;
        }
        object = latest.object;
        news.send_modify(|news| news.object = object.clone());
    }
}

/// How long it is until then.
fn pause_until(due: Timestamp) -> std::time::Duration {
    due.duration_since(Timestamp::now()).try_into().unwrap_or_default()
}

fn subject(object: &PodObject) -> Subject {
    let metadata = &object.metadata;
    Subject {
        kind: "Pod",
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
    }
}

/// Has the API remove a Pod of which nothing is left here.
async fn let_go(shared: &Shared, object: &PodObject) {
    let metadata = &object.metadata;
    let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": metadata.uid}});
    loop {
        let deleted = shared.cluster.delete::<PodObject>(&metadata.namespace, &metadata.name, Some(&options)).await;
        match deleted {
            Ok(()) => return,
            // Another Pod of that name.
            Err(error) if error.code() == Some(409) => return,
            Err(error) => {
                tracing::warn!(
                    error = runloop::chain(&error),
                    pod = metadata.key(),
                    "a Pod was not removed; trying again"
                );
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

struct Task {
    shared: Arc<Shared>,
    plan: Arc<Result<PodPlan, Refusal>>,
    files: Files,
    object: Arc<PodObject>,
    state: PodState,
    told: watch::Receiver<Told>,
    inbox: mpsc::Sender<Message>,
    client: Option<Client>,
    /// Counts connections.
    connections: u64,
    programs: Programs,
    news: watch::Sender<News>,
    /// Why the address that the object names is not followed, as last told.
    address_refused: Option<String>,
    /// Dropped with the task.
    background: JoinSet<()>,
}

impl Task {
    fn new(
        shared: Arc<Shared>,
        plan: PodPlan,
        kept: Option<PodState>,
        object: Arc<PodObject>,
        told: watch::Receiver<Told>,
        inbox: mpsc::Sender<Message>,
    ) -> Task {
        let files = Files::of(&shared.config, &plan);
        let now = Timestamp::now();
        let kept = kept.filter(|state| state.containers.len() == plan.containers.len());
        let mut state = kept.unwrap_or_else(|| PodState::recalled(&plan, &object.whole["status"], now));
        if let Some(addresses) = plan.fixed_addresses() {
            state.addresses = addresses.to_vec();
            state.elsewhere = true;
        }
        let plan = Arc::new(Ok(plan));
        let (news, published) = watch::channel(News { state: Some(state.clone()), object: object.clone() });
        let mut background = JoinSet::new();
        background.spawn(publish::keep(shared.clone(), plan.clone(), published));
        Task {
            shared,
            plan,
            files,
            object,
            state,
            told,
            inbox,
            client: None,
            connections: 0,
            programs: Programs::default(),
            news,
            address_refused: None,
            background,
        }
    }

    fn plan(&self) -> &PodPlan {
        self.plan.as_ref().as_ref().expect("a task runs only Pods that can be planned")
    }

    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        self.follow_address();
        let first = self.adopt().await;
        let inputs = match (first, self.deletion()) {
            (adopted @ Input::Adopted(_), deletion) => [Some(adopted), deletion],
            // A Pod that is being deleted is not set up first. What is lost needs no time, and no hook can run in it.
            (Input::Lost, Some(_)) => [Some(Input::Delete { grace_s: 0 }), Some(Input::Lost)],
            (first, deletion) => [deletion, Some(first)],
        };
        for input in inputs.into_iter().flatten() {
            if self.state.sandbox != Sandbox::Removed {
                self.take(input).await;
            }
        }
        while self.state.sandbox != Sandbox::Removed {
            let pause = next_wake(&self.state).map_or(std::time::Duration::MAX, pause_until);
            let input = tokio::select! {
                changed = self.told.changed() => match changed {
                    Ok(()) => self.heed(),
                    Err(_) => return,
                },
                Some(message) = messages.recv() => self.hear(message),
                // What has ended is forgotten.
                Some(_) = self.background.join_next() => None,
                () = tokio::time::sleep(pause) => Some(Input::Tick),
            };
            if let Some(input) = input {
                self.take(input).await;
            }
        }
    }

    /// Takes in what the API says.
    fn heed(&mut self) -> Option<Input> {
        self.object = self.told.borrow_and_update().object.clone();
        self.follow_address();
        self.publish();
        self.deletion()
    }

    /// Whether the Pod is to go. What runs of one that was removed by force gets its usual time at most: a longer one that an
    /// earlier deletion gave it is no longer shown anywhere.
    fn deletion(&self) -> Option<Input> {
        let usual = self.told.borrow().gone.then(|| self.plan().grace_s);
        let grace_s = self.object.deletion_grace_s().into_iter().chain(usual).min()?;
        Some(Input::Delete { grace_s })
    }

    /// A container's place in the plan.
    fn place(&self, name: &str) -> Option<usize> {
        self.plan().containers.iter().position(|container| container.name == name)
    }

    /// What a message means to the state machine.
    fn hear(&mut self, message: Message) -> Option<Input> {
        match message {
            Message::Report(number, _) | Message::Lost(number)
                if self.client.as_ref().is_none_or(|client| client.number != number) =>
            {
                None
            }
            Message::Report(_, report) => self.report(report),
            Message::Lost(_) => {
                self.client = None;
                self.programs.lost();
                Some(Input::Lost)
            }
            Message::Done(input) => Some(input),
            Message::Late(id) => {
                let (purpose, asked) = self.programs.late(id)?;
                if asked {
                    self.ask(&Request::Abandon { id });
                }
                Some(purpose.input(Err("no answer in time".to_owned())))
            }
        }
    }

    fn report(&mut self, report: Report) -> Option<Input> {
        match report {
            Report::Hello { .. } => None,
            Report::Started { container } => Some(Input::Started { container: self.place(&container)? }),
            Report::Exited { container, attempt, exit } => {
                Some(Input::Exited { container: self.place(&container)?, attempt, exit })
            }
            Report::Ran { id, exit } => {
                let result = match exit {
                    Exit { code: 0, .. } => Ok(()),
                    Exit { message, .. } if !message.is_empty() => Err(message),
                    Exit { code, .. } => Err(format!("the command ended with exit code {code}")),
                };
                Some(self.programs.ended(id)?.input(result))
            }
        }
    }

    /// Takes in an input, and does what follows from it until nothing does.
    async fn take(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let (state, effects) =
                step(self.plan(), &self.shared.config.backoff, self.state.clone(), input, Timestamp::now());
            if state != self.state {
                self.state = state;
                self.keep();
                self.publish();
            }
            for effect in effects {
                inputs.extend(self.perform(effect).await);
            }
        }
    }

    /// Keeps the state for the next agent.
    fn keep(&self) {
        if self.state.sandbox != Sandbox::Removed
            && let Err(error) = self.files.keep(&self.state)
        {
            tracing::error!(%error, dir = %self.files.dir.display(), "a Pod's state was not kept");
        }
    }

    fn publish(&self) {
        self.news.send_replace(News { state: Some(self.state.clone()), object: self.object.clone() });
    }

    /// Asks the parent for something; false if it will not hear of it.
    fn ask(&self, request: &Request) -> bool {
        self.client.as_ref().is_some_and(|client| client.send(request))
    }

    /// Does one effect; returns what followed at once.
    async fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::SetUp => Some(match self.set_up().await {
                Ok(addresses) => Input::Ready(addresses),
                Err(error) => Input::Broken(runloop::chain(&error)),
            }),
            Effect::Start { container, attempt } => self.start(container, attempt).await,
            Effect::Probe { container, attempt, kind } => self.probe(container, attempt, kind).await,
            Effect::PreStop { container, attempt } => self.pre_stop(container, attempt).await,
            Effect::Terminate { container } => self.signal(container, false).await,
            Effect::Kill { container } => self.signal(container, true).await,
            Effect::Release => {
                self.tear_down().await;
                None
            }
            Effect::Remove => {
                self.remove().await;
                None
            }
            Effect::Tell(notice) => {
                self.tell(notice);
                None
            }
        }
    }
}
