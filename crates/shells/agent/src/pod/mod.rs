//! The task of one Pod: it turns what happens into inputs of the core's state machine, and does what that asks for.

mod client;
mod effects;
mod files;
mod grpc;
mod object;
mod probes;
mod publish;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use cluster::Subject;
use jiff::Timestamp;
use pods::{Effect, Exit, Found, Input, PodPlan, PodState, Refusal, Sandbox, next_wake, step};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::driver::Shared;
use crate::parent::protocol::{Known, Report, Request};
use client::Client;
use effects::Purpose;
use files::Files;
use publish::News;

pub(crate) use object::PodObject;

/// What a Pod's task hears.
#[derive(Debug)]
pub(crate) enum Message {
    /// The object has changed.
    Object(Arc<PodObject>),
    /// The object is gone.
    Gone,
    /// The parent process says something, on the connection with this number.
    Report(u64, Report),
    /// That connection is closed.
    Lost(u64),
    /// A probe over the network or a hook is done.
    Done(Input),
    /// A program beside the containers has used its time up.
    Late(u64),
}

/// How long to wait before the API is asked again to let go of a Pod.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs a Pod until it is gone.
pub(crate) async fn run(
    shared: Arc<Shared>,
    object: Arc<PodObject>,
    inbox: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
) {
    match pods::plan(&object.whole, &shared.means) {
        Ok(plan) => Task::new(shared, plan, object, inbox).run(messages).await,
        Err(refusal) => refused(shared, refusal, object, messages).await,
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

/// Ends what runs for Pods that were removed from the API while no agent was here.
pub(crate) async fn end_strangers(shared: &Arc<Shared>, known: &HashSet<String>) {
    for (uid, dir) in files::all(&shared.config) {
        if known.contains(&uid) {
            continue;
        }
        end_all_of(shared, &uid, dir).await;
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
async fn refused(shared: Arc<Shared>, refusal: Refusal, object: Arc<PodObject>, mut messages: mpsc::Receiver<Message>) {
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
    let mut object = object;
    loop {
        if object.deletion_grace_s().is_some() {
            return let_go(&shared, &object).await;
        }
        match messages.recv().await {
            Some(Message::Object(changed)) => {
                object = changed;
                news.send_modify(|news| news.object = object.clone());
            }
            Some(Message::Gone) | None => return,
            Some(_) => {}
        }
    }
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
    inbox: mpsc::Sender<Message>,
    client: Option<Client>,
    /// Counts connections.
    connections: u64,
    /// Programs run beside the containers, by number.
    programs: HashMap<u64, Purpose>,
    programs_begun: u64,
    news: watch::Sender<News>,
    /// Dropped with the task.
    background: JoinSet<()>,
}

impl Task {
    fn new(shared: Arc<Shared>, plan: PodPlan, object: Arc<PodObject>, inbox: mpsc::Sender<Message>) -> Task {
        let files = Files::of(&shared.config, &plan);
        let now = Timestamp::now();
        let kept = files.state().filter(|state| state.containers.len() == plan.containers.len());
        let mut state = kept.unwrap_or_else(|| PodState::recalled(&plan, &object.whole["status"], now));
        if let Some(addresses) = plan.fixed_addresses() {
            state.addresses = addresses.to_vec();
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
            inbox,
            client: None,
            connections: 0,
            programs: HashMap::new(),
            programs_begun: 0,
            news,
            background,
        }
    }

    fn plan(&self) -> &PodPlan {
        self.plan.as_ref().as_ref().expect("a task runs only Pods that can be planned")
    }

    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let first = self.adopt().await;
        let deletion = self.object.deletion_grace_s().map(|grace_s| Input::Delete { grace_s });
        // A Pod that is being deleted is not set up first.
        let inputs = if first == Input::Tick { [deletion, Some(first)] } else { [Some(first), deletion] };
        for input in inputs.into_iter().flatten() {
            if self.state.sandbox != Sandbox::Removed {
                self.take(input).await;
            }
        }
        while self.state.sandbox != Sandbox::Removed {
            let due = next_wake(&self.state).map(|due| due.duration_since(Timestamp::now()));
            let pause = due.map_or(std::time::Duration::MAX, |due| due.try_into().unwrap_or_default());
            let message = tokio::select! {
                message = messages.recv() => message,
                // What has ended is forgotten.
                Some(_) = self.background.join_next() => continue,
                () = tokio::time::sleep(pause) => Some(Message::Done(Input::Tick)),
            };
            let Some(message) = message else { return };
            if let Some(input) = self.hear(message).await {
                self.take(input).await;
            }
        }
    }

    /// Finds out what the last agent left running.
    async fn adopt(&mut self) -> Input {
        match self.state.sandbox {
            _ if self.plan().fixed_addresses().is_some() => return Input::Tick,
            // Nothing was started in it yet, and its addresses are not known.
            Sandbox::Requested => return Input::Lost,
            Sandbox::Ready => {}
            Sandbox::Absent | Sandbox::Retry(_) | Sandbox::Released | Sandbox::Removed => return Input::Tick,
        }
        self.connections += 1;
        match Client::adopt(&self.files.dir, self.connections, &self.inbox).await {
            Some((client, containers)) => {
                self.client = Some(client);
                Input::Adopted(containers.into_iter().filter_map(|known| self.found(known)).collect())
            }
            None => Input::Lost,
        }
    }

    fn found(&self, known: Known) -> Option<Found> {
        let Known { container, attempt, started, ended, .. } = known;
        Some(Found { container: self.place(&container)?, attempt, started, ended })
    }

    /// A container's place in the plan.
    fn place(&self, name: &str) -> Option<usize> {
        self.plan().containers.iter().position(|container| container.name == name)
    }

    /// What a message means to the state machine.
    async fn hear(&mut self, message: Message) -> Option<Input> {
        match message {
            Message::Object(object) => {
                self.object = object;
                self.follow_address();
                self.publish();
                self.object.deletion_grace_s().map(|grace_s| Input::Delete { grace_s })
            }
            // Removed by force: what runs gets its usual time.
            Message::Gone => Some(Input::Delete { grace_s: self.plan().grace_s }),
            Message::Report(number, _) | Message::Lost(number)
                if self.client.as_ref().is_none_or(|client| client.number != number) =>
            {
                None
            }
            Message::Report(_, report) => self.report(report),
            Message::Lost(_) => {
                self.client = None;
                self.programs.clear();
                Some(Input::Lost)
            }
            Message::Done(input) => Some(input),
            Message::Late(id) => {
                let purpose = self.programs.remove(&id)?;
                self.ask(&Request::Abandon { id }).await;
                Some(purpose.input(Err("no answer in time".to_owned())))
            }
        }
    }

    /// What runs elsewhere may move: its annotation is followed.
    fn follow_address(&mut self) {
        let Ok(plan) = pods::plan(&self.object.whole, &self.shared.means) else { return };
        if let (Some(_), Some(addresses)) = (self.plan().fixed_addresses(), plan.fixed_addresses()) {
            self.state.addresses = addresses.to_vec();
            self.plan = Arc::new(Ok(plan));
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
                Some(self.programs.remove(&id)?.input(result))
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
                if self.state.sandbox != Sandbox::Removed
                    && let Err(error) = self.files.keep(&self.state)
                {
                    tracing::error!(%error, dir = %self.files.dir.display(), "a Pod's state was not kept");
                }
                self.publish();
            }
            for effect in effects {
                inputs.extend(self.perform(effect).await);
            }
        }
    }

    fn publish(&self) {
        self.news.send_replace(News { state: Some(self.state.clone()), object: self.object.clone() });
    }

    async fn ask(&mut self, request: &Request) {
        if let Some(client) = &mut self.client {
            // A parent that cannot be written to is gone, and its reader says so.
            let _ = client.send(request).await;
        }
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
